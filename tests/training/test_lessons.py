"""Training for classes: losses, weights, optimisers, size, thresholds, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch

from napari_unetic.errors import UneticError
from napari_unetic.instances.targets import TargetSpec
from napari_unetic.model.registry import load_model
from napari_unetic.networks import losses
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import preset
from napari_unetic.networks.weight_maps import border_weights
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict import segment
from napari_unetic.semantic.decode import ClassDecodeSpec
from napari_unetic.steps import drain
from napari_unetic.training import resume_steps, train, train_steps
from napari_unetic.training.augment import NO_AUGMENTATION
from napari_unetic.training.class_lesson import ClassLesson
from napari_unetic.training.lessons import lesson_of
from napari_unetic.training.optimiser import make_optimiser
from napari_unetic.training.patches import PatchSource, load_samples
from napari_unetic.training.preview import preview_strip
from napari_unetic.training.record import describe
from napari_unetic.training.schedule import Moment, Schedule
from napari_unetic.training.settings import TrainSettings, train_settings
from napari_unetic.training.tune import tune_classes_steps

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pairs

QUICK: dict[str, Any] = {"preset": "unetic-16", "batch": 2, "patch_px": 64}
TWO = ("disc", "bright")


def _settings(**changes: Any) -> TrainSettings:
    return train_settings(
        **{"steps": 1, "classes": ("disc",), "augmentation": NO_AUGMENTATION}
        | QUICK
        | changes
    )


def _source(pairs: Pairs, **changes: Any) -> PatchSource:
    settings = _settings(**changes)
    description = describe(None, settings, "x")
    samples = [s for p in pairs for s in load_samples(p, description, settings)]
    return PatchSource(samples, description, settings)


@pytest.fixture
def class_pairs(pairs: Pairs, tmp_path: Path) -> Pairs:
    """The discs, of which those with even numbers are of another class and brighter."""
    for path in (tmp_path / "data" / "labels").glob("*.tif"):
        labels = tifffile.imread(path)
        classes = np.where(labels == 0, 0, 1 + (labels % 2 == 0)).astype(np.uint8)
        tifffile.imwrite(path, classes)
        image_path = tmp_path / "data" / "images" / path.name
        image = tifffile.imread(image_path) + 3000 * (classes == 2)
        tifffile.imwrite(image_path, image.astype(np.uint16))
    return read_pairs(tmp_path / "data")


def test_a_class_is_learnt(pairs: Pairs, tmp_path: Path) -> None:
    """From label images, to a mean IoU far above chance; the model says all of it."""
    settings = _settings(
        steps=40, learning_rate=0.01, average=0.9, validations=2, seed=1
    )
    folder = train(pairs[:4], pairs[4:], tmp_path / "run", settings, device="cpu")
    model = load_model(folder)
    summary = model.description.scores["validation"]
    assert summary["mean_iou_pooled"] > 0.7
    assert list(summary["iou_pooled"]) == ["background", "disc"]
    assert model.description.target.map_names == ("disc",)
    assert 10 < model.description.working_diameter_px < 30
    log = (tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()
    events = [json.loads(line) for line in log]
    validations = [e for e in events if e["event"] == "validation"]
    assert [v["step"] for v in validations] == [20, 40]
    assert all({"iou", "dice"} <= set(v) for v in validations)
    assert (tmp_path / "run" / "curves.png").stat().st_size > 0


def test_several_classes_are_learnt(class_pairs: Pairs, tmp_path: Path) -> None:
    """A map each; interrupted and resumed it ends with the same weights."""
    settings = _settings(
        steps=40, learning_rate=0.01, average=0.9, classes=TWO, validations=4
    )
    run = tmp_path / "run"
    folder = train(class_pairs[:4], class_pairs[4:], run, settings, device="cpu")
    model = load_model(folder)
    assert model.description.scores["validation"]["iou_pooled"]["bright"] > 0.5
    assert model.description.network.out_channels == 3
    # As if it had been stopped after some of its steps.
    again = tmp_path / "again"
    steps = train_steps(class_pairs[:4], class_pairs[4:], again, settings, device="cpu")
    for step in steps:
        if step.done == 15 and step.what == "training":
            break
    steps.close()
    resumed = load_model(drain(resume_steps(again, device="cpu")))
    for name, value in model.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("name", "function"),
    [
        (None, losses.cross_entropy_and_dice),
        ("bce", losses.binary_cross_entropy),
        ("cross-entropy", losses.cross_entropy),
        ("dice", losses.soft_dice),
        ("bce-dice", losses.cross_entropy_and_dice),
        ("focal", losses.focal),
        ("tversky", losses.tversky),
    ],
)
def test_the_loss_is_the_one_that_was_chosen(name: str | None, function: Any) -> None:
    """By name; with several classes it is over these."""
    torch.manual_seed(0)
    settings = _settings(loss=name)
    lesson = lesson_of(describe(None, settings, "x"), settings)
    logits, weights = torch.randn(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
    targets = (torch.rand(2, 1, 8, 8) > 0.5).float()
    found = lesson.loss(logits, targets, weights).total
    assert found == function(logits, targets, weights)
    if name == "bce":
        function = losses.cross_entropy
    several = _settings(loss=name, classes=TWO)
    lesson = lesson_of(describe(None, several, "x"), several)
    logits = torch.randn(2, 3, 8, 8)
    index = torch.randint(3, (2, 8, 8))
    targets = torch.nn.functional.one_hot(index, 3).movedim(-1, 1).float()
    found = lesson.loss(logits, targets, weights).total
    assert found == function(logits, targets, weights)


def test_weights_of_classes(class_pairs: Pairs) -> None:
    """Each pixel weighs what its class does, 1 where nothing is said."""
    plain = _source(class_pairs, classes=TWO)[0]
    weighed = _source(class_pairs, classes=TWO, class_weights=(1, 2, 5))[0]
    assert plain.weights.shape == (2, 1, 64, 64) and (plain.weights == 1).all()
    wanted = (plain.targets * np.array([1, 2, 5])[:, None, None]).sum(1, keepdims=True)
    np.testing.assert_array_equal(weighed.weights, wanted)
    assert set(np.unique(weighed.weights)) == {1, 2, 5}


def test_weights_of_borders(pairs: Pairs, class_pairs: Pairs) -> None:
    """Ronneberger's, between the objects of the labels, or pieces of several classes.

    Times the weights of classes.
    """
    settings = _settings(border_weight=10, border_px=3, classes=TWO)
    description = describe(None, settings, "x")
    (sample,) = load_samples(class_pairs[0], description, settings)
    lesson = lesson_of(description, settings)
    wanted = border_weights(lesson.numbered(sample.labels), height=10, width_px=3)
    assert wanted.max() > 2
    np.testing.assert_allclose(sample.weights, wanted, rtol=1e-3)
    batch = _source(
        class_pairs, border_weight=10, border_px=3, classes=TWO, class_weights=(2, 1, 1)
    )[0]
    background = batch.targets[:, :1] > 0
    assert batch.weights[background].min() == 2 < batch.weights[background].max()
    assert (batch.weights[~background] == 1).all()


def test_touching_objects_of_one_class_keep_their_borders(tmp_path: Path) -> None:
    """With one class, objects are those of the labels, not pieces of the mask."""
    labels = np.zeros((40, 40), np.uint16)
    labels[5:20, 5:18], labels[5:20, 20:35], labels[24:35, 5:35] = 1, 2, 3
    for name, array in (("images", labels * 100), ("labels", labels)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", array)
    settings = _settings(border_weight=10)
    description = describe(None, settings, "x")
    (sample,) = load_samples(read_pairs(tmp_path)[0], description, settings)
    wanted = border_weights(labels.astype(np.int32), height=10)
    np.testing.assert_allclose(sample.weights, wanted, rtol=1e-3)


def test_what_is_not_reviewed_weighs_nothing(pairs: Pairs, tmp_path: Path) -> None:
    """Nor does it move a weight of the network."""
    (tmp_path / "data" / "reviewed").mkdir()
    reviewed = np.zeros((80, 90), np.uint8)
    reviewed[:, :45] = 1
    for pair in pairs:
        tifffile.imwrite(tmp_path / "data" / "reviewed" / f"{pair.id}.tif", reviewed)
    for name in ("bce", "dice", "bce-dice", "focal", "tversky"):
        source = _source(read_pairs(tmp_path / "data"), loss=name, border_weight=5)
        batch = source[0]
        assert 0.2 < (batch.weights > 0).mean() < 0.8
        logits = torch.full(batch.targets.shape, 0.3, requires_grad=True)
        targets, weights = map(torch.from_numpy, (batch.targets, batch.weights))
        source.lesson.loss(logits, targets, weights).total.backward()
        assert logits.grad is not None
        gradient = logits.grad.numpy()
        assert not gradient[batch.weights == 0].any()
        assert gradient[batch.weights > 0].any()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("adam", torch.optim.Adam),
        ("sgd", torch.optim.SGD),
    ],
)
def test_the_optimiser_is_the_one_that_was_chosen(
    name: str, kind: type, pairs: Pairs, tmp_path: Path
) -> None:
    """With its own decay or momentum; a training with it can be resumed."""
    settings = _settings(
        optimiser=name, steps=4, momentum=0.7, average=0, classes=(), validations=2
    )
    spec = describe(None, settings, "x").network
    optimiser = make_optimiser(build_network(spec), settings)
    assert type(optimiser).__base__ is kind
    defaults = optimiser.defaults
    assert defaults.get("momentum", 0.7) == 0.7
    assert defaults["weight_decay"] == (0.01 if name == "adamw" else 0)
    if name != "sgd":
        return  # AdamW's resuming is tested above, and Adam has the same state.
    whole = train(pairs[:2], pairs[5:], tmp_path / "whole", settings, device="cpu")
    steps = train_steps(pairs[:2], pairs[5:], tmp_path / "cut", settings, device="cpu")
    for step in steps:
        if step.done == 3 and step.what == "training":
            break
    steps.close()
    cut = drain(resume_steps(tmp_path / "cut", device="cpu"))
    first, second = (load_model(m).network.state_dict() for m in (whole, cut))
    for key, value in first.items():
        assert torch.equal(second[key], value), key


def test_the_rate_can_stay_constant() -> None:
    """After its warm-up, if there is one."""
    settings = _settings(schedule="constant", warm_up=0.1, learning_rate=0.01)
    schedule = Schedule(settings, 100)
    assert schedule.learning_rate(Moment(step=5)) == pytest.approx(0.005)
    assert {schedule.learning_rate(Moment(step=s)) for s in (10, 50, 99)} == {0.01}
    without = Schedule(settings.model_copy(update={"warm_up": 0.0}), 100)
    assert without.learning_rate(Moment()) == 0.01


def test_the_number_of_validations_is_a_setting() -> None:
    """As many as epochs make one an epoch."""
    schedule = Schedule(_settings(validations=5), 100)
    due, n = [], 0
    for step in range(1, 101):
        at = Moment(step=step, n_due=n)
        if schedule.is_validation_due(at):
            due.append(step)
            n = schedule.n_due(at)
    assert due == [20, 40, 60, 80, 100]


@pytest.mark.parametrize(("is_tuned", "threshold"), [(True, 0.2), (False, 0.5)])
def test_thresholds_are_tuned_unless_told_otherwise(
    is_tuned: bool, threshold: float
) -> None:
    """On mean IoU; the value nearest to the start of those that are as good."""
    settings = _settings(tune=is_tuned)
    lesson = lesson_of(describe(None, settings, "x"), settings)
    assert isinstance(lesson, ClassLesson)
    truth = np.zeros((10, 10), np.int32)
    truth[3:7, 3:7] = 1
    maps = np.where(truth > 0, 0.22, 0.18)[None]
    best, scores = drain(
        lesson.tune_steps(
            [maps], [truth], ClassDecodeSpec(), [None], lambda: not is_tuned
        )
    )
    assert best == ClassDecodeSpec(threshold=threshold)
    assert lesson.objective(scores) == float(is_tuned)
    nearest, _ = drain(
        tune_classes_steps([maps * 3], [truth], lesson.kind.target, ClassDecodeSpec())
    )
    assert nearest.threshold == 0.55


def test_a_training_can_leave_the_thresholds(pairs: Pairs, tmp_path: Path) -> None:
    """Of objects, too."""
    settings = _settings(tune=False, classes=(), validations=1)
    folder = train(pairs[:2], pairs[5:], tmp_path / "run", settings, device="cpu")
    decoding = load_model(folder).description.decoding
    assert decoding == lesson_of(describe(None, settings, "x"), settings).untuned


def test_images_are_resized_as_they_will_be(pairs: Pairs, tmp_path: Path) -> None:
    """Patches are the whole resized image, which is what prediction gives to it."""
    source = _source(pairs, resize_px=48)
    assert source.samples[0].image.shape == (1, 48, 48)
    assert source[0].images.shape == (2, 1, 48, 48)
    for patch in source[0].images:
        assert any(np.array_equal(patch, sample.image) for sample in source.samples)
    seen: list[np.ndarray] = []
    settings = _settings(resize_px=48, validations=1)
    folder = train(pairs[:2], pairs[5:], tmp_path / "run", settings, device="cpu")
    model = load_model(folder)
    assert model.description.resize_px == 48

    import napari_unetic.maps.preparation as module

    real = module.run_network

    def watched(network: Any, windows: np.ndarray, *rest: Any) -> np.ndarray:
        seen.append(windows)
        return real(network, windows, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_network", watched)
        labels = segment(pairs[0].image(), model, device="cpu", precision="float32")
    assert labels.shape == (80, 90)
    np.testing.assert_allclose(seen[0][0], source.samples[0].image, atol=2e-3)


def test_normalisation_is_that_of_the_preset_or_as_told() -> None:
    """The tutorial divides by 255, all others and objects take percentiles."""
    kinds = {
        name: describe(None, _settings(preset=name), "x").normalisation.kind
        for name in ("keras-dsb2018", "unetic-24", "keras-128")
    }
    assert kinds == {
        "keras-dsb2018": "division",
        "unetic-24": "percentile",
        "keras-128": "percentile",
    }
    objects = describe(None, _settings(preset="keras-dsb2018", classes=()), "x")
    assert objects.normalisation.kind == "percentile"
    for wanted in ("percentile", "division"):
        told = _settings(preset="keras-dsb2018", normalisation=wanted)
        assert describe(None, told, "x").normalisation.kind == wanted


def test_networks_keep_their_own_maps_where_they_fit() -> None:
    """The U-Net of 2015 has two for one class; others get one."""
    two = describe(None, _settings(preset="ronneberger2015"), "x")
    assert two.network == preset("ronneberger2015").spec
    assert two.target.activation == "softmax"
    assert describe(None, _settings(), "x").network.out_channels == 1


def test_the_preview_shows_the_legend(class_pairs: Pairs) -> None:
    """Classes have their colours below the image."""
    source = _source(class_pairs, classes=("disc=#ff0000", "bright=#00ff00"))
    strip = preview_strip(source, 1)
    colours = {tuple(c) for c in strip[64:128, :64].reshape(-1, 3).tolist()}
    assert colours <= {(0, 0, 0), (255, 0, 0), (0, 255, 0)} and len(colours) == 3


def test_contradictions_are_refused(pairs: Pairs, tmp_path: Path) -> None:
    """Each with a sentence, before a run is made."""
    for changes, said in (
        ({"classes": (), "loss": "bce"}, "'instances' for a model of objects"),
        ({"classes": (), "class_weights": (1, 2)}, "no class weights"),
        ({"classes": (), "border_weight": 3}, "no border"),
        ({"classes": (), "resize_px": 128}, "classes to learn"),
        ({"contact_gap_px": 2}, "no gap of contacts"),
        ({"clean": True}, "classes as they are"),
        ({"loss": "instances"}, "a loss for classes"),
        ({"class_weights": (1, 2, 3)}, "Expected 2 class weights"),
    ):
        with pytest.raises(UneticError, match=said):
            train(pairs[:2], pairs[5:], tmp_path / "r", _settings(**changes))
    for changes, said in (
        ({"loss": "hinge"}, "loss"),
        ({"optimiser": "lion"}, "optimiser"),
        ({"classes": ("a=b",)}, "a class as NAME"),
    ):
        with pytest.raises(UneticError, match=said):
            _settings(**changes)
    assert not (tmp_path / "r").exists()


def test_a_class_that_is_nowhere_is_refused(class_pairs: Pairs, tmp_path: Path) -> None:
    """It could not be learnt; nothing is written."""
    settings = _settings(classes=("disc", "bright", "rim", "halo"))
    with pytest.raises(UneticError, match="got none of rim, halo; label some"):
        train(class_pairs[:1], class_pairs[1:], tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_a_model_to_start_from_decides(pairs: Pairs, tmp_path: Path) -> None:
    """Its classes, normalisation and size; it goes on with them."""
    quick = _settings(validations=1, resize_px=64)
    first = train(pairs[:2], pairs[5:], tmp_path / "first", quick, device="cpu")
    plain = _settings(classes=(), validations=1, loss="dice")
    second = train(
        pairs[:2], pairs[5:], tmp_path / "second", plain, from_model=first, device="cpu"
    )
    assert load_model(second).description.target == load_model(first).description.target
    assert load_model(second).description.resize_px == 64
    for changes in ({}, {"classes": (), "resize_px": 64}):
        with pytest.raises(UneticError, match="which training starts from"):
            train(
                pairs[:2],
                pairs[5:],
                tmp_path / "r",
                _settings(**changes),
                from_model=first,
            )
    with pytest.raises(UneticError, match="a model of objects for rehearsal"):
        train(
            pairs[:2],
            pairs[5:],
            tmp_path / "r",
            _settings(classes=(), rehearsal=0.5),
            from_model=first,
        )


def test_objects_are_not_fine_tuned_from_classes(pairs: Pairs, tmp_path: Path) -> None:
    """The verdict of a fine-tuning counts objects."""
    from napari_unetic.finetuning import finetune

    quick = _settings(validations=1)
    first = train(pairs[:2], pairs[5:], tmp_path / "first", quick, device="cpu")
    with pytest.raises(UneticError, match="Expected a model of objects"):
        finetune(first, pairs, tmp_path / "r", steps=1, device="cpu")
    with pytest.raises(UneticError, match="Expected classes as 'nuclei' has it"):
        finetune("nuclei", pairs, tmp_path / "r", steps=1, classes=("disc",))


def test_patience_waits_until_something_is_learnt(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validations at 0 in the beginning do not end a training; later ones do."""
    scores = iter([0.0, 0.0, 0.0, 0.4, 0.3, 0.2])
    monkeypatch.setattr(
        "napari_unetic.training.class_lesson.class_objective",
        lambda _: next(scores, 0.1),
    )
    settings = _settings(steps=10, validations=10, patience=2, tune=False)
    train(pairs[:2], pairs[5:], tmp_path / "run", settings, device="cpu")
    log = (tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()
    events = [json.loads(line) for line in log]
    found = [e["iou"] for e in events if e["event"] == "validation"]
    assert len(found) == 6
    assert events[-1] == {"event": "end", "step": 6, "minutes": events[-1]["minutes"]}


def test_channels_and_the_gap_of_contacts_are_those_asked_for(
    pairs: Pairs, tmp_path: Path
) -> None:
    """The network takes as many channels; its targets have the gap; a model decides."""
    asked = {"channels": 3, "contact_gap_px": 2.0}
    folder = train(pairs[:2], pairs[5:], tmp_path / "r", _settings(classes=(), **asked))
    found = load_model(folder).description
    assert found.network.in_channels == 3
    assert found.channels == ("red", "green", "blue")
    assert found.target == TargetSpec(contact_gap_px=2)
    for name, value in asked.items():
        settings = _settings(classes=(), **{name: value})
        with pytest.raises(UneticError, match=f"{name.split('_')[0]}.* as 'r' has it"):
            train(pairs[:2], pairs[5:], tmp_path / "s", settings, from_model=folder)
