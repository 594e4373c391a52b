"""Print and publish a study's Pareto frontier: ``python -m saber.frontier +sweep=organism``."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config


def frontier(config: Config) -> None:
    """Score the front on the held-out split, print it, and write the report."""
    from saber.publish.frontier_page import publish
    from saber.study.front import frontier_of
    from saber.study.session import resume
    from saber.study.terminal import terminal

    study, bench = resume(config)
    publish(study, frontier_of(study, config, bench), config, terminal())


if __name__ == "__main__":
    sys.exit(run(frontier))
