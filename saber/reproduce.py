"""Make an export again and say which files agree: ``python -m saber.reproduce outputs/X [base=<folder or hub id>]``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from saber.command import in_one_line
from saber.vocabulary import UserError

DISAGREES = 1
USAGE = "python -m saber.reproduce <folder> [base=<folder or hub id>]"


def reproduce(words: Sequence[str]) -> bool:
    """Print what agrees and what does not; whether everything does.

    Raises:
        UserError: the words are not a folder, and ``base=`` where the base is not where it was.
    """
    from saber.console import terminal
    from saber.publish.export.rebuild import rebuild

    if {"--help", "-h"} & {*words}:
        print(f"usage: {USAGE}")
        return True
    folders = [word for word in words if not word.startswith("base=")]
    bases = [word.removeprefix("base=") for word in words if word.startswith("base=")]
    if len(folders) != 1 or len(bases) > 1 or "" in (*folders, *bases):
        raise UserError(f"expected {USAGE}, found {' '.join(words) or 'nothing'}")
    done = rebuild(Path(folders[0]).expanduser(), *bases)
    for line in (
        _said("files of the base are those that it was made from", done.base),
        _said("files are as they were written", done.kept),
        _said("files made again are the same", done.again),
    ):
        terminal().print(line, highlight=False, soft_wrap=True)
    return done.agrees


def _said(what: str, agrees: Mapping[str, bool]) -> str:
    differ = [name for name, same in agrees.items() if not same]
    counted = f"{len(agrees) - len(differ)} of {len(agrees)} {what}"
    return counted if not differ else f"{counted}; not {', '.join(differ)}"


def main() -> int:
    """Run from the command line: 0 where everything agrees, 1 where something does not, 2 for a mistake."""
    agreed: list[bool] = []
    status = in_one_line(lambda: agreed.append(reproduce(sys.argv[1:])))
    return status or (0 if all(agreed) else DISAGREES)


if __name__ == "__main__":
    sys.exit(main())
