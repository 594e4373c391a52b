"""Trials on Ray's actors: the same results as in this process, and a dead actor's trials done once all the same."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from optuna.trial import TrialState
from rich.console import Console

from saber.config import Config, LaunchConfig
from saber.keys import with_values
from saber.study.run.driver import drive
from saber.study.run.progress import Progress
from saber.study.run.ray_workers import check_resources, ray_workers
from saber.study.run.start_workers import check_launch
from saber.study.run.workers import Evaluator
from saber.study.search.front_so_far import FrontSoFar
from saber.study.search.space import parse_space
from saber.study.store.records import finished_trials
from saber.study.trial_result import TrialResult
from saber.types import UserError
from tests.commands import finish, open_trials, process, run_here, states, wait_until, words_of
from tests.study.run.test_driver import KNOWN, config, drawn, good, new_study, running

N_TRIALS = 6
RAY = ("launch=ray", "launch.workers=2", "launch.cpus_per_worker=0")
SHORT = ("evaluate.max_new_tokens=4", f"study.n_trials={N_TRIALS}")
# What differs between two runs: the clock, the identifiers of artifacts, and how many trials a worker saw the front of.
OURS = ("seconds", "artifacts", "metrics")


def told(folder: Path) -> dict[str, Any]:
    """What the study holds of each point, by its parameters."""
    return {
        str(sorted(trial.params.items())): (
            trial.values,
            {key: value for key, value in trial.user_attrs.items() if not key.startswith(OURS)},
        )
        for trial in open_trials(folder)
    }


def family(sweep: subprocess.Popen[str]) -> list[psutil.Process]:
    """Every process that a sweep has started."""
    try:
        return psutil.Process(sweep.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def evaluating(sweep: subprocess.Popen[str]) -> list[psutil.Process]:
    """The actors that evaluate a batch at this moment: Ray renames a process after what it does."""
    actors = []
    for child in family(sweep):
        try:
            if "Actor.evaluate" in " ".join(child.cmdline()):
                actors.append(child)
        except psutil.NoSuchProcess:
            continue
    return actors


def all_gone(processes: Sequence[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


def test_a_killed_actor_loses_no_trial_and_results_are_those_of_a_local_run(
    organism_folder: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    said = run_here("sweep", words_of(organism_folder, here, *SHORT), here)
    assert said.status == 0, said.err

    with process("sweep", words_of(organism_folder, there, *SHORT, *RAY), there) as sweep:
        wait_until(lambda: "COMPLETE" in states(there) and bool(evaluating(sweep)), sweep)
        started = family(sweep)
        evaluating(sweep)[0].kill()
        said = finish(sweep)
    assert (said.status, said.err) == (0, "")
    assert "the worker died, another one takes over" in said.out
    assert all_gone(started)
    trials = open_trials(there)
    assert [trial.number for trial in trials] == list(range(N_TRIALS))
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * N_TRIALS
    assert len(set(drawn(trials))) == N_TRIALS
    assert told(there) == told(here)


def test_control_c_leaves_no_running_trial_and_no_process(organism_folder: Path, tmp_path: Path) -> None:
    words = words_of(organism_folder, tmp_path, *SHORT, *RAY)
    with process("sweep", words, tmp_path) as sweep:
        wait_until(lambda: bool(evaluating(sweep)), sweep)
        started = family(sweep)
        sweep.send_signal(signal.SIGINT)
        said = finish(sweep)
    assert (said.status, said.err) == (130, "stopped; run the same command again to go on\n")
    assert all_gone(started)
    assert "RUNNING" not in states(tmp_path)
    assert {"COMPLETE", "FAIL", "WAITING"} >= set(states(tmp_path))


def sleeping(configs: Sequence[Config], _front: FrontSoFar) -> list[TrialResult]:
    """An evaluation of a tenth of a second, which kills its process at one of the known points."""
    time.sleep(0.1)
    if any(trial_config.edit.global_top_k == KNOWN[0]["edit.global_top_k"] for trial_config in configs):
        os.kill(os.getpid(), signal.SIGKILL)
    return [good(trial_config) for trial_config in configs]


def make_sleeping() -> Evaluator:
    return sleeping


def make_nothing() -> Evaluator:
    raise UserError(f"expected a model, found GPUs {os.environ['CUDA_VISIBLE_DEVICES']}")


@pytest.fixture
def launched(tmp_path: Path) -> Config:
    """A study's configuration on two workers that need no core."""
    words = {"launch.kind": "ray", "launch.workers": 2, "launch.cpus_per_worker": 0.0}
    return with_values(config(tmp_path, batch=2), words)


def test_a_trial_that_kills_its_workers_fails_alone_and_says_so(launched: Config) -> None:
    said: list[str] = []
    study = new_study()
    with ray_workers(launched.launch, make_sleeping, said.append) as workers:
        with pytest.raises(
            UserError, match=r"launch.workers: expected 1000 CPUs for 1000 workers, found \d+; lower it"
        ):
            check_resources(LaunchConfig("ray", workers=1000), said.append)
        drive(study, launched, parse_space(launched), workers, Progress(Console(quiet=True), 9, 0), 9)
    trials = finished_trials(study)
    assert len(trials) == len(study.get_trials()) == 9
    assert not running(study)
    by_state = {
        state: [t.number for t in trials if t.state == state] for state in (TrialState.FAIL, TrialState.COMPLETE)
    }
    killers = [t.number for t in trials if t.params["edit.global_top_k"] == KNOWN[0]["edit.global_top_k"]]
    assert by_state[TrialState.FAIL] == killers
    assert trials[0].user_attrs["failure"].startswith("its worker died 3 times: ")
    assert len(said) == 3 * len(killers)


def test_a_worker_has_as_many_gpus_as_it_asks_for_and_says_why_it_cannot_begin(
    launched: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"GPU": 4}')  # which Ray only counts
    with_two = with_values(launched, {"launch.gpus_per_worker": 2.0})
    study = new_study()
    with ray_workers(with_two.launch, make_nothing, print) as workers:
        with pytest.raises(UserError, match=r"expected 6 GPUs for 2 workers, found 4; lower it or launch.gpus_per"):
            check_resources(replace(with_two.launch, gpus_per_worker=3.0), print)
        with pytest.raises(UserError, match=r"^expected a model, found GPUs \d,\d$"):
            drive(study, with_two, parse_space(with_two), workers, Progress(Console(quiet=True), 4, 0), 4)
    assert not running(study)


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    check_launch(LaunchConfig())
    with pytest.raises(UserError, match=r"pip install 'saber-sweep\[ray\]'"):
        check_launch(LaunchConfig("ray"))
