"""Train another organism: ``python -m saber.organism out=/tmp/other seed=3 family=qwen3``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from saber.command import in_one_line
from saber.vocabulary import ORGANISM_FAMILIES, UserError

USAGE = f"out=<folder> seed=<whole number> [family={'|'.join(ORGANISM_FAMILIES)}] [thinks=true|false]"
SEED = re.compile("[0-9]{1,18}")


def organism(arguments: list[str]) -> None:
    """Train the organism of a seed into a folder: of a family if that is given, and one that thinks if it should.

    Raises:
        UserError: the arguments are others, or a value is none that they can have.
        OSError: the folder cannot be written.
    """
    if {"--help", "-h"} & {*arguments}:
        print(f"usage: python -m saber.organism {USAGE}")
        return
    values = {"family": "gemma4", "thinks": "false"} | dict(argument.partition("=")[::2] for argument in arguments)
    family = next((known for known in ORGANISM_FAMILIES if known == values["family"]), None)
    named = set(values) == {"out", "seed", "family", "thinks"} and values["out"] and SEED.fullmatch(values["seed"])
    if not named or family is None or values["thinks"] not in ("true", "false"):
        raise UserError(f"expected {USAGE}, found {' '.join(arguments) or 'nothing'}")
    from saber.organism.build import Recipe, make_organism

    recipe = Recipe(int(values["seed"]), family=family, thinks=values["thinks"] == "true")
    make_organism(Path(values["out"]), recipe)
    print(f"organism {values['seed']} written to {values['out']}")


if __name__ == "__main__":
    sys.exit(in_one_line(lambda: organism(sys.argv[1:])))
