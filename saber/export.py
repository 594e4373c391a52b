"""Export a point with its card, and upload it if asked: ``python -m saber.export +sweep=organism point=balanced``."""

from __future__ import annotations

import sys
from pathlib import Path

from saber.command import run
from saber.config import Config
from saber.metrics import DRIFT, REFUSAL


def export(config: Config) -> None:
    """Bake, write, read back, measure again, and say where it is."""
    from saber.console import terminal
    from saber.publish.export.point import export_point
    from saber.publish.export.push import push
    from saber.study.disk_room import check_writable
    from saber.study.run.session import resume

    check_writable(Path(config.export.dir), "export.dir")  # told before a model is loaded
    study, bench = resume(config)
    done = export_point(study, bench)
    terminal().print(
        f"{done.folder} written: refusal rate {done.tune[REFUSAL]:.3f} on tune,"
        f" {done.report[REFUSAL]:.3f} held out; KLD {done.tune[DRIFT]:.4f} and {done.report[DRIFT]:.4f} nats",
        soft_wrap=True,
    )
    address = push(done.folder, config.export, terminal(), message=f"SABER {done.folder.name}")
    if address is not None:
        terminal().print(f"uploaded to {address}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run(export))
