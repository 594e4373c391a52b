"""Run or resume a study: ``python -m saber.sweep +sweep=organism``."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config


def sweep(config: Config) -> None:
    """Drive the study to its number of trials, then print its front and what to do next; or only say what it costs."""
    from saber.console import terminal
    from saber.publish.dashboard import dress_dashboard
    from saber.publish.front_table import front_table
    from saber.publish.publish_front import next_commands
    from saber.study.front.study_front import quick_frontier, spoken_overrides
    from saber.study.run.session import predict, run_study

    console = terminal()
    if config.study.dry_run:
        for line in predict(config):
            console.print(line, soft_wrap=True, highlight=False)
        return
    study, bench = run_study(config, console)
    front = quick_frontier(study, bench)
    commands = [f"python -m saber.frontier {spoken_overrides(config)}", *next_commands(config)]
    dress_dashboard(study, front, commands)
    console.print(front_table(front))
    console.print("next:")
    for command in commands:
        console.print(f"  {command}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    sys.exit(run(sweep))
