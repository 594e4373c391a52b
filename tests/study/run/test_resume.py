"""A study goes on where it was: extended, killed, interrupted, driven twice, or begun with other questions."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from saber.study.store.fingerprint import IDENTITY
from saber.study.store.records import INTERRUPTED, RETRY_OF
from tests.commands import (
    Said,
    database,
    dump,
    finish,
    n_drawn,
    open_trials,
    process,
    run_here,
    states,
    trial_rows,
    wait_until,
    words_of,
)


def finished_in(folder: Path) -> list[FrozenTrial]:
    return [t for t in open_trials(folder) if t.state.is_finished() and not t.user_attrs.get(INTERRUPTED)]


def drawn(trials: list[FrozenTrial]) -> list[str]:
    return [json.dumps(trial.params, sort_keys=True) for trial in trials]


def is_under_way(folder: Path) -> bool:
    """One trial is complete, and one that runs has drawn as many parameters."""
    complete = n_drawn(folder, "COMPLETE")
    return bool(complete) and complete[0] in n_drawn(folder, "RUNNING")


def kill_under_way(sweep: subprocess.Popen[str], folder: Path) -> None:
    """Kill -9, certainly while a trial runs: the process is held still to look."""
    while True:
        wait_until(lambda: is_under_way(folder), sweep)
        sweep.send_signal(signal.SIGSTOP)
        if is_under_way(folder):
            sweep.kill()
            sweep.wait()
            return
        sweep.send_signal(signal.SIGCONT)


def one_line(said: Said) -> str:
    assert said.err.count("\n") == 1, said.err
    return said.err.strip()


def content(trial: FrozenTrial) -> tuple[Any, ...]:
    return trial.number, trial.values, trial.params, trial.user_attrs, trial.datetime_complete


def test_a_study_is_extended_without_losing_or_repeating_a_trial(organism_folder: Path, tmp_path: Path) -> None:
    def sweep(n_trials: str) -> Said:
        said = run_here("sweep", words_of(organism_folder, tmp_path, f"study.n_trials={n_trials}"), tmp_path)
        assert said.status == 0, said.err
        return said

    sweep("3")
    first = finished_in(tmp_path)
    assert [trial.state for trial in first] == [TrialState.COMPLETE] * 3

    sweep("6")
    six = finished_in(tmp_path)
    assert len(six) == len(open_trials(tmp_path)) == 6
    assert [content(trial) for trial in six[:3]] == [content(trial) for trial in first]

    sweep("+2")
    eight = finished_in(tmp_path)
    assert len(eight) == 8
    assert len(set(drawn(eight))) == 8

    before = trial_rows(tmp_path)
    assert "study organism has its 8 trials" in sweep("6").out
    assert trial_rows(tmp_path) == before


def test_a_killed_sweep_loses_no_trial_and_evaluates_none_twice(organism_folder: Path, tmp_path: Path) -> None:
    words = words_of(organism_folder, tmp_path, "study.n_trials=4")
    with process("sweep", words, tmp_path) as sweep:
        kill_under_way(sweep, tmp_path)
    before = open_trials(tmp_path)
    complete = [trial for trial in before if trial.state == TrialState.COMPLETE]
    running = [trial for trial in before if trial.state == TrialState.RUNNING]
    assert complete
    assert any(trial.params for trial in running)

    said = run_here("sweep", words, tmp_path)
    assert said.status == 0, said.err
    after = open_trials(tmp_path)
    finished = finished_in(tmp_path)
    assert [trial.state for trial in finished] == [TrialState.COMPLETE] * 4
    assert not [trial for trial in after if trial.state == TrialState.RUNNING]
    assert [content(after[trial.number]) for trial in complete] == [content(trial) for trial in complete]
    for trial in running:  # of two that ran side by side, the second may have been killed before its first draw
        retries = [again for again in after if again.user_attrs.get(RETRY_OF) == trial.number]
        assert [again.state for again in retries] == [TrialState.COMPLETE] * bool(trial.params)
        assert all(trial.params.items() <= again.params.items() for again in retries)
    assert set(Counter(drawn(finished)).values()) == {1}


def test_control_c_says_one_line_and_the_next_run_goes_on(organism_folder: Path, tmp_path: Path) -> None:
    words = words_of(organism_folder, tmp_path, "study.n_trials=4")
    with process("sweep", words, tmp_path) as sweep:
        wait_until(lambda: is_under_way(tmp_path), sweep)
        sweep.send_signal(signal.SIGINT)
        said = finish(sweep)
    assert said.status == 130
    assert one_line(said) == "stopped; run the same command again to go on"
    assert "RUNNING" not in states(tmp_path)
    complete = finished_in(tmp_path)

    said = run_here("sweep", words, tmp_path)
    assert said.status == 0, said.err
    finished = finished_in(tmp_path)
    assert [trial.state for trial in finished] == [TrialState.COMPLETE] * 4
    assert [content(trial) for trial in finished[: len(complete)]] == [content(trial) for trial in complete]
    assert len(set(drawn(finished))) == 4


def test_a_second_driver_is_told_who_drives(organism_folder: Path, tmp_path: Path) -> None:
    words = words_of(organism_folder, tmp_path, "study.n_trials=4")
    lock = tmp_path / "sweeps" / "organism" / "driver.lock"
    with process("sweep", words, tmp_path) as first:
        wait_until(lambda: lock.exists() and "since" in lock.read_text(), first)
        said = run_here("sweep", words, tmp_path)
        assert first.poll() is None
    assert said.status == 2
    assert f"host {socket.gethostname()}, pid {first.pid}, since 20" in one_line(said)


@pytest.mark.parametrize(
    ("word", "difference"),
    [
        ("space.edit.alpha_base.high=1.1", "space.edit.alpha_base: 0.2 to 1.5 step 0.025 -> 0.2 to 1.1 step 0.025"),
        (
            "organism.seed=1",
            r"data.probe: \w{12} -> \w{12}; data.report: \w{12} -> \w{12}; data.tune: \w{12} -> \w{12}",
        ),
        ("evaluate.max_new_tokens=13", "fixed.evaluate.max_new_tokens: 12 -> 13"),
        ("edit.norm_preserve=row", "fixed.edit.norm_preserve: none -> row"),
    ],
)
@pytest.mark.parametrize("command", ["sweep", "frontier", "export"])
def test_another_question_is_refused_and_the_study_left_alone(
    organism_folder: Path, finished: Path, word: str, difference: str, command: str
) -> None:
    before = dump(finished)
    said = run_here(command, words_of(organism_folder, finished, "study.n_trials=6", word), finished)
    assert said.status == 2
    assert re.search(f"was begun otherwise: {difference};", one_line(said))
    assert dump(finished) == before


def forget(folder: Path, key: str) -> None:
    """Make the study older than a key: it was begun without it."""
    study = optuna.load_study(study_name="organism", storage=f"sqlite:///{database(folder)}")
    stored = study.user_attrs[IDENTITY]
    del stored["fixed"][key]
    study.set_user_attr(IDENTITY, stored)


def test_a_key_newer_than_the_study_has_its_default(organism_folder: Path, finished: Path) -> None:
    words = words_of(organism_folder, finished, "study.n_trials=1")
    forget(finished, "edit.spares")
    assert run_here("sweep", words, finished).status == 0
    said = run_here("sweep", [*words, "edit.spares=harmful"], finished)
    assert said.status == 2
    assert "was begun otherwise: fixed.edit.spares: harmless -> harmful;" in one_line(said)

    forget(finished, "edit.reader_layer")
    said = run_here("sweep", words, finished)
    assert said.status == 2
    assert "was begun otherwise: fixed.edit.reader_layer: acting -> own;" in one_line(said)


def test_another_programs_study_is_refused(organism_folder: Path, tmp_path: Path) -> None:
    database(tmp_path).parent.mkdir(parents=True)
    optuna.create_study(
        study_name="organism", storage=f"sqlite:///{database(tmp_path)}", directions=["minimize", "minimize"]
    )
    said = run_here("frontier", words_of(organism_folder, tmp_path), tmp_path)
    assert said.status == 2
    assert "expected study organism to be of saber.sweep, found another's" in one_line(said)
