"""Which precision the network runs in: bfloat16 only where it is known to agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unetic.errors import UneticError
from napari_unetic.maps.agreement import Agreement, known_agreement, measure_agreement
from napari_unetic.networks.device import has_native_bfloat16, is_started

if TYPE_CHECKING:
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.folder import Model
    from napari_unetic.networks.device import Device


@dataclass(frozen=True, slots=True)
class Precision:
    """A precision with the reason for it.

    Parameters
    ----------
    name : {"float32", "bfloat16"}
        For `napari_unetic.maps.network.network_on`.
    reason : str
        One line: why this one.
    notices : tuple of str
        Sentences that the user should read.
    """

    name: str
    reason: str
    notices: tuple[str, ...] = ()


def expected_precision(
    asked: str, description: ModelDescription, device: Device
) -> str:
    """Return which precision will be taken, without running the network.

    Parameters
    ----------
    asked : {"auto", "float32", "bfloat16"}
        As in the settings.
    description : ModelDescription
        Of the model.
    device : Device
        Where the network will run. A GPU that nothing runs on yet is not asked what it
        can do, which would start it: float32 is expected there.

    Returns
    -------
    str
        bfloat16 also where it is still to be checked against float32.
    """
    if asked != "auto":
        return asked
    if device.name == "cuda" and not is_started(device.torch):
        return "float32"
    if _why_not(description, device):
        return "float32"
    known = known_agreement(description, device)
    return "bfloat16" if known is None or known.is_enough else "float32"


def choose_precision(asked: str, model: Model, device: Device) -> Precision:
    """Choose the precision of a model on a device.

    Parameters
    ----------
    asked : {"auto", "float32", "bfloat16"}
        As in the settings.
    model : Model
        Which network.
    device : Device
        Where it runs.

    Returns
    -------
    Precision
        For ``auto``, bfloat16 where the device has circuits for it and a check image
        gives the same with it as with float32; the check takes some tenths of a
        second, once for a model and machine.
    """
    if asked == "float32":
        return Precision("float32", "asked for")
    if asked == "bfloat16":
        return _asked_bfloat16(device)
    if why_not := _why_not(model.description, device):
        return Precision("float32", why_not)
    try:
        found = known_agreement(model.description, device) or measure_agreement(
            model, device
        )
    except (UneticError, MemoryError, RuntimeError) as error:
        # What fails here for a reason that float32 shares fails with the image, too.
        why = str(error).split("\n")[0] or type(error).__name__
        return Precision("float32", f"bfloat16 could not be checked: {why}")
    reason = _said(found, model.description.kind.noun)
    return Precision("bfloat16" if found.is_enough else "float32", reason)


def _asked_bfloat16(device: Device) -> Precision:
    if has_native_bfloat16(device.torch):
        return Precision("bfloat16", "asked for")
    title = device.reason.split(":")[0]
    notice = (
        f"{title}: bfloat16 has no circuits of its own here and is slower than "
        "float32; choose precision auto."
    )
    return Precision("bfloat16", "asked for, though not native", (notice,))


def _why_not(description: ModelDescription, device: Device) -> str:
    """Say why bfloat16 is out of the question; empty if it is not."""
    if not description.weights_sha256:
        return "the model is not saved yet, and no check of it would last"
    if not has_native_bfloat16(device.torch):
        return f"{device.reason.split(':')[0]} without native bfloat16"
    return ""


def _said(found: Agreement, noun: str) -> str:
    """Return how far bfloat16 agrees with float32."""
    if found.n_objects == 0:
        return f"bfloat16 could not be checked: no {noun} in the check image"
    return (
        f"bfloat16 against float32 on a check image: {100 * found.pixels:.2f} % of "
        f"pixels and {100 * found.objects:.1f} % of {found.n_objects} {noun} agree"
    )
