"""What the tests of the command line share: a small model, images, a runner."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from skimage.io import imsave

from napari_unetic.cli import main
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import save_model
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.networks.unet import UNet


@dataclasses.dataclass(frozen=True)
class Ended:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def unetic(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``unetic`` in this process and return how it ended."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def threshold_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose network is a threshold: bright pixels are foreground."""
    spec = NetworkSpec(
        in_channels=1, out_channels=3, widths=(1,), convolutions=1, norm="none"
    )
    network = UNet(spec)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        convolution, head = network.bottom[0], network.head
        assert isinstance(convolution, torch.nn.Conv2d)
        assert head.bias is not None
        convolution.weight[0, 0] = 1 / 9
        head.weight[:, 0, 0, 0] = torch.tensor([40.0, 0.0, 40.0])
        head.bias.copy_(torch.tensor([-12.0, -20.0, -12.0]))
    folder = tmp_path_factory.mktemp("models") / "threshold"
    save_model(
        folder,
        ModelDescription(
            name="threshold",
            summary="Bright pixels are objects",
            network=spec,
            channels=("grey",),
            working_diameter_px=10,
        ),
        network.state_dict(),
    )
    return folder


@pytest.fixture(scope="session")
def squares() -> NDArray[np.uint8]:
    """An image of three bright squares on black, 24 × 32 pixels."""
    image = np.zeros((24, 32), np.uint8)
    for top, left in ((2, 2), (2, 20), (14, 10)):
        image[top : top + 7, left : left + 7] = 200
    return image


@pytest.fixture
def images(tmp_path: Path, squares: NDArray[np.uint8]) -> Path:
    """A folder with ``a.png``, ``b.tif`` and ``sub/c.tif``, and a file of text."""
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    imsave(folder / "a.png", squares, check_contrast=False)
    tifffile.imwrite(folder / "b.tif", squares[::-1].copy())
    tifffile.imwrite(folder / "sub" / "c.tif", squares.astype(np.uint16) * 100)
    (folder / "notes.txt").write_text("not an image")
    return folder
