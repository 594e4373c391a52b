"""Mutation testing of the numerics: change one sign at a time and see whether a test notices.

``python benchmarks/mutants.py found.jsonl 300`` goes through the mutants of ``saber/scoring`` and ``saber/method`` for
300 seconds; said again it goes on, and files may be named behind. A survivor is tried again once the tests of its room
have changed. Tests are collected once, in one process; each mutant is a fork of it, in which the tests that call the
changed function run, the quickest first, until one fails.
"""

from __future__ import annotations

import cProfile
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from types import CodeType

import pytest
import yaml
from mutant_code import ROOT, Mutant, imported_functions, module_of, mutants_of, put_in_place

ROOMS = ("scoring", "method")
TIMES_AS_LONG, AT_LEAST_S = 5, 20  # as its tests take on the code as it is: a mutant that takes longer is killed


class Found:
    """What came of each mutant so far, kept in a file: one line a mutant, the last one counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tests = {room: digest_of(*sorted((ROOT / "tests" / room).glob("*.py"))) for room in ROOMS}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.rows = {row["key"]: row for row in map(json.loads, lines)}

    def is_known(self, mutant: Mutant) -> bool:
        """Whether a mutant was killed, or survived these tests."""
        row = self.rows.get(key_of(mutant), {})
        return bool(row) and (row["came"] == "killed" or row["tests"] == self.tests[room_of(mutant.file)])

    def add(self, mutant: Mutant, came: str) -> None:
        """Keep what came of a mutant."""
        tests = self.tests[room_of(mutant.file)]
        self.rows[key_of(mutant)] = row = {"key": key_of(mutant), "came": came, "tests": tests}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def key_of(mutant: Mutant) -> str:
    """What tells a mutant from others, of other states of its file too."""
    return sha256(f"{mutant.file.name}\n{mutant.source}".encode()).hexdigest()[:16]


def room_of(file: Path) -> str:
    """The room of the package that a file lies in, whose tests try it."""
    return file.relative_to(ROOT / "saber").parts[0]


def digest_of(*files: Path) -> str:
    """One digest of the files' bytes."""
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


class Mutating:
    """A plugin that runs the collected tests on every mutant in place of running them once."""

    def __init__(self, mutants: Sequence[Mutant], outcomes: Found, end: float) -> None:
        self.mutants, self.outcomes, self.end = mutants, outcomes, end
        self.on_failure: Callable[[pytest.TestReport], None] = lambda _: None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What a test says; a failure ends the fork that it runs in."""
        if report.failed:
            self.on_failure(report)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Time the tests and see what they call, then run those of each mutant."""
        items = {item.nodeid: item for item in session.items}
        took, called = self.as_it_is(session.items)
        for mutant in self.mutants:
            if self.outcomes.is_known(mutant):
                continue
            if time.monotonic() > self.end:
                break
            imported_functions(module_of(mutant.file))  # looked for once a file
            tests = sorted(called[mutant.file.name, mutant.function], key=took.__getitem__)
            patience = AT_LEAST_S + TIMES_AS_LONG * sum(took[name] for name in tests)
            killed = bool(tests) and self.fails([items[name] for name in tests], mutant, patience)
            self.outcomes.add(mutant, "killed" if killed else "survived" if tests else "survived: no test calls it")
        return True

    def as_it_is(self, items: Sequence[pytest.Item]) -> tuple[dict[str, float], dict[tuple[str, str], set[str]]]:
        """How long each test takes on the code as it is, and which tests call each function, or (``""``) any."""
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as log:
            child = os.fork()
            if child == 0:
                self.on_failure = tell_and_end
                took: dict[str, float]
                calls: dict[str, list[tuple[str, str]]]
                took, calls = {}, {}
                for item, following in zip(items, [*items[1:], None], strict=True):
                    started = time.perf_counter()
                    calls[item.nodeid] = calls_of(lambda: run_test(item, following))  # noqa: B023 - run at once
                    took[item.nodeid] = time.perf_counter() - started
                Path(log.name).write_text(json.dumps([took, calls]), encoding="utf-8")
                os._exit(0)
            if os.waitpid(child, 0)[1]:
                os._exit(1)  # the test that fails on the code as it is was told
            took, calls = json.loads(log.read())
        called: dict[tuple[str, str], set[str]] = defaultdict(set)
        for test, functions in calls.items():
            for file, function in functions:
                called[file, function].add(test)
                called[file, ""].add(test)
        return took, called

    def fails(self, tests: Sequence[pytest.Item], mutant: Mutant, patience_s: float) -> bool:
        """Whether a test fails on the mutant, or they do not end; they run in a fork of this process."""
        child = os.fork()
        if child == 0:
            self.on_failure = lambda _: os._exit(1)
            try:
                put_in_place(mutant)
            except Exception:  # noqa: BLE001 - a module that cannot be imported fails every test
                os._exit(1)
            for item, following in zip(tests, [*tests[1:], None], strict=True):
                run_test(item, following)
            os._exit(0)
        return wait_for(child, patience_s) != 0


