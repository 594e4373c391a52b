"""A database that goes away and comes back: whoever needs it waits, says so, and writes nothing twice."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError

from saber.interrupts import raise_held
from saber.redaction import masked

T = TypeVar("T")
# Internal value, distribution, and the one that the key had in earlier trials, if any.
Param = tuple[float, BaseDistribution, BaseDistribution | None]
Check = Callable[[], None]
PAUSE_S = 0.25
PASSING_STATES = ("08", "57P", "53300", "40001", "40P01", "55P03")  # SQLSTATE: gone, stopping, full of clients, locked
MYSQL_GONE = (1040, 1053, 1205, 1213, 2002, 2003, 2006, 2013)
SETTLED = ("authentication", "does not exist", "no pg_hba.conf entry", "could not translate host name")


def passes(error: BaseException) -> bool:
    """Whether this is a database that is away or locked and may come back, not one that is full or says no."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, PendingRollbackError):  # the connection broke at an earlier statement of the transaction
        return True
    if not isinstance(cause, DBAPIError):
        return False
    text = str(cause.orig)
    if cause.connection_invalidated or "database is locked" in text:
        return True
    state = getattr(cause.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(PASSING_STATES)
    if type(cause.orig).__module__.startswith("psycopg") and type(cause.orig).__name__ == "OperationalError":
        return not any(word in text for word in SETTLED)  # no connection was made, so there is no SQLSTATE
    code = cause.orig.args[0] if cause.orig is not None and cause.orig.args else None
    return code in MYSQL_GONE


def is_starting(error: BaseException) -> bool:
    """Whether a database that is opened will answer soon: a wrong address, in contrast, should be told at once."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return isinstance(cause, DBAPIError) and any(
        word in str(cause.orig) for word in ("database is locked", "starting up", "shutting down")
    )


@dataclass
class Writes:
    """Values of one trial that are to be written: parameters by key, attributes of ours and of Optuna's."""

    params: dict[str, Param] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)


class Patience:
    """Repeat what needs the database until it answers, for so many seconds at most."""

    def __init__(self, seconds: float, say: Callable[[str], None]) -> None:
        self.seconds = seconds
        self.say = say
        self._over: type[BaseException] | None = None

    def __call__(self, action: Callable[[], T], passing: Callable[[BaseException], bool] = passes) -> T:
        """Do something, again where the database was away; once given up, nothing is waited for a second time.

        Raises:
            StorageInternalError, SQLAlchemyError: the database stayed away, or it said no.
            KeyboardInterrupt: Ctrl-C while waiting.
        """
        since: float | None = None
        while True:
            try:
                done = action()
            except (StorageInternalError, SQLAlchemyError) as error:
                if not passing(error):
                    raise
                since = self._wait_or_give_up(error, since)
            else:
                if since is not None:
                    self.say(f"the study's database is back after {time.monotonic() - since:.0f} s")
                self._over = None
                return done

    def _wait_or_give_up(self, error: BaseException, since: float | None) -> float:
        if self._over is KeyboardInterrupt:
            raise KeyboardInterrupt from error
        if self._over is not None or (since is not None and time.monotonic() - since >= self.seconds):
            self._over = type(error)
            raise error
        if since is None:
            since = time.monotonic()
            self.say(f"the study's database is away ({first_line(error)}); waiting up to {self.seconds:g} s")
        try:
            time.sleep(PAUSE_S)
            raise_held()
        except KeyboardInterrupt:
            self._over = KeyboardInterrupt
            raise
        return since


class PatientStorage(RDBStorage):
    """Optuna's database storage behind `Patience`; ``check`` runs before a trial is made or finished.

    A connection can break while a commit is under way, and whether it went through is not known. What only sets a
    value is done again. A new trial is looked for before it is made again, under the study's lock, which a commit
    still under way holds. A state that is as wanted was set.
    """

    def __init__(self, url: str, patience: Patience, *, check: Check | None = None, **more: Any) -> None:
        self._patience = patience
        self._check: Check = check or (lambda: None)
        super().__init__(url, **more)
        weakref.finalize(self, self.engine.dispose)

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        before: int | None = None

        def create() -> int:
            nonlocal before
            self._check()
            with _create_scoped_session(self.scoped_session) as session:
                models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
                of_study = session.query(models.TrialModel).filter(models.TrialModel.study_id == study_id)
                n_trials = of_study.count()
                if before is not None and n_trials > before:
                    return int(of_study.filter(models.TrialModel.number == before).one().trial_id)
                before = n_trials
                return int(self._get_prepared_new_trial(study_id, template_trial, session).trial_id)

        return self.get_trial(self._patience(create))

    def write_trial(self, trial_id: int, writes: Writes) -> None:
        """Write some values of a running trial in one transaction: all of them or none."""
        tried = False

        def write() -> None:
            nonlocal tried
            again, tried = tried, True
            with _create_scoped_session(self.scoped_session, again) as session:  # what the first try committed is there
                for name, (value, distribution, before) in writes.params.items():
                    self._set_trial_param_without_commit(session, trial_id, name, value, distribution, before)
                for model, attrs in (
                    (models.TrialUserAttributeModel, writes.user_attrs),
                    (models.TrialSystemAttributeModel, writes.system_attrs),
                ):
                    for key, value in attrs.items():
                        self._set_trial_attr_without_commit(session, model, trial_id, key, value)

        self._patience(write)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        tried = False

        def set_state() -> bool:
            nonlocal tried
            self._check()
            if tried and RDBStorage.get_trial(self, trial_id).state == state:
                return True
            tried = True
            return RDBStorage.set_trial_state_values(self, trial_id, state, values)

        return self._patience(set_state)


def _again(method: Callable[..., T]) -> Callable[..., T]:
    """A method that may be repeated whatever came of the first time."""

    def patient(self: PatientStorage, *args: Any, **kwargs: Any) -> T:
        return self._patience(lambda: method(self, *args, **kwargs))

    return patient


for _name in (
    "create_new_study",
    "delete_study",
    "set_study_user_attr",
    "set_study_system_attr",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_directions",
    "get_study_user_attrs",
    "get_study_system_attrs",
    "get_all_studies",
    "get_trial",
    "get_trial_id_from_study_id_trial_number",
    "get_trial_user_attrs",
    "get_trial_system_attrs",
    "_get_trials",
    "_set_trial_param",
    "set_trial_user_attr",
    "set_trial_system_attr",
):
    setattr(PatientStorage, _name, _again(getattr(RDBStorage, _name)))


def first_line(error: BaseException) -> str:
    """What the database said, on one line and without a password."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    return masked(str(cause).splitlines()[0])
