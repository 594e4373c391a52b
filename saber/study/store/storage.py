"""The study's database: opened or created, one driver at a time, and never continued under another question."""

from __future__ import annotations

import fcntl
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from saber.atomic_files import remove_abandoned
from saber.config import Config
from saber.console import announce
from saber.redaction import public
from saber.study.context import study_folder
from saber.study.store.database_retry import Patience, first_line, is_starting
from saber.study.store.fingerprint import IDENTITY, as_stored, check_identity
from saber.study.store.patient_storage import Check, PatientStorage, StoredStudy
from saber.types import UserError

MOST_NAMED = 8
LOCAL = {"btrfs", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"}
MOUNTS = Path("/proc/self/mounts")
SQLITE_BUSY_S = 5  # then it is said that the database is locked, and waited on
# A connection that a network cut is noticed in half a minute instead of hours.
LIBPQ = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def on_local_disk(folder: Path) -> bool:
    """Whether a folder is certainly on a disk of this machine, which SQLite's write-ahead mode asks for."""
    if not MOUNTS.exists():
        return False
    kinds = {
        Path(place): kind for _, place, kind, *_ in map(str.split, MOUNTS.read_text(encoding="utf-8").splitlines())
    }
    return next(kinds[place] for place in (folder.resolve() / "x").parents if place in kinds) in LOCAL


def storage_url(config: Config) -> str:
    """The configured SQLAlchemy URL, or an SQLite file in the study's folder."""
    if config.study.storage is not None:
        return config.study.storage
    return sqlite_url(study_folder(config) / "study.db")


def sqlite_url(path: PurePath) -> str:
    """The URL of an SQLite file; with forward slashes on Windows too, as SQLAlchemy reads a backslash as itself."""
    return f"sqlite:///{path.as_posix()}"


def _sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL, ``None`` for other databases and one in memory."""
    name = url.partition(":///")[2].partition("?")[0]
    return Path(name) if url.startswith("sqlite:///") and name not in ("", ":memory:") else None


def connect_args(url: str) -> dict[str, Any]:
    """What a connection to the database is opened with."""
    if url.startswith("sqlite"):
        return {"timeout": SQLITE_BUSY_S}
    return dict(LIBPQ) if url.startswith(("postgresql:", "postgresql+psycopg")) else {}


def open_storage(config: Config, *, create: bool, check: Check | None = None) -> PatientStorage:
    """Open the database; ``check`` runs before a trial is made or finished.

    Raises:
        UserError: it cannot be opened or written, or ``create`` is false and there is none.
    """
    folder = study_folder(config)
    try:
        if not create and config.study.storage is None and not (folder / "study.db").exists():
            raise UserError(f"expected a study in {folder}, found none{_instead(config)}")
        if not create and (file := _sqlite_file(storage_url(config))) is not None and not file.exists():
            raise UserError(f"expected the study's database, found no file {file}: mend study.storage")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"expected to write in {folder}, found: {error}; permit it or choose study.dir") from error
    return open_database(storage_url(config), config.study.storage_patience_s, check, is_driven=create)


def studies_in(folder: Path) -> list[str]:
    """The names of the studies that keep their database in a folder of studies, newest first."""
    if not folder.is_dir():
        return []
    files = [path / "study.db" for path in folder.iterdir() if (path / "study.db").is_file()]
    return [file.parent.name for file in sorted(files, key=lambda file: -file.stat().st_mtime)]


def _instead(config: Config) -> str:
    """Which studies there are instead of one that is not, or the sweep that makes it."""
    there = studies_in(Path(config.study.dir).expanduser())
    if there:
        more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
        return f"; there are {', '.join(there[:MOST_NAMED])}{more}: name one by its +sweep=... or study.name=..."
    sweep = next((word for word in config.overrides if word.startswith("+sweep=")), "+sweep=organism")
    return f": run python -m saber.sweep {sweep} first"


def open_database(
    url: str, patience_s: float, check: Check | None = None, *, is_driven: bool = False
) -> PatientStorage:
    """Open a database by its URL; an SQLite file that is to be driven is written ahead, on a disk of this machine.

    Raises:
        UserError: it cannot be opened or written, or its driver is not installed.
    """
    patience = Patience(patience_s, announce)
    arguments = connect_args(url)
    try:
        storage = patience(lambda: PatientStorage(url, patience, check=check, connect_args=arguments), is_starting)
        if is_driven and (place := storage.engine.url.database) and on_local_disk(Path(place)):
            storage.write_ahead()
        return storage
    except ImportError as error:
        raise UserError(
            f"study.storage: expected the driver of {public(url)}, found none; pip install -e '.[postgres]' for"
            " PostgreSQL"
        ) from error
    except (LookupError, OSError, RuntimeError, SQLAlchemyError, StorageInternalError, ValueError) as error:
        raise UserError(f"expected to open the database {public(url)}, found: {first_line(error)}") from error


def find_study(config: Config, check: Check | None = None) -> StoredStudy | None:
    """The study to go on with, if it was begun; ``check`` is the storage's."""
    if config.study.storage is None and not (study_folder(config) / "study.db").exists():
        return None
    return _study_in(open_storage(config, create=True, check=check), config.study.name)


def open_study(
    config: Config, identity: Mapping[str, Any], begun: StoredStudy | None = None, check: Check | None = None
) -> StoredStudy:
    """Create the study, or continue the one that was ``begun`` if what it asks is still the same.

    Raises:
        UserError: the study was begun with another space, model, data or objectives; the difference is shown.
    """
    study = begun or find_study(config, check) or _new_study(config, check)
    if IDENTITY not in study.user_attrs:
        study.set_user_attr(IDENTITY, as_stored(identity))
        with warnings.catch_warnings():  # experimental since 2023, and the dashboard shows nothing without it
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([objective.metric for objective in config.study.objectives])
    check_identity(study, identity)
    return study


def _new_study(config: Config, check: Check | None) -> StoredStudy:
    storage, name = open_storage(config, create=True, check=check), config.study.name
    optuna.create_study(
        study_name=name, storage=storage, directions=[objective.direction for objective in config.study.objectives]
    )
    return StoredStudy(name, storage)


def _study_in(storage: PatientStorage, name: str) -> StoredStudy | None:
    """The study of that name, if there is one."""
    try:
        return StoredStudy(name, storage)
    except KeyError:
        return None


def load_study(config: Config) -> StoredStudy:
    """Open a study that must be there already.

    Raises:
        UserError: there is no such study in the database.
    """
    storage = open_storage(config, create=False)
    study = _study_in(storage, config.study.name)
    if study is None:
        names = ", ".join(optuna.get_all_study_names(storage)) or "none"
        raise UserError(f"expected study {config.study.name}, found {names} in its database")
    return study


def artifact_store(config: Config) -> FileSystemArtifactStore:
    """Where each trial's responses lie for the dashboard."""
    folder = study_folder(config) / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    return FileSystemArtifactStore(base_path=folder)


@contextmanager
def one_driver(folder: Path) -> Iterator[None]:
    """Hold the study's lock while driving it; the lock of a dead driver is free by itself, its drafts are removed.

    Raises:
        UserError: another driver holds it: host, pid and since when.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / "driver.lock", "a+", encoding="utf-8")  # noqa: SIM115 - it must stay open to hold the lock
    except OSError as error:
        raise UserError(f"expected to write in {folder}, found: {error}; permit it or choose study.dir") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise UserError(f"study {folder.name} is being driven by {file.read().strip()}") from error
        file.seek(0)
        file.truncate()
        since = datetime.now(UTC).isoformat(timespec="seconds")
        file.write(f"host {socket.gethostname()}, pid {os.getpid()}, since {since}")
        file.flush()
        remove_abandoned(folder)
        yield
