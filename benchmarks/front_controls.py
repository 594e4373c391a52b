"""Controls: the default sweep with one part of the method taken away, so that the difference says what it is worth.

What a configuration can say is said there (`Control.fixed`); the rest replaces one function of the core while the
cell runs, search and report alike, and puts it back.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from control import Control
from torch import Tensor

from saber.config import EditConfig
from saber.lm import planning
from saber.lm.editing import low_rank as writer_edit
from saber.method import placement, ranking
from saber.method.extraction import extract, orient
from saber.method.placement import reach_of_kernel
from saber.method.purification import remove_subspace, shared_basis
from saber.method.ranking import Ranking, interpolate_layers
from saber.types import Activations, Direction, RankedDirection

# Entanglement off: every direction has the strength alpha_base.
ONE_ALPHA = Control(fixed={"edit.strength": "uniform"}, idle=("edit.alpha_entangled", "edit.entanglement_threshold"))


@contextmanager
def random_directions(seed: int) -> Iterator[None]:
    """As many unit vectors as were extracted, drawn evenly from the space that purification leaves."""
    protected: list[Tensor] = []

    def remember(*args: Any, **kwargs: Any) -> Tensor:
        protected[:] = [shared_basis(*args, **kwargs)]
        return protected[0]

    def draw(harmful: Tensor, harmless: Tensor, **kwargs: Any) -> Tensor:
        extracted = extract(harmful, harmless, **kwargs)
        generator = torch.Generator().manual_seed(_seed_of(seed, harmful))
        drawn = remove_subspace(torch.randn(extracted.shape, generator=generator).to(extracted), protected[0])
        return orient(drawn / drawn.norm(dim=1, keepdim=True), harmful, harmless)

    with patch.object(ranking, "shared_basis", remember), patch.object(ranking, "extract", draw):
        yield


def _seed_of(seed: int, tensor: Tensor) -> int:
    """The same for the same search seed and activations: a trial run again gives the same plan."""
    digest = hashlib.sha256(f"{seed}".encode() + tensor.contiguous().cpu().numpy().tobytes()).digest()
    return int.from_bytes(digest[:6], "big")


@contextmanager
def ranked(change: Callable[[Callable[..., Ranking], Activations, EditConfig], Ranking]) -> Iterator[None]:
    """Replace how a trial ranks what it sees."""
    rank_with = planning.rank_with

    def changed(activations: Activations, edit: EditConfig) -> Ranking:
        return change(rank_with, activations, edit)

    with patch.object(planning, "rank_with", changed):
        yield


def shuffled_labels(seed: int) -> AbstractContextManager[None]:
    """Each trial takes its probes for harmful or harmless at random, as many of each; refinement sees them as so."""

    def change(rank_with: Callable[..., Ranking], seen: Activations, edit: EditConfig) -> Ranking:
        n = seen.harmful.shape[1]
        both = torch.cat([seen.harmful, seen.harmless], dim=1)
        order = random.Random(f"labels {seed} {n}").sample(range(both.shape[1]), both.shape[1])
        return rank_with(replace(seen, harmful=both[:, order[:n]], harmless=both[:, order[n:]]), edit)

    return ranked(change)


def _with_ratios(ranking: Ranking, ratio: Callable[[RankedDirection], float]) -> Ranking:
    """The same directions, ordered by another number than their Fisher ratio (still times purity)."""
    directions = {
        layer: tuple(replace(ranked, fisher_ratio=ratio(ranked)) for ranked in its)
        for layer, its in ranking.directions.items()
    }
    return replace(ranking, directions=directions)


def rank_by_variance(_seed: int = 0) -> AbstractContextManager[None]:
    """Rank by the share of the paired differences' variation that a direction explains in its layer."""

    def change(rank_with: Callable[..., Ranking], seen: Activations, edit: EditConfig) -> Ranking:
        gap = seen.harmful - seen.harmless
        total = gap.square().sum(dim=(1, 2))

        def share(ranked: RankedDirection) -> float:
            layer = ranked.direction.layer
            return float((gap[layer] @ ranked.direction.vector).square().sum() / total[layer])

        return _with_ratios(rank_with(seen, edit), share)

    return ranked(change)


def rank_at_random(seed: int) -> AbstractContextManager[None]:
    """Rank by a number drawn once for each layer and index: one order for the whole search."""

    def drawn(ranked: RankedDirection) -> float:
        return random.Random(f"rank {seed} {ranked.direction.layer} {ranked.direction.index}").random()

    def change(rank_with: Callable[..., Ranking], seen: Activations, edit: EditConfig) -> Ranking:
        return _with_ratios(rank_with(seen, edit), drawn)

    return ranked(change)


@contextmanager
def naive_writers(_seed: int = 0) -> Iterator[None]:
    """Edit every writer as if no gain stood between its output and the stream."""

    def plain(q: Tensor, p: Tensor, a: Tensor, _gain: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return q, a, p

    with patch.object(writer_edit, "_behind_gain", plain):
        yield


@contextmanager
def biprojected(_seed: int = 0) -> Iterator[None]:
    """Lai's second projection: one layer's direction, at each layer without that layer's own harmless mean."""
    means: list[Tensor] = []

    def remember(rank_with: Callable[..., Ranking], seen: Activations, edit: EditConfig) -> Ranking:
        means[:] = list(seen.harmless.mean(dim=1))
        return rank_with(seen, edit)

    def select(ranking: Ranking, edit: EditConfig) -> tuple[RankedDirection, ...]:
        middle = interpolate_layers(ranking, edit.kernel.direction_position)[0]
        placed = []
        for layer, mean in enumerate(means):
            rest = remove_subspace(middle.direction.vector.unsqueeze(0), (mean / mean.norm()).unsqueeze(1))[0]
            placed.append(replace(middle, direction=Direction(layer, 0, rest / rest.norm())))
        return tuple(placed)

    def at_its_own(n_layers: int, *, tents: Any, everywhere: bool) -> Tensor:
        assert everywhere, "expected edit.kernel.direction=global"
        return reach_of_kernel(n_layers, tents=tents, everywhere=False)

    with ExitStack() as stack:
        stack.enter_context(ranked(remember))
        stack.enter_context(patch.object(planning, "select", select))
        stack.enter_context(patch.object(placement, "reach_of_kernel", at_its_own))
        yield


MEANS: Mapping[str, Any] = {"edit.extraction": "dim", "edit.n_directions": 1}
ONE = ("edit.global_top_k",)

CONTROLS: Mapping[str, Control] = {
    "random-directions": Control(patch=random_directions),
    "shuffled-labels": Control(patch=shuffled_labels),
    "difference-in-means": Control(fixed=MEANS, idle=ONE),
    "shuffled-means": Control(fixed=MEANS, idle=ONE, patch=shuffled_labels),
    "one-alpha": ONE_ALPHA,
    "rank-by-variance": Control(patch=rank_by_variance),
    "rank-at-random": Control(patch=rank_at_random),
    "no-purify": Control(fixed={"edit.purify": "none"}, idle=("edit.purify_rank",)),
    "orthogonal": Control(fixed={"edit.reader": "direction"}, idle=("edit.reader_ridge",)),
    "acting-layer-readers": Control(fixed={"edit.reader_layer": "acting"}),
    "four-rounds": Control(fixed={"edit.max_iterations": 4}),
    "row-norms": Control(fixed={"edit.norm_preserve": "row"}),
    "unit-rows": Control(fixed={"edit.norm_preserve": "unit_row"}),
    "naive-writers": Control(patch=naive_writers),
}
