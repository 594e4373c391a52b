"""The front as a table in the terminal and as a frame for ``frontier.csv``."""

from __future__ import annotations

from itertools import compress

import pandas as pd
from rich.table import Table
from rich.text import Text

from saber.metrics import REFUSAL, metric_of
from saber.publish.text.metric_columns import COLUMNS, Cell, Column, front_rows
from saber.publish.text.wording import MISSING, plain
from saber.types import Estimate, Frontier, FrontierPoint, Metrics

HELD_OUT = "report"  # the held-out split


def front_table(frontier: Frontier) -> Table:
    """The front in the terminal, the base model on top; a column that nothing was measured for is left out."""
    table = Table(title=Text(f"{plain(frontier.study)}: the front"), box=None, padding=(0, 1, 0, 0))
    table.add_column("point", no_wrap=True)
    rows = list(front_rows(frontier))
    measured = [any(row.cells[i].value != MISSING for row in rows) for i in range(len(COLUMNS))]
    for column in compress(COLUMNS, measured):
        title = HELD_OUT if column.split == "report" else metric_of(column.metric).short or column.title
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("score", "HV"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("marks", no_wrap=True)
    for row in rows:
        cells = [_compact(cell, column) for cell, column in compress(zip(row.cells, COLUMNS, strict=True), measured)]
        style = "dim" if row.point is None else "bold" if row.point.marks else None
        table.add_row(Text(plain(row.name)), *cells, *_judgement(row.point), style=style)
    return table


def front_frame(frontier: Frontier) -> pd.DataFrame:
    """Every number of the front with its interval, tune and report; the base model is the first row."""
    rows = [_base_record(frontier)] + [_record(point) for point in frontier.front]
    frame = pd.DataFrame(rows)
    return frame.astype({"number": "Int64"})


def _compact(cell: Cell, column: Column) -> Text:
    """A number in few characters, with the interval that matters most: the refusal rate's on the tune split."""
    if column.metric == REFUSAL:
        text = Text(cell.value)
        if cell.interval and column.split == "tune":
            low, high = cell.interval.strip("[]").split(", ")
            text.append(f" {float(low):.0f}–{float(high):.0f}", style="dim")
        return text
    return Text(f"{float(cell.value[:-1]):.0f}%" if cell.value.endswith("%") else cell.value)


def _judgement(point: FrontierPoint | None) -> tuple[str, str, str]:
    if point is None:
        return MISSING, MISSING, ""
    return f"{point.score:.4f}", f"{100 * point.hypervolume_share:.0f}%", ", ".join(point.marks)


def _base_record(frontier: Frontier) -> dict[str, object]:
    identity: dict[str, object] = {"number": None, "name": "base", "marks": "", "feasible": True}
    return identity | _numbers("tune", frontier.base_tune) | _numbers("report", frontier.base_report)


def _record(point: FrontierPoint) -> dict[str, object]:
    identity: dict[str, object] = {
        "number": point.number,
        "name": point.name,
        "marks": " ".join(point.marks),
        "feasible": point.feasible,
        "score": point.score,
        "hypervolume_share": point.hypervolume_share,
        "plan_digest": point.plan_digest,
    }
    params = {f"params.{key}": value for key, value in point.params.items()}
    return identity | params | _numbers("tune", point.tune) | _numbers("report", point.report)


def _numbers(split: str, metrics: Metrics | None) -> dict[str, object]:
    """``tune_kld``, ``tune_kld_low``, ``tune_kld_high``, ``tune_kld_n`` and so on, retained categories too."""
    if metrics is None:
        return {}
    named: dict[str, Estimate] = dict(metrics.estimates)
    named |= {f"retained.{category}": estimate for category, estimate in metrics.retained.items()}
    numbers: dict[str, object] = {f"{split}_protocol": metrics.protocol}
    for name, estimate in named.items():
        key = f"{split}_{name}"
        numbers |= {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}
        numbers[f"{key}_n"] = estimate.n
    return numbers
