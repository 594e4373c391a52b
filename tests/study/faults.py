"""The faults of the campaign: each happens to a driver at work, and says what came of it, or None where it missed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator

from saber.study.store.database_lock import GRACE_S
from tests.study.fault_driver import LOOP
from tests.study.fault_study import FaultyStudy, alive

SLOW_S = 0.3
Fault = Callable[[FaultyStudy, random.Random], str | None]


def _soon(chance: random.Random) -> None:
    time.sleep(chance.uniform(0.0, 0.5))


def _signalled(number: int, expected: set[int]) -> Fault:
    def fault(study: FaultyStudy, chance: random.Random) -> str | None:
        pid = study.start()
        _soon(chance)
        hit = alive(pid)
        if hit:
            os.kill(pid, number)
        status = study.drivers.wait(pid)
        if not hit:
            return None
        assert status in {*expected, 0}, study.said()
        return "had just finished" if status == 0 else "stopped; the next run went on"

    return fault


def second_driver(study: FaultyStudy, chance: random.Random) -> str | None:
    """Another driver of the same study, on PostgreSQL with a folder of its own as if from another machine."""
    slow = 2 * GRACE_S if study.url else 0.5  # a lock in a database is waited for that long
    pid = study.start_slowly(chance.randrange(2), trial_s=slow)
    log = study.folder.parent / f"{study.name}.second.log"
    elsewhere = {"dir": str(study.folder / "elsewhere")} if study.url else {}
    status = study.run(log=str(log), **elsewhere)
    first = study.drivers.wait(pid)
    assert first == 0, study.said()
    if status == 0:  # the first had finished by then
        return None
    assert status == 2, log.read_text()
    assert f"is being driven by host {os.uname().nodename}, pid {pid}, since 20" in log.read_text(), log.read_text()
    return "refused with host, pid and since when; the first undisturbed"


@contextlib.contextmanager
def _away(study: FaultyStudy) -> Iterator[None]:
    """PostgreSQL crashes and is started again; SQLite's file is locked by another process."""
    if study.server:
        study.server.stop()
        try:
            yield
        finally:
            study.server.start()
    else:
        with contextlib.closing(sqlite3.connect(study.own / "study.db", timeout=10, isolation_level=None)) as opened:
            opened.execute("begin exclusive")
            yield
            opened.execute("rollback")


def database_away(study: FaultyStudy, chance: random.Random) -> str | None:
    """The database goes away while a trial is under way or told, and comes back; whoever gives up has failed."""
    said = study.said().count("is back after")
    pid = study.start_slowly(chance.randrange(2), trial_s=SLOW_S)
    time.sleep(chance.uniform(0.0, SLOW_S))
    with _away(study):
        time.sleep(chance.uniform(0.4, 0.9))
    assert study.drivers.wait(pid) == 0, study.said()
    return "waited, said so and went on" if study.said().count("is back after") > said else None


def full_disk(study: FaultyStudy, chance: random.Random) -> str | None:
    """The disk fills up while the driver writes."""
    pid = study.start()
    _soon(chance)
    filler = study.folder / "filler"
    hit = alive(pid)
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    status = study.drivers.wait(pid)
    filler.unlink()
    if not hit:
        return None
    assert status in {0, 2}, study.said()
    return "one line, status 2; the next run went on" if status == 2 else "had just finished"


def read_only_cache(study: FaultyStudy, _chance: random.Random) -> str | None:
    """The cache's folder cannot be written."""
    cache = study.own / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", str(cache), str(cache)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(cache)], check=True)
        status = study.run()
    finally:
        subprocess.run(["umount", str(cache)], check=True)
    assert status == 2, study.said()
    return "one line, status 2; the next run went on"


def flipped_bytes(study: FaultyStudy, chance: random.Random) -> str | None:
    """Some bytes of a cache file are others, or it is cut; the driver asserts that it reads what was built."""
    cache = study.own / "cache"
    if not list(cache.glob("*.safetensors")):
        assert study.run() == 0, study.said()
    path = chance.choice(sorted(cache.glob("*.safetensors")))
    data = bytearray(path.read_bytes())
    for at in chance.sample(range(len(data)), chance.randint(1, 8)):
        data[at] ^= chance.randint(1, 255)
    path.write_bytes(data[: chance.randint(1, len(data))] if chance.random() < 0.3 else data)
    said = study.said().count("is damaged")
    assert study.run() == 0, study.said()
    noticed = study.said().count("is damaged") > said
    return "noticed and built again" if noticed else "not noticed: what was read was right all the same"


def _injected(kind: str, word: str, outcome: str) -> Fault:
    def fault(study: FaultyStudy, chance: random.Random) -> str | None:
        said = study.said().count(word)
        calls = sorted(chance.sample(range(3), 2 if kind == "oom" else 1))
        assert study.run(inject={kind: calls}) == 0, study.said()
        return outcome if study.said().count(word) > said else None

    return fault


def looping_model(study: FaultyStudy, chance: random.Random) -> str | None:
    """One batch's model says the same for ever: read back, its trials' responses are degenerate and no others."""
    before = study.responses()
    assert study.run(inject={"loop": [chance.randrange(3)]}) == 0, study.said()
    new = {number: response for number, response in study.responses().items() if number not in before}
    assert all((r.label == "degenerate") == (r.text == LOOP) for responses in new.values() for r in responses)
    hit = [number for number, responses in new.items() if any(r.label == "degenerate" for r in responses)]
    assert len(hit) <= 2
    return "trials complete, their stored responses labelled degenerate" if hit else None


STOPPING: dict[str, Fault] = {
    "kill -9 of the driver": _signalled(signal.SIGKILL, {-signal.SIGKILL}),
    "Ctrl-C (SIGINT)": _signalled(signal.SIGINT, {130}),
    "SIGTERM": _signalled(signal.SIGTERM, {130, -signal.SIGTERM}),
    "full disk": full_disk,
    "read-only cache": read_only_cache,
    "flipped bytes in a cache file": flipped_bytes,
}
FINISHING: dict[str, Fault] = {  # the driver lives on and finishes what is asked
    "database away": database_away,
    "second driver": second_driver,
    "out of memory": _injected("oom", "out of memory: going on", "batch halved and said so; all trials complete"),
    "edit that gives NaN": _injected("nan", "failed: kld not finite", "that trial FAIL with the reason"),
    "model that loops": looping_model,
}
NEED_MOUNTS = ("full disk", "read-only cache")
