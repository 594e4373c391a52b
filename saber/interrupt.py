"""An interrupt that meets the interpreter in one of its callbacks is dropped by it; here it comes again."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

AGAIN_S = 0.02  # later, when the callback that could not raise it has returned


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
