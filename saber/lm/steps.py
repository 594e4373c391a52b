"""How a round is ranked, selected and placed: the steps of the method, each of which can be taken another way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from jaxtyping import Float
from torch import Tensor

from saber.config import EditConfig
from saber.method.placement import reach_of
from saber.method.ranking import Ranking, interpolate_layers, layers_around, rank
from saber.method.selection import best_directions, candidate_layers
from saber.types import Activations, RankedDirection


def rank_with(activations: Activations, edit: EditConfig, *, everywhere: bool = False) -> Ranking:
    """Rank directions as the edit configuration says: of the layers it can take them from, or of all."""
    return rank(activations, edit, layers=None if everywhere else partial(layers_of, edit))


def layers_of(edit: EditConfig, layer_fdr: Float[Tensor, " layer"]) -> list[int]:
    """The layers that directions are taken from: the candidates in the depth band, or those around a position."""
    if edit.is_interpolated:
        lower, upper, _ = layers_around(edit.kernel.direction_position, len(layer_fdr))
        return sorted({lower, upper})
    return candidate_layers(layer_fdr, edit)


def select(ranking: Ranking, edit: EditConfig) -> tuple[RankedDirection, ...]:
    """The directions that are edited, best first."""
    if edit.is_interpolated:
        candidates = interpolate_layers(ranking, edit.kernel.direction_position)
    else:
        candidates = ranking.of_layers(layers_of(edit, ranking.layer_fdr))
    return best_directions(candidates, edit.global_top_k)


@dataclass(frozen=True)
class Steps:
    """The method's own steps, unless others are given: those of a control, or of another method."""

    rank: Callable[[Activations, EditConfig], Ranking] = rank_with
    select: Callable[[Ranking, EditConfig], tuple[RankedDirection, ...]] = select
    reach: Callable[[EditConfig, int], Float[Tensor, "layer layer kind"]] = reach_of
