"""Hostile and damaged model folders: a model or one sentence, never anything else."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from napari_unetic.errors import ModelError
from napari_unetic.model import parts, weights
from napari_unetic.model.folder import load_description, load_model_folder
from napari_unetic.model.registry import find_model, list_models, load_model

fuzz = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def _content(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "model.json").read_text("utf-8"))
    return content


def _set(folder: Path, path: str, value: object) -> None:
    """Change one field of ``model.json``; the hash of the weights is taken out."""
    content = {**_content(folder), "weights_sha256": ""}
    *above, last = path.split(".")
    place = content
    for key in above:
        place = place[key]
    place[last] = value
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")


def _set_weights(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Change tensors of the weights; None takes one out."""
    held = load((folder / "weights.safetensors").read_bytes())
    for name, value in tensors.items():
        key = name.replace("__", ".")
        held.pop(key, None)
        if value is not None:
            held[key] = value
    (folder / "weights.safetensors").write_bytes(save(held))
    _set(folder, "weights_sha256", "")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe{\x00}\x00", id="UTF-16"),
        pytest.param(b'{"format": "\xe9"}', id="Latin-1"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, id="deep and complete"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"9" * 10_000, id="a huge number"),
        pytest.param(b'{"format": NaN}', id="NaN"),
        pytest.param(b'{"format": "\\ud800"}', id="half a character"),
        pytest.param(b"\x80\x04\x95", id="a pickle"),
    ],
)
def test_no_description_at_all(model_folder: Path, data: bytes) -> None:
    """What is not a JSON object of ours is refused."""
    (model_folder / "model.json").write_bytes(data)
    with pytest.raises(ModelError, match=r"^Expected (JSON|the model format)"):
        load_model_folder(model_folder)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format_version", 2, "got 2; update napari-unetic"),
        ("format_version", 10**18, "update napari-unetic"),
        ("format_version", 0, "got 0; copy the model again"),
        ("format_version", None, "got None; copy"),
        ("format_version", ["x" * 10_000], "; copy the model again"),
        ("working_diameter_px", math.inf, "Expected JSON|finite"),
        ("working_diameter_px", 10**300, "finite numbers"),
        ("decoding.smallest_px", 2**63, "finite numbers"),
        ("network.out_channels", 4, "Expected 3 maps out of the network, got 4"),
        ("channels", ["a", "b"], "Expected 1 names of channels, got 2"),
        ("normalisation.low", 99.9, r"high percentile above 99\.9"),
        ("normalisation.lowest", 4.0, r"highest value above 4\.0"),
        ("network.widths", [], "wrong 'network.widths'"),
        ("network.widths", [-1], "wrong 'network.widths.0'"),
        ("network.dropout", [0.5], "wrong 'network'"),
        ("network", "unet", "wrong 'network'"),
        ("x\ny" * 100_000, 1, "wrong 'x y"),
    ],
)
def test_wrong_fields(
    model_folder: Path, path: str, value: object, message: str
) -> None:
    """The sentence names the field, on one line of sensible length."""
    _set(model_folder, path, value)
    with pytest.raises(ModelError, match=message) as raised:
        load_model_folder(model_folder)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500 + len(str(model_folder))


def test_numbers_beyond_all_bounds(model_folder: Path) -> None:
    """A number that only becomes infinite when it is read is refused too."""
    _set(model_folder, "working_diameter_px", 12345)
    path = model_folder / "model.json"
    path.write_text(path.read_text("utf-8").replace("12345", "1e999"), "utf-8")
    with pytest.raises(ModelError, match="finite numbers"):
        load_model_folder(model_folder)


def test_a_mark_of_byte_order_is_no_harm(model_folder: Path) -> None:
    """Editors on Windows put one first; a key given twice counts once."""
    text = (model_folder / "model.json").read_text("utf-8")
    text = text.replace('"name"', '"name": "first", "name"', 1)
    (model_folder / "model.json").write_text("\ufeff" + text, "utf-8")
    assert load_model_folder(model_folder).name == "tiny"


def test_a_network_beyond_memory(model_folder: Path) -> None:
    """Parameters are counted before memory is asked for: here 10 billion."""
    _set(model_folder, "network.widths", [4096] * 8)
    _set(model_folder, "network.convolutions", 4)
    with pytest.raises(ModelError, match=r"at most 200,000,000 parameters .* got one"):
        load_model_folder(model_folder)


def test_counting_draws_no_random_number(model_folder: Path) -> None:
    """Loading a model does not disturb what is random elsewhere."""
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    load_model_folder(model_folder)
    assert torch.equal(torch.rand(1), expected)


