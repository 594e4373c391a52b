"""Publish several studies together: one page, one CSV, and a table on the terminal."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from saber.atomic_files import write_atomically
from saber.config import Config
from saber.publish.figures.overlay import overlay_figure
from saber.publish.report.page import drawn, render_page
from saber.publish.text.wording import counted, label, listed, number_text, objective_text, plain
from saber.study.context import study_folder
from saber.study.front.comparisons import StudyFront, StudyFronts
from saber.types import digest_json

LONGEST_NAME = 80
HEADER = ("study", "trials", "front", "hypervolume")


def publish_overlay(fronts: StudyFronts, config: Config, console: Console) -> Path:
    """Write the page and the CSV, print the table, and return where the page is."""
    page = overlay_path(fronts, config)
    write_atomically(page, render_overlay(fronts))
    write_atomically(page.with_suffix(".csv"), front_rows(fronts).to_csv(index=False))
    table = Table(title="fronts side by side", box=None, padding=(0, 1, 0, 0))
    for name in (*HEADER, *(f"best {objective.metric}" for objective in fronts.objectives)):
        table.add_column(name, justify="left" if name == "study" else "right", no_wrap=True)
    for study in fronts.studies:
        table.add_row(*(Text(text) for text in summary_row(study, fronts)))
    console.print(table)
    console.print(volume_text(fronts), highlight=False)
    console.print(f"{page} and {page.with_suffix('.csv').name} written", highlight=False, soft_wrap=True)
    return page


def overlay_path(fronts: StudyFronts, config: Config) -> Path:
    """``<study.dir>/compared/<names>.html``, a digest in place of names that are too long together."""
    names = [study.study for study in fronts.studies]
    name = "+".join(names)
    name = name if len(name) <= LONGEST_NAME else f"{len(names)}-studies-{digest_json(names)}"
    return study_folder(config).parent / "compared" / f"{name}.html"


def render_overlay(fronts: StudyFronts) -> str:
    """The page; every name in it is escaped."""
    return render_page(
        "overlay.html.j2",
        title=", ".join(plain(study.study) for study in fronts.studies),
        objectives=listed([objective_text(objective) for objective in fronts.objectives]),
        metrics=[label(objective.metric) for objective in fronts.objectives],
        header=HEADER,
        rows=[summary_row(study, fronts) for study in fronts.studies],
        points=[
            (plain(study.study), point.name, [number_text(o.metric, point.tune[o.metric]) for o in fronts.objectives])
            for study in fronts.studies
            for point in study.front
        ],
        volume=volume_text(fronts),
        prompts=prompts_text(fronts),
        figure=drawn(overlay_figure(fronts), "overlay"),
    )


def summary_row(study: StudyFront, fronts: StudyFronts) -> list[str]:
    """A study's name, sizes, hypervolume, and the best it reached in each objective."""
    best = []
    for objective in fronts.objectives:
        values = [point.tune[objective.metric] for point in study.front]
        best.append(number_text(objective.metric, min(values) if objective.direction == "minimize" else max(values)))
    return [plain(study.study), str(study.n_trials), str(len(study.front)), f"{study.hypervolume:.4f}", *best]


def volume_text(fronts: StudyFronts) -> str:
    """Mean and spread of the hypervolumes in one line."""
    volumes = fronts.hypervolumes
    return (
        f"Hypervolume of {len(volumes)} studies: mean {volumes.mean():.4f},"
        f" standard deviation {fronts.spread:.4f}, {volumes.min():.4f} to {volumes.max():.4f}"
    )


def prompts_text(fronts: StudyFronts) -> str:
    """Whether a difference between two lines can come from other prompts or another model."""
    n_models = len({study.model for study in fronts.studies})
    if fronts.same_prompts and n_models == 1:
        return "All studies measured the same model on the same prompts: what differs is the search."
    prompts = "the same prompts" if fronts.same_prompts else "prompts of their own"
    models = "one model" if n_models == 1 else counted(n_models, "model")
    return (
        f"The studies share the settings of their protocol and their objectives, and measured {models} on {prompts}:"
        " compare how far the fronts spread, not point with point."
    )


def front_rows(fronts: StudyFronts) -> pd.DataFrame:
    """Every front point of every study with its objectives and their intervals."""
    rows = []
    for study in fronts.studies:
        for point in study.front:
            row: dict[str, object] = {
                "study": study.study,
                "hypervolume": study.hypervolume,
                "protocol": study.protocol,
            }
            row |= {"number": point.number, "name": point.name}
            for objective in fronts.objectives:
                estimate = point.tune.estimates[objective.metric]
                row |= {objective.metric: estimate.value, f"{objective.metric}_low": estimate.low}
                row |= {f"{objective.metric}_high": estimate.high}
            rows.append(row)
    return pd.DataFrame(rows)
