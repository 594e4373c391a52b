"""Ctrl-C waits for the database: an interruption inside a transaction would leave it locked."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

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
