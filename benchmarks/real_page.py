"""The tables and the figure of ``real_model.py``: least held-out drift at so many refusals, and fronts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative
from real_cells import BUDGET, LEVELS, least_drift, surest
from real_methods import EVERY_METHOD

from saber.publish.figures.theme import styled

Row = Mapping[str, Any]


def point_at(row: Row, level: float) -> tuple[Mapping[str, float], Mapping[str, float]] | None:
    """Tune and report numbers of the point that a cell has at a level of refusals, chosen on tune."""
    return on_both_splits(row, least_drift(row["trials"], level))


def on_both_splits(row: Row, point: Row | None) -> tuple[Mapping[str, float], Mapping[str, float]] | None:
    """A chosen point's tune and report numbers."""
    return None if point is None else (point["tune"], row["report"][str(point["number"])])


def by_method(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The cells of each method, in the order of the list."""
    kept = list(rows)
    grouped = {method: [row for row in kept if row["method"] == method] for method in EVERY_METHOD}
    return {method: cells for method, cells in grouped.items() if cells}


def level_table(rows: Sequence[Row], kld: str) -> str:
    """A row a method: held-out KLD and refusals of the point of least drift at each level, mean over search seeds."""
    lines = [
        "| method | cells | " + " | ".join(f"<= {level:.0%}" for level in LEVELS) + " |",
        "|---|---|" + "---|" * len(LEVELS),
    ]
    for method, own in by_method(rows).items():
        cells = []
        for level in LEVELS:
            points = [point[1] for row in own if (point := point_at(row, level)) is not None]
            cells.append(
                f"{mean(p[kld] for p in points):.4f} ({mean(p['refusal_rate'] for p in points):.0%})"
                + (f", {len(points)} of {len(own)}" if len(points) < len(own) else "")
                if points
                else "none"
            )
        lines.append(f"| {method} | {len(own)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def side_table(rows: Sequence[Row], at: Callable[[Sequence[Row]], Row | None]) -> str:
    """What else a held-out point of each cell does: first-token and prompt KLD, over-refusal, capability."""
    names = ("refusal_rate", "kld_response", "kld_first", "kld_prompt", "over_refusal_rate", "capability")
    lines = ["| method | seed | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for method, cells in by_method(rows).items():
        for row in cells:
            point = on_both_splits(row, at(row["trials"]))
            values = ["none"] * len(names) if point is None else [_shown(name, point[1]) for name in names]
            lines.append(f"| {method} | {row['seed']} | " + " | ".join(values) + " |")
    base = rows[0]["base"]["report"]
    lines.append("| the base | | " + " | ".join(_shown(name, base) for name in names) + " |")
    return "\n".join(lines)


def _shown(name: str, numbers: Mapping[str, float]) -> str:
    if name not in numbers:
        return "-"
    return f"{numbers[name]:.4f}" if name.startswith("kld") else f"{numbers[name]:.1%}"


def page(rows: Sequence[Row]) -> str:
    """The tables as Markdown."""
    parts = [f"Held-out {kld}, least at <= r refusals on tune (held-out refusals)\n\n{level_table(rows, kld)}"
             for kld in ("kld_response", "kld_first", "kld_prompt")]  # fmt: skip
    parts += [
        f"Held-out numbers of the point at <= {level:.0%}\n\n{side_table(rows, partial(least_drift, level=level))}"
        for level in (0.02, 0.1)
    ]
    parts.append(f"Held-out numbers of the surest point within {BUDGET} nats\n\n{side_table(rows, surest)}")
    return "\n\n".join(parts) + "\n"


def figure(rows: Sequence[Row]) -> go.Figure:
    """Held-out refusals against response KLD of the points at all levels, a line a cell, coloured by method."""
    drawn = go.Figure()
    for (method, cells), colour in zip(by_method(rows).items(), qualitative.Dark24, strict=False):
        for i, row in enumerate(cells):
            points = sorted(
                ((p["kld_response"], p["refusal_rate"]) for p in row["report"].values()), key=lambda p: (p[0], -p[1])
            )
            drawn.add_trace(
                go.Scatter(
                    x=[max(kld, 1e-4) for kld, _ in points],
                    y=[rate for _, rate in points],
                    mode="lines+markers",
                    name=method,
                    legendgroup=method,
                    showlegend=i == 0,
                    line={"color": colour, "width": 1.5},
                )
            )
    styled(drawn, height=560)
    drawn.update_xaxes(type="log", title="held-out KLD of response positions (nats)")
    drawn.update_yaxes(tickformat=".0%", rangemode="tozero", title="held-out refusals of harmful prompts")
    return drawn


def write_page(rows: Sequence[Row], out: Path) -> None:
    """Write ``real_model.md`` and ``real_model.html``."""
    (out / "real_model.md").write_text(page(rows), encoding="utf-8")
    (out / "real_model.html").write_text(
        str(figure(rows).to_html(include_plotlyjs=True, config={"displayModeBar": False})), encoding="utf-8"
    )
