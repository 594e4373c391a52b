"""Print and publish a study's Pareto frontier: ``python -m saber.frontier +sweep=organism``, or of several together."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config


def frontier(config: Config) -> None:
    """Score the front on the held-out split, print it, and write the report; or overlay the fronts of ``studies``."""
    from saber.console import terminal
    from saber.publish.publish_front import publish
    from saber.publish.report.studies_page import publish_overlay
    from saber.study.front.comparisons import read_fronts
    from saber.study.front.study_front import frontier_of
    from saber.study.run.session import calm_optuna, resume

    if config.studies:
        calm_optuna()
        publish_overlay(read_fronts(config), config, terminal())
        return
    study, bench = resume(config)
    publish(study, frontier_of(study, bench), config, terminal())


if __name__ == "__main__":
    sys.exit(run(frontier))
