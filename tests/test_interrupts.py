"""A Ctrl-C that falls into a callback of the interpreter is not lost, and says no more than any other."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator

import pytest

from saber.command import INTERRUPTED, in_one_line
from saber.interrupts import AGAIN_S, interrupts_come_again


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    """A shell ignores the signal in what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Raises:
    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __del__(self) -> None:
        raise self.error


def test_an_interrupt_that_could_not_be_raised_comes_again(capsys: pytest.CaptureFixture[str]) -> None:
    went_on = []

    def action() -> None:
        Raises(KeyboardInterrupt)
        time.sleep(20 * AGAIN_S)
        went_on.append(True)

    assert in_one_line(action) == INTERRUPTED
    assert not went_on
    assert capsys.readouterr().err == "stopped; run the same command again to go on\n"


def test_none_comes_when_the_work_is_done_first() -> None:
    with interrupts_come_again():
        Raises(KeyboardInterrupt)
    time.sleep(5 * AGAIN_S)


def test_other_errors_are_told_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))
    with interrupts_come_again():
        Raises(ValueError)
    assert told == [ValueError]
