"""The findings' tables and figures, of hand-made cells whose numbers are known."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import findings
import pytest
import torch
from end_drift import composed_of, placed, shown, shown_places
from findings import curses, ends, fronts, main, reached, rows_of
from findings_few import by_organism_table, few_by_cell, numbers_table
from findings_figures import figures
from findings_numbers import curse, end, end_number, few, within
from findings_text import share, short
from front import ROWS
from front_score import hypervolumes

from saber.types import Prompt, Response


def point(refusal: float, kld: float) -> dict[str, float]:
    """A point whose KLDs are alike."""
    drift = {f"kld_{name}": kld for name in ("response", "first", "prompt")}
    return {"refusal_rate": refusal, "capability": 0.9 - kld, "degenerate_rate": 0.0, **drift}


def cell(method: str, organism: str, best: float, seed: int = 0) -> dict[str, Any]:
    """A cell whose front ends at so many refusals on report for .02 nats, and at 0 on tune."""
    tune = [point(0.5, 0.004), point(0.0, 0.02), point(0.6, 0.03), point(0.0, 0.9)]
    report = {"0": point(0.4, 0.005), "1": point(best, 0.02)}
    base = {split: point(1.0, 0.0) for split in ("tune", "report")}
    about = {"method": method, "organism": organism, "seed": seed, "n_trials": 4, "search_s": 1.0, "base": base}
    row = about | {"trials": [{"number": i, "tune": metrics} for i, metrics in enumerate(tune)], "report": report}
    return row | {"hypervolume": hypervolumes(row)}


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """Four organisms; SABER leaves 0 to 3% where Heretic leaves 20%, once each but for SABER on the first."""
    ours = [cell("saber-inputs", f"seed{i}", 0.01 * i) for i in range(4)] + [cell("saber-inputs", "seed0", 0.0, seed=1)]
    theirs = [cell("heretic", f"seed{i}", 0.2) for i in range(4)]
    return [*ours, *theirs, cell("no-centre", "seed1", 0.05)]


def test_the_end_is_the_least_refusals_of_least_drift_that_anyone_would_choose() -> None:
    row = cell("saber-inputs", "a", 0.03)
    assert end(row)[0]["kld_response"] == 0.02
    assert end_number(row) == 1
    assert within(row, 0.05) == 0.03
    assert within(row, 0.01) == 0.4
    assert within(row, 0.001) == 1.0  # the base


def test_a_front_that_moves_nothing_ends_at_the_base() -> None:
    row = cell("saber-inputs", "a", 0.0)
    row |= {"trials": [{"number": 0, "tune": point(0.0, 0.9)}], "report": {"0": point(0.0, 0.9)}}
    assert end(row) == (row["base"]["tune"], row["base"]["report"])
    with pytest.raises(ValueError, match="expected a point on the front"):
        end_number(row)


def test_the_curse_is_report_minus_tune() -> None:
    cursed = curse(cell("saber-inputs", "a", 0.03))
    assert cursed["points"] == 2
    assert cursed["refusal"] == pytest.approx((-0.1 + 0.03) / 2)
    assert cursed["drift"] == pytest.approx(0.001 / 2)
    assert cursed["end"] == pytest.approx(0.03)
    tune = 0.5 * (0.02 - 0.004) + 1.0 * 0.08
    report = 0.6 * (0.02 - 0.005) + 0.97 * 0.08
    assert cursed["volume"] == pytest.approx(report - tune)


def test_fronts_are_compared_on_common_cells_with_an_interval_from_three_organisms_on(
    rows: list[dict[str, Any]],
) -> None:
    table = fronts(rows, ["heretic", "ara"], [("response", "0.1")]).splitlines()
    assert table[0] == "| method | cells | seed0 | seed1 | seed2 | seed3 | times `heretic` | times `ara` |"
    assert table[2].startswith("| saber-inputs | 5 | .0890 | .0882 | .0874 | .0866 | 1.20 (1.1")
    assert table[3].endswith("| 1 | - |")
    assert table[4] == "| no-centre | 1 |  | .0850 |  |  | 1.16 | - |"


def test_what_is_left_within_a_drift_and_at_the_end(rows: list[dict[str, Any]]) -> None:
    (saber,) = [line for line in reached(rows).splitlines() if "saber-inputs" in line]
    assert saber.split(" | ")[2:] == [
        *("100.0% (100.0% to 100.0%)",) * 2,
        *("40.0% (40.0% to 40.0%)",) * 2,
        *("1.5% (0.5% to 2.5%)",) * 1,
        "1.5% (0.5% to 2.5%) |",
    ]
    header, _, saber, *_ = ends(rows).splitlines()
    assert header.split(" | ")[1:4] == ["none on tune", "refusals", "response KLD"]
    assert saber.split(" | ")[1:4] == ["5 of 5", "1.5% (0.5% to 2.5%)", ".0200 (.0200 to .0200)"]
    assert "-2.0% (-2.0% to -2.0%)" in saber  # capability


def former(organism: str, kld: float) -> dict[str, Any]:
    """A cell that reads outputs: its front's end is the point of few refusals, at so much drift on report."""
    row = cell("saber", organism, 0.01)
    row["report"]["1"] = point(0.01, kld)
    return row


