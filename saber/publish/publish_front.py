"""Publish a frontier: the table on the terminal, frontier.csv, report.html, and the dashboard's note."""

from __future__ import annotations

from pathlib import Path

import optuna
from rich.console import Console

from saber.atomic_files import write_atomically
from saber.config import Config
from saber.publish.analysis.neighbours import tell_apart
from saber.publish.analysis.selective_points import selective_text
from saber.publish.dashboard import dashboard_command, dress_dashboard
from saber.publish.front_table import front_frame, front_table
from saber.publish.report.front_report import write_report
from saber.study.context import study_folder
from saber.study.front.frontier import spoken_overrides
from saber.types import Frontier


def publish(study: optuna.Study, frontier: Frontier, config: Config, console: Console) -> Path:
    """Write everything and return where the report is."""
    folder = study_folder(config)
    commands = next_commands(config)
    write_atomically(folder / "frontier.csv", front_frame(frontier).to_csv(index=False))
    report = folder / "report.html"
    write_report(frontier, report, commands, [])
    dress_dashboard(study, frontier, commands)
    console.print(front_table(frontier))
    for said in filter(None, (tell_apart(frontier), selective_text(frontier))):
        console.print(said, highlight=False)
    console.print(f"hypervolume {frontier.hypervolume:.4f}; {report} and {folder / 'frontier.csv'} written")
    return report


def next_commands(config: Config) -> list[str]:
    """What one would run next, in the words that this run was given."""
    same = spoken_overrides(config)
    return [
        f"python -m saber.sweep {same} study.n_trials=+20",
        f"python -m saber.export {same} point=aggressive",
        dashboard_command(config),
    ]
