"""Two checkpoints side by side: a table with paired differences, what can't be told apart, and all of it as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from saber.atomic_files import write_atomically
from saber.config import Config
from saber.lm.evaluation.measurement import Measured
from saber.lm.evaluation.outcomes import outcomes_of
from saber.publish.text.wording import interval_text, label, listed, number_text, plain
from saber.scoring.paired import PairedDifference, paired_difference
from saber.study.context import study_folder
from saber.study.front.checkpoint_comparison import BASE, measure_checkpoints
from saber.study.store.records import metrics_to_json
from saber.types import Metrics, SplitName, UserError

N_RESAMPLES = 2000


def compare(config: Config, console: Console) -> Path:
    """Measure ``checkpoint`` and ``against``, print them side by side, and return where the JSON is.

    Raises:
        UserError: there is no checkpoint, it is compared with itself, or one cannot be measured under the profile.
    """
    checkpoint, other = config.checkpoint, config.against or BASE
    if checkpoint is None or checkpoint == other:
        raise UserError(f"expected checkpoint=<folder or hub id> other than against, found {checkpoint or 'none'}")
    measured = measure_checkpoints(config, [checkpoint, other])
    splits: dict[SplitName, Any] = {}
    for split in config.splits:
        a, b = measured[checkpoint][split], measured[other][split]
        compared = differences(a, b)
        console.print(_table(f"{plain(checkpoint)} and {plain(other)} on {split}", a.metrics, b.metrics, compared))
        console.print(Text(verdict(compared)))
        splits[split] = {
            "checkpoint": metrics_to_json(a.metrics),
            "against": metrics_to_json(b.metrics),
            "differences": {name: _difference_json(difference) for name, difference in compared.items()},
        }
    about = {"checkpoint": checkpoint, "against": other, "profile": config.evaluate.profile, "splits": splits}
    names = "-vs-".join(Path(name).name for name in (checkpoint, other))
    path = study_folder(config) / "evaluations" / f"{names}-{config.evaluate.profile}.json"
    write_atomically(path, json.dumps(about, indent=2) + "\n")
    console.print(Text(f"{path} written"), soft_wrap=True)
    return path


def differences(a: Measured, b: Measured) -> dict[str, PairedDifference]:
    """The mean of a - b by metric, paired by prompt; only metrics that are made of prompts have one."""
    ours, theirs = outcomes_of(a.responses), outcomes_of(b.responses)
    return {
        name: paired_difference(np.array(ours[name]), np.array(theirs[name]), n_resamples=N_RESAMPLES, seed=0)
        for name in a.metrics.estimates
        if name in ours and name in theirs and np.isfinite([*ours[name], *theirs[name]]).all()
    }


def verdict(compared: Mapping[str, PairedDifference]) -> str:
    """Which metrics tell the two apart and which do not, in a sentence."""
    same = [label(name) for name, difference in compared.items() if not difference.is_distinct]
    if not same:
        return "Every metric tells the two apart."
    if len(same) == len(compared):
        return "The two can't be told apart by any metric on these prompts."
    return f"The two can't be told apart by {listed(same)} on these prompts."


def _table(title: str, a: Metrics, b: Metrics, compared: Mapping[str, PairedDifference]) -> Table:
    table = Table("metric", "n", "checkpoint", "95%", "against", "95%", "difference", "95%", "apart", title=Text(title))
    for name, estimate in a.estimates.items():
        other = b.estimates[name]
        row = [label(name), str(estimate.n), number_text(name, estimate.value), interval_text(name, estimate)]
        row += [number_text(name, other.value), interval_text(name, other)]
        table.add_row(*row, *_difference_cells(name, compared.get(name)))
    return table


def _difference_cells(name: str, difference: PairedDifference | None) -> tuple[str, str, str]:
    if difference is None:
        return "", "", ""
    return (
        number_text(name, difference.estimate.value),
        interval_text(name, difference.estimate),
        "yes" if difference.is_distinct else "no",
    )


def _difference_json(difference: PairedDifference) -> dict[str, float | int | bool | None]:
    estimate = difference.estimate
    numbers = {"value": estimate.value, "n": estimate.n, "low": estimate.low, "high": estimate.high}
    return {**numbers, "p_exact": difference.p_exact, "is_distinct": difference.is_distinct}
