"""Ctrl-C waits for the database: an interruption inside a transaction would leave it locked."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Release = Callable[[], AbstractContextManager[None]]


@contextmanager
def interrupts_held() -> Iterator[Release]:
    """Hold SIGINT back while inside, but for the blocks of ``release()``, where it interrupts at once.

    What was held is raised at the next release or at the end. Threads other than the main one get no signals, and
    nothing is changed for them.

    Raises:
        KeyboardInterrupt: SIGINT came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _nothing
        return
    pending: list[int] = []

    def hold(number: int, _frame: object) -> None:
        pending.append(number)

    @contextmanager
    def release() -> Iterator[None]:
        if pending:
            raise KeyboardInterrupt
        signal.signal(signal.SIGINT, before)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, hold)

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield release
    finally:
        signal.signal(signal.SIGINT, before)
    if pending:
        raise KeyboardInterrupt


@contextmanager
def _nothing() -> Iterator[None]:
    yield
