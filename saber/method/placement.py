"""Place: at which writers a direction acts, and with what share of its strength.

``reach[m, l, k]`` is the share with which a direction found at layer ``m`` acts on the writers of layer ``l`` and kind
``k``. A round is then one product: strengths[i, l, k] = strength_i * reach[layer_i, l, k].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from saber.method.strength import tent
from saber.options.placement_options import PlacementOptions
from saber.types import WRITER_KINDS, Round, WriterKind

Scope = Literal["layer", "band", "all"]


def reach_of_scope(n_layers: int, *, scope: Scope, reach: int) -> Float[Tensor, "layer layer kind"]:
    """Full strength at the direction's own layer, within ``reach`` layers of it, or everywhere."""
    layers = torch.arange(n_layers)
    distance = (layers.unsqueeze(0) - layers.unsqueeze(1)).abs()
    farthest = {"layer": 0, "band": reach, "all": n_layers}[scope]
    return (distance <= farthest).float().unsqueeze(2).repeat(1, 1, len(WRITER_KINDS))


def reach_of_kernel(
    n_layers: int, *, tents: Mapping[WriterKind, Mapping[str, float]], everywhere: bool
) -> Float[Tensor, "layer layer kind"]:
    """A tent over depth per kind of writer; each direction at its own layer only, or ``everywhere``."""
    last = max(n_layers - 1, 1)
    over_depth = torch.tensor(
        [[tent(layer / last, **tents[kind]) for kind in WRITER_KINDS] for layer in range(n_layers)]
    )
    where = torch.ones(n_layers, n_layers) if everywhere else torch.eye(n_layers)
    return where.unsqueeze(2) * over_depth.unsqueeze(0)


def reach_of(options: PlacementOptions, n_layers: int) -> Float[Tensor, "layer layer kind"]:
    """Which writers a direction acts on, as the scope and the band of layers that are edited say.

    Raises:
        ValueError: no layer lies in that band.
    """
    if options.scope == "kernel":
        tents: Mapping[WriterKind, Mapping[str, float]] = {
            kind: asdict(getattr(options.kernel, kind)) for kind in WRITER_KINDS
        }
        reach = reach_of_kernel(n_layers, tents=tents, everywhere=options.is_interpolated)
    else:
        reach = reach_of_scope(n_layers, scope=options.scope, reach=options.reach)
    return within_band(reach, low=options.acting_band.low, high=options.acting_band.high)


def within_band(
    reach: Float[Tensor, "layer layer kind"], *, low: float, high: float
) -> Float[Tensor, "layer layer kind"]:
    """The same reach at layers between two shares of depth, and nothing at the others.

    Raises:
        ValueError: no layer lies between them.
    """
    n_layers = reach.shape[1]
    inside = torch.tensor([low <= layer / max(n_layers - 1, 1) <= high for layer in range(n_layers)])
    if not inside.any():
        raise ValueError(f"expected a layer within edit.acting_band, found none of {n_layers} from {low:g} to {high:g}")
    return reach * inside.view(1, -1, 1)


def place(
    directions: Sequence[tuple[Float[Tensor, " d_model"], int, float]],
    reach: Float[Tensor, "layer layer kind"],
    component_scale: Mapping[WriterKind, float],
) -> Round:
    """Make a round of (unit vector, layer it was found at, strength) triples, in the order of their score."""
    vectors = torch.stack([vector for vector, _, _ in directions]).float().cpu()
    found_at = torch.tensor([layer for _, layer, _ in directions])
    strength = torch.tensor([strength for _, _, strength in directions]).view(-1, 1, 1)
    scale = torch.tensor([component_scale[kind] for kind in WRITER_KINDS])
    return Round(vectors, strength * reach[found_at] * scale)
