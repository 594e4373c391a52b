"""Compare any two checkpoints, or one and its base, under any profile; or say how many prompts a claim needs.

``python -m saber.evaluate +sweep=organism checkpoint=outputs/... against=outputs/... evaluate=heretic_compat``
``python -m saber.evaluate power half_width=0.02``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from saber.command import in_one_line, run
from saber.config import Config
from saber.vocabulary import UserError

POWER = "power"


def evaluate(config: Config) -> None:
    """Measure ``checkpoint`` and ``against`` (by default the base) on the same prompts, and print them side by side."""
    from saber.console import terminal
    from saber.publish.report.checkpoint_page import compare
    from saber.study.named_places import check_model_path

    if config.checkpoint is None:
        raise UserError("expected checkpoint=<folder or hub id>, found none")
    for key, path in (("checkpoint", config.checkpoint), ("against", config.against)):
        if path is not None:
            check_model_path(path, key)
    compare(config, terminal())


def power(words: Sequence[str]) -> None:
    """Print how many prompts a rate needs to be known to ``half_width``.

    Raises:
        UserError: the words are not ``half_width=`` and a number between 0.000001 and 1.
    """
    from saber.console import terminal
    from saber.publish.analysis.power import power_table

    key, _, value = words[0].partition("=") if len(words) == 1 else ("", "", "")
    try:
        table = power_table(float(value)) if key == "half_width" else None
    except ValueError:
        table = None
    if table is None:
        raise UserError(f"expected power half_width=<between 0.000001 and 1>, found {' '.join([POWER, *words])}")
    terminal().print(table)


def main() -> int:
    """Run from the command line and return the exit status."""
    if sys.argv[1:2] == [POWER]:
        return in_one_line(lambda: power(sys.argv[2:]))
    return run(evaluate)


if __name__ == "__main__":
    sys.exit(main())
