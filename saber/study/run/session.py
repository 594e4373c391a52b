"""One session with a study: what it asks, its workbench, and the run to its number of trials."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import StorageInternalError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from saber.config import Config
from saber.console import announce, terminal
from saber.lm.evaluation.first_token import require_free_first_token
from saber.saved_run import save_run
from saber.study.base_replies import base_rows, show_base
from saber.study.context import Workbench, open_workbench, study_folder
from saber.study.disk_room import spoken_room
from saber.study.preflight import preflight
from saber.study.run.calibration import with_batch, with_known_batch, with_known_scale, with_scale
from saber.study.run.driver import drive, more_trials, new_points, wanted_trials
from saber.study.run.forecast import forecast, spoken
from saber.study.run.progress import Progress
from saber.study.run.start_workers import check_launch, n_outstanding, workers_of
from saber.study.search.samplers import make_sampler
from saber.study.search.space import parse_space
from saber.study.store.database_lock import database_lock
from saber.study.store.database_retry import first_line, passes
from saber.study.store.fingerprint import check_identity, identity
from saber.study.store.patient_storage import StoredStudy
from saber.study.store.records import finished_trials
from saber.study.store.storage import (
    connect_args,
    find_study,
    load_study,
    one_driver,
    open_study,
    storage_url,
)
from saber.types import UserError


def run_study(config: Config, console: Console) -> tuple[StoredStudy, Workbench]:
    """Create or resume the study and drive it to its number of trials, alone.

    Raises:
        UserError: nothing to search, another driver at work, or a study begun with other questions.
    """
    calm_optuna()
    check_launch(config.launch)
    ready = preflight(config, searching=True, say=announce)
    knobs = ready.knobs
    url = storage_url(config)
    with (
        one_driver(study_folder(config)),
        storage_faults(),
        database_lock(url, config.study.name, connect_args(url)) as lock,
    ):
        bench = open_workbench(config, knobs, ready)
        require_free_first_token(
            bench.reference, config.evaluate, [objective.metric for objective in config.study.objectives]
        )
        check = lock.check if lock else None
        begun = find_study(config, check)
        n_done = len(finished_trials(begun)) if begun else 0  # they are not lost by judging the base anew
        if not n_done:
            show_base(console, base_rows(bench.base_responses))
        bench.judge_base(may_stop=not n_done)
        study = open_study(config, identity(config, knobs, bench), begun, check)
        save_run(study_folder(config), config)
        n_trials = wanted_trials(study, config.study.n_trials)
        if n_done >= n_trials:
            console.print(f"study {config.study.name} has its {n_done} trials; study.n_trials=+20 adds twenty")
            if waiting := len(new_points(study, config, knobs)):
                console.print(f"{waiting} of study.enqueue are new: study.n_trials=+{waiting} runs them")
            return study, with_known_batch(study, with_known_scale(study, bench))
        bench = with_batch(study, with_scale(study, bench, knobs), knobs)
        study.sampler = make_sampler(config.study, len(study.trials), n_trials, n_outstanding(bench.config.launch))
        console.print(
            f"study {config.study.name}: trials {n_done + 1} to {n_trials}, {len(knobs)} keys searched,"
            f" {type(study.sampler).__name__}"
        )
        with (
            workers_of(bench, knobs, announce) as workers,
            Progress(console, n_trials, n_done).showing() as progress,
        ):
            drive(study, bench.config, knobs, workers, progress, n_trials)
    return study, bench


def predict(config: Config) -> list[str]:
    """Say what the study will cost, without beginning it.

    Raises:
        UserError: nothing to search, or a model or data that cannot be loaded.
    """
    calm_optuna()
    check_launch(config.launch)
    ready = preflight(config, searching=True, say=announce)
    bench = open_workbench(config, ready.knobs, ready)
    require_free_first_token(
        bench.reference, config.evaluate, [objective.metric for objective in config.study.objectives]
    )
    show_base(terminal(), base_rows(bench.base_responses))
    bench.judge_base(may_stop=True)
    n_trials = config.study.n_trials
    told = spoken(forecast(bench, ready.knobs, n_trials if isinstance(n_trials, int) else more_trials(n_trials)))
    room = spoken_room(config, ready.splits)
    return [*([room] if room else []), *told]


@contextmanager
def storage_faults() -> Iterator[None]:
    """Turn what a database says when it is full, gone or read-only into one line; what it holds is safe.

    Raises:
        UserError: the database could not be written.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        mend = "start or unlock it" if passes(error) else "free space or permit writing"
        raise UserError(
            f"expected to write the study's database, found: {first_line(error)};"
            f" {mend}, then run the same command again"
        ) from error


def resume(config: Config) -> tuple[StoredStudy, Workbench]:
    """Open a study that was run before, with its workbench, to look at it or to export from it.

    Raises:
        UserError: there is no such study, or it was begun with other questions.
    """
    calm_optuna()
    with storage_faults():
        study = load_study(config)
    knobs = parse_space(config)
    bench = open_workbench(config, knobs)
    check_identity(study, identity(config, knobs, bench))
    return study, with_known_batch(study, with_known_scale(study, bench))


def calm_optuna() -> None:
    """Send Optuna's messages to Python's logging only; our progress says what matters."""
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    logging.getLogger("optuna").setLevel(logging.ERROR)
