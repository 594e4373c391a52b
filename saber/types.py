"""The frozen values that flow one way through SABER, and the axis words used everywhere.

Axes, in this order where they meet: ``trial layer prompt token d_model`` and ``direction layer kind``.

Layer ``l`` is the residual stream *after* decoder block ``l``, zero-based, before the final norm. A writer of
layer ``l`` is a linear map inside block ``l`` whose output is added to the stream.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from saber.config import Objective, PublishedRow
from saber.vocabulary import (
    PROMPT_KINDS,
    SPLIT_NAMES,
    WRITER_KINDS,
    PromptKind,
    SplitName,
    UserError,
    WriterKind,
)

__all__ = [
    "PROMPT_KINDS",
    "SPLIT_NAMES",
    "WRITER_KINDS",
    "Activations",
    "CurvePoint",
    "Direction",
    "DirectionRow",
    "EditPlan",
    "Estimate",
    "Frontier",
    "FrontierPoint",
    "LengthCheck",
    "Metrics",
    "Objective",
    "Outcomes",
    "ProbeSet",
    "Prompt",
    "PromptKind",
    "PublishedRow",
    "RankedDirection",
    "Response",
    "Round",
    "Split",
    "SplitName",
    "UserError",
    "WriterKind",
    "count_kinds",
    "digest_json",
]

UNIT_TOLERANCE = 1e-4  # how far the length of a "unit" vector may be from 1
DIGEST_LENGTH = 12


@dataclass(frozen=True)
class Prompt:
    """One request to a chat model.

    ``pair_id`` joins a harmful prompt with its harmless twin; ``answer`` is the known answer of a capability
    prompt; ``protected`` marks a severe category whose refusals should be kept.
    """

    text: str
    kind: PromptKind
    category: str = ""
    protected: bool = False
    pair_id: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Split:
    """The prompts of one split, in a fixed order."""

    name: SplitName
    prompts: tuple[Prompt, ...]

    def of(self, kind: PromptKind) -> tuple[Prompt, ...]:
        """Return the prompts of one kind, in order."""
        return tuple(prompt for prompt in self.prompts if prompt.kind == kind)

    @cached_property
    def digest(self) -> str:
        """Content digest: the same prompts in the same order give the same twelve hex digits."""
        rows = [[p.text, p.kind, p.category, p.protected, p.pair_id, p.answer] for p in self.prompts]
        return digest_json([self.name, rows])


@dataclass(frozen=True)
class ProbeSet:
    """What directions are extracted from: ``harmful[i]`` and ``harmless[i]`` are pairs where the data has them."""

    harmful: tuple[Prompt, ...]
    harmless: tuple[Prompt, ...]
    capability: tuple[Prompt, ...]

    def first(self, n_probe: int, n_capability: int) -> ProbeSet:
        """The first so many of each: a smaller probe set is a prefix of a larger one."""
        return ProbeSet(self.harmful[:n_probe], self.harmless[:n_probe], self.capability[:n_capability])


@dataclass(frozen=True, eq=False)
class Activations:
    """Residual stream at the last prompt token, fp32, of a probe set."""

    harmful: Float[Tensor, "layer n_harmful d_model"]
    harmless: Float[Tensor, "layer n_harmless d_model"]
    capability: Float[Tensor, "layer n_capability d_model"]

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks captured."""
        return int(self.harmful.shape[0])

    def first(self, n_probe: int, n_capability: int) -> Activations:
        """The activations of ``ProbeSet.first``."""
        return Activations(self.harmful[:, :n_probe], self.harmless[:, :n_probe], self.capability[:, :n_capability])


@dataclass(frozen=True, eq=False)
class Direction:
    """A unit vector of the residual stream, found at ``layer`` as the ``index``-th of that layer.

    Its sign makes the harmful prompts' mean projection the larger one.
    """

    layer: int
    index: int
    vector: Float[Tensor, " d_model"]


@dataclass(frozen=True, eq=False)
class RankedDirection:
    """A direction with its separability (Fisher ratio) and its entanglement rho in [0, 1]."""

    direction: Direction
    fisher_ratio: float
    entanglement: float

    @property
    def score(self) -> float:
        """Fisher ratio times purity, the order in which directions are selected."""
        return self.fisher_ratio * (1.0 - self.entanglement)


