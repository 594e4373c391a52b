"""A study's trials in memory: reads cost nothing, and every write goes to the database first.

Optuna's own cache asks the database for all unfinished trials at every read, some eight times a trial; with hundreds of
them under way a driver would do nothing else. It is right here because a study has one driver, which writes all trials.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState


def mirrored(study: optuna.Study) -> optuna.Study:
    """The same study, whose trials are read from memory from now on: for its one driver."""
    mirror = Mirror(study._storage, study._study_id)
    return optuna.load_study(study_name=study.study_name, storage=mirror, sampler=study.sampler)


class Mirror(BaseStorage):
    """The storage of one study, in front of its database."""

    def __init__(self, database: BaseStorage, study_id: int) -> None:
        self.database = database
        self.trials = {trial._trial_id: trial for trial in database.get_all_trials(study_id)}

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
        self.database.set_trial_param(trial_id, param_name, param_value_internal, distribution)
        trial = self._changing(trial_id)
        trial.params[param_name] = distribution.to_external_repr(param_value_internal)
        trial.distributions[param_name] = distribution

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Write a state, and read back what the database makes of it: it keeps the time."""
        changed = self.database.set_trial_state_values(trial_id, state, values)
        self.trials[trial_id] = copy.deepcopy(self.database.get_trial(trial_id))
        return changed

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Write an intermediate value."""
        self.database.set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._changing(trial_id).intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write an attribute of ours."""
        self.database.set_trial_user_attr(trial_id, key, value)
        self._changing(trial_id).user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write an attribute of Optuna's."""
        self.database.set_trial_system_attr(trial_id, key, value)
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
