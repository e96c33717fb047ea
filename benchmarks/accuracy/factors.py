"""What makes a model accurate: one factor at a time, from one base.

The base is half 16 with three poolings (``unetic-16``) on the fluorescence images of
DSB2018's training ids under corrected masks, 1,400 steps of 8 patches of 256², which
are 20 minutes of a core that has no bfloat16 and a fifth of that where it has. Each
factor changes one thing. Thresholds are tuned on the 67 validation images, as for the
shipped model, and the tables hold what comes out there under the original masks; of
the other kinds, the half of what is held out that is to choose with. The 50 test ids
and the halves for reports are neither trained on nor scored. Beside each stands what
its last weights score, not their moving average.

    python benchmarks/accuracy/factors.py DATA --runs FOLDER --out factors.json
    python benchmarks/accuracy/factors.py --page factors.json docs/models/nuclei.md

Factors that are done are kept in ``--out`` and left out the next time; a training that
was killed goes on. `--only` names some; `--steps` and `--seed` change all. Two can run
beside each other: what comes out depends on the steps, not on the time they take. The
last line writes the table of the page.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from dsb import KINDS, dsb_pairs, held_out_ids, ids_of_kind, validation_ids
from tables import Segmenter, pictures

from napari_unetic.finetuning.channels import adapt_channels
from napari_unetic.instances.targets import TargetSpec
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import Model
from napari_unetic.model.registry import load_model
from napari_unetic.networks import losses
from napari_unetic.networks.build import build_network
from napari_unetic.networks.network import n_parameters
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.steps import drain
from napari_unetic.training import resume_steps, train_steps
from napari_unetic.training.augment import NO_AUGMENTATION, Augmentation
from napari_unetic.training.checkpoint import load_checkpoint
from napari_unetic.training.run import Run
from napari_unetic.training.settings import train_settings

sys.path.append(str(Path(__file__).resolve().parents[1]))

from _common import machine, read_rows, write_json
from _pages import fill, number, table

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pair

STEPS = 1_400
FLUORESCENCE = ("fluorescence",)
ALL_KINDS = tuple(KINDS)
CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}
WORKING_DIAMETER_PX = 19.64
"""Median diameter of the fluorescence images' training objects."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A training.

    Parameters
    ----------
    about : str
        What is changed, in words.
    width : int
        Filters of the first level.
    channels : int
    kinds : tuple of str
        Trained on.
    corrected : bool
        Under corrected masks.
    target : TargetSpec
        What is learnt.
    contact_weight : float
        Of the contact map in the loss.
    start : str
        A model to go on from, its first layer adapted to the channels; random weights
        if empty.
    settings : mapping
        That differ from the usual ones of a training.
    """

    about: str
    width: int = 16
    channels: int = 1
    kinds: tuple[str, ...] = FLUORESCENCE
    corrected: bool = True
    target: TargetSpec = field(default_factory=TargetSpec)
    contact_weight: float = losses.CONTACT_WEIGHT
    start: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def network(self) -> NetworkSpec:
        """The network."""
        widths = tuple(self.width * 2**k for k in range(4))
        return NetworkSpec(
            in_channels=self.channels, out_channels=3, widths=widths, stem=2
        )


GAP = TargetSpec(contact_gap_px=2)
HARD = TargetSpec(contact_reach_px=1)
HARSH = Augmentation(saturate=0.15, invert=0.15, blur=0.25, noise=0.45, jpeg=0.1)
STILL = NO_AUGMENTATION.model_copy(update={"flip": True})
COLOURS = HARSH.model_copy(update={"tint": 0.5})

FINAL: dict[str, Any] = {
    "width": 24,
    "channels": 3,
    "kinds": ALL_KINDS,
    "start": "nuclei",
    "settings": {
        "augmentation": COLOURS,
        "clean": True,
        "learning_rate": 1e-3,
        "validations": 10,
    },
}

ON: dict[str, Any] = {
    **FINAL,
    "settings": {
        "augmentation": COLOURS,
        "clean": True,
        "learning_rate": 5e-4,
        "validations": 4,
    },
}

FACTORS = {
    "base": Factor("nothing"),
    "gap": Factor("objects up to 2 pixels apart meet, too", target=GAP),
    "hard contacts": Factor("contacts as a class, not as a slope", target=HARD),
    "plain loss": Factor("contacts weigh like the other maps", contact_weight=1),
    "harsh": Factor(
        "saturation, inversion, blur, noise, JPEG more often",
        settings={"augmentation": HARSH},
    ),
    "still": Factor(
        "patches as they lie in the images, but for flips and turns",
        settings={"augmentation": STILL},
    ),
    "original": Factor("the original masks", corrected=False),
    "clean": Factor("without brush stamps and strays", settings={"clean": True}),
    "kinds": Factor("all kinds, as grey", kinds=ALL_KINDS),
    "kinds, colour": Factor(
        "all kinds, three channels, harsh, tints",
        channels=3,
        kinds=ALL_KINDS,
        settings={"augmentation": COLOURS},
    ),
    "final": Factor(
        "all kinds in colour, harsh, clean, half 24, from the bundled model", **FINAL
    ),
    "final, gap": Factor(
        "the same, objects up to 2 pixels apart meet, too", **FINAL, target=GAP
    ),
    "on": Factor("the bundled model 600 steps further", **ON, target=GAP),
    "on, original": Factor(
        "the bundled model 600 steps further, under the original masks",
        **ON,
        target=GAP,
        corrected=False,
    ),
}


def training_pairs(data: Path, factor: Factor) -> list[Pair]:
    """Return what a factor trains on: neither test nor validation, nothing held out."""
    left_out = set(validation_ids(data))
    for kind in KINDS:
        if kind not in FLUORESCENCE:
            left_out |= set(held_out_ids(kind, "choose"))
            left_out |= set(held_out_ids(kind, "report"))
    wanted = {one for kind in factor.kinds for one in ids_of_kind(data, kind)}
    return dsb_pairs(data, wanted - left_out, corrected=factor.corrected)


def beginning(factor: Factor, seed: int) -> Model:
    """Return the model that a factor begins with."""
    if factor.start:
        return _adapted(load_model(factor.start), factor)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = build_network(factor.network)
    description = ModelDescription(
        name="factor",
        network=factor.network,
        channels=CHANNELS[factor.channels],
        working_diameter_px=WORKING_DIAMETER_PX,
        target=factor.target,
    )
    return Model(description, network)


def _adapted(model: Model, factor: Factor) -> Model:
    """Return a model with a factor's channels and targets."""
    described = model.description
    spec, weights = adapt_channels(
        model.network.state_dict(), described.network, factor.channels
    )
    network = build_network(spec)
    network.load_state_dict(weights)
    update = {
        "network": spec,
        "channels": CHANNELS[factor.channels],
        "target": factor.target,
    }
    return Model(described.model_copy(update=update), network)


