"""What the tests of networks run over."""

from __future__ import annotations

from itertools import product

import pytest

from napari_unetic.networks.presets import PRESETS
from napari_unetic.networks.spec import NetworkSpec


def narrowed(spec: NetworkSpec) -> NetworkSpec:
    """Return the same shape with few filters, so that a test is quick."""
    least = 4 if spec.dimensions == 2 else 2
    widths = tuple(least * width // spec.widths[0] for width in spec.widths)
    if spec.encoder != "blocks":
        widths = (4, 4, 4, 4, 4, 16)
    return spec.model_copy(update={"widths": widths})


def _made_up() -> dict[str, NetworkSpec]:
    """Combinations that no preset has, each small."""
    small = {"in_channels": 1, "out_channels": 2, "widths": (4, 8, 8)}
    fields: dict[str, dict[str, object]] = {
        "add": {"skip": "add", "stem": 2},
        "add-nearest": {"skip": "add", "up": "nearest"},
        "add-valid": {"skip": "add", "padding": "valid"},
        "attention-nearest": {"skip": "attention", "up": "nearest", "stem": 2},
        "valid-stem": {"padding": "valid", "stem": 2, "convolutions": (1, 2, 3)},
        "residual-dropout": {
            "block": "residual",
            "convolutions": (1, 2, 3),
            "dropout": (0.5,) * 5,
        },
        "dense-add": {"block": "dense", "skip": "add", "activation": "elu"},
        "nested-residual": {"kind": "unet++", "block": "residual", "up": "nearest"},
        "segnet-one": {"kind": "segnet", "convolutions": 1, "stem": 2},
        "one-level": {"widths": (4,), "stem": 2},
        "doubling": {"doubling": "before", "up": "nearest"},
    }
    made = {
        f"{name}, {n}-D": (n, more)
        for (name, more), n in product(fields.items(), (2, 3))
    }
    return {
        name: NetworkSpec.model_validate({**small, "dimensions": n, **more})
        for name, (n, more) in made.items()
    }


def _different(specs: dict[str, NetworkSpec]) -> dict[str, NetworkSpec]:
    """Leave out what others are already; presets may differ in their widths alone."""
    first = {spec.model_dump_json(): name for name, spec in reversed(specs.items())}
    return {name: specs[name] for name in specs if name in first.values()}


SPECS = _different(
    {name: narrowed(preset.spec) for name, preset in PRESETS.items()} | _made_up()
)
"""Every preset, made narrow, and more."""


_PLANAR = {
    name: spec.model_copy(update={"dimensions": 2})
    for name, spec in SPECS.items()
    if spec.dimensions == 2 or name in PRESETS
}


@pytest.fixture(params=sorted(_PLANAR))
def planar(request: pytest.FixtureRequest) -> NetworkSpec:
    """Each network in turn, in planes: along an axis it is the same in volumes."""
    found: NetworkSpec = _PLANAR[request.param]
    return found


@pytest.fixture(params=sorted(SPECS))
def spec(request: pytest.FixtureRequest) -> NetworkSpec:
    """Each network in turn."""
    found: NetworkSpec = SPECS[request.param]
    return found
