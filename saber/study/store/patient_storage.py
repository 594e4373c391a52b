"""A study's trials in memory, in front of Optuna's storage in a database, which is waited for where it is away.

Optuna asks its database for all unfinished trials at every read, some eight times a trial; with hundreds of them under
way a driver would do nothing else. Memory is right here because a study has one driver, which writes all trials.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Container, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, event

from saber.study.store.database_retry import Patience, raise_away

Check = Callable[[], None]


class StoredStudy(optuna.Study):
    """A study with its storage at hand."""

    def __init__(self, study_name: str, storage: BaseStorage, sampler: BaseSampler | None = None) -> None:
        super().__init__(study_name, storage, sampler)
        self.storage = storage


class PatientStorage(BaseStorage):
    """Optuna's database storage behind `Patience`; ``check`` runs before a trial is made or finished.

    A connection can break while a commit is under way, and whether it went through is not known. What only sets a
    value is done again. A new trial is looked for before it is made again. A state that is as wanted was set.
    """

    def __init__(self, url: str, patience: Patience, *, check: Check | None = None, **engine: Any) -> None:
        self._patience = patience
        self._check: Check = check or (lambda: None)
        self._database = RDBStorage(url, engine_kwargs=engine)
        self._trials: dict[int, list[FrozenTrial]] = {}  # of a study, by their numbers
        self._places: dict[int, tuple[int, int]] = {}  # of a trial that may change: its study, its number
        event.listen(self.engine, "handle_error", raise_away)
        weakref.finalize(self, self.engine.dispose)

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's, of the database."""
        return self._database.engine

    def write_ahead(self) -> None:
        """Let SQLite append what is committed to a second file, which is several times faster; nothing on a server.

        Raises:
            SQLAlchemyError: the file cannot be written.
        """
        if self.engine.dialect.name != "sqlite":
            return

        def begin() -> None:
            with self.engine.connect() as connection:
                connection.exec_driver_sql("pragma journal_mode=wal")

        self._patience(begin)
        event.listen(self.engine, "connect", lambda opened, _: opened.execute("pragma synchronous=normal"))
        self.engine.dispose()

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        return self._patience(lambda: self._database.create_new_study(directions, study_name))

    def delete_study(self, study_id: int) -> None:
        self._trials.pop(study_id, None)
        self._patience(lambda: self._database.delete_study(study_id))

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._patience(lambda: self._database.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._patience(lambda: self._database.set_study_system_attr(study_id, key, value))

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._patience(lambda: self._database.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._patience(lambda: self._database.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._patience(lambda: self._database.get_study_directions(study_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._patience(lambda: self._database.get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._patience(lambda: self._database.get_study_system_attrs(study_id))

    def get_all_studies(self) -> list[Any]:
        return self._patience(self._database.get_all_studies)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trials, tried = self._of(study_id), False

        def create() -> int:
            nonlocal tried
            self._check()
            if tried and self._database.get_n_trials(study_id) > len(trials):
                return self._database.get_trial_id_from_study_id_trial_number(study_id, len(trials))
            tried = True
            return self._database.create_new_trial(study_id, template_trial)

        trial_id = self._patience(create)
        self._places[trial_id] = study_id, len(trials)
        trials.append(self._patience(lambda: self._database.get_trial(trial_id)))
        return trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self._patience(lambda: self._database.set_trial_param(trial_id, param_name, param_value_internal, distribution))
        trial = self._changing(trial_id)
        trial.params[param_name] = distribution.to_external_repr(param_value_internal)
        trial.distributions[param_name] = distribution

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        tried = False

        def set_state() -> bool:
            nonlocal tried
            self._check()
            if tried and self._database.get_trial(trial_id).state == state:
                return True
            tried = True
            return self._database.set_trial_state_values(trial_id, state, values)

        is_set = self._patience(set_state)
        study_id, number = self._places[trial_id]
        self._trials[study_id][number] = self._patience(lambda: self._database.get_trial(trial_id))  # it keeps the time
        return is_set

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._patience(lambda: self._database.set_trial_intermediate_value(trial_id, step, intermediate_value))
        self._changing(trial_id).intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._patience(lambda: self._database.set_trial_user_attr(trial_id, key, value))
        self._changing(trial_id).user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._patience(lambda: self._database.set_trial_system_attr(trial_id, key, value))
        self._changing(trial_id).system_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A copy of one trial: Optuna writes into what it gets here."""
        if trial_id not in self._places:
            return self._patience(lambda: self._database.get_trial(trial_id))
        study_id, number = self._places[trial_id]
        return _copy(self._trials[study_id][number])

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self._patience(lambda: self._database.get_trial_id_from_study_id_trial_number(study_id, trial_number))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """From memory, in the order of their numbers."""
        trials = [trial for trial in self._of(study_id) if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def _of(self, study_id: int) -> list[FrozenTrial]:
        """All trials of a study, read once."""
        if study_id not in self._trials:
            trials = self._patience(lambda: self._database.get_all_trials(study_id))
            self._trials[study_id] = sorted(trials, key=lambda trial: trial.number)
            for trial in self._trials[study_id]:
                if not trial.state.is_finished():
                    trial_id = self.get_trial_id_from_study_id_trial_number(study_id, trial.number)
                    self._places[trial_id] = study_id, trial.number
        return self._trials[study_id]

    def _changing(self, trial_id: int) -> FrozenTrial:
        """Put a copy in the trial's place, as others may hold the old one, and return it."""
        study_id, number = self._places[trial_id]
        self._trials[study_id][number] = _copy(self._trials[study_id][number])
        return self._trials[study_id][number]


def _copy(trial: FrozenTrial) -> FrozenTrial:
    """A trial that can be added to without changing the one it is copied from."""
    twin = copy.copy(trial)
    twin.params, twin.distributions = dict(trial.params), dict(trial.distributions)
    twin.user_attrs, twin.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    twin.intermediate_values = dict(trial.intermediate_values)
    return twin
