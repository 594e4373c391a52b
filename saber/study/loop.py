"""The driver: ask T trials, evaluate them together, tell T results, until the study has as many as wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from saber.config import Config
from saber.study.evaluator import Outcome
from saber.study.interrupts import interrupts_held
from saber.study.naming import point_name
from saber.study.progress import Progress
from saber.study.records import INTERRUPTED, RETRY_OF, finished_trials, tell
from saber.study.space import Knob, check_point, suggest
from saber.study.storage import artifact_store
from saber.study.workbench import study_folder
from saber.types import UserError

TARGET = "n_trials"
Evaluator = Callable[[Sequence[Config]], list[Outcome]]


def wanted_trials(study: optuna.Study, n_trials: int | str) -> int:
    """How many finished trials the study should have: a number, or ``"+20"`` more than it was last asked for.

    An extension that was interrupted is run to its end before another is added.

    Raises:
        UserError: not a number of trials.
    """
    finished = len(finished_trials(study))
    if isinstance(n_trials, int):
        wanted = n_trials
    elif match := re.fullmatch(r"\+(\d{1,9})", n_trials):
        last = int(study.user_attrs.get(TARGET, 0))
        wanted = last if finished < last else last + int(match[1])
    else:
        raise UserError(f"study.n_trials: expected a number such as 60 or +20, found {n_trials!r}")
    if wanted < 1:
        raise UserError(f"study.n_trials: expected at least 1, found {wanted}")
    return wanted


def drive(
    study: optuna.Study,
    config: Config,
    knobs: Sequence[Knob],
    evaluator: Evaluator,
    progress: Progress,
    n_trials: int,
) -> None:
    """Run the study to ``n_trials`` finished ones; whatever stops it, no trial is left running."""
    with interrupts_held() as release:
        study.set_user_attr(TARGET, n_trials)
        recover(study)
        enqueue_known(study, config, knobs)
        names = {str(t.user_attrs["name"]) for t in study.get_trials(deepcopy=False) if "name" in t.user_attrs}
        try:
            while (left := n_trials - len(finished_trials(study))) > 0:
                trials = [study.ask() for _ in range(min(left, config.launch.trials_per_batch))]
                configs = [suggest(trial, knobs, config) for trial in trials]
                progress.evaluating([trial.number for trial in trials])
                with release():
                    outcomes = evaluator(configs)
                for trial, outcome in zip(trials, outcomes, strict=True):
                    name = point_name(trial.params, names, trial.number)
                    tell(study, trial, outcome, name, config.study, study_folder(config), artifact_store(config))
                    names.add(name)
                    progress.told(study, name, outcome)
        finally:
            recover(study)


def recover(study: optuna.Study) -> None:
    """Hand back every trial that is left running: only one driver is alive, and it is here."""
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        hand_back(study, trial.number, trial.params)


def hand_back(study: optuna.Study, number: int, params: dict[str, Any]) -> None:
    """End an interrupted trial and enqueue its parameters once, so that nothing is lost and nothing doubled."""
    trials = study.get_trials(deepcopy=False)
    if trials[number].state.is_finished():  # interrupted between its last write and being forgotten
        return
    params = trials[number].system_attrs.get("fixed_params", {}) | params  # a known point not yet asked for stays known
    retried = any(trial.user_attrs.get(RETRY_OF) == number for trial in trials)
    if params and not retried:
        study.enqueue_trial(params, user_attrs={RETRY_OF: number})
    study._storage.set_trial_user_attr(trials[number]._trial_id, INTERRUPTED, True)
    study.tell(number, state=TrialState.FAIL)


def enqueue_known(study: optuna.Study, config: Config, knobs: Sequence[Knob]) -> None:
    """Enqueue the known points of a study that has no trials yet."""
    points = [check_point(point, knobs) for point in config.study.enqueue]
    if not study.get_trials(deepcopy=False):
        for point in points:
            study.enqueue_trial(point)
