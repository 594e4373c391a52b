"""The columns of the front's table, said once for the terminal, the report and the CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from saber.metrics import METRICS, Place, metric_of
from saber.publish.text.wording import MISSING, count_text, interval_text, is_rate, number_text
from saber.types import Estimate, Frontier, FrontierPoint, Metrics, SplitName

SPLIT_OF: Mapping[Place, SplitName] = {"tune": "tune", "held_out": "report"}


@dataclass(frozen=True)
class Column:
    """A measured column: its group's title, and the metric on the split it shows."""

    title: str
    metric: str
    split: SplitName


@dataclass(frozen=True)
class Cell:
    """A number as shown: the value, its interval, what it rests on."""

    value: str
    interval: str = ""
    basis: str = ""


@dataclass(frozen=True)
class Row:
    """A row of the front's table; ``point`` is ``None`` for the base model."""

    name: str
    cells: tuple[Cell, ...]
    point: FrontierPoint | None


COLUMNS: tuple[Column, ...] = tuple(
    Column(metric.title, metric.name, split)
    for metric in METRICS
    for place, split in SPLIT_OF.items()
    if place in metric.places
)


def short_label(metric: str) -> str:
    """A metric's name as the head of a column, its full name where it has none."""
    row = metric_of(metric)
    return row.title or row.label


def front_rows(frontier: Frontier) -> Iterator[Row]:
    """The base model, then the front, lowest first objective first."""
    yield Row("base model", _cells(frontier.base_tune, frontier.base_report), None)
    for point in frontier.front:
        yield Row(point.name, _cells(point.tune, point.report), point)


def cell(metric: str, estimate: Estimate | None) -> Cell:
    """An estimate taken apart for a table, a dash where it was not measured."""
    if estimate is None:
        return Cell(MISSING)
    basis = count_text(estimate) if is_rate(metric) else f"n = {estimate.n}"
    return Cell(number_text(metric, estimate.value), interval_text(metric, estimate), basis)


def _cells(tune: Metrics, report: Metrics | None) -> tuple[Cell, ...]:
    splits = {"tune": tune, "report": report}
    cells: list[Cell] = []
    for column in COLUMNS:
        metrics = splits[column.split]
        cells.append(cell(column.metric, metrics.estimates.get(column.metric) if metrics else None))
    return tuple(cells)
