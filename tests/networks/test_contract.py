"""What every network of the family keeps: sizes, tiles, folding, files, learning."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from napari_unetic.image.tiles import covers, reflected
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import folded, load_model_folder, save_model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.losses import binary_cross_entropy

if TYPE_CHECKING:
    from napari_unetic.networks.network import Network
    from napari_unetic.networks.spec import NetworkSpec

_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def _network(spec: NetworkSpec, *, seed: int = 0) -> Network:
    """A network with random weights and norms, ready to predict."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = build_network(spec)
        for module in network.modules():
            if isinstance(module, _NORMS):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    return network.eval()


def _image(spec: NetworkSpec, shape: tuple[int, ...]) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 1, (spec.in_channels, *shape))


def _maps(
    network: Network, image: NDArray[np.float64], tile: int
) -> NDArray[np.float64]:
    """Maps of an image as prediction makes them: tile by tile, reflected outside."""
    spec, shape = network.spec, image.shape[1:]
    maps = np.full((spec.out_channels, *shape), np.nan)
    axes = covers(shape, tile, spec.tile_rules)
    for spans in product(*axes):
        window = image
        for axis, (span, size) in enumerate(zip(spans, shape, strict=True), start=1):
            index = reflected(span.read_start, span.read_stop, size)
            window = window.take(index, axis=axis)
        with torch.inference_mode():
            dtype = next(network.parameters()).dtype
            found = network(torch.from_numpy(window)[None].to(dtype))[0].numpy()
        write = tuple(slice(s.start, s.stop) for s in spans)
        crop = tuple(slice(s.offset, s.offset + s.stop - s.start) for s in spans)
        maps[(slice(None), *write)] = found[(slice(None), *crop)]
    return maps


def test_any_size_works(spec: NetworkSpec) -> None:
    """Maps have the size of the image, down to a single pixel."""
    network = _network(spec)
    for shape in ((1, 1, 1), (5, 3, 2), (2, 37, 18)):
        image = _image(spec, shape[-spec.dimensions :])
        maps = _maps(network, image, 1024)
        assert maps.shape == (spec.out_channels, *image.shape[1:])
        assert np.isfinite(maps).all()


def test_tiled_equals_whole(spec: NetworkSpec) -> None:
    """Maps of tiles in the middle of an image and at its ends are those of one tile."""
    rules = spec.tile_rules
    network = _network(spec)
    if spec.kind == "segnet":
        # Which of two values is the larger may hang on the rounding of float32.
        network = network.double()
    for axis in (0, 1):
        # About as long as the halo: shorter ones are many, and read the same pixels
        # again.
        stride, halo = rules[axis].stride, rules[axis].halo
        tile = 2 * stride * max(1, halo // (2 * stride))
        length = 2 * halo + 2 * tile + 5
        shape = [max(2, rule.stride - 1) for rule in rules]
        shape[axis] = length
        image = _image(spec, tuple(shape))
        whole = _maps(network, image, length)
        assert whole.std() > 1e-3
        tiled = _maps(network, image, tile)
        np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-4)


def _positive(spec: NetworkSpec) -> Network:
    """A network in which all that is looked at matters: no weight is 0 or less."""
    network = _network(spec).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            n_in = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.uniform_(0.5 / n_in, 1.5 / n_in, generator=generator)
    return network


