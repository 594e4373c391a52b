"""A database that goes away and comes back: whoever needs it waits, says so, and writes nothing twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError

from saber.interrupts import raise_held
from saber.redaction import masked

T = TypeVar("T")
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


class DatabaseAway(Exception):
    """A database that may come back; Optuna makes a trial anew on any error of SQLAlchemy's, which this is not."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def raise_away(context: ExceptionContext) -> None:
    """Of an engine: let an error that passes through as `DatabaseAway`.

    Raises:
        DatabaseAway: the database may come back.
    """
    if context.sqlalchemy_exception is not None and passes(context.sqlalchemy_exception):
        raise DatabaseAway(context.sqlalchemy_exception)


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
            except DatabaseAway as away:
                since = self._wait_or_give_up(away.error, since)
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


def first_line(error: BaseException) -> str:
    """What the database said, on one line and without a password."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    return masked(str(cause).splitlines()[0])
