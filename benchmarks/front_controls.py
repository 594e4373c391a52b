"""Controls: the default sweep with one part of the method taken away, so that the difference says what it is worth.

What a configuration can say is said there (`Control.fixed`), and what a step of the method does otherwise in
`Control.steps`; the rest replaces one function of the core while the cell runs, search and report alike, and puts it
back.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from control import Control
from torch import Tensor

from saber.config import EditConfig
from saber.lm.editing import low_rank as writer_edit
from saber.lm.steps import Steps, rank_with
from saber.method.entanglement import entanglement
from saber.method.extraction import orient
from saber.method.placement import reach_of
from saber.method.purification import remove_subspace, shared_basis
from saber.method.ranking import Ranking, fisher_ratios, interpolate_layers
from saber.types import Activations, Direction, RankedDirection

# Entanglement off: every direction has the strength alpha_base.
ONE_ALPHA = Control(fixed={"edit.strength": "uniform"}, idle=("edit.alpha_entangled", "edit.entanglement_threshold"))


def random_directions(seed: int) -> Steps:
    """As many unit vectors as were extracted, drawn evenly from the space that purification leaves."""

    def rank(seen: Activations, edit: EditConfig) -> Ranking:
        assert (edit.contrast, edit.fdr_folds, edit.winsorise) == ("refusal", 1, 1.0)
        real = rank_with(seen, edit)
        return replace(real, directions={layer: drawn(seen, edit, real, layer) for layer in real.directions})

    def drawn(seen: Activations, edit: EditConfig, real: Ranking, layer: int) -> tuple[RankedDirection, ...]:
        capability = seen.capability[layer]
        protected = shared_basis(seen.harmless[layer], capability, purify=edit.purify, rank=edit.purify_rank)
        harmful, harmless = (remove_subspace(x[layer], protected) for x in (seen.harmful, seen.harmless))
        generator = torch.Generator().manual_seed(_seed_of(seed, harmful))
        shape = len(real.directions[layer]), harmful.shape[1]
        rows = remove_subspace(torch.randn(shape, generator=generator).to(harmful), protected)
        vectors = orient(rows / rows.norm(dim=1, keepdim=True), harmful, harmless)
        ratios, rho = fisher_ratios(harmful, harmless, vectors), entanglement(vectors, real.capability_bases[layer])
        return tuple(
            RankedDirection(Direction(layer, i, vector), float(ratios[i]), float(rho[i]))
            for i, vector in enumerate(vectors)
        )

    return Steps(rank=rank)


def _seed_of(seed: int, tensor: Tensor) -> int:
    """The same for the same search seed and activations: a trial run again gives the same plan."""
    digest = hashlib.sha256(f"{seed}".encode() + tensor.contiguous().cpu().numpy().tobytes()).digest()
    return int.from_bytes(digest[:6], "big")


def shuffled_labels(seed: int) -> Steps:
    """Each trial takes its probes for harmful or harmless at random, as many of each; refinement sees them as so."""

    def rank(seen: Activations, edit: EditConfig) -> Ranking:
        n = seen.harmful.shape[1]
        both = torch.cat([seen.harmful, seen.harmless], dim=1)
        order = random.Random(f"labels {seed} {n}").sample(range(both.shape[1]), both.shape[1])
        return rank_with(replace(seen, harmful=both[:, order[:n]], harmless=both[:, order[n:]]), edit)

    return Steps(rank=rank)


def _with_ratios(ranking: Ranking, ratio: Callable[[RankedDirection], float]) -> Ranking:
    """The same directions, ordered by another number than their Fisher ratio (still times purity)."""
    directions = {
        layer: tuple(replace(ranked, fisher_ratio=ratio(ranked)) for ranked in its)
        for layer, its in ranking.directions.items()
    }
    return replace(ranking, directions=directions)


def rank_by_variance(_seed: int = 0) -> Steps:
    """Rank by the share of the paired differences' variation that a direction explains in its layer."""

    def rank(seen: Activations, edit: EditConfig) -> Ranking:
        gap = seen.harmful - seen.harmless
        total = gap.square().sum(dim=(1, 2))

        def share(ranked: RankedDirection) -> float:
            layer = ranked.direction.layer
            return float((gap[layer] @ ranked.direction.vector).square().sum() / total[layer])

        return _with_ratios(rank_with(seen, edit), share)

    return Steps(rank=rank)


def rank_at_random(seed: int) -> Steps:
    """Rank by a number drawn once for each layer and index: one order for the whole search."""

    def drawn(ranked: RankedDirection) -> float:
        return random.Random(f"rank {seed} {ranked.direction.layer} {ranked.direction.index}").random()

    return Steps(rank=lambda seen, edit: _with_ratios(rank_with(seen, edit), drawn))


@contextmanager
def naive_writers(_seed: int = 0) -> Iterator[None]:
    """Edit every writer as if no gain stood between its output and the stream."""

    def plain(q: Tensor, p: Tensor, a: Tensor, _gain: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return q, a, p

    with patch.object(writer_edit, "_behind_gain", plain):
        yield


def biprojected(_seed: int = 0) -> Steps:
    """Lai's second projection: one layer's direction, at each layer without that layer's own harmless mean."""
    means: list[Tensor] = []

    def remember(seen: Activations, edit: EditConfig) -> Ranking:
        means[:] = list(seen.harmless.mean(dim=1))
        return rank_with(seen, edit)

    def select(ranking: Ranking, edit: EditConfig) -> tuple[RankedDirection, ...]:
        middle = interpolate_layers(ranking, edit.kernel.direction_position)[0]
        placed = []
        for layer, mean in enumerate(means):
            rest = remove_subspace(middle.direction.vector.unsqueeze(0), (mean / mean.norm()).unsqueeze(1))[0]
            placed.append(replace(middle, direction=Direction(layer, 0, rest / rest.norm())))
        return tuple(placed)

    def at_its_own(edit: EditConfig, n_layers: int) -> Tensor:
        assert edit.is_interpolated, "expected edit.kernel.direction=global"
        return reach_of(replace(edit, kernel=replace(edit.kernel, direction="per_layer")), n_layers)

    return Steps(rank=remember, select=select, reach=at_its_own)


MEANS: Mapping[str, Any] = {"edit.extraction": "dim", "edit.n_directions": 1}
ONE = ("edit.global_top_k",)

CONTROLS: Mapping[str, Control] = {
    "random-directions": Control(steps=random_directions),
    "shuffled-labels": Control(steps=shuffled_labels),
    "difference-in-means": Control(fixed=MEANS, idle=ONE),
    "shuffled-means": Control(fixed=MEANS, idle=ONE, steps=shuffled_labels),
    "one-alpha": ONE_ALPHA,
    "rank-by-variance": Control(steps=rank_by_variance),
    "rank-at-random": Control(steps=rank_at_random),
    "no-purify": Control(fixed={"edit.purify": "none"}, idle=("edit.purify_rank",)),
    "orthogonal": Control(fixed={"edit.reader": "direction"}, idle=("edit.reader_ridge",)),
    "acting-layer-readers": Control(fixed={"edit.reader_layer": "acting"}),
    "four-rounds": Control(fixed={"edit.max_iterations": 4}),
    "row-norms": Control(fixed={"edit.norm_preserve": "row"}),
    "unit-rows": Control(fixed={"edit.norm_preserve": "unit_row"}),
    "naive-writers": Control(patch=naive_writers),
}
