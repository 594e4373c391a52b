"""Publish a frontier: the table on the terminal, frontier.csv, report.html, and the dashboard's note."""

from __future__ import annotations

from pathlib import Path

import optuna
from rich.console import Console

from saber.atomic_files import write_atomically
from saber.config import Config
from saber.lm.editing.plan_file import load_plan
from saber.publish.analysis.harmless_refusals import harmless_text
from saber.publish.analysis.neighbours import tell_apart
from saber.publish.analysis.selective_points import selective_text
from saber.publish.analysis.unmeasured import unmeasured_text
from saber.publish.dashboard import dashboard_command, dress_dashboard
from saber.publish.front_table import front_frame, front_table
from saber.publish.report.front_report import write_report
from saber.study.context import study_folder
from saber.study.front.study_front import spoken_overrides
from saber.study.store.records import plan_path
from saber.types import Frontier


def publish(study: optuna.Study, frontier: Frontier, config: Config, console: Console) -> Path:
    """Write everything and return where the report is."""
    folder = study_folder(config)
    commands = next_commands(config)
    idle = [f"{name} edits nothing: every strength is 0." for name in idle_points(frontier, folder)]
    write_atomically(folder / "frontier.csv", front_frame(frontier).to_csv(index=False))
    report = folder / "report.html"
    write_report(frontier, report, commands, idle)
    dress_dashboard(study, frontier, commands)
    console.print(front_table(frontier))
    for said in filter(
        None,
        (
            *map(_warning, idle),
            _warning(harmless_text(frontier)),
            tell_apart(frontier),
            selective_text(frontier),
            unmeasured_text(frontier),
        ),
    ):
        console.print(said, highlight=False)
    console.print(f"hypervolume {frontier.hypervolume:.4f}; {report} and {folder / 'frontier.csv'} written")
    return report


def idle_points(frontier: Frontier, folder: Path) -> list[str]:
    """The front points whose plan has no strength anywhere: the base model by another name."""
    plans = {point.name: plan_path(folder, point.plan_digest) for point in frontier.front}
    return [name for name, path in plans.items() if path.exists() and not load_plan(path).edited_layers]


def _warning(text: str) -> str:
    return f"warning: {text}" if text else ""


def next_commands(config: Config) -> list[str]:
    """What one would run next, in the words that this run was given."""
    same = spoken_overrides(config)
    return [
        f"python -m saber.sweep {same} study.n_trials=+20",
        f"python -m saber.export {same} point=aggressive",
        dashboard_command(config),
    ]
