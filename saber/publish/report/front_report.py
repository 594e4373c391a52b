"""The report: one page that needs no network, with the reading first, then the numbers, then the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from saber.atomic_files import write_atomically
from saber.metrics import DRIFT, REFUSAL, shown_in
from saber.publish.analysis.chat_words import chat_text
from saber.publish.analysis.neighbours import neighbour_header, neighbour_rows
from saber.publish.analysis.selective_points import SELECTIVE_HEADER, selective_rows, selective_text
from saber.publish.analysis.unmeasured import unmeasured
from saber.publish.figures import CATALOGUE, Drawing
from saber.publish.figures.behaviour import SELECTIVE
from saber.publish.report.interpretation import counting, held_out, marked_points, read_result
from saber.publish.report.page import drawn, render_page
from saber.publish.text.metric_columns import COLUMNS, Cell, cell, front_rows, short_label
from saber.publish.text.wording import (
    counted,
    estimate_text,
    is_drift,
    listed,
    mixed_protocols,
    number_text,
    objective_text,
    plain,
)
from saber.study.base_replies import label_columns, shortened
from saber.types import Estimate, Frontier, Metrics


@dataclass(frozen=True)
class Picture:
    """A figure ready for the page."""

    key: str
    title: str
    caption: str
    html: Markup


@dataclass(frozen=True)
class Headline:
    """A number in large type, and what it is."""

    what: str
    cell: Cell


@dataclass(frozen=True)
class Tile:
    """The base model or a marked point: what the study sought in large type, and beside it what it did not seek."""

    kind: str
    name: str
    sought: tuple[Headline, ...]
    beside: str


def write_report(frontier: Frontier, path: Path, commands: Sequence[str], notes: Sequence[str]) -> None:
    """Write the report of a study to one HTML file, in one move."""
    write_atomically(path, render_report(frontier, commands, notes))


def render_report(frontier: Frontier, commands: Sequence[str], notes: Sequence[str]) -> str:
    """The report as one HTML page; every name in it is escaped."""
    return render_page(
        "report.html.j2",
        frontier=frontier,
        facts=_facts(frontier),
        tiles=_tiles(frontier),
        statements=read_result(frontier),
        base_rows=frontier.base_rows,
        base_labels=label_columns(frontier.base_rows),
        shortened=shortened,
        rows=list(front_rows(frontier)),
        more_titles=[column.title for column in COLUMNS[4:]],
        neighbour_header=neighbour_header(frontier),
        neighbours=neighbour_rows(frontier),
        held_out=held_out(frontier),
        counting=counting(frontier),
        selective_text=selective_text(frontier),
        selective_header=SELECTIVE_HEADER,
        selective=selective_rows(frontier),
        pictures={drawing.key: _picture(drawing, frontier) for drawing in CATALOGUE},
        mixed_protocols=_mixed(frontier),
        commands=[plain(command) for command in commands],
        notes=[plain(note) for note in notes],
        estimate_text=estimate_text,
    )  # fmt: skip


def _picture(drawing: Drawing, frontier: Frontier) -> Picture:
    return Picture(drawing.key, drawing.title, _caption(drawing, frontier), drawn(drawing.draw(frontier), drawing.key))


def _caption(drawing: Drawing, frontier: Frontier) -> str:
    """How to read a figure, and what may mislead in this study's."""
    if drawing.key == "selectivity" and (lacking := [n for m, n in unmeasured(frontier).items() if m in SELECTIVE]):
        trials = counted(len(frontier.points), "trial")
        return f"{drawing.caption} {max(lacking)} of {trials} are not drawn: beaten ones were not measured for this."
    if drawing.key != "fdr" or frontier.massive is None:
        return drawing.caption
    layer, share = frontier.massive
    return (
        f"{drawing.caption} At layer {layer} one dimension of the stream holds {share:.0%} of the spread over prompts,"
        " and directions of most variation turn to it: edit.winsorise=0.99 clips it."
    )


def _facts(frontier: Frontier) -> list[tuple[str, str]]:
    """What was run, as names and values."""
    n_feasible = sum(point.feasible for point in frontier.points)
    facts = [
        ("base model", frontier.base_model),
        ("objectives", listed([objective_text(objective) for objective in frontier.objectives])),
        ("trials", f"{len(frontier.points)} finished, {n_feasible} feasible, {len(frontier.front)} on the front"),
        ("hypervolume", f"{frontier.hypervolume:.4f}"),
        ("tune split", _split_size(frontier.base_tune)),
    ]
    if chat := chat_text(frontier):
        facts.append(("chat format", plain(chat)))
    if frontier.base_report is not None:
        facts.append(("report split", f"{_split_size(frontier.base_report)}, held out"))
    return [*facts, ("protocol", frontier.base_tune.protocol)]


def _split_size(metrics: Metrics) -> str:
    refusal, drift = metrics.estimates.get(REFUSAL), metrics.estimates.get(DRIFT)
    sizes = [f"{refusal.n} harmful"] if refusal else []
    sizes += [f"{drift.n} for drift"] if drift else []
    return ", ".join(sizes) if sizes else "not said"


def _tiles(frontier: Frontier) -> list[Tile]:
    sought = [objective.metric for objective in frontier.objectives]
    tiles = [_tile("base model", frontier.base_model, frontier.base_tune, sought)]
    for point in marked_points(frontier):
        tiles.append(_tile(listed(list(point.marks)), point.name, point.tune, sought))
    return tiles


def _tile(kind: str, name: str, metrics: Metrics, sought: Sequence[str]) -> Tile:
    large = tuple(_headline(metric, metrics.estimates.get(metric)) for metric in sought)
    beside = [
        f"{short_label(metric)}\N{NO-BREAK SPACE}{number_text(metric, metrics[metric])}"
        for metric in shown_in("beside")  # no headline stands alone
        if metric not in sought and metric in metrics.estimates
    ]
    return Tile(kind, name, large, " · ".join(beside))


def _headline(metric: str, estimate: Estimate | None) -> Headline:
    shown = cell(metric, estimate)
    return Headline(f"{short_label(metric)}{', nats' if is_drift(metric) else f' {shown.basis}'}", shown)


def _mixed(frontier: Frontier) -> list[str]:
    """Protocols of numbers in this report that differ from the base model's own."""
    measured = [frontier.base_tune, frontier.base_report]
    for point in frontier.points:
        measured += [point.tune, point.report]
    measured += [curve_point.tune for curve_point in frontier.curve]
    return mixed_protocols(measured)
