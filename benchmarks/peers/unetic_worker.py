"""napari-unetic as a user calls it: `segment` with a bundled model."""

from __future__ import annotations

import time
from typing import Any

from _worker import Answer, Peer, Scene, serve

MODEL = "nuclei"


def start(threads: int) -> Peer:
    """Load the model."""
    import torch
    from _common import matrix_product, precisions, versions, with_precision

    import napari_unetic
    from napari_unetic.networks.network import n_parameters

    torch.set_num_threads(threads)
    model = napari_unetic.load_model(MODEL)
    scene: dict[str, Any] = {}

    def describe() -> Answer:
        return {
            "versions": versions(("napari-unetic", "torch", "numpy", "scipy")),
            "parameters": n_parameters(model.network),
            "configuration": {
                "model": MODEL,
                "weights_sha256": model.description.weights_sha256,
            },
            "precisions": precisions(),
            "matrix_product": matrix_product(),
        }

    def prepare(new: Scene) -> None:
        scene["image"] = new.image

    def run(precision: str) -> Answer:
        begin = time.perf_counter()
        steps = napari_unetic.segment_steps(
            scene["image"], model, device="cpu", **with_precision(precision)
        )
        found = napari_unetic.drain(steps)
        return {"s": time.perf_counter() - begin, "n_objects": found.n_objects}

    return Peer(describe, prepare, run)


if __name__ == "__main__":
    serve(start)
