"""The terminal: as wide as it is, or wide enough for a table where the output goes to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

FILE_WIDTH = 160


def terminal() -> Console:
    """A console that does not fold tables just because nobody watches, and shows [brackets] and :names: as they are."""
    console = Console(markup=False, emoji=False)
    return console if console.is_terminal else Console(width=FILE_WIDTH, markup=False, emoji=False)


def announce(text: str) -> None:
    """Say something on the terminal as one line."""
    terminal().print(text, highlight=False, soft_wrap=True)


@contextmanager
def training_bar(console: Console, what: str) -> Iterator[Callable[[int, int, float], None]]:
    """Show (step, steps, loss) as a bar on a terminal, and only that it goes on elsewhere."""
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what)

        def said(step: int, steps: int, loss: float) -> None:
            if step <= 1 and not console.is_terminal:
                console.print(f"{what}: {steps} steps, once, about a minute")
            bar.update(task, completed=step, total=steps, description=f"{what}, loss {loss:.2f}")

        yield said