def test_the_point_of_few_refusals_is_of_least_drift_on_tune() -> None:
    row = cell("saber-inputs", "a", 0.03)
    row["trials"].append({"number": 4, "tune": point(0.02, 0.01)})
    row["report"]["4"] = point(0.05, 0.012)
    assert few(row) == (point(0.02, 0.01), point(0.05, 0.012))
    assert few(row, most=0.0) == (point(0.0, 0.02), point(0.03, 0.02))
    assert few(row | {"trials": row["trials"][:1], "report": {"0": point(0.4, 0.005)}}) is None


def test_what_few_refusals_cost_is_compared_by_organism_with_what_reads_outputs(rows: list[dict[str, Any]]) -> None:
    rows = [*rows, former("seed0", 0.05), former("seed1", 0.04), former("seed2", 0.04)]
    assert few_by_cell(rows, "saber-inputs", "capability")["seed1", 0] == pytest.approx(-0.02)
    header, _, inputs, outputs, *_ = by_organism_table(rows).splitlines()
    assert header.endswith("| seed0 | seed1 | seed2 | seed3 | times `saber` | at most, on an organism |")
    assert inputs == "| saber-inputs | 5 of 5 | .0200 | .0200 | .0200 | .0200 | .46 (.40-.50) | .50 |"
    assert outputs == "| saber | 3 of 3 | .0500 | .0400 | .0400 |  | 1 |  |"
    _, _, inputs, outputs, *_ = numbers_table(rows).splitlines()
    assert ".0200 (.0200 to .0200), .46 (.40-.50) times" in inputs
    assert outputs.split(" | ")[1:4] == ["3", "1.0% (1.0% to 1.0%)", ".0433 (.0400 to .0500)"]


def test_the_tail_is_shown_where_every_cell_kept_it(rows: list[dict[str, Any]]) -> None:
    def tail(line: str) -> list[str]:
        return line.split(" | ")[4:6]

    assert tail(ends(rows).splitlines()[2]) == ["", ""]
    for row in rows:
        if row["method"] == "saber-inputs":
            row["report"]["1"] |= {"kld_p95": 0.05, "kld_max": 0.5}
    assert tail(ends(rows).splitlines()[2]) == [".0500 (.0500 to .0500)", ".5000 (.5000 to .5000)"]


def test_the_table_of_curses_has_intervals(rows: list[dict[str, Any]]) -> None:
    (saber,) = [line for line in curses(rows).splitlines() if "saber-inputs" in line]
    assert saber.split(" | ")[1:3] == ["10 in 5", "-4.2% (-4.7% to -3.7%)"]