def _planes(spec: NetworkSpec) -> Tensor:
    """Random planes that the network takes, with room for its reach along the rows."""
    rule = spec.tile_rule
    side = rule.stride + rule.remainder + 2 * rule.context
    length = side + -(-2 * spec.reach // rule.stride) * rule.stride
    generator = torch.Generator().manual_seed(2)
    shape = (1, spec.in_channels, length, side)
    return torch.rand(shape, dtype=torch.float64, generator=generator)


def test_nothing_beyond_the_reach_matters(planar: NetworkSpec) -> None:
    """Other pixels farther away than the reach leave an output exactly as it is."""
    network, rule, reach = _positive(planar), planar.tile_rule, planar.reach
    x = _planes(planar)
    other = 2 * x.flip(3)
    with torch.inference_mode():
        before = network(x)
        first = x.shape[2] // 2
        for cut in range(first, first + rule.stride, max(1, rule.stride // 4)):
            after = network(torch.cat([x[:, :, :cut], other[:, :, cut:]], dim=2))
            n_same = cut - reach - rule.context
            assert torch.equal(after[:, :, :n_same], before[:, :, :n_same])
            assert not torch.equal(after, before)
            after = network(torch.cat([other[:, :, :cut], x[:, :, cut:]], dim=2))
            n_other = cut + reach - rule.context
            assert torch.equal(after[:, :, n_other:], before[:, :, n_other:])
            assert not torch.equal(after, before)


def test_the_reach_is_no_larger_than_it_must_be(planar: NetworkSpec) -> None:
    """Some output pixel depends on one at just that distance, by its gradient."""
    if planar.kind == "segnet":
        pytest.skip("where a value goes depends on others, which no gradient shows")
    network, rule = _positive(planar), planar.tile_rule
    noise = _planes(planar)
    farthest = 0
    # On a slope, the largest of neighbours always lies on its upper side.
    ramp = torch.linspace(1, 2, noise.shape[2], dtype=torch.float64)[:, None]
    for slope in (ramp, ramp.flip(0)):
        x = (slope + 1e-6 * noise).requires_grad_(True)
        maps = network(x)
        first = maps.shape[2] // 2 // rule.stride * rule.stride
        for row in range(first, min(first + rule.stride, maps.shape[2])):
            seen = maps[:, :, row].sum()
            (gradient,) = torch.autograd.grad(seen, x, retain_graph=True)
            touched = gradient.transpose(0, 2).flatten(1).any(dim=1).nonzero()
            low, high = int(touched.min()), int(touched.max())
            centre = row + rule.context
            farthest = max(farthest, centre - low, high - centre)
            if farthest >= planar.reach:
                # That none is farther away is shown above.
                break
    assert farthest == planar.reach


def test_folding_batch_norm_changes_nothing(spec: NetworkSpec) -> None:
    """The folded network agrees with the trained one, and has no norm left."""
    network = _network(spec).double()
    sides = [r.stride + r.remainder + 2 * r.context for r in spec.tile_rules]
    x = torch.rand(1, spec.in_channels, *sides, dtype=torch.float64)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    copy = folded(network)
    with torch.inference_mode():
        torch.testing.assert_close(copy(x), network(x))
    assert not any(isinstance(module, _NORMS) for module in copy.modules())
    assert not any(p.requires_grad for p in copy.parameters())
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def _saved(spec: NetworkSpec, folder: Path) -> Network:
    """A network that was written to a model folder; its maps are those of instances."""
    network = _network(spec.model_copy(update={"out_channels": 3}))
    description = ModelDescription(
        name="m",
        network=network.spec,
        axes="YX" if spec.dimensions == 2 else "ZYX",
        channels=("c",) * spec.in_channels,
        working_diameter_px=20,
    )
    save_model(folder, description, network.state_dict())
    return network


def test_save_and_load(spec: NetworkSpec, tmp_path: Path) -> None:
    """A model folder gives back the same network, maps included."""
    network = _saved(spec, tmp_path / "model")
    loaded = load_model_folder(tmp_path / "model")
    assert loaded.description.network == network.spec
    image = _image(spec, (9, 7, 5)[: spec.dimensions])
    again = _maps(loaded.network, image, 1024)
    np.testing.assert_array_equal(again, _maps(network, image, 1024))


def test_the_state_dict_is_exported(spec: NetworkSpec, tmp_path: Path) -> None:
    """The weights file is plain safetensors that a new network takes as they are."""
    network = _saved(spec, tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "weights.safetensors")
    assert list(build_network(network.spec).load_state_dict(tensors)) == [[], []]
    assert all(torch.equal(tensors[k], v) for k, v in network.state_dict().items())


def test_one_step_lowers_the_loss(spec: NetworkSpec) -> None:
    """The network learns: a step down the gradient lowers the loss of its batch."""
    network = _network(spec.model_copy(update={"dropout": ()})).train()
    sizes = [2 * rule.stride + rule.remainder for rule in spec.tile_rules]
    generator = torch.Generator().manual_seed(0)
    contexts = [rule.context for rule in spec.tile_rules]
    sides = [n + 2 * context for n, context in zip(sizes, contexts, strict=True)]
    x = torch.rand(2, spec.in_channels, *sides, generator=generator)
    y = (x.mean(dim=1, keepdim=True) > 0.5).float()
    for axis, (n, context) in enumerate(zip(sizes, contexts, strict=True), start=2):
        y = y.narrow(axis, context, n)
    y = y.expand(-1, spec.out_channels, *y.shape[2:])

    def loss() -> Tensor:
        return binary_cross_entropy(network(x), y, torch.ones_like(y))

    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)
    before = loss()
    before.backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all() for p in network.parameters()
    )
    optimiser.step()
    assert loss() < before


def test_the_encoder_has_its_name(spec: NetworkSpec) -> None:
    """Whoever treats encoder and bottom otherwise finds them by their names."""
    with torch.device("meta"):
        network = build_network(spec)
    parts = {name.partition(".")[0] for name, _ in network.named_parameters()}
    assert parts & {"encoder", "bottom"}
    assert parts <= {"encoder", "bottom", "up", "gates", "nodes", "decoder", "head"}


def test_a_network_without_memory_draws_no_number(spec: NetworkSpec) -> None:
    """On the device ``meta`` the generator stays where it was."""
    before = torch.random.get_rng_state()
    with torch.device("meta"):
        network = build_network(spec)
    assert all(p.is_meta for p in network.parameters())
    assert torch.equal(torch.random.get_rng_state(), before)
