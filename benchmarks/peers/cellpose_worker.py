"""Cellpose 3 as a user calls it: `eval` at native scale (a diameter of 30 pixels).

The network is that of its published models with random weights: it runs, and what it
returns is then replaced by the flows of the true objects, so that the dynamics have the
work that a good prediction makes.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _worker import Answer, Clock, Peer, Scene, count, serve

DIAMETER = 30.0
FLOW_SCALE = 5.0
"""The network is trained on flows of this length, and the decoder divides by it."""

LOGIT = 6.0


def start(threads: int) -> Peer:
    """Build the model."""
    import cv2
    import torch
    from cellpose import dynamics, models

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.manual_seed(0)
    model = models.CellposeModel(gpu=False, pretrained_model=False)
    clock = Clock()
    network = clock.timed("network", model._run_net)
    scene: dict[str, Any] = {}

    def run_net(x: Any, **kwargs: Any) -> Any:
        flows, logits, styles = network(x, **kwargs)
        for got, wanted in ((flows, scene["flows"]), (logits, scene["logits"])):
            if got.shape != wanted.shape or not np.isfinite(got).all():
                raise RuntimeError(f"maps of {got.shape}, true ones of {wanted.shape}")
        return scene["flows"], scene["logits"], styles

    model._run_net = run_net
    model._compute_masks = clock.timed("decoder", model._compute_masks)

    def describe() -> Answer:
        from _common import versions

        packages = ("cellpose", "torch", "numba", "opencv-python-headless", "numpy")
        return {
            "versions": versions(packages),
            "parameters": sum(p.numel() for p in model.net.parameters()),
            "configuration": {"diameter": DIAMETER, "mkldnn": bool(model.net.mkldnn)},
        }

    def prepare(new: Scene) -> None:
        flows = dynamics.masks_to_flows(new.truth.astype(int))
        scene["image"] = new.image
        # A stack of one plane, as the network returns it.
        scene["flows"] = (FLOW_SCALE * flows).astype(np.float32)[:, None]
        logits = np.where(new.truth > 0, LOGIT, -LOGIT)
        scene["logits"] = logits.astype(np.float32)[None]

    def run(_precision: str) -> Answer:
        clock.seconds.clear()
        begin = time.perf_counter()
        labels, _, _ = model.eval(scene["image"], diameter=DIAMETER, channels=[0, 0])
        total = time.perf_counter() - begin
        return {"s": total, **clock.seconds, "n_objects": count(labels)}

    return Peer(describe, prepare, run)


if __name__ == "__main__":
    serve(start)