def test_figures_show_every_method_that_is_asked_for(rows: list[dict[str, Any]]) -> None:
    values = figures(rows)
    assert list(values) == ["worth", "reached", "curse"]
    names = {trace.name for trace in values["reached"].data if trace.name}
    assert names == {"saber-inputs", "heretic"}
    heretic = [trace for trace in values["worth"].data if "heretic" in trace.y]
    assert len(heretic) == 2
    assert heretic[0].error_x.array[0] > 0
    assert len(values["curse"].data[2].x) == 10


def test_it_prints_and_draws_the_cells_of_all_folders(
    rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    old = [cell("saber-inputs", "seed3", 0.9), *rows]
    for folder, part in zip(folders, (old[:6], old[6:]), strict=True):
        folder.mkdir()
        (folder / ROWS).write_text("".join(json.dumps(row) + "\n" for row in part))
    assert len(rows_of(folders, [], 4)) == len(rows)
    assert {row["organism"] for row in rows_of(folders, ["seed1"], 4)} == {"seed1"}
    monkeypatch.setattr(sys, "argv", ["findings.py", *map(str, folders), "--trials", "4"])
    main()
    said = capsys.readouterr().out
    known = rows_of(folders, [], 4)
    of_inputs = [row for row in known if row["method"] in ("saber-inputs", "no-centre")]
    assert fronts(of_inputs, ["saber-inputs"], findings.SIDES) in said
    assert by_organism_table(known) in said
    assert {path.name for path in (folders[0] / "findings").iterdir()} == {"worth.html", "reached.html", "curse.html"}
    monkeypatch.setattr(sys, "argv", ["findings.py", str(folders[0]), "--trials", "5"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "expected finished cells of 5 trials" in capsys.readouterr().err


def response(category: str, text: str, drift: float) -> Response:
    """A reply to a harmless prompt."""
    prompt = Prompt(text=f"{category} {text} {drift}", kind="harmless", category=category)
    return Response(prompt, text, "comply", drift=dict.fromkeys(("kld", "kld_response", "kld_first"), drift))


def test_drift_is_shared_out_over_categories() -> None:
    base = [response("plain", "Gladly, go.", 0.0), response("verb", "Sure, go.", 0.0), response("verb", "Sure.", 0.0)]
    edited = [response("plain", "Okay, go.", 0.6), response("verb", "Sure, stay.", 0.1), response("verb", "Well.", 0.3)]
    composition = composed_of(base, edited)
    plain, verb = composition["harmless", "plain"], composition["harmless", "verb"]
    assert plain == pytest.approx(
        {
            "prompts": 1 / 3, "share response": 0.6, "mean response": 0.6, "share first": 0.6, "mean first": 0.6,
            "begins otherwise": 1.0,
        }
    )  # fmt: skip
    assert (verb["share first"], verb["mean first"], verb["begins otherwise"]) == pytest.approx((0.4, 0.2, 0.5))
    lines = shown({(str(i), 0): composition for i in range(3)}).splitlines()
    assert lines[2].startswith("| harmless / plain | 33.3% | 60.0% (60.0% to 60.0%)")
    assert lines[3].startswith("| harmless / verb | 66.7% |")


def test_places_are_between_the_mean_harmless_and_the_mean_harmful_prompt() -> None:
    groups = [("harmful", "theft"), ("harmless", "plain"), ("harmless", "verb"), ("harmful", "fraud")]
    positions = placed(groups, torch.tensor([5.0, -3.0, -1.0, 3.0]))  # means 4 and -2: a gap of 6
    assert positions == pytest.approx(
        {("harmless", "plain"): -1 / 6, ("harmless", "verb"): 1 / 6, ("no part of it", ""): 1 / 3}
    )
    lines = shown_places({("a", 0): positions}).splitlines()
    assert lines[2:] == ["| harmless / plain | -.17 |", "| harmless / verb | .17 |", "| no part of it | .33 |"]


def test_numbers_are_written_as_the_documents_write_them() -> None:
    assert [short(value, 2) for value in (0.5, -0.25, 1.25, -10.5)] == [".50", "-.25", "1.25", "-10.50"]
    assert (short(-0.001, 2), share(-0.0001)) == (".00", "0.0%")
