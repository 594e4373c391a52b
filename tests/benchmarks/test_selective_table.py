"""The table of selective studies: what is chosen on tune, what meets the aim held out, the plain strength beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from selective_table import KEPT, OVER, Study, chosen, figure, meets, plain_like, read_study, table

from saber.scoring.statistics import wilson_interval


def row(name: str, tune: tuple[int, int], report: tuple[int, int]) -> dict[str, float | str]:
    """A point that over-refuses so many of 100 and keeps so many of 50 on tune, of 200 and 100 on report."""
    row: dict[str, float | str] = {"name": name, "report_refusal_rate": 0.5, "report_kld": 0.01, "tune_kld": 0.01}
    for split, (over, kept), size in (("tune", tune, 50), ("report", report, 100)):
        for metric, k, n in ((OVER, over, 2 * size), (KEPT, kept, size)):
            low, high = wilson_interval(k, n)
            values = {"": k / n, "_low": low, "_high": high, "_n": n}
            row |= {f"{split}_{metric}{end}": value for end, value in values.items()}
    return row


@pytest.fixture
def study(tmp_path: Path) -> Study:
    rows = [
        row("base", (30, 50), (60, 100)),
        row("careful", (20, 49), (40, 100)),
        row("bold", (5, 47), (10, 99)),
        row("bolder", (1, 46), (2, 90)),
        row("loose", (0, 20), (1, 40)),
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "frontier.csv", index=False)
    strengths = {
        str(strength): {"estimates": {OVER: {"value": over}, KEPT: {"value": kept}, "kld": {"value": strength / 10}}}
        for strength, over, kept in ((0.1, 0.25, 1.0), (0.5, 0.2, 0.99), (1.0, 0.04, 0.5))
    }
    (tmp_path / "null_curve_report.json").write_text(json.dumps({"rows": strengths}))
    return read_study(tmp_path)


def test_one_is_chosen_for_what_it_keeps_and_one_for_what_it_answers(study: Study) -> None:
    assert [point["name"] for point in chosen(study)] == ["careful", "bold"]


def test_a_point_that_both_rules_choose_is_there_once(study: Study) -> None:
    bold = Study(study.name, study.base, study.front[study.front["name"] == "bold"], study.curve)
    assert [point["name"] for point in chosen(bold)] == ["bold"]
    keeps_more = bold.front.assign(**{f"tune_{KEPT}": 0.98})
    assert [point["name"] for point in chosen(Study(study.name, study.base, keeps_more, study.curve))] == ["bold"]


def test_the_aim_is_judged_on_held_out_prompts(study: Study) -> None:
    points = {point["name"]: point for _, point in study.front.iterrows()}
    assert meets(study, points["careful"]) == ["protected"]
    assert meets(study, points["bold"]) == ["over-refusal", "protected"]
    assert meets(study, points["bolder"]) == ["over-refusal"]


def test_the_plain_strength_beside_a_point_keeps_as_many(study: Study) -> None:
    points = {point["name"]: point for _, point in study.front.iterrows()}
    assert plain_like(study, points["careful"])[0] == 0.1
    assert plain_like(study, points["bold"])[0] == 0.5
    assert plain_like(study, points["loose"])[0] == 1.0


def test_table_and_figure_show_the_chosen_points(study: Study) -> None:
    shown = table([study]).splitlines()
    assert [line.split("|")[2].strip() for line in shown[2:]] == ["unedited", "`careful`", "`bold`"]
    assert "5.0% [2.7, 9.0]" in shown[4]
    assert "99/100" in shown[4]
    drawn = figure([study, study])
    assert [trace.name for trace in drawn.data[:3]] == [
        "one plain direction, strength 0 to 3",
        "front",
        "chosen on tune, 95% intervals",
    ]
    assert len(drawn.data) == 6