@dataclass(frozen=True, eq=False)
class Round:
    """One round of edits: unit directions in the order of their score, and how strongly each acts where.

    ``strengths[i, l, k]`` scales direction ``i`` at the writers of layer ``l`` and kind ``WRITER_KINDS[k]``; 0 leaves
    that writer alone. ``strengths`` may cover fewer layers than the model has; the rest are not edited.
    """

    directions: Float[Tensor, "direction d_model"]
    strengths: Float[Tensor, "direction layer kind"]


@dataclass(frozen=True, eq=False)
class EditPlan:
    """Everything that an edit is, independent of the model object: rounds that compose in order.

    ``row_norm`` rescales each output row of every edited writer to the norm it had before (Lai 2025).
    """

    rounds: tuple[Round, ...]
    row_norm: bool = False
    source: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def from_directions(
        cls,
        directions: Mapping[int, tuple[Float[Tensor, "d_model k"], Float[Tensor, " k"]]],
        *,
        row_norm: bool = False,
    ) -> EditPlan:
        """Build a one-round plan ``{layer: (R, alpha)}`` acting on every writer of those layers.

        R (d_model, k) has unit columns and alpha (k,) their strengths.

        Raises:
            ValueError: a column is not of unit length, or the shapes of R and alpha disagree.
        """
        if not directions:
            return cls(rounds=(), row_norm=row_norm)
        rows: list[Tensor] = []
        places: list[tuple[int, Tensor]] = []
        for layer, (vectors, alpha) in sorted(directions.items()):
            vectors, alpha = vectors.float(), alpha.float()
            if layer < 0 or vectors.ndim != 2 or alpha.shape != vectors.shape[1:]:
                raise ValueError(
                    f"expected a layer >= 0, R (d_model, k) and alpha (k,), found layer {layer},"
                    f" {tuple(vectors.shape)} and {tuple(alpha.shape)}"
                )
            if not torch.allclose(vectors.norm(dim=0), torch.ones(len(alpha)), atol=UNIT_TOLERANCE):
                raise ValueError(f"expected unit columns at layer {layer}: normalise R first")
            rows += list(vectors.T)
            places += [(layer, a) for a in alpha]
        strengths = torch.zeros(len(rows), max(directions) + 1, len(WRITER_KINDS))
        for i, (layer, a) in enumerate(places):
            strengths[i, layer, :] = a
        return cls(rounds=(Round(torch.stack(rows), strengths),), row_norm=row_norm)

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits of what the edit does (not of ``source``, which only says where it came from)."""
        sha = hashlib.sha256(f"plan/1 row_norm={self.row_norm}".encode())
        for one in self.rounds:
            for tensor in (one.directions, one.strengths):
                sha.update(str(tuple(tensor.shape)).encode())
                sha.update(tensor.detach().float().contiguous().cpu().numpy().tobytes())
        return sha.hexdigest()[:DIGEST_LENGTH]

    @property
    def edited_layers(self) -> tuple[int, ...]:
        """Layers with at least one non-zero strength in any round, ascending."""
        found: set[int] = set()
        for one in self.rounds:
            found |= set(torch.nonzero(one.strengths.abs().sum(dim=(0, 2))).flatten().tolist())
        return tuple(sorted(found))


@dataclass(frozen=True)
class Estimate:
    """A measured number with its sample size and 95% interval (Wilson for rates, bootstrap for means)."""

    value: float
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class Metrics:
    """Everything measured of one edited model on one split, under one protocol.

    ``estimates`` holds every metric by name (rates in [0, 1], KL in nats); ``retained`` is the refusal rate by harm
    category. ``protocol`` is the digest of how it was measured; numbers of two protocols are never compared.
    ``drift_by_category`` is the mean KL by kind and category, ``worst_drift`` names the prompt that drifted most.
    """

    estimates: Mapping[str, Estimate]
    retained: Mapping[str, Estimate]
    protocol: str
    split: SplitName
    drift_by_category: Mapping[str, Estimate] = field(default_factory=dict)
    worst_drift: str = ""

    def __getitem__(self, name: str) -> float:
        """Return the value of a metric by name, ``nan`` never stands for a missing one."""
        return self.estimates[name].value


@dataclass(frozen=True)
class Response:
    """A greedy response to one prompt with its label and, for a refusal, the marker that fired.

    ``drift`` is the KL from the base in nats by metric (``kld``, ``kld_first``, ...), on drift prompts only.
    """

    prompt: Prompt
    text: str
    label: Literal["comply", "refuse", "degenerate", "empty", "truncated"]
    marker: str | None = None
    correct: bool | None = None
    drift: Mapping[str, float] = field(default_factory=dict)


Outcomes = Mapping[str, tuple[float, ...]]
"""Per metric one number for each prompt that counts, in the split's order: what a rate or a mean is made of."""


