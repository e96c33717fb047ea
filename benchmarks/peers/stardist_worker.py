"""StarDist 2D as a user calls it: normalise, `predict_instances`.

The configuration is that of the published model ``2D_versatile_fluo`` with random
weights: the network runs, and what it returns is then replaced by the maps of the true
objects, so that what follows it has the work that a good prediction makes.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _worker import Answer, Clock, Peer, Scene, count, serve

CONFIGURATION: dict[str, Any] = {
    "n_rays": 32,
    "grid": (2, 2),
    "n_channel_in": 1,
    "unet_n_depth": 3,
    "unet_n_filter_base": 32,
    "unet_n_conv_per_depth": 2,
    "net_conv_after_unet": 128,
}
THRESHOLDS = {"prob": 0.479071, "nms": 0.3}


def start(threads: int) -> Peer:
    """Build the model."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.random.set_seed(0)
    from csbdeep.utils import normalize
    from stardist.geometry import star_dist
    from stardist.models import Config2D, StarDist2D
    from stardist.utils import edt_prob

    model = StarDist2D(Config2D(**CONFIGURATION), name=None, basedir=None)
    model.thresholds = THRESHOLDS
    clock = Clock()
    network = clock.timed("network", model.keras_model.predict)
    scene: dict[str, Any] = {}

    def predict(x: Any, **kwargs: Any) -> Any:
        found = network(x, **kwargs)
        for got, wanted in zip(found, scene["maps"], strict=True):
            if got.shape != wanted.shape or not np.isfinite(got).all():
                raise RuntimeError(f"maps of {got.shape}, true ones of {wanted.shape}")
        return scene["maps"]

    model.keras_model.predict = predict
    # All after the network: choosing candidates, suppressing, drawing.
    model._instances_from_prediction = clock.timed(
        "decoder", model._instances_from_prediction
    )

    def describe() -> Answer:
        from _common import versions

        return {
            "versions": versions(("stardist", "csbdeep", "tensorflow-cpu", "numpy")),
            "parameters": int(model.keras_model.count_params()),
            "configuration": {**CONFIGURATION, "thresholds": THRESHOLDS},
        }

    def prepare(new: Scene) -> None:
        grid = CONFIGURATION["grid"]
        prob = edt_prob(new.truth)[:: grid[0], :: grid[1]]
        dist = star_dist(new.truth, CONFIGURATION["n_rays"], grid=grid)
        scene["image"] = new.image
        # A batch of one; the probabilities have a channel axis.
        scene["maps"] = [
            np.ascontiguousarray(prob, np.float32)[None, ..., None],
            np.ascontiguousarray(dist, np.float32)[None],
        ]

    def run(_precision: str) -> Answer:
        clock.seconds.clear()
        begin = time.perf_counter()
        image = normalize(scene["image"], 1, 99.8)
        labels, _ = model.predict_instances(image)
        total = time.perf_counter() - begin
        return {"s": total, **clock.seconds, "n_objects": count(labels)}

    return Peer(describe, prepare, run)


if __name__ == "__main__":
    serve(start)
