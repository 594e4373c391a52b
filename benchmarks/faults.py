"""Inject faults at random moments and print what came of them: ``python -m benchmarks.faults 60 6 sqlite postgres``."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from pathlib import Path

from tests.study.campaign import campaign
from tests.study.fault_study import Drivers
from tests.study.postgres import server


def main(n_faults: int, seed: int, storages: list[str]) -> None:
    """One campaign on each storage, its table in Markdown."""
    for storage in storages:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            drivers = stack.enter_context(contextlib.closing(Drivers()))
            running = stack.enter_context(server()) if storage == "postgres" else None
            started = time.monotonic()
            report = campaign(Path(folder), seed, n_faults, drivers, running)
            print(f"{storage}, seed {seed}: {time.monotonic() - started:.0f} s\n\n{report.table()}\n", flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(int(words[0]) if words else 60, int(words[1]) if len(words) > 1 else 6, words[2:] or ["sqlite", "postgres"])
