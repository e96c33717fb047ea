"""Segment microscopy images with a U-Net, and teach it from a few corrections.

The public names are loaded when they are first used, so that importing this package
loads neither torch nor napari.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_unetic.errors import ModelError, UneticError
    from napari_unetic.evaluation import evaluate, evaluate_steps, score
    from napari_unetic.finetuning import collect_pairs, finetune, finetune_steps
    from napari_unetic.image.reading import read_image
    from napari_unetic.image.region import Region
    from napari_unetic.image.source import Image, as_image
    from napari_unetic.model.registry import list_models, load_model
    from napari_unetic.pairs.readers import read_pairs
    from napari_unetic.predict import Segmentation, segment, segment_steps
    from napari_unetic.samples import nuclei_sample, nuclei_stack, nuclei_timelapse
    from napari_unetic.settings import SegmentSettings, settings_from
    from napari_unetic.steps import Step, drain
    from napari_unetic.training.sessions import train, train_steps
    from napari_unetic.widgets.results import segment_layer

    __version__: str

__all__ = [
    "Image",
    "ModelError",
    "Region",
    "SegmentSettings",
    "Segmentation",
    "Step",
    "UneticError",
    "__version__",
    "as_image",
    "collect_pairs",
    "drain",
    "evaluate",
    "evaluate_steps",
    "finetune",
    "finetune_steps",
    "list_models",
    "load_model",
    "nuclei_sample",
    "nuclei_stack",
    "nuclei_timelapse",
    "read_image",
    "read_pairs",
    "score",
    "segment",
    "segment_layer",
    "segment_steps",
    "settings_from",
    "train",
    "train_steps",
]

_HOMES = {
    "Image": "image.source",
    "ModelError": "errors",
    "Region": "image.region",
    "SegmentSettings": "settings",
    "Segmentation": "predict",
    "Step": "steps",
    "UneticError": "errors",
    "as_image": "image.source",
    "collect_pairs": "finetuning",
    "drain": "steps",
    "evaluate": "evaluation",
    "evaluate_steps": "evaluation",
    "finetune": "finetuning",
    "finetune_steps": "finetuning",
    "list_models": "model.registry",
    "load_model": "model.registry",
    "nuclei_sample": "samples",
    "nuclei_stack": "samples",
    "nuclei_timelapse": "samples",
    "read_image": "image.reading",
    "read_pairs": "pairs.readers",
    "score": "evaluation",
    "segment": "predict",
    "segment_layer": "widgets.results",
    "segment_steps": "predict",
    "settings_from": "settings",
    "train": "training.sessions",
    "train_steps": "training.sessions",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("napari-unetic")
    elif name in _HOMES:
        home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
        value = getattr(home, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
