"""A study's trials in memory: reads cost nothing, and what is written together goes to the database at once.

Optuna's own cache asks the database for all unfinished trials at every read, some eight times a trial; with hundreds of
them under way a driver would do nothing else. And Optuna commits every value by itself, seventeen times or more in a
trial, and waits for the disk or the network each time; here it is four times. Both are right here because a study has
one driver, which writes all trials.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from saber.study.store.database_retry import PatientStorage, Writes


def mirrored(study: optuna.Study) -> optuna.Study:
    """The same study, whose trials are read from memory from now on: for its one driver."""
    assert isinstance(study._storage, _CachedStorage)
    database = study._storage._backend
    assert isinstance(database, PatientStorage)
    mirror = Mirror(database, study.get_trials(deepcopy=False))  # Optuna's cache has those that were read before
    return optuna.load_study(study_name=study.study_name, storage=mirror, sampler=study.sampler)


def together(study: optuna.Study) -> AbstractContextManager[None]:
    """Inside, what is written of a mirrored study's trials waits, to reach the database in one transaction a trial."""
    return study._storage.together() if isinstance(study._storage, Mirror) else nullcontext()


class Mirror(BaseStorage):
    """The storage of one study, in front of its database."""

    def __init__(self, database: PatientStorage, trials: Sequence[FrozenTrial]) -> None:
        self.database = database
        self.trials = {trial._trial_id: trial for trial in trials}
        self.distributions = {key: one for trial in self.trials.values() for key, one in trial.distributions.items()}
        self._waiting: dict[int, Writes] = {}
        self._is_together = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let what is written of trials wait while inside; whatever happens there, it is written on the way out."""
        self._is_together = True
        try:
            yield
        finally:
            self._is_together = False
            self._write()

    def _write(self) -> None:
        """Write what waits, a transaction a trial."""
        while self._waiting:
            trial_id = next(iter(self._waiting))
            self.database.write_trial(trial_id, self._waiting[trial_id])
            del self._waiting[trial_id]

    @contextmanager
    def _writes(self, trial_id: int) -> Iterator[Writes]:
        """What waits to be written of a trial, to be added to; it is written at once unless more is to come."""
        yield self._waiting.setdefault(trial_id, Writes())
        if not self._is_together:
            self._write()

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """As the database does, like all that concerns studies."""
        return self.database.create_new_study(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        self.database.delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.database.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.database.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        return self.database.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self.database.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self.database.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self.database.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self.database.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        return self.database.get_all_studies()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create it in the database and read it once."""
        trial_id = self.database.create_new_trial(study_id, template_trial)
        self.trials[trial_id] = copy.deepcopy(self.database.get_trial(trial_id))
        return trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Write a parameter."""
        before = self.distributions.setdefault(param_name, distribution)
        with self._writes(trial_id) as writes:
            writes.params[param_name] = (param_value_internal, distribution, before)
        trial = self._changing(trial_id)
        trial.params[param_name] = distribution.to_external_repr(param_value_internal)
        trial.distributions[param_name] = distribution

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Write a state after all that waits, and read back what the database makes of it: it keeps the time."""
        self._write()
        changed = self.database.set_trial_state_values(trial_id, state, values)
        self.trials[trial_id] = copy.deepcopy(self.database.get_trial(trial_id))
        return changed

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Write an intermediate value."""
        self.database.set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._changing(trial_id).intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write an attribute of ours."""
        with self._writes(trial_id) as writes:
            writes.user_attrs[key] = value
        self._changing(trial_id).user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write an attribute of Optuna's."""
        with self._writes(trial_id) as writes:
            writes.system_attrs[key] = value
        self._changing(trial_id).system_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A copy of one trial: Optuna writes into what it gets here."""
        return _copy(self.trials[trial_id])

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:  # noqa: ARG002
        """From memory, as trials are kept in the order of their numbers."""
        return list(self.trials)[trial_number]

    def get_all_trials(
        self,
        study_id: int,  # noqa: ARG002
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """From memory, in the order of their numbers."""
        trials = [trial for trial in self.trials.values() if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def _changing(self, trial_id: int) -> FrozenTrial:
        """Put a copy in the trial's place, as others may hold the old one, and return it."""
        self.trials[trial_id] = _copy(self.trials[trial_id])
        return self.trials[trial_id]


def _copy(trial: FrozenTrial) -> FrozenTrial:
    """A trial that can be added to without changing the one it is copied from."""
    made = copy.copy(trial)
    for name in ("_params", "_distributions", "_user_attrs", "_system_attrs", "intermediate_values"):
        setattr(made, name, dict(getattr(made, name)))
    return made
