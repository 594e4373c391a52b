"""Ctrl-C: held back while a database is written to, and come again where the interpreter dropped it.

An interruption inside a transaction would leave the database locked; one that meets the interpreter in one of its
callbacks is dropped by it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

AGAIN_S = 0.02  # later, when the callback that could not raise it has returned

Release = Callable[[], AbstractContextManager[None]]


class Held:
    """A signal handler that only remembers what came."""

    def __init__(self) -> None:
        self.pending: list[int] = []

    def __call__(self, number: int, _frame: object) -> None:
        self.pending.append(number)


@contextmanager
def interrupts_held() -> Iterator[Release]:
    """Hold SIGINT and SIGTERM back while inside, but for the blocks of ``release()``, where they interrupt at once.

    What was held is raised at the next release or at the end. Threads other than the main one get no signals, and
    nothing is changed for them.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _nothing
        return
    held = Held()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    open_to = {signal.SIGINT: before[signal.SIGINT], signal.SIGTERM: signal.default_int_handler}

    @contextmanager
    def release() -> Iterator[None]:
        raise_held()
        for number, handler in open_to.items():
            signal.signal(number, handler)
        try:
            yield
        finally:
            for number in open_to:
                signal.signal(number, held)

    for number in before:
        signal.signal(number, held)
    try:
        yield release
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held.pending:
        raise KeyboardInterrupt


def raise_held() -> None:
    """Raise now what is held back, where waiting inside no transaction would keep it for long.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came since.
    """
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, Held) and handler.pending:
        raise KeyboardInterrupt


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def interrupts_come_again() -> Iterator[None]:
    """Send SIGINT once more where a KeyboardInterrupt could not be raised, as in ``__del__``; else change nothing.

    Raises:
        KeyboardInterrupt: by the signal's own handler, when it has come again.
    """
    before = sys.unraisablehook
    timers: list[threading.Timer] = []

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not KeyboardInterrupt:
            before(unraisable)
            return
        timers.append(threading.Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGINT)))
        timers[-1].start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in timers:
            timer.cancel()
            timer.join()