def train(arguments: argparse.Namespace, factor: Factor, folder: Path) -> None:
    """Train a factor, or go on with it."""
    workers = arguments.workers
    # A constant of the package: nobody but this table wants another.
    losses.CONTACT_WEIGHT = factor.contact_weight
    if not folder.exists():
        settings = train_settings(
            steps=arguments.steps, seed=arguments.seed, **factor.settings
        )
        steps = train_steps(
            training_pairs(arguments.data, factor),
            dsb_pairs(arguments.data, validation_ids(arguments.data), corrected=True),
            folder,
            settings,
            from_model=beginning(factor, arguments.seed),
            device="cpu",
            workers=workers,
        )
        drain(steps)
    elif not Run.open(folder).is_finished:
        drain(resume_steps(folder, device="cpu", workers=workers))


def last_weights(folder: Path) -> Model:
    """Return a run's model with the weights of its last step, not averaged."""
    model, found = load_model(folder), load_checkpoint(folder / "checkpoints")
    assert found is not None
    ours = "network."
    last = {k.removeprefix(ours): v for k, v in found[0].items() if k.startswith(ours)}
    # The model's own network is shared with all who load it, and known by its sum.
    network = copy.deepcopy(model.network)
    network.load_state_dict(last)
    return Model(model.description.model_copy(update={"weights_sha256": ""}), network)