def test_a_description_too_large(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is limited, before it is read."""
    monkeypatch.setattr(parts, "MAX_DESCRIPTION_BYTES", 100)
    with pytest.raises(ModelError, match=r"at most 100 bytes in model\.json"):
        load_description(model_folder)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        pytest.param(
            {"head__bias": torch.tensor([0.0, math.nan, 0.0])},
            "Expected finite weights .* 'head.bias'",
            id="NaN",
        ),
        pytest.param(
            {"head__bias": torch.tensor([0.0, 1e300, 0.0], dtype=torch.float64)},
            "Expected finite weights",
            id="infinite once read",
        ),
        pytest.param(
            {"bottom__1__running_var": -torch.ones(4)},
            "variances of 0 and more",
            id="negative variance",
        ),
        pytest.param({"head__bias": None}, r"head\.bias is missing", id="missing"),
        pytest.param(
            {"more": torch.ones(1)}, "more is not in this network", id="surplus"
        ),
        pytest.param(
            {"head__bias": torch.ones(4)}, r"F32 of shape \(4,\), not \(3,\)", id="size"
        ),
        pytest.param(
            {"head__bias": torch.ones(3, dtype=torch.int64)}, "is I64", id="integers"
        ),
        pytest.param(
            {"head__bias": torch.ones(3, dtype=torch.complex64)}, "is C64", id="complex"
        ),
    ],
)
def test_wrong_weights(
    model_folder: Path, tensors: dict[str, torch.Tensor | None], message: str
) -> None:
    """Tensors must be those of the network, with finite values."""
    _set_weights(model_folder, **tensors)
    with pytest.raises(ModelError, match=message):
        load_model_folder(model_folder)


def test_half_precision_is_read(model_folder: Path) -> None:
    """Weights of another width become what the network computes with."""
    _set_weights(model_folder, head__bias=torch.ones(3, dtype=torch.bfloat16))
    bias = load_model_folder(model_folder).network.head.bias
    assert bias is not None and bias.dtype == torch.float32
    assert bias.tolist() == [1, 1, 1]


def test_the_hash_is_filled_in(model_folder: Path) -> None:
    """A description without the hash of the weights gets it, for the provenance."""
    expected = load_model_folder(model_folder).description.weights_sha256
    _set(model_folder, "weights_sha256", "")
    found = load_model_folder(model_folder).description.weights_sha256
    assert found == expected and len(found) == 64


def test_all_is_said_by_the_loader(model_folder: Path) -> None:
    """Names and folders that are odd are unknown models, not defects."""
    for name in ("", ".", "..", "a\0b", "\ud800", "x" * 5000, "~", "con", "C:\\x"):
        with pytest.raises(ModelError):
            load_model(name)
    with pytest.raises(ModelError, match=r"got the file .*models add"):
        (model_folder / "m.zip").write_bytes(b"")
        find_model(str(model_folder / "m.zip"))


def test_a_damaged_folder_is_not_listed(model_folder: Path, store: Path) -> None:
    """Listing never fails because of one of many."""
    (store / "bad").mkdir(parents=True)
    (store / "bad" / "model.json").write_bytes(b"[" * 100_000)
    (store / "file").write_text("")
    assert [e.name for e in list_models() if not e.bundled] == []


@fuzz
@given(data=st.data())
def test_mutated_descriptions(model_folder: Path, data: st.DataObject) -> None:
    """Bytes changed, put in, doubled or cut: a model or our own error comes out."""
    path = model_folder / "model.json"
    changed = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed)))
        until = min(len(changed), at + data.draw(st.integers(0, 6)))
        changed[at:until] = data.draw(
            st.binary(max_size=6)
            | st.sampled_from([b"-", b"9" * 400, b"e999", b"null", b"[[", b'"', b"NaN"])
        )
    _load_or_say(path, bytes(changed))


@fuzz
@given(data=st.data())
def test_mutated_fields(model_folder: Path, data: st.DataObject) -> None:
    """Any JSON in place of any field: a model or our own error comes out."""
    path = model_folder / "model.json"
    content = json.loads(path.read_bytes())
    place = content
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key]:
            break
        if data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=9) | st.dictionaries(st.text(), inner)
            ),
            max_leaves=9,
        )
        | st.lists(st.integers(1, 5000), max_size=9)
    )
    _load_or_say(path, json.dumps(content).encode())


@fuzz
@given(data=st.data())
def test_mutated_weights(model_folder: Path, data: st.DataObject) -> None:
    """The same for the weights, most of all for their header."""
    _set(model_folder, "weights_sha256", "")
    path = model_folder / "weights.safetensors"
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(
            st.integers(0, 8) | st.integers(0, header) | st.integers(0, len(changed))
        )
        until = min(len(changed), at + data.draw(st.integers(0, 3)))
        changed[at:until] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"99999999999", b"-1", b"F64"])
        )
    _load_or_say(path, bytes(changed))


def _load_or_say(path: Path, data: bytes) -> None:
    """Load the model with other bytes in one of its files, which is then put back."""
    whole = path.read_bytes()
    path.write_bytes(data)
    try:
        model = load_model_folder(path.parent)
    except ModelError as error:
        assert "\n" not in str(error)
    else:
        values = model.network.state_dict().values()
        assert all(bool(torch.isfinite(value).all()) for value in values)
    finally:
        path.write_bytes(whole)


def test_the_limit_lies_above_all_presets() -> None:
    """No network that can be chosen is refused."""
    from napari_unetic.networks.presets import PRESETS

    for entry in PRESETS.values():
        weights.shape_network(entry.spec, "a preset")
