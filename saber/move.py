"""Move a study to another database: ``python -m saber.move +sweep=organism to=postgresql+psycopg://...``."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config


def move(config: Config) -> None:
    """Copy the study, say where it is, and in which words it goes on."""
    from saber.console import terminal
    from saber.redaction import masked
    from saber.study.front.study_front import spoken_overrides
    from saber.study.run.move_study import move_study

    n_trials, moved = move_study(config)
    words = masked(f"study.storage={moved.study.storage} study.dir={moved.study.dir}")
    kept = spoken_overrides(config, "study.storage=", "study.dir=")
    console = terminal()
    console.print(f"study {config.study.name}: {n_trials} trials copied; the old database stays as it was; next:")
    console.print(f"  python -m saber.sweep {kept} {words}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    sys.exit(run(move))