def tell_and_end(report: pytest.TestReport) -> None:
    """Say which test fails on the code as it is, and how."""
    say(f"{report.nodeid} fails on the code as it is: {report.longreprtext[-1000:]}")
    os._exit(1)


def run_test(item: pytest.Item, following: pytest.Item | None) -> None:
    """Run one collected test with what it needs."""
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def calls_of(action: Callable[[], None]) -> list[tuple[str, str]]:
    """The functions of the two rooms that are called while something is done, as (name of the file, qualified name)."""
    folders = tuple(str(ROOT / "saber" / room) for room in ROOMS)
    profile = cProfile.Profile(builtins=False)
    profile.runcall(action)
    codes = [entry.code for entry in profile.getstats() if isinstance(entry.code, CodeType)]
    return sorted(
        {(Path(code.co_filename).name, code.co_qualname) for code in codes if code.co_filename.startswith(folders)}
    )


def wait_for(child: int, patience_s: float) -> int:
    """The status of a child, which is ended where it takes too long."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def explanations() -> dict[str, str]:
    """Why a mutant may survive, by its file and change."""
    stated = yaml.safe_load((ROOT / "benchmarks" / "mutants_explained.yaml").read_text(encoding="utf-8"))
    return {mutant: reason for reason, mutants in stated.items() for mutant in mutants}


def say(text: str) -> None:
    """Print past pytest, which takes what tests print."""
    os.write(SAID, f"{text}\n".encode())


SAID = os.dup(1)


def main(outcomes_file: Path, seconds: float, named: Sequence[str]) -> None:
    """Go through the mutants for so long; print how many there are, what came of them, and those that survive."""
    files = [Path(name).resolve() for name in named] or [
        file for room in ROOMS for file in sorted((ROOT / "saber" / room).rglob("*.py"))
    ]
    mutants = [mutant for file in files for mutant in mutants_of(file)]
    mutating = Mutating(mutants, Found(outcomes_file), time.monotonic() + seconds)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    rooms = sorted({str(ROOT / "tests" / room_of(file)) for file in files})
    pytest.main(["-q", "-p", "no:cacheprovider", *rooms], plugins=[mutating])
    counts: Counter[str] = Counter()
    explained = explanations()
    for mutant in mutants:
        came = mutating.outcomes.rows[key_of(mutant)]["came"] if mutating.outcomes.is_known(mutant) else "not tried"
        came = "explained" if came == "survived" and f"{mutant.file.name}: {mutant.change}" in explained else came
        counts[came] += 1
        if came.startswith("survived"):
            say(f"{mutant.file.relative_to(ROOT)}:{mutant.line}: {mutant.change} ({came})")
    say(f"{len(mutants)} mutants of {len(files)} files: {dict(counts)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
