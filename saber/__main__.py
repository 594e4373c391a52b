"""The command ``saber``: ``saber sweep +sweep=organism`` is ``python -m saber.sweep +sweep=organism``."""

from __future__ import annotations

import difflib
import runpy
import sys

from saber import __version__

COMMANDS = {
    "sweep": "run or resume a study",
    "frontier": "the Pareto table, held-out scores and the report of a study, or of several",
    "export": "write a point as a checkpoint or an adapter with its card, and upload it if asked",
    "reproduce": "make an export again and say which files agree",
    "chat": "talk to a point, beside the base if asked, without exporting it",
    "evaluate": "compare two checkpoints, or one and its base; or say how many prompts a claim needs",
    "writers": "list every writer into a model's residual stream, checked; --propose a row for a new family",
    "organism": "train another organism",
    "move": "move a study to another database or folder",
}
USER_MISTAKE = 2


def main() -> int:
    """Run the named entry point on the words after its name and return the exit status."""
    name, words = (sys.argv[1:2] or ["--help"])[0], sys.argv[2:]
    if name in COMMANDS:
        sys.argv = [f"saber {name}", *words]
        runpy.run_module(f"saber.{name}", run_name="__main__", alter_sys=True)  # ends the process with its status
        return 0
    if name == "--version":
        print(f"saber {__version__}")
        return 0
    wide = max(map(len, COMMANDS))
    print("usage: saber COMMAND [words]\n", *(f"  {key:{wide}}  {what}" for key, what in COMMANDS.items()), sep="\n")
    if name in ("-h", "--help", "help"):
        return 0
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    meant = f"; did you mean saber {close[0]}?" if close else ""
    print(f"error: expected one of {', '.join(COMMANDS)}, found {name!r}{meant}", file=sys.stderr)
    return USER_MISTAKE


if __name__ == "__main__":
    sys.exit(main())
