"""Train another organism: ``python -m saber.organism out=/tmp/other seed=3``."""

from __future__ import annotations

import sys
from pathlib import Path

from saber.command import USER_MISTAKE
from saber.vocabulary import UserError

USAGE = "expected out=<folder> seed=<whole number>"


def organism(arguments: list[str]) -> None:
    """Train the organism of a seed into a folder.

    Raises:
        UserError: the arguments are not ``out=`` and ``seed=``, or the folder cannot be written.
    """
    values = dict(argument.partition("=")[::2] for argument in arguments)
    if set(values) != {"out", "seed"} or not values["seed"].isdigit() or not values["out"]:
        raise UserError(f"{USAGE}, found {' '.join(arguments) or 'nothing'}")
    from saber.data.organism import make_organism

    try:
        make_organism(Path(values["out"]), int(values["seed"]))
    except OSError as error:
        raise UserError(f"expected to write {values['out']}, found: {error}") from error
    print(f"organism {values['seed']} written to {values['out']}")


def main() -> int:
    """Run from the command line and return the exit status."""
    try:
        organism(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_MISTAKE
    return 0


if __name__ == "__main__":
    sys.exit(main())