def score(
    data: Path, model: Model, kinds: Collection[str] = ALL_KINDS
) -> dict[str, Any]:
    """Return average precision by kind, on what is there to choose with."""
    found: dict[str, Any] = {}
    for kind in kinds:
        if kind in FLUORESCENCE:
            ids = validation_ids(data)
        else:
            ids = held_out_ids(kind, "choose")
        shown = pictures(
            dsb_pairs(data, ids), grey=len(model.description.channels) == 1
        )
        scores = Segmenter(model).scores(shown)
        ap = scores.pooled("ap")
        found[kind] = {
            **{f"ap_{at}": round(ap[at], 4) for at in ("0.50", "0.75", "0.90")},
            "mean_ap_pooled_9": round(scores.mean_ap_pooled_9, 4),
        }
    return found


def one(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """Train and score a factor."""
    factor = FACTORS[name]
    slug = name.replace(",", "").replace(" ", "-")
    folder = arguments.runs / f"{slug}-{arguments.seed}"
    train(arguments, factor, folder)
    began = time.perf_counter()
    model = load_model(folder)
    return {
        "factor": name,
        "about": factor.about,
        "seed": arguments.seed,
        "steps": Run.open(folder).plan.settings.steps,
        "parameters": n_parameters(model.network),
        "scores": score(arguments.data, model),
        "not averaged": score(arguments.data, last_weights(folder), FLUORESCENCE),
        "scoring_s": round(time.perf_counter() - began),
    }


def page(results: Path, written: Path) -> None:
    """Write the table of factors into the page."""
    made = []
    order = list(FACTORS)
    rows = read_rows(results, "factors")
    for row in sorted(rows, key=lambda r: (order.index(r["factor"]), r["seed"])):
        scores, last = row["scores"]["fluorescence"], row["not averaged"]
        made.append(
            [
                f"{row['factor']}: {row['about']}",
                row["seed"],
                f"{row['steps']:,}",
                *(number(scores[f"ap_{at}"]) for at in ("0.50", "0.75", "0.90")),
                number(scores["mean_ap_pooled_9"]),
                number(last["fluorescence"]["mean_ap_pooled_9"]),
            ]
        )
    head = ("changed", "seed", "steps", ".50", ".75", ".90", "mean", "not averaged")
    text = fill(written.read_text("utf-8"), "factors", table(head, made))
    written.write_text(text, encoding="utf-8")


def main() -> None:
    """Train what is missing; write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--runs", type=Path, help="for the trainings")
    parser.add_argument("--out", type=Path, help="JSON to go on with")
    parser.add_argument("--only", nargs="+", choices=FACTORS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--page", type=Path, nargs=2, metavar=("JSON", "PAGE"))
    arguments = parser.parse_args()
    if arguments.page:
        page(*arguments.page)
        return
    if arguments.data is None or arguments.runs is None or arguments.out is None:
        parser.error("expected DATA, --runs and --out, or --page JSON PAGE")
    torch.set_num_threads(1)
    for name in arguments.only or FACTORS:
        if (name, arguments.seed) in {
            (r["factor"], r["seed"]) for r in read_rows(arguments.out, "factors")
        }:
            continue
        row = one(arguments, name)
        print(json.dumps(row), flush=True)
        # Others may have written meanwhile: two trainings can share a machine.
        done = [*read_rows(arguments.out, "factors"), row]
        write_json(arguments.out, {"machine": machine(), "factors": done})


if __name__ == "__main__":
    main()
