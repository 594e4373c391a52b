"""What a cell's numbers come to: fronts chosen on tune, their hypervolumes on both splits, equal wall time.

A point is a mapping of metric names to values. A cell is a line of ``front.jsonl``: ``trials`` with their numbers on
tune, ``report`` with those of the points chosen on tune, by trial number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from front_intervals import ratio

from saber.scoring.pareto import hypervolume, pareto_mask

Point = Mapping[str, float]
Row = Mapping[str, Any]

KLDS = ("response", "first", "prompt")
REFERENCES: Mapping[str, tuple[float, float]] = {"0.1": (1.0, 0.1), "0.5": (1.0, 0.5)}
SPLITS = ("tune", "report")
SHOWN = (("report", "response", "0.1"), ("report", "first", "0.5"))  # ours, and the prototypes'


def plane(points: Sequence[Point], kld: str) -> np.ndarray:
    """Refusal rate and one KLD of each point."""
    return np.array([[point["refusal_rate"], point[f"kld_{kld}"]] for point in points]).reshape(-1, 2)


def front_of(trials: Sequence[Mapping[str, Any]], kld: str) -> list[int]:
    """Numbers of the trials that no other beats on tune; of equal ones the first."""
    values = plane([trial["tune"] for trial in trials], kld)
    if not len(values):
        return []
    on_front = np.flatnonzero(pareto_mask(values, ["minimize", "minimize"]))
    _, first = np.unique(values[on_front], axis=0, return_index=True)
    return sorted(int(trials[on_front[i]]["number"]) for i in first)


def chosen(trials: Sequence[Mapping[str, Any]]) -> list[int]:
    """Every trial that is on the tune front for at least one of the three KLDs."""
    return sorted({number for kld in KLDS for number in front_of(trials, kld)})


def front_points(row: Row, split: str, kld: str) -> list[Point]:
    """The points on a cell's tune front for this KLD, as measured on a split."""
    tune = {trial["number"]: trial["tune"] for trial in row["trials"]}
    report = {int(number): point for number, point in row["report"].items()}
    return [(tune if split == "tune" else report)[number] for number in front_of(row["trials"], kld)]


def hypervolumes(row: Row) -> dict[str, dict[str, dict[str, float]]]:
    """By split, KLD and reference: the volume of the front chosen on tune for that KLD."""
    return {
        split: {
            kld: {
                name: hypervolume(plane(front_points(row, split, kld), kld), np.array(reference))
                for name, reference in REFERENCES.items()
            }
            for kld in KLDS
        }
        for split in SPLITS
    }


def course(row: Row, kld: str, reference: str) -> list[float]:
    """The hypervolume on tune after each trial; numbers of trials that failed count too."""
    volumes: list[float] = []
    for n in range(1, row["n_trials"] + 1):
        until = [trial["tune"] for trial in row["trials"] if trial["number"] < n]
        volumes.append(hypervolume(plane(until, kld), np.array(REFERENCES[reference])))
    return volumes


def scored(row: Row) -> dict[str, Any]:
    """A cell without its trials, with what they come to."""
    kept = {name: value for name, value in row.items() if name not in ("trials", "report")}
    return kept | {
        "n_front": len(row["report"]),
        "hypervolume": hypervolumes(row),
        "course": {f"{kld} {reference}": course(row, kld, reference) for _, kld, reference in SHOWN},
    }


def within_time(row: Row, seconds: float, shown: str) -> float:
    """The hypervolume on tune that a cell had after so many seconds of search, its trials taken as equally long.

    A cell that was done by then is taken as it ended, which is less than it could have reached.
    """
    n = min(int(seconds / (row["search_s"] / row["n_trials"])), row["n_trials"])
    return float(row["course"][shown][n - 1]) if n else 0.0


def at_equal_time(rows: Sequence[Row], method: str, other: str, shown: str) -> tuple[float, float, float] | None:
    """A method's hypervolume on tune when the other's search had ended, over what that had then."""
    theirs = {(row["organism"], row["seed"]): row for row in rows if row["method"] == other}
    ours = {
        cell: within_time(row, theirs[cell]["search_s"], shown)
        for row in rows
        if row["method"] == method and (cell := (row["organism"], row["seed"])) in theirs
    }
    return ratio(ours, {cell: row["course"][shown][-1] for cell, row in theirs.items()})


def by_cell(rows: Sequence[Row], method: str, split: str, kld: str, reference: str) -> dict[tuple[str, int], float]:
    """A method's hypervolumes by organism and search seed."""
    return {
        (row["organism"], row["seed"]): row["hypervolume"][split][kld][reference]
        for row in rows
        if row["method"] == method
    }
