"""ARA's cell: a trial's settings are those that its numbers are of, and the base is the base again afterwards."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import peers.ara
import pytest
from front import run_any
from front_ara import Ablation, searched
from front_cells import Cell, Setting
from front_score import scored
from peers.ara import Settings

QUICK = ("evaluate.n_bootstrap=100", "launch.trials_per_batch=1")


class Told(Ablation):
    """Numbers that say which settings they are of."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.bench: Any = SimpleNamespace(adapter=SimpleNamespace(n_layers=9), splits={"tune": None}, reference=None)

    def measured(self, of: Settings, split: Any, reference: Any) -> dict[str, float]:
        assert split is reference is None
        return {"refusal_rate": 1 - of.steer, "kld_first": of.preserve, "end": of.end_layer}


def test_trials_are_measured_as_they_were_suggested_and_a_seed_repeats_them() -> None:
    trials = searched(Told(3), 7)
    assert [trial["number"] for trial in trials] == list(range(7))
    for trial in trials:
        of = Settings(**trial["params"])
        assert trial["tune"] == {"refusal_rate": 1 - of.steer, "kld_first": of.preserve, "end": of.end_layer}
        assert trial["seconds"] >= 0
    assert [trial["params"] for trial in searched(Told(3), 7)] == [trial["params"] for trial in trials]
    assert [trial["params"] for trial in searched(Told(4), 7)] != [trial["params"] for trial in trials]


def test_a_cell_of_it_is_a_row_like_any_other(
    organism_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers.ara, "N_STEPS", 1)
    monkeypatch.setattr(peers.ara, "N_ITERATIONS", 1)
    row = run_any(Cell("ara", organism_folder, 1), Setting(tmp_path, 2, 4, QUICK))
    assert (row["method"], row["n_trials"], row["n_failed"]) == ("ara", 2, 0)
    assert row["report"].keys() <= {"0", "1"}
    assert row["base"]["report"]["kld_response"] == pytest.approx(0.0, abs=1e-6)
    assert 0 <= scored(row)["hypervolume"]["report"]["response"]["0.1"] <= 0.1
