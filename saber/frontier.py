"""Print and publish a study's Pareto frontier: ``python -m saber.frontier +sweep=organism``, or of several together."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config


def frontier(config: Config) -> None:
    """Score the front on the held-out split, print it, and write the report; or overlay the fronts of ``studies``."""
    from saber.publish.frontier_page import publish
    from saber.publish.overlay import publish_overlay
    from saber.study.front import frontier_of
    from saber.study.session import calm_optuna, resume
    from saber.study.studies import read_fronts
    from saber.study.terminal import terminal

    if config.studies:
        calm_optuna()
        publish_overlay(read_fronts(config), config, terminal())
        return
    study, bench = resume(config)
    publish(study, frontier_of(study, config, bench), config, terminal())


if __name__ == "__main__":
    sys.exit(run(frontier))
