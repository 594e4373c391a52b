"""Where a direction acts."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from saber.method.placement import place, reach_of, reach_of_kernel, reach_of_scope, within_band
from saber.options.placement_options import ActingBand, KernelConfig, PlacementOptions, Tent
from saber.vocabulary import WriterKind

TENT = {"peak": 1.0, "position": 0.5, "floor": 0.0, "half_width": 0.5}
ONES: dict[WriterKind, float] = {"attention": 1.0, "mlp": 1.0, "per_layer": 1.0}


def test_scopes_reach_their_own_layer_a_band_or_all() -> None:
    assert torch.equal(reach_of_scope(4, scope="layer", reach=9)[:, :, 0], torch.eye(4))
    band = reach_of_scope(4, scope="band", reach=1)[1, :, 2]
    assert band.tolist() == [1.0, 1.0, 1.0, 0.0]
    assert bool((reach_of_scope(4, scope="all", reach=0) == 1).all())


def test_a_round_multiplies_strength_reach_and_component_scale() -> None:
    vector = torch.eye(3)[0]
    scale: dict[WriterKind, float] = {"attention": 0.5, "mlp": 1.0, "per_layer": 0.0}
    placed = place([(vector, 1, 0.8)], reach_of_scope(3, scope="layer", reach=0), scale)
    expected = torch.zeros(3, 3)
    expected[1] = torch.tensor([0.4, 0.8, 0.0])
    torch.testing.assert_close(placed.strengths[0], expected)


def test_the_kernel_shapes_each_kind_over_depth() -> None:
    low = {**TENT, "peak": 0.4}
    own = reach_of_kernel(5, tents={"attention": TENT, "mlp": low, "per_layer": TENT}, everywhere=False)
    torch.testing.assert_close(own[2, 2], torch.tensor([1.0, 0.4, 1.0]))
    assert float(own[2, 3].sum()) == 0.0
    everywhere = reach_of_kernel(5, tents={"attention": TENT, "mlp": low, "per_layer": TENT}, everywhere=True)
    torch.testing.assert_close(everywhere[0, :, 0], torch.tensor([0.0, 0.5, 1.0, 0.5, 0.0]))
    assert place([(torch.eye(2)[0], 0, 1.0)], everywhere, ONES).strengths.shape == (1, 5, 3)


def test_every_direction_has_its_own_strength_and_the_reach_of_its_own_layer() -> None:
    reach = torch.rand(4, 4, 3, generator=torch.Generator().manual_seed(0))
    placed = place([(torch.eye(3)[0], 1, 0.8), (torch.eye(3)[1], 3, 0.5)], reach, ONES)
    torch.testing.assert_close(placed.strengths, torch.stack([0.8 * reach[1], 0.5 * reach[3]]))


def test_the_kernel_spans_the_whole_depth_of_two_layers() -> None:
    reach = reach_of_kernel(2, tents={"attention": TENT, "mlp": TENT, "per_layer": TENT}, everywhere=True)
    torch.testing.assert_close(reach[0, :, 0], torch.zeros(2))
    end = TENT | {"position": 1.0}
    reach = reach_of_kernel(2, tents={"attention": end, "mlp": end, "per_layer": end}, everywhere=True)
    torch.testing.assert_close(reach[0, :, 0], torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize("n_layers", [1, 2, 3, 5])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.25, 0.75), (0.0, 0.0), (0.5, 1.0), (0.3, 0.4)])
def test_a_band_leaves_the_reach_as_it_is_inside_and_nothing_outside(n_layers: int, low: float, high: float) -> None:
    reach = 1 + torch.rand(n_layers, n_layers, 3)
    kept = [layer for layer in range(n_layers) if low <= (layer / (n_layers - 1) if layer else 0.0) <= high]
    if not kept:
        with pytest.raises(ValueError, match=f"none of {n_layers} from"):
            within_band(reach, low=low, high=high)
        return
    expected = torch.zeros_like(reach)
    expected[:, kept] = reach[:, kept]
    assert torch.equal(within_band(reach, low=low, high=high), expected)


def test_the_options_say_how_far_a_direction_reaches() -> None:
    band = PlacementOptions(scope="band", reach=1, acting_band=ActingBand(0.3, 1.0))
    assert reach_of(band, 4)[1, :, 0].tolist() == [0.0, 1.0, 1.0, 0.0]
    low = Tent(peak=0.4, position=0.5, floor=0.0, half_width=0.5)
    kernel = PlacementOptions(scope="kernel", kernel=KernelConfig(Tent(**TENT), low, Tent(**TENT)))
    own = reach_of(kernel, 5)
    torch.testing.assert_close(own[2, 2], torch.tensor([1.0, 0.4, 1.0]))
    assert float(own[2, 3].sum()) == 0.0
    everywhere = reach_of(dataclasses.replace(kernel, kernel=dataclasses.replace(kernel.kernel, direction="global")), 5)
    torch.testing.assert_close(everywhere[0, :, 1], torch.tensor([0.0, 0.2, 0.4, 0.2, 0.0]))
