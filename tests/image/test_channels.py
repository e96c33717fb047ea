"""From the channels an image has to those a model takes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.image.channels import to_channels

WINDOW = np.stack([np.full((2, 2), v, np.uint8) for v in (10, 20, 30)])


def test_colour_is_weighted_to_grey() -> None:
    """Red, green and blue count as in ITU-R BT.601."""
    grey = to_channels(WINDOW, 1, rgb=True)
    assert grey.shape == (1, 2, 2)
    assert grey[0, 0, 0] == pytest.approx(0.299 * 10 + 0.587 * 20 + 0.114 * 30)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_colour_can_be_chosen(channel: int) -> None:
    """Red, green or blue comes as it is, in its own dtype, and is not weighted."""
    chosen = to_channels(WINDOW, 1, rgb=True, channel=channel)
    assert chosen.dtype == np.uint8
    assert (chosen == 10 * (channel + 1)).all() and chosen.shape == (1, 2, 2)


def test_one_channel_is_taken_or_repeated() -> None:
    """A chosen channel goes to a grey model alone and to a colour model thrice."""
    assert (to_channels(WINDOW, 1, channel=2) == 30).all()
    assert to_channels(WINDOW, 3, channel=1).tolist() == [[[20, 20]] * 2] * 3
    assert to_channels(WINDOW[:1], 3).shape == (3, 2, 2)


def test_stains_are_not_mixed_silently() -> None:
    """Three stains for a model of one are refused, with the way out."""
    with pytest.raises(UneticError, match=r"1 channel for this model, got 3.*pick one"):
        to_channels(WINDOW, 1)


@pytest.mark.parametrize("channel", [-1, 3])
def test_a_channel_that_is_not_there_is_refused(channel: int) -> None:
    """The message names the range."""
    with pytest.raises(UneticError, match=f"from 0 to 2 .*got {channel}"):
        to_channels(WINDOW, 1, channel=channel)
