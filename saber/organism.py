"""Train another organism: ``python -m saber.organism out=/tmp/other seed=3``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from saber.command import in_one_line
from saber.vocabulary import UserError

USAGE = "expected out=<folder> seed=<whole number>"
SEED = re.compile("[0-9]{1,18}")


def organism(arguments: list[str]) -> None:
    """Train the organism of a seed into a folder.

    Raises:
        UserError: the arguments are not ``out=`` and ``seed=``.
        OSError: the folder cannot be written.
    """
    values = dict(argument.partition("=")[::2] for argument in arguments)
    if set(values) != {"out", "seed"} or not SEED.fullmatch(values["seed"]) or not values["out"]:
        raise UserError(f"{USAGE}, found {' '.join(arguments) or 'nothing'}")
    from saber.data.organism import make_organism

    make_organism(Path(values["out"]), int(values["seed"]))
    print(f"organism {values['seed']} written to {values['out']}")


if __name__ == "__main__":
    sys.exit(in_one_line(lambda: organism(sys.argv[1:])))
