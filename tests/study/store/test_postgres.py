"""A study on a real PostgreSQL: run, stopped server, second driver, no password anywhere, moved there and back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from saber.study.front.study_front import quick_frontier
from saber.study.run.move_study import trial_contents
from saber.study.run.session import resume
from saber.study.store.database_lock import DatabaseLock
from saber.study.store.database_retry import Patience
from saber.study.store.patient_storage import PatientStorage
from saber.study.store.storage import LIBPQ, one_driver
from saber.types import UserError
from tests.commands import configured, finish, process, run_here, wait_until, words_of
from tests.small_data import few_prompts
from tests.study.postgres import PASSWORD, Server, free_port

N_TRIALS = 10


@pytest.fixture
def url(postgres: Server, request: pytest.FixtureRequest) -> str:
    """An empty database."""
    return postgres.make_database(f"t{abs(hash(request.node.name)) % 10**9}")


def states(url: str) -> list[str]:
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            return list(connection.scalars(sqlalchemy.text("select state::text from trials order by number")))
    except (OperationalError, sqlalchemy.exc.ProgrammingError):  # no tables yet
        return []
    finally:
        engine.dispose()


def dumped(postgres: Server, url: str) -> str:
    """The whole database as text."""
    command = [str(postgres.programs / "pg_dump"), url.replace("+psycopg", "")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def everything_in(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()


def test_a_server_that_goes_away_is_waited_for_and_no_password_is_written_anywhere(
    postgres: Server, url: str, organism_folder: Path, tmp_path: Path
) -> None:
    words = words_of(
        organism_folder, tmp_path, f"study.n_trials={N_TRIALS}", f"study.storage={url}", *few_prompts(tmp_path)
    )
    with process("sweep", words, tmp_path) as sweep:
        wait_until(lambda: "COMPLETE" in states(url) and "RUNNING" in states(url), sweep)
        postgres.stop()
        time.sleep(2)
        postgres.start()
        said = finish(sweep)
    assert said.status == 0, said.err
    assert "the study's database is away (" in said.out
    assert "the study's database is back after " in said.out
    assert states(url) == ["COMPLETE"] * N_TRIALS
    told = said.out + said.err
    for command, more in (
        ("frontier", ()),
        ("export", ("point=balanced",)),
        ("sweep", (f"study.n_trials={N_TRIALS + 1}",)),
    ):
        again = run_here(command, [*words, *more], tmp_path)
        assert again.status == 0, again.err
        told += again.out + again.err
    assert f"study.storage={url.replace(PASSWORD, '***')}" in told
    assert PASSWORD not in told
    assert PASSWORD not in dumped(postgres, url)
    assert [path for path, data in everything_in(tmp_path) if PASSWORD.encode() in data] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url.replace(PASSWORD, "wrong-" + PASSWORD), 'password authentication failed for user "saber"'),
        (lambda url: url.rsplit("/", 1)[0] + "/no_such_database", 'database "no_such_database" does not exist'),
        (lambda _: f"postgresql+psycopg://saber:{PASSWORD}@127.0.0.1:{free_port()}/x", "Connection refused"),
        (lambda url: url.replace("psycopg", "nothing"), "nothing"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_line_without_its_password(
    url: str, organism_folder: Path, tmp_path: Path, change: Any, words: str
) -> None:
    started = time.monotonic()
    wrong = change(url)
    said = run_here("frontier", words_of(organism_folder, tmp_path, f"study.storage={wrong}"), tmp_path)
    assert said.status == 2
    assert words in said.err
    assert said.err.count("\n") == 1
    assert PASSWORD not in said.err + said.out
    assert time.monotonic() - started < 30


def test_a_second_driver_elsewhere_is_refused_and_takes_over_from_a_dead_one(url: str) -> None:
    hold = (
        "import sys, time; from saber.study.store.database_lock import DatabaseLock\n"
        "lock = DatabaseLock(sys.argv[1], 's', {}); lock.take(); print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", hold, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        second = DatabaseLock(url, "s", dict(LIBPQ))
        with pytest.raises(UserError) as refused:
            second.take()
        assert f"host {socket.gethostname()}, pid {first.pid}, since 20" in str(refused.value)
        another = DatabaseLock(url, "another study", {})
        another.take()
        another.release()
        first.kill()
        first.wait()
        second.take()
        second.release()
    assert os.getpid() != first.pid


def test_a_lock_that_a_restart_took_is_taken_again_or_lost_for_good(postgres: Server, url: str) -> None:
    lock = DatabaseLock(url, "s", {})
    lock.take()
    postgres.stop()
    with pytest.raises(OperationalError):
        lock.check()
    postgres.start()
    lock.check()
    lock.check()
    lock.connection.invalidate()  # type: ignore[union-attr] # as a network that drops one connection
    other = DatabaseLock(url, "s", {})
    other.take()
    with pytest.raises(UserError, match="study s is being driven by host"):
        lock.check()
    other.release()


class Doubtful(PatientStorage):
    """A storage whose connection breaks after some of its commits, before their answer arrives."""

    breaks = 0

    def break_commits(self) -> None:
        dialect: Any = self.engine.dialect
        commit = dialect.do_commit

        def broken(connection: Any) -> None:
            commit(connection)
            if self.breaks:
                self.breaks -= 1
                raise dialect.loaded_dbapi.OperationalError("the answer was lost: database is locked")

        dialect.do_commit = broken


@pytest.mark.parametrize("place", ["sqlite", "postgres"])
def test_what_was_committed_without_an_answer_is_not_done_twice(place: str, url: str, tmp_path: Path) -> None:
    said: list[str] = []
    storage = Doubtful(url if place == "postgres" else f"sqlite:///{tmp_path}/s.db", Patience(20, said.append))
    storage.break_commits()
    study = optuna.create_study(storage=storage, directions=["minimize"] * 2, study_name="s")
    for number in range(3):
        storage.breaks = 1
        study.enqueue_trial({"x": number / 10})
        storage.breaks = 1
        trial = study.ask()
        storage.breaks = 1
        trial.suggest_float("x", 0, 1)
        storage.breaks = 1
        trial.set_user_attr("a", number)
        storage.breaks = 1
        study.tell(trial, [number, 1.0])
    storage.breaks = 1
    fresh = study.ask()
    storage.breaks = 1
    study.tell(fresh, state=TrialState.FAIL)
    assert [(t.number, t.state.name, t.params) for t in study.trials] == [
        *((n, "COMPLETE", {"x": n / 10}) for n in range(3)),
        (3, "FAIL", {}),
    ]
    assert sum("is away" in line for line in said) >= 15
    database = RDBStorage(storage.engine.url.render_as_string(hide_password=False))
    read = optuna.load_study(study_name="s", storage=database).get_trials()
    assert [vars(t) for t in study.trials] == [vars(t) for t in read]
    database.engine.dispose()
    storage.engine.dispose()


def test_patience_has_an_end_and_does_not_begin_again(postgres: Server, url: str) -> None:
    said: list[str] = []
    storage = PatientStorage(url, Patience(1.0, said.append))
    study = optuna.create_study(storage=storage, study_name="s")
    postgres.stop()
    try:
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises((OperationalError, optuna.exceptions.StorageInternalError)):
                study.ask()
        assert 1.0 <= time.monotonic() - started < 5
    finally:
        postgres.start()
    study.ask()
    assert len(study.trials) == 1
    storage.engine.dispose()
    assert len([line for line in said if "is away" in line]) == 1


def test_a_study_moves_to_postgres_and_back_with_all_it_holds(url: str, finished: Path, organism_folder: Path) -> None:
    words = words_of(organism_folder, finished)
    said = run_here("move", [*words, f"to={url}"], finished)
    assert said.status == 0, said.err
    assert PASSWORD not in said.out
    back = f"sqlite:///{finished}/back.db"
    there = [*words, f"study.storage={url}"]
    said = run_here("move", [*there, f"to={back}", f"to_dir={finished}/other"], finished)
    assert said.status == 0, said.err
    again = words_of(organism_folder, finished, f"study.storage={back}", f"study.dir={finished}/other")
    fronts, trials = [], []
    for asked in (words, there, [word for word in again if word != f"study.dir={finished}/sweeps"]):
        config = configured(asked)
        study, bench = resume(config)
        fronts.append(quick_frontier(study, bench))
        trials.append(trial_contents(study.trials))
    assert trials[0] == trials[1] == trials[2]
    assert fronts[0].points == fronts[1].points == fronts[2].points
    assert all(point.outcomes for point in fronts[2].points if point.on_front)
    refused = run_here("move", [*words, f"to={url}"], finished)
    assert refused.status == 2
    assert "expected no study organism in postgresql+psycopg://saber:***@127.0.0.1" in refused.err


def test_a_study_under_way_is_not_moved(finished: Path, organism_folder: Path) -> None:
    words = words_of(organism_folder, finished)
    with one_driver(finished / "sweeps" / "organism"):
        said = run_here("move", [*words, f"to=sqlite:///{finished}/new.db"], finished)
    assert (said.status, "is being driven by host" in said.err) == (2, True)
    assert not (finished / "new.db").exists()
