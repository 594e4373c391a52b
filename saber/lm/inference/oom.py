"""Out of memory: fewer trials at once, then fewer rows, said and remembered; what is measured stays the same."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from saber.types import UserError

T = TypeVar("T")
SIGNS = ("out of memory", "DefaultCPUAllocator", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


class OutOfMemory(Exception):
    """What was tried needs more memory than there is."""


@dataclass
class Room:
    """How many trials and rows share a batch: what ran out of memory is not tried again."""

    trials: int
    rows: int
    say: Callable[[str], None]

    def shrink(self, n_trials: int) -> bool:
        """Halve the trials of a batch that held ``n_trials``, then its rows; false where both are one."""
        if n_trials > 1:
            self.trials = n_trials // 2
        elif self.rows > 1:
            self.rows //= 2
        else:
            return False
        trials = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        self.say(f"out of memory: going on with {trials} and evaluate.batch_size={self.rows} at once")
        return True


def within_memory(action: Callable[[], T]) -> T:
    """Do something.

    Raises:
        OutOfMemory: it ran out of memory, which has been given back by then.
    """
    try:
        return action()
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in SIGNS):
            raise
        failed = (str(error).splitlines() or [type(error).__name__])[0]
    gc.collect()  # the traceback held the tensors of what failed
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise OutOfMemory(failed)


def with_fewer_rows(action: Callable[[int], T], rows: int, say: Callable[[str], None]) -> T:
    """Do something that takes a batch size, with half of it as often as it runs out of memory.

    Raises:
        UserError: one row alone does not fit.
    """
    room = Room(1, rows, say)
    while True:
        try:
            return within_memory(lambda: action(room.rows))
        except OutOfMemory as error:
            if not room.shrink(1):
                raise UserError(
                    f"expected room for one prompt at a time, found: {error}; load a smaller model.dtype, quantise, or"
                    " free memory"
                ) from error
