"""A study as its report and its cards see it: points, the null curve, directions, the frontier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from saber.config import Objective, PublishedRow
from saber.types.measurements import BaseRow, Judgement, LengthCheck, Metrics, Outcomes, Response


@dataclass(frozen=True)
class FrontierPoint:
    """One finished trial as the frontier, the report and the card see it.

    ``params`` are the searched keys; ``marks`` are among aggressive, balanced, conservative;
    ``hypervolume_share`` is what the front would lose without this point, as a share of its hypervolume;
    ``report`` are the metrics on the held-out split, ``outcomes`` and ``report_outcomes`` what each prompt of the two
    splits adds, ``longer`` what a longer limit changes and ``judgement`` what a judge says (front points only).
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
    judgement: Judgement | None = None


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
    ``layer_fdr`` and ``directions`` describe the unedited model, with the balanced point's selection marked, and
    ``base_rows`` its replies to the tune prompts by kind. ``massive`` is the layer where one dimension of the stream
    has the largest share of the spread over prompts, and that share, where it has most of it.
    ``thinking_aloud`` are a few of the base's replies to harmless prompts with what it thought before, where it thinks.
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
    base_rows: tuple[BaseRow, ...] = ()
    massive: tuple[int, float] | None = None
    thinking_aloud: tuple[Response, ...] = ()

    @property
    def front(self) -> tuple[FrontierPoint, ...]:
        """The Pareto-optimal points, lowest first objective first."""
        on = [point for point in self.points if point.on_front]
        first = self.objectives[0].metric
        return tuple(sorted(on, key=lambda point: (point.tune[first], point.number)))

    def marked(self, mark: str) -> FrontierPoint | None:
        """Return the point that carries a mark, ``None`` where no point does."""
        return next((point for point in self.points if mark in point.marks), None)
