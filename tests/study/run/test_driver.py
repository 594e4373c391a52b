"""The driver with an evaluator of its own: whatever stops it, exactly the wanted trials finish, each asked for once."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from sqlalchemy import event

from saber.config import Config
from saber.keys import parse_config
from saber.lm.editing.compiled import CompiledPlan
from saber.lm.evaluation.measurement import Measured
from saber.lm.planning import PlannedEdit
from saber.study.run import driver as loop
from saber.study.run.driver import drive, hand_back, new_points, recover, wanted_trials
from saber.study.run.progress import Progress
from saber.study.run.session import calm_optuna
from saber.study.run.workers import InProcess
from saber.study.search.front_so_far import FrontSoFar
from saber.study.search.space import parse_space
from saber.study.store.patient_storage import PatientStorage, StoredStudy
from saber.study.store.records import INTERRUPTED, RETRY_OF, complete_trials, finished_trials, tell
from saber.study.store.storage import open_database
from saber.study.trial_result import TrialResult
from saber.types import EditPlan, Estimate, Metrics, Prompt, Response, UserError

N_STATEMENTS = 159  # that a plain run gives its database
KNOWN = [{"edit.alpha_base": 0.9, "edit.global_top_k": 3}, {"edit.alpha_base": 0.1, "edit.global_top_k": 2}]
SPACE = {"edit.alpha_base": {"low": 0.0, "high": 1.0}, "edit.global_top_k": {"low": 1, "high": 9}}
ANY = FrontSoFar()
Evaluate = Callable[[Sequence[Config], FrontSoFar], list[TrialResult]]


def config(folder: Path, *, batch: int = 2, **study: Any) -> Config:
    objectives = [{"metric": "refusal_rate"}, {"metric": "kld", "reference": 0.5}]
    return parse_config(
        {
            "model": {"path": "organism"},
            "data": {"source": "organism"},
            "edit": {},
            "evaluate": {},
            "study": {"name": "s", "dir": str(folder), "objectives": objectives, "enqueue": KNOWN, **study},
            "launch": {"trials_per_batch": batch},
            "space": SPACE,
        }
    )


def measured(refusal_rate: float, kld: float) -> Measured:
    estimates = {"refusal_rate": Estimate(refusal_rate, 10, 0, 1), "kld": Estimate(kld, 10, 0, 1)}
    return Measured(Metrics(estimates, {}, "p", "tune"), (Response(Prompt("x", "harmful"), "y", "comply"),))


def good(c: Config) -> TrialResult:
    """A plan that is the trial's own, and metrics that follow its parameters."""
    plan = EditPlan.from_directions({0: (torch.eye(4)[:, :1], torch.tensor([c.edit.alpha_base]))})
    return TrialResult(
        PlannedEdit(CompiledPlan(plan, (), ()), "stable", ()), measured(1 - c.edit.alpha_base, c.edit.alpha_base), 0.1
    )


def evaluate(configs: Sequence[Config], front: FrontSoFar = ANY) -> list[TrialResult]:  # noqa: ARG001
    return [good(trial_config) for trial_config in configs]


def new_study(seed: int = 0) -> StoredStudy:
    return stored_in(optuna.storages.InMemoryStorage(), optuna.samplers.RandomSampler(seed=seed))


def stored_in(storage: BaseStorage, sampler: BaseSampler | None = None) -> StoredStudy:
    calm_optuna()
    optuna.create_study(storage=storage, directions=["minimize"] * 2, study_name="s")
    return StoredStudy("s", storage, sampler)


def run(study: StoredStudy, c: Config, n_trials: int, evaluator: Evaluate = evaluate) -> None:
    workers = InProcess(evaluator, c.launch.batch)
    drive(study, c, parse_space(c), workers, Progress(Console(quiet=True), n_trials, 0), n_trials)


def drawn(trials: Sequence[FrozenTrial]) -> list[str]:
    return sorted(json.dumps(trial.params, sort_keys=True) for trial in trials)


