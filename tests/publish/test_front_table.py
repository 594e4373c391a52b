"""The front in the terminal and as a CSV."""

from __future__ import annotations

import dataclasses
import io

import pandas as pd
import pytest
from rich.console import Console

from saber.publish.front_table import front_frame, front_table
from saber.types import Frontier


def shown(frontier: Frontier, width: int = 120) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(front_table(frontier))
    return console.export_text()


def test_table_has_the_base_first_then_the_front(frontier: Frontier) -> None:
    lines = shown(frontier).splitlines()
    names = [line.split()[0] for line in lines[2:]]
    assert names == ["base", *(point.name for point in frontier.front)]
    assert "0.0% 0–7" in lines[3]
    assert "aggressive" in lines[3]


def test_table_fits_a_hundred_columns(frontier: Frontier) -> None:
    assert "…" not in shown(frontier, width=100)


def test_names_are_not_markup(frontier: Frontier) -> None:
    points = tuple(dataclasses.replace(point, name="[red]x[/red]") for point in frontier.points)
    assert "[red]x[/red]" in shown(dataclasses.replace(frontier, points=points))


def test_frame_keeps_every_number_through_csv(frontier: Frontier) -> None:
    frame = front_frame(frontier)
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert list(again["name"]) == ["base", *(point.name for point in frontier.front)]
    for i, point in enumerate(frontier.front, start=1):
        assert point.report is not None
        for split, metrics in (("tune", point.tune), ("report", point.report)):
            for name, estimate in metrics.estimates.items():
                key = f"{split}_{name}"
                cells = [float(again[column].iloc[i]) for column in (key, f"{key}_low", f"{key}_high", f"{key}_n")]
                assert cells == pytest.approx([estimate.value, estimate.low, estimate.high, estimate.n])
        assert again.loc[i, "number"] == point.number
    assert "tune_retained.poisoning" in again


def test_bare_study(bare: Frontier) -> None:
    assert "—" in shown(bare)
    assert list(front_frame(bare)["name"]) == ["base", "point"]
