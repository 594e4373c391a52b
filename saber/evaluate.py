"""Measure any checkpoint against the base: ``python -m saber.evaluate +sweep=organism checkpoint=outputs/...``."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config
from saber.vocabulary import UserError


def evaluate(config: Config) -> None:
    """Measure ``checkpoint`` on both splits with the study's own harness, and print the numbers beside the base's."""
    from rich.console import Console

    from saber.publish.comparison import compare_checkpoint

    if config.checkpoint is None:
        raise UserError("expected checkpoint=<folder or hub id>, found none")
    compare_checkpoint(config, config.checkpoint, Console())


if __name__ == "__main__":
    sys.exit(run(evaluate))
