"""Cells: which there are, which are run, and that one that was cut goes on where it stood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import front
import front_cells
import pytest
from front import append_row, cells_of, options_of, read_rows, run_missing, share
from front_cells import Cell, Setting, configured, fingerprint, run_cell
from front_methods import METHODS

from saber.study.run.driver import drive
from saber.types import UserError

QUICK = ("evaluate.n_bootstrap=100", "study.sampler=random", "launch.trials_per_batch=1")


def row_of(cell: Cell, setting: Setting) -> dict[str, Any]:
    method, organism, seed = cell.key
    numbers = {"refusal_rate": 0.5, "kld_response": 0.01, "kld_first": 0.1, "kld_prompt": 0.2}
    return {
        "method": method,
        "organism": organism,
        "seed": seed,
        "fingerprint": fingerprint(cell, configured(cell, setting)),
        "n_trials": 1,
        "search_s": 1.0,
        "trials": [{"number": 0, "tune": numbers}],
        "report": {"0": numbers},
    }


def test_a_finished_cell_is_skipped_until_its_configuration_changes(tmp_path: Path, named_organism: Path) -> None:
    ran: list[tuple[str, tuple[str, ...]]] = []

    def run(cell: Cell, setting: Setting) -> dict[str, Any]:
        ran.append((cell.method, setting.words))
        return row_of(cell, setting)

    cells = [
        Cell("saber", named_organism, 0),
        Cell("heretic", named_organism, 0),
        Cell("four-rounds", named_organism, 0),
    ]
    said: list[str] = []
    setting = Setting(tmp_path, 8, 32)
    run_missing(cells[:2], setting, said.append, run)
    run_missing(cells, setting, said.append, run)
    assert [method for method, _ in ran] == ["saber", "heretic", "four-rounds"]
    other = Setting(tmp_path, 8, 32, ("edit.n_directions=2",))
    run_missing(cells[:2], other, said.append, run)
    assert ran[3:] == [("saber", other.words)], "what Heretic does depends on no knob of ours"
    assert any("its configuration has changed" in line for line in said)
    assert len((tmp_path / "front.jsonl").read_text().splitlines()) == 4
    assert read_rows(tmp_path)["saber", "seed7", 0]["fingerprint"] != fingerprint(
        cells[0], configured(cells[0], setting)
    )


def test_half_a_line_is_no_cell_and_is_written_over(tmp_path: Path, named_organism: Path) -> None:
    first, second = (row_of(Cell("saber", named_organism, seed), Setting(tmp_path, 8, 32)) for seed in (0, 1))
    append_row(tmp_path, first)
    with (tmp_path / "front.jsonl").open("a") as file:
        file.write(json.dumps(second)[:40])
    assert list(read_rows(tmp_path).values()) == [first]
    append_row(tmp_path, second)
    assert list(read_rows(tmp_path).values()) == [first, second]


def test_cells_are_filtered_by_name_and_shared_among_workers(tmp_path: Path) -> None:
    words = [str(tmp_path), "--organisms", "a/seed0", "a/seed1", "--seeds", "0", "1", "--cells"]
    cells = cells_of(options_of([*words, "saber", "heretic", "seed1"]))
    assert [cell.key for cell in cells] == [(m, "seed1", s) for s in (0, 1) for m in ("saber", "heretic")]
    every = cells_of(options_of(words[:-1]))
    shares = [share(every, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(cell.key for share in shares for cell in share) == sorted(cell.key for cell in every)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for wrong in ("0/2", "3/2", "1", "a/b"):
        with pytest.raises(UserError, match="expected i/n"):
            share(every, wrong)
    with pytest.raises(UserError, match="sabre"):
        cells_of(options_of([*words, "sabre"]))
    with pytest.raises(UserError, match="different names"):
        cells_of(options_of([str(tmp_path), "--organisms", "a/seed0", "b/seed0"]))


def test_tables_and_page_leave_out_cells_that_cannot_stand_beside_the_others(
    tmp_path: Path, named_organism: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for method, n_trials in (("saber", 8), ("heretic", 8), ("kernel", 6), ([*METHODS][-1], 8)):
        append_row(tmp_path, row_of(Cell(method, named_organism, 0), Setting(tmp_path, 8, 32)) | {"n_trials": n_trials})
    append_row(tmp_path, row_of(Cell("saber", named_organism, 1), Setting(tmp_path, 8, 32)) | {"method": "of-old"})
    monkeypatch.setattr(
        "sys.argv", ["front.py", str(tmp_path), "--organisms", str(named_organism), "--trials", "8", "--show"]
    )
    front.main()
    said = capsys.readouterr().out
    assert "1 cells left out" in said
    assert "methods that there are no more are left out: of-old" in said
    assert "kernel" in said.split("cells left out")[1].splitlines()[0]
    known = json.loads((tmp_path / "front.json").read_text())
    assert [row["method"] for row in known] == ["saber", "heretic", [*METHODS][-1]]
    assert known[0]["hypervolume"]["report"]["response"]["0.1"] == pytest.approx(0.5 * 0.09)
    assert "saber" in (tmp_path / "front.html").read_text()


def test_a_cell_that_was_cut_goes_on_with_the_trials_it_has(
    organism_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting, cell = Setting(tmp_path, 3, 8, QUICK), Cell("naive-writers", organism_folder, 1)

    def cut(study: Any, *args: Any) -> None:
        drive(study, *args)
        raise KeyboardInterrupt

    monkeypatch.setattr(front_cells, "AT_ONCE", 1)
    monkeypatch.setattr(front_cells, "drive", cut)
    with pytest.raises(KeyboardInterrupt):
        run_cell(cell, setting)
    monkeypatch.setattr(front_cells, "drive", drive)
    row = run_cell(cell, setting)
    assert [trial["number"] for trial in row["trials"]] == [0, 1, 2]
    assert row["n_trials"] == 3
    assert row["search_s"] > 0
    assert row["base"]["tune"]["kld_response"] == pytest.approx(0.0, abs=1e-6)
    assert row["n_prompts"]["report"] == {"harmful": 160, "harmless": 96, "capability": 96}
    assert set(row["report"]) <= {"0", "1", "2"}
    assert row["report"]
    for point in row["report"].values():
        assert {"refusal_rate", "capability", "kld_first", "kld_prompt", "kld_response"} <= set(point)
    assert run_cell(cell, setting)["trials"] == row["trials"]