@dataclass(frozen=True)
class LengthCheck:
    """What a longer limit of new tokens changes: of ``n`` labels so many flip, as ``truncated -> refuse``."""

    max_new_tokens: int
    n: int
    flips: Mapping[str, int]
    rates: Mapping[str, Estimate]

    @property
    def n_flips(self) -> int:
        """How many labels flip."""
        return sum(self.flips.values())


@dataclass(frozen=True)
class FrontierPoint:
    """One finished trial as the frontier, the report and the card see it.

    ``params`` are the searched keys; ``marks`` are among aggressive, balanced, conservative;
    ``hypervolume_share`` is what the front would lose without this point, as a share of its hypervolume;
    ``report`` are the metrics on the held-out split, ``outcomes`` and ``report_outcomes`` what each prompt of the two
    splits adds, ``longer`` what a longer limit changes (front points only).
    """

    number: int
    name: str
    params: Mapping[str, object]
    tune: Metrics
    plan_digest: str
    score: float
    feasible: bool = True
    on_front: bool = False
    hypervolume_share: float = 0.0
    marks: tuple[str, ...] = ()
    report: Metrics | None = None
    outcomes: Outcomes = field(default_factory=dict)
    report_outcomes: Outcomes = field(default_factory=dict)
    longer: LengthCheck | None = None


@dataclass(frozen=True)
class CurvePoint:
    """The plain single direction at one strength: the null curve that selectivity is judged against."""

    strength: float
    tune: Metrics
    report: Metrics | None = None
    outcomes: Outcomes = field(default_factory=dict)
    report_outcomes: Outcomes = field(default_factory=dict)


@dataclass(frozen=True)
class DirectionRow:
    """One extracted direction of the unedited model, as the report draws it."""

    layer: int
    index: int
    fisher_ratio: float
    entanglement: float
    selected: bool


@dataclass(frozen=True)
class Frontier:
    """Everything that a report or a card says about one study.

    ``points`` are all finished trials in the order of their numbers. ``importances`` is objective -> key -> share.
    ``layer_fdr`` and ``directions`` describe the unedited model, with the balanced point's selection marked.
    """

    study: str
    base_model: str
    objectives: tuple[Objective, ...]
    points: tuple[FrontierPoint, ...]
    base_tune: Metrics
    base_report: Metrics | None
    hypervolume: float
    curve: tuple[CurvePoint, ...] = ()
    published: tuple[PublishedRow, ...] = ()
    importances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    layer_fdr: tuple[float, ...] = ()
    directions: tuple[DirectionRow, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    base_outcomes: Outcomes = field(default_factory=dict)
    base_report_outcomes: Outcomes = field(default_factory=dict)

    @property
    def front(self) -> tuple[FrontierPoint, ...]:
        """The Pareto-optimal points, lowest first objective first."""
        on = [point for point in self.points if point.on_front]
        first = self.objectives[0].metric
        return tuple(sorted(on, key=lambda point: (point.tune[first], point.number)))

    def marked(self, mark: str) -> FrontierPoint | None:
        """Return the point that carries a mark, ``None`` where no point does."""
        return next((point for point in self.points if mark in point.marks), None)


def digest_json(value: object) -> str:
    """Twelve hex digits of a JSON-serialisable value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def count_kinds(prompts: Sequence[Prompt]) -> dict[str, int]:
    """Number of prompts of each kind."""
    return {kind: sum(p.kind == kind for p in prompts) for kind in PROMPT_KINDS}
