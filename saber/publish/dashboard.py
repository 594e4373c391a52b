"""What optuna-dashboard shows of a study: a note with the front and the commands, and our front as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna_dashboard import save_note, save_plotly_graph_object

from saber.config import Config
from saber.metrics import DRIFT, REFUSAL
from saber.publish.figures import front_figure
from saber.redaction import masked, public
from saber.study.context import study_folder
from saber.study.store.storage import storage_url
from saber.types import Frontier

FIGURE_ID = "saber-front"


def dress_dashboard(study: optuna.Study, frontier: Frontier, commands: Sequence[str]) -> None:
    """Write the note and the figure into the study's database."""
    save_note(study, front_note(frontier, commands))
    save_plotly_graph_object(study, front_figure(frontier), graph_object_id=FIGURE_ID)


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
