"""One driver a study where several machines share a PostgreSQL: an advisory lock, which ends with its holder."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from saber.types import UserError

GRACE_S = 2.0  # how long a server takes to notice that a killed driver's connection is closed
NAME_LIMIT = 63  # of a PostgreSQL name, such as application_name
# A driver whose machine died is noticed by the server within a minute.
KEEPALIVE = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
HOLDER = """select a.application_name from pg_locks l join pg_stat_activity a using (pid)
            where l.locktype = 'advisory' and l.granted and l.classid = :high and l.objid = :low and l.objsubid = 1
              and l.database = (select oid from pg_database where datname = current_database())"""


class DatabaseLock:
    """The lock of one study, on a connection of its own that says who holds it."""

    def __init__(self, url: str, study: str, connect_args: dict[str, Any]) -> None:
        self.study = study
        self.key = int.from_bytes(hashlib.blake2b(f"saber {study}".encode(), digest_size=8).digest(), signed=True)
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")
        about = f" {os.getpid()} {since}"
        self.holder = f"{socket.gethostname()[: NAME_LIMIT - len(about)]}{about}"
        named = {**connect_args, "application_name": self.holder}
        self.engine = sqlalchemy.create_engine(
            url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=named
        )
        self.connection: sqlalchemy.Connection | None = None

    def check(self) -> None:
        """Hold the lock still, or take it again where the server was restarted.

        Raises:
            UserError: another driver holds it.
            SQLAlchemyError: the database is away.
        """
        if self.connection is not None:
            try:
                self.connection.execute(sqlalchemy.text("select 1"))
                return
            except SQLAlchemyError:
                self.release()
        self.take()

    def take(self) -> None:
        """Take the lock.

        Raises:
            UserError: another driver holds it: host, pid and since when.
            SQLAlchemyError: the database cannot be reached.
        """
        connection = self.engine.connect()
        try:
            for key, value in KEEPALIVE.items():
                connection.execute(sqlalchemy.text(f"set {key} = {value}"))
            end = time.monotonic() + GRACE_S
            while not connection.scalar(sqlalchemy.text("select pg_try_advisory_lock(:key)"), {"key": self.key}):
                holder = self._other(connection)
                if time.monotonic() >= end:
                    raise UserError(f"study {self.study} is being driven by {holder}")
                time.sleep(0.1)
        except BaseException:
            connection.close()
            raise
        self.connection = connection

    def release(self) -> None:
        """Give the lock back; the server does so itself where the connection is gone."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):  # of a connection that is broken already
                connection.invalidate()
                connection.close()

    def _other(self, connection: sqlalchemy.Connection) -> str:
        halves = {"high": (self.key >> 32) & 0xFFFFFFFF, "low": self.key & 0xFFFFFFFF}
        name = connection.scalar(sqlalchemy.text(HOLDER), halves)
        host, pid, since = str(name or "unknown unknown unknown").rsplit(" ", 2)
        return f"host {host}, pid {pid}, since {since}"


@contextmanager
def database_lock(url: str, study: str, connect_args: dict[str, Any]) -> Iterator[DatabaseLock | None]:
    """Hold the study's lock in its database while driving it; SQLite has the lock of its folder instead.

    Raises:
        UserError: another driver holds it: host, pid and since when.
    """
    if not url.startswith("postgresql"):
        yield None
        return
    lock = DatabaseLock(url, study, connect_args)
    lock.take()
    try:
        yield lock
    finally:
        lock.release()
