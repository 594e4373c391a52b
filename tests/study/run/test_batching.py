"""launch.trials_per_batch=auto: a calibration chooses once a machine, the study remembers, and a trial stays itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest

from saber.config import Config
from saber.keys import with_values
from saber.study.run import calibration as batching
from saber.study.run.calibration import REMEMBERED, with_batch, with_known_batch
from saber.study.run.forecast import Calibration
from tests.commands import run_here, words_of
from tests.study.run.test_driver import config


def test_a_sweep_measures_once_and_goes_on_with_what_it_found(organism_folder: Path, tmp_path: Path) -> None:
    words = words_of(organism_folder, tmp_path, "launch.trials_per_batch=auto")
    first = run_here("sweep", [*words, "study.n_trials=2"], tmp_path)
    assert first.status == 0, first.err
    assert "measuring how many trials at once are fastest on cpu, 1 thread" in first.out
    again = run_here("sweep", [*words, "study.n_trials=3"], tmp_path)
    assert again.status == 0, again.err
    assert "fastest" not in again.out
    (path,) = tmp_path.rglob("study.db")
    study = optuna.load_study(study_name=path.parent.name, storage=f"sqlite:///{path}")
    assert study.user_attrs[REMEMBERED]["cpu, 1 thread"] in (1, 2, 4, 8)
    frontier = run_here("frontier", words, tmp_path)
    assert frontier.status == 0, frontier.err


@dataclass(frozen=True)
class Bench:
    """As much of a workbench as the choice of a batch looks at."""

    config: Config


def test_the_fastest_is_chosen_and_remembered_by_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[bool] = []

    def timed(_bench: object, _knobs: object, *, until_slower: bool) -> list[Calibration]:
        asked.append(until_slower)
        return [Calibration(1, 2.0, 0), Calibration(2, 1.5, 0), Calibration(4, 1.6, 0)]

    monkeypatch.setattr(batching, "calibrations", timed)
    study = optuna.create_study()
    bench: Any = Bench(with_values(config(tmp_path), {"launch.trials_per_batch": "auto"}))
    for machine, n_measured in (("a", 1), ("a", 1), ("b", 2)):
        monkeypatch.setattr(batching, "machine_of", lambda _, machine=machine: machine)
        assert with_batch(study, bench, ()).config.launch.batch == 2
        assert asked == [True] * n_measured
    assert study.user_attrs[REMEMBERED] == {"a": 2, "b": 2}
    settled: Any = Bench(config(tmp_path, batch=3))
    assert with_batch(study, settled, ()) is settled


def test_looking_at_a_study_measures_and_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(batching, "machine_of", lambda _: "here")
    study = optuna.create_study()
    bench: Any = Bench(with_values(config(tmp_path), {"launch.trials_per_batch": "auto"}))
    for known, taken in (({}, 1), ({"a": 4, "b": 2}, 2), ({"a": 2, "here": 8}, 8)):
        study.set_user_attr(REMEMBERED, known)
        assert with_known_batch(study, bench).config.launch.batch == taken
        assert study.user_attrs[REMEMBERED] == known
    settled: Any = Bench(config(tmp_path, batch=3))
    assert with_known_batch(study, settled) is settled


@pytest.mark.parametrize("words", ["launch.trials_per_batch=0", "launch.trials_per_batch=many"])
def test_what_is_no_batch_is_refused(words: str, organism_folder: Path, tmp_path: Path) -> None:
    said = run_here("sweep", words_of(organism_folder, tmp_path, words), tmp_path)
    assert said.status == 2
    assert "launch.trials_per_batch" in said.err
