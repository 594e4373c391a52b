"""What optuna-dashboard shows of a study: a note with the front and the commands, and our front as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import optuna
import plotly.graph_objects as go
from optuna_dashboard import save_note, save_plotly_graph_object

from saber.config import Config
from saber.metrics import DRIFT, REFUSAL
from saber.publish.figures import front_figure
from saber.redaction import masked, public
from saber.study.context import study_folder
from saber.study.store.storage import storage_url
from saber.types import Frontier

FIGURE_ID = "saber-front"
ROOM_BELOW = 0.06  # share of the y range, for the words under the lowest points of a low figure
CARD_HEIGHT = 450  # pixels, as optuna-dashboard gives every figure
LEGEND_UNDER = {
    "orientation": "h", "x": 0, "y": 0, "yref": "container", "xanchor": "left", "yanchor": "bottom",
    "font": {"size": 10}, "entrywidth": 0, "tracegroupgap": 0,
}  # fmt: skip


def dress_dashboard(study: optuna.Study, frontier: Frontier, commands: Sequence[str]) -> None:
    """Write the note and the figure into the study's database."""
    save_note(study, front_note(frontier, commands))
    save_plotly_graph_object(study, card_figure(frontier), graph_object_id=FIGURE_ID)


def card_figure(frontier: Frontier) -> go.Figure:
    """Our front as it fits a card of the dashboard: its whole height, and a legend under it as a card is narrow."""
    figure = front_figure(frontier)
    figure.update_layout(height=CARD_HEIGHT, margin={"l": 56, "r": 12, "t": 34, "b": 150}, legend=LEGEND_UNDER)
    for buttons in figure.layout.updatemenus:  # the dashboard's own stand on the right
        buttons.update(x=0, xanchor="left")
    if figure.layout.yaxis.range is not None:
        low, high = figure.layout.yaxis.range
        figure.update_yaxes(range=[low - ROOM_BELOW * (high - low), high])
    return figure


def front_note(frontier: Frontier, commands: Sequence[str]) -> str:
    """The front as a Markdown table, with what to run next."""
    rows = [
        f"| {point.name} | {point.tune[REFUSAL]:.3f} | {point.tune[DRIFT]:.4f} | {point.score:.4f}"
        f" | {', '.join(point.marks)} |"
        for point in frontier.front
    ]
    lines = [
        f"# {frontier.study}: {len(frontier.front)} Pareto points of {len(frontier.points)} trials",
        "",
        "| point | refusal rate | KLD (nats) | score | |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "The dashboard knows no constraints: `feasible` is a user attribute of each trial.",
        "",
        *(f"    {public(command)}" for command in commands),
    ]
    return "\n".join(lines)


def dashboard_command(config: Config) -> str:
    """The command that inspects this study on this machine only; a password is left to be put in."""
    artifacts = Path(study_folder(config)) / "artifacts"
    return f"optuna-dashboard {masked(storage_url(config))} --artifact-dir {artifacts} --host 127.0.0.1"
