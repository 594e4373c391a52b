"""The driver: ask a batch for every free worker, tell results as they come, until the study has all it wants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from saber.config import Config
from saber.interrupts import interrupts_held
from saber.study.context import study_folder
from saber.study.run.progress import Progress
from saber.study.run.workers import Batch, Done, Workers
from saber.study.search.front_so_far import FrontSoFar, front_so_far
from saber.study.search.names import point_name
from saber.study.search.space import Knob, check_point, suggest
from saber.study.store.patient_storage import StoredStudy
from saber.study.store.records import INTERRUPTED, RETRY_OF, complete_of, finished_trials, tell
from saber.study.store.storage import artifact_store
from saber.types import UserError

TARGET = "n_trials"


def more_trials(n_trials: str) -> int:
    """How many more trials ``"+20"`` asks for.

    Raises:
        UserError: it is not of that form.
    """
    match = re.fullmatch(r"\+(\d{1,9})", n_trials)
    if match is None:
        raise UserError(f"study.n_trials: expected a number such as 60 or +20, found {n_trials!r}")
    return int(match[1])


def wanted_trials(study: optuna.Study, n_trials: int | str) -> int:
    """How many finished trials the study should have: a number, or ``"+20"`` more than it was last asked for.

    An extension that was interrupted is run to its end before another is added.

    Raises:
        UserError: not a number of trials.
    """
    finished = len(finished_trials(study))
    if isinstance(n_trials, int):
        wanted = n_trials
    else:
        last = int(study.user_attrs.get(TARGET, 0))
        wanted = last if finished < last else last + more_trials(n_trials)
    if wanted < 1:
        raise UserError(f"study.n_trials: expected at least 1, found {wanted}")
    return wanted


def drive(
    study: StoredStudy,
    config: Config,
    knobs: Sequence[Knob],
    workers: Workers,
    progress: Progress,
    n_trials: int,
) -> None:
    """Run the study to ``n_trials`` finished ones; whatever stops it, no trial is left running."""
    with interrupts_held() as release:
        study.set_user_attr(TARGET, n_trials)
        recover(study)
        enqueue_known(study, config, knobs)
        names = {str(t.user_attrs["name"]) for t in study.get_trials(deepcopy=False) if "name" in t.user_attrs}
        under_way: set[int] = set()
        try:
            while (left := n_trials - len(told := finished_trials(study))) > 0:
                front = front_so_far(complete_of(told), config.study.objectives)
                while size := workers.room(left - len(under_way)):
                    batch = ask(study, config, knobs, size, front)
                    under_way |= {trial.number for trial in batch.trials}
                    workers.submit(batch)
                progress.evaluating(sorted(under_way))
                with release():
                    finished = workers.wait()
                for done in finished:
                    tell_all(study, config, done, names, progress)
                    under_way -= {trial.number for trial in done.batch.trials}
        finally:
            recover(study)


def ask(study: optuna.Study, config: Config, knobs: Sequence[Knob], size: int, front: FrontSoFar) -> Batch:
    """Ask the sampler for a batch of trials, which sees the front as it is."""
    trials = tuple(study.ask() for _ in range(size))
    return Batch(trials, tuple(suggest(trial, knobs, config) for trial in trials), front)


def tell_all(study: optuna.Study, config: Config, done: Done, names: set[str], progress: Progress) -> None:
    """Store what came of a batch, trial by trial."""
    for trial, own, outcome in zip(done.batch.trials, done.batch.configs, done.outcomes, strict=True):
        name = point_name(trial.params, names, trial.number)
        if own.edit.strength_unit is not None:
            trial.set_user_attr("strength_unit", own.edit.strength_unit)
        tell(study, trial, outcome, name, config.study, study_folder(config), artifact_store(config))
        names.add(name)
        progress.told(study, name, outcome)


def recover(study: StoredStudy) -> None:
    """Hand back every trial that is left running: only one driver is alive, and it is here."""
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        hand_back(study, trial.number, trial.params)


def hand_back(study: StoredStudy, number: int, params: dict[str, Any]) -> None:
    """End an interrupted trial and enqueue its parameters once, so that nothing is lost and nothing doubled."""
    trials = study.get_trials(deepcopy=False)
    if trials[number].state.is_finished():  # interrupted between its last write and being forgotten
        return
    params = trials[number].system_attrs.get("fixed_params", {}) | params  # a known point not yet asked for stays known
    retried = any(trial.user_attrs.get(RETRY_OF) == number for trial in trials)
    if params and not retried:
        study.enqueue_trial(params, user_attrs={RETRY_OF: number})
    study_id = study.storage.get_study_id_from_name(study.study_name)
    trial_id = study.storage.get_trial_id_from_study_id_trial_number(study_id, number)
    study.storage.set_trial_user_attr(trial_id, INTERRUPTED, True)
    study.tell(number, state=TrialState.FAIL)


def enqueue_known(study: optuna.Study, config: Config, knobs: Sequence[Knob]) -> None:
    """Enqueue the known points of the study that it neither ran nor has enqueued yet."""
    for point in new_points(study, config, knobs):
        study.enqueue_trial(point)


def new_points(study: optuna.Study, config: Config, knobs: Sequence[Knob]) -> list[dict[str, Any]]:
    """The points of ``study.enqueue`` that no trial of the study was or will be.

    Raises:
        UserError: one names a key that is not searched, or lies outside the space.
    """
    points = [check_point(point, knobs) for point in config.study.enqueue]
    asked = [t.system_attrs.get("fixed_params", {}) | t.params for t in study.get_trials(deepcopy=False)]
    return [point for point in points if not any(point.items() <= params.items() for params in asked)]