def running(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(states=[TrialState.RUNNING])


class Broken:
    """An evaluator that raises at some of its calls, and remembers what it evaluated."""

    def __init__(self, raises_at: Mapping[int, type[BaseException]]) -> None:
        self.raises_at = raises_at
        self.calls = 0
        self.asked: list[Config] = []

    def __call__(self, configs: Sequence[Config], front: FrontSoFar) -> list[TrialResult]:
        self.calls += 1
        if error := self.raises_at.get(self.calls - 1):
            raise error("stopped")
        self.asked += configs
        return evaluate(configs, front)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raises_at=st.dictionaries(st.integers(0, 6), st.sampled_from([KeyboardInterrupt, RuntimeError, MemoryError])),
    n_trials=st.integers(1, 7),
    batch=st.integers(1, 3),
)
def test_wherever_it_breaks_the_next_run_completes_it(
    raises_at: dict[int, type[BaseException]], n_trials: int, batch: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        c, study, evaluator = config(Path(folder), batch=batch), new_study(), Broken(raises_at)
        while True:
            try:
                run(study, c, n_trials, evaluator)
            except (KeyboardInterrupt, RuntimeError, MemoryError):
                assert not running(study)
                continue
            break
    finished = finished_trials(study)
    assert [trial.state for trial in finished] == [TrialState.COMPLETE] * n_trials
    assert not running(study)
    assert len(evaluator.asked) == n_trials
    assert len(set(drawn(finished))) == n_trials
    interrupted = [trial for trial in study.get_trials() if trial.user_attrs.get(INTERRUPTED)]
    retries = [trial.user_attrs[RETRY_OF] for trial in study.get_trials() if RETRY_OF in trial.user_attrs]
    assert sorted(retries) == [trial.number for trial in interrupted]
    waiting = [trial.system_attrs["fixed_params"] for trial in study.get_trials(states=[TrialState.WAITING])]
    params = [trial.params for trial in finished] + waiting  # one handed back goes to the end of the queue
    assert [params.count(point) for point in KNOWN] == [1, 1]


def test_known_points_come_first_and_once(tmp_path: Path) -> None:
    c, study = config(tmp_path), new_study()
    run(study, c, 3)
    run(study, c, 6)
    params = [trial.params for trial in study.get_trials()]
    assert params[:2] == KNOWN
    assert [params.count(point) for point in KNOWN] == [1, 1]
    assert len(params) == 6


def test_known_points_that_are_named_later_come_next_and_once(tmp_path: Path) -> None:
    study = new_study()
    run(study, config(tmp_path), 3)
    new = [{"edit.alpha_base": 0.4, "edit.global_top_k": 7}, {"edit.alpha_base": 0.3}]
    later = config(tmp_path, enqueue=[*KNOWN, *new])
    assert new_points(study, later, parse_space(later)) == new
    run(study, later, 6)
    run(study, later, 8)
    params = [trial.params for trial in study.get_trials()]
    assert params[3] == new[0]
    assert params[4]["edit.alpha_base"] == 0.3
    assert [sum(point.items() <= param.items() for param in params) for point in [*KNOWN, *new]] == [1, 1, 1, 1]
    assert new_points(study, later, parse_space(later)) == []


def test_a_known_point_outside_the_space_is_refused_before_a_trial_starts(tmp_path: Path) -> None:
    study = new_study()
    with pytest.raises(UserError, match=r"study.enqueue: edit.alpha_base=2.0 lies outside the space"):
        run(study, config(tmp_path, enqueue=[{"edit.alpha_base": 2.0}]), 2)
    assert not study.get_trials()


def test_a_failure_counts_and_says_why(tmp_path: Path) -> None:
    def second_fails(configs: Sequence[Config], _front: FrontSoFar) -> list[TrialResult]:
        return [good(configs[0])] + [TrialResult(None, None, 0.1, failure="kld not finite") for _ in configs[1:]]

    study = new_study()
    run(study, config(tmp_path), 4, second_fails)
    trials = study.get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE", "FAIL"]
    assert [trial.user_attrs.get("failure") for trial in trials] == [None, "kld not finite"] * 2
    assert finished_trials(study) == trials
    assert complete_trials(study) == trials[::2]
    run(study, config(tmp_path), 4)
    assert len(study.get_trials()) == 4


def test_a_trial_keeps_its_plan_its_metrics_and_its_responses(tmp_path: Path) -> None:
    study = new_study()
    run(study, config(tmp_path), 2)
    for trial in study.get_trials():
        assert (tmp_path / "s" / "plans" / f"{trial.user_attrs['plan']}.safetensors").is_file()
        assert trial.user_attrs["metrics"]["estimates"]["kld"]["value"] == trial.values[1]
        assert trial.user_attrs["stopped"] == "stable after 1 rounds"
    assert len(list((tmp_path / "s" / "artifacts").iterdir())) == 2
    assert not list((tmp_path / "s" / "cache").iterdir())


def test_a_repeated_name_gets_the_trial_number(tmp_path: Path) -> None:
    study = new_study()
    same = {"edit.alpha_base": 0.5, "edit.global_top_k": 3}
    c = config(tmp_path, enqueue=[same] * 3)
    run(study, c, 2)
    run(study, c, 3)
    assert [trial.user_attrs["name"] for trial in study.get_trials()] == ["a500_g3", "a500_g3_n1", "a500_g3_n2"]


def test_every_constraint_is_set_on_every_trial(tmp_path: Path) -> None:
    study = new_study()
    constraints = [{"metric": "refusal_rate", "at_most": 0.5}, {"metric": "kld", "at_least": 0.2, "at_most": 0.8}]
    run(study, config(tmp_path, constraints=constraints), 4)
    for trial in study.get_trials():
        refusal_rate, kld = trial.values
        expected = {"refusal_rate<=0.5": refusal_rate - 0.5, "kld>=0.2": 0.2 - kld, "kld<=0.8": kld - 0.8}
        assert trial.constraints == pytest.approx(expected)
        assert trial.user_attrs["feasible"] == all(value <= 0 for value in expected.values())
    assert len({trial.user_attrs["feasible"] for trial in study.get_trials()}) == 2


def test_a_constraint_on_what_is_not_measured_names_what_is(tmp_path: Path) -> None:
    study = new_study()
    with pytest.raises(UserError, match="found capability; measured: kld, refusal_rate"):
        run(study, config(tmp_path, constraints=[{"metric": "capability", "at_least": 0.5}]), 2)
    assert not running(study)


def test_an_interruption_right_after_the_last_write_leaves_the_trial_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def interrupted(*arguments: Any, **options: Any) -> None:
        tell(*arguments, **options)
        raise KeyboardInterrupt

    study, c = new_study(), config(tmp_path)
    monkeypatch.setattr(loop, "tell", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(study, c, 4)
    monkeypatch.setattr(loop, "tell", tell)
    assert not running(study)
    assert [trial.params for trial in complete_trials(study)] == KNOWN[:1]
    run(study, c, 4)
    params = [trial.params for trial in complete_trials(study)]
    assert len(params) == 4
    assert [params.count(point) for point in KNOWN] == [1, 1]


class ControlC:
    """A real SIGINT right after one of the statements that the database is given."""

    def __init__(self, storage: PatientStorage) -> None:
        self.n_seen, self.at = 0, -1
        event.listen(storage.engine, "after_cursor_execute", self)

    def __call__(self, *_: object) -> None:
        self.n_seen += 1
        if self.n_seen == self.at:
            signal.raise_signal(signal.SIGINT)


@settings(max_examples=15, deadline=None)
@given(at=st.integers(1, N_STATEMENTS + 10))
def test_control_c_at_any_statement_leaves_a_study_that_goes_on(at: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        c = config(Path(folder))
        storage = open_database(f"sqlite:///{folder}/study.db", 5.0)
        study = stored_in(storage)
        control_c = ControlC(storage)
        control_c.at = at
        interrupted = False
        try:
            run(study, c, 3)
        except KeyboardInterrupt:
            interrupted = True
        assert interrupted == (control_c.n_seen >= at)
        control_c.at = -1
        assert not running(study)
        run(study, c, 3)
        assert [trial.state for trial in finished_trials(study)] == [TrialState.COMPLETE] * 3
        assert len(set(drawn(finished_trials(study)))) == 3
        storage.engine.dispose()


def test_an_interruption_while_asking_leaves_nothing_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, c = new_study(), config(tmp_path, batch=3)
    real = study.ask
    asked: list[optuna.trial.Trial] = []

    def interrupted() -> optuna.Trial:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(real())
        return asked[-1]

    monkeypatch.setattr(study, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(study, c, 4)
    assert not running(study)


def test_a_known_point_killed_before_its_first_draw_is_evaluated_all_the_same(tmp_path: Path) -> None:
    study, c = new_study(), config(tmp_path)
    for point in KNOWN:
        study.enqueue_trial(point)
    half = study.ask()
    half.suggest_float("edit.alpha_base", 0.0, 1.0)
    study.ask()
    run(study, c, 4)  # the driver died here, and another one comes
    params = [trial.params for trial in complete_trials(study)]
    assert [params.count(point) for point in KNOWN] == [1, 1]
    assert len(params) == 4


def test_recovering_twice_enqueues_once() -> None:
    study = new_study()
    trial = study.ask()
    trial.suggest_float("edit.alpha_base", 0.0, 1.0)
    recover(study)
    recover(study)
    waiting = study.get_trials(states=[TrialState.WAITING])
    assert [retry.user_attrs[RETRY_OF] for retry in waiting] == [0]
    assert not running(study)
    assert not finished_trials(study)


def test_a_driver_that_dies_while_handing_back_loses_nothing() -> None:
    study = new_study()
    trial = study.ask()
    trial.suggest_float("edit.alpha_base", 0.0, 1.0)
    study.enqueue_trial(trial.params, user_attrs={RETRY_OF: 0})  # it died after this first step
    recover(study)
    assert len(study.get_trials(states=[TrialState.WAITING])) == 1
    hand_back(study, 0, trial.params)
    assert len(study.get_trials(states=[TrialState.WAITING])) == 1
    assert study.get_trials()[0].state == TrialState.FAIL


def test_wanted_trials_counts_from_what_was_asked_before(tmp_path: Path) -> None:
    study, c = new_study(), config(tmp_path)
    assert wanted_trials(study, 60) == 60
    assert wanted_trials(study, "+20") == 20
    run(study, c, 3)
    assert wanted_trials(study, "+2") == 5
    assert wanted_trials(study, 2) == 2

    evaluator = Broken({1: KeyboardInterrupt})
    with pytest.raises(KeyboardInterrupt):
        run(study, c, 7, evaluator)
    assert len(finished_trials(study)) == 5
    assert wanted_trials(study, "+4") == 7  # the interrupted extension first
    run(study, c, 7)
    assert wanted_trials(study, "+4") == 11


@pytest.mark.parametrize("asked", ["twenty", "+", "-3", "+-3", 0, "+0", -1])
def test_what_is_no_number_of_trials_is_refused(asked: int | str) -> None:
    with pytest.raises(UserError, match=r"study.n_trials: expected"):
        wanted_trials(new_study(), asked)


@pytest.mark.parametrize("sampler", [optuna.samplers.TPESampler, optuna.samplers.NSGAIISampler])
def test_a_study_read_from_memory_asks_and_holds_what_one_read_from_its_database_does(
    tmp_path: Path, sampler: Callable[..., optuna.samplers.BaseSampler]
) -> None:
    held = []
    for name, opened in (("plain", RDBStorage), ("memory", lambda url: open_database(url, 5.0))):
        c = config(tmp_path, batch=3, constraints=[{"metric": "refusal_rate", "at_most": 0.5}])
        url = f"sqlite:///{tmp_path}/{name}.db"
        study = stored_in(opened(url), sampler(seed=1))
        run(study, c, 14)
        read = optuna.load_study(study_name=study.study_name, storage=url).get_trials()
        assert [vars(trial) for trial in study.get_trials()] == [vars(trial) for trial in read]
        held.append([(t.number, t.state, t.values, t.params, t.constraints, t.user_attrs) for t in read])
    assert held[0] == held[1]
