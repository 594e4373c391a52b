"""The terminal: as wide as it is, or wide enough for a table where the output goes to a file."""

from __future__ import annotations

from rich.console import Console

FILE_WIDTH = 160


def terminal() -> Console:
    """A console that does not fold tables just because nobody watches."""
    console = Console()
    return console if console.is_terminal else Console(width=FILE_WIDTH)
