"""Export a point as a checkpoint with its card: ``python -m saber.export +sweep=organism point=balanced``."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config
from saber.metrics import DRIFT, REFUSAL


def export(config: Config) -> None:
    """Bake, write, read back, measure again, and say where it is."""
    from saber.console import terminal
    from saber.publish.export import export_point
    from saber.study.run.session import resume

    study, bench = resume(config)
    done = export_point(study, config, bench)
    terminal().print(
        f"{done.folder} written: refusal rate {done.tune[REFUSAL]:.3f} on tune,"
        f" {done.report[REFUSAL]:.3f} held out; KLD {done.tune[DRIFT]:.4f} and {done.report[DRIFT]:.4f} nats",
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(run(export))
