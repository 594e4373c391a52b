"""Export a point as a checkpoint with its card: ``python -m saber.export +sweep=organism point=balanced``."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config


def export(config: Config) -> None:
    """Bake, write, read back, measure again, and say where it is."""
    from saber.console import terminal
    from saber.publish.export import export_point
    from saber.study.run.session import resume

    study, bench = resume(config)
    done = export_point(study, config, bench)
    terminal().print(
        f"{done.folder} written: refusal rate {done.tune['refusal_rate']:.3f} on tune,"
        f" {done.report['refusal_rate']:.3f} held out; KLD {done.tune['kld']:.4f} and {done.report['kld']:.4f} nats",
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(run(export))
