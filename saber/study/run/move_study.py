"""Move a study to another database, and its files to another folder, on Optuna's own copy_study."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from saber.config import Config
from saber.keys import with_values
from saber.redaction import public
from saber.study.context import study_folder
from saber.study.run.driver import recover
from saber.study.run.session import calm_optuna, storage_faults
from saber.study.store.database_lock import database_lock
from saber.study.store.patient_storage import StoredStudy
from saber.study.store.storage import connect_args, load_study, one_driver, open_database, storage_url
from saber.types import UserError

DATABASE = "study.db"
LOCK = "driver.lock"


def move_study(config: Config) -> tuple[int, Config]:
    """Copy the study to ``config.to`` and its files to ``config.to_dir``; the old ones stay.

    Returns the number of trials and the configuration under which the study goes on. What a dead driver left running is
    handed back first, as the next sweep would do.

    Raises:
        UserError: no target, a driver at work, no such study, or something of that name at the target.
    """
    if config.to is None:
        raise UserError("expected to=<database URL> such as to=sqlite:///new.db, found none")
    calm_optuna()
    moved = with_values(config, {"study.storage": config.to, "study.dir": config.to_dir or config.study.dir})
    source, target = study_folder(config), study_folder(moved)
    if config.to_dir is not None and target.exists():
        raise UserError(f"expected {target} to be free, found something there: name another to_dir")
    url, name = storage_url(config), config.study.name
    with one_driver(source), storage_faults(), database_lock(url, name, connect_args(url)):
        study = load_study(config)
        recover(study)
        copied = _copy(study, config.to, config.study.storage_patience_s)
        try:
            if config.to_dir is not None:
                _copy_files(source, target)
        except BaseException:
            optuna.delete_study(study_name=name, storage=copied.storage)
            raise
    return len(study.trials), moved


def _copy(study: StoredStudy, url: str, patience_s: float) -> StoredStudy:
    """The study in another database, the same trial for trial; nothing stays there where that fails.

    Raises:
        UserError: the database holds a study of that name.
    """
    storage = open_database(url, patience_s)
    name = study.study_name
    if name in optuna.get_all_study_names(storage):
        raise UserError(
            f"expected no study {name} in {public(url)}, found one: name another database, or remove it with"
            f" optuna delete-study --storage {public(url)} --study-name {name}"
        )
    try:
        optuna.copy_study(from_study_name=name, from_storage=study.storage, to_storage=storage)
        copied = StoredStudy(name, storage)
        if trial_contents(study.trials) != trial_contents(copied.trials):
            raise UserError(f"expected the same trials in {public(url)}, found others; nothing was moved")
    except BaseException:
        if name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
        raise
    return copied


def trial_contents(trials: Sequence[FrozenTrial]) -> list[tuple[Any, ...]]:
    """What must be the same of trials in two databases, their attributes and artifacts' names included."""
    return [
        (
            trial.number,
            trial.state,
            trial.values,
            trial.params,
            trial.distributions,
            trial.user_attrs,
            trial.system_attrs,
        )
        for trial in trials
    ]


def _copy_files(source: Path, target: Path) -> None:
    """The study's plans, artifacts, caches and reports, in one move; not its database and its lock."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(source, partial, ignore=shutil.ignore_patterns(f"{DATABASE}*", LOCK, ".*"))
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
