"""The chat on a terminal: replies grow side by side, and lines that begin with a slash are commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from saber.publish.conversation import Chat, Reply, point_line
from saber.types import UserError

PER_SECOND = 12
HELP = {
    "/point NAME": "talk to another point: a name, a trial number, aggressive, balanced, conservative",
    "/points": "list the front's points",
    "/against NAME": "put another point beside it, or base; /against off takes it away",
    "/new": "begin a new conversation",
    "/length N": "cut replies at N tokens",
    "/help": "this list",
    "/quit": "end (or Ctrl-D); Ctrl-C breaks a reply off",
}


class ChatTerminal:
    """Reads lines, does what they say, and shows what comes back."""

    def __init__(self, chat: Chat, console: Console, max_new_tokens: int) -> None:
        self._chat, self._console, self._limit = chat, console, max_new_tokens
        self._commands: dict[str, Callable[[str], None]] = {
            "point": self._point,
            "points": lambda _words: self._points(),
            "against": self._against,
            "new": lambda _words: self._new(),
            "length": self._length,
            "help": lambda _words: self._help(),
        }

    def run(self, lines: Iterator[str]) -> None:
        """Go on until there is no line, or ``/quit``."""
        self._who()
        for line in lines:
            words = line.strip()
            if words in ("/quit", "/exit"):
                return
            if words.startswith("/"):
                self._command(words)
            elif words:
                self._say(words)

    def _command(self, words: str) -> None:
        name, _, rest = words[1:].partition(" ")
        try:
            if name not in self._commands:
                raise UserError(f"expected one of {', '.join(HELP)}, found /{name}")
            self._commands[name](rest.strip())
        except UserError as error:
            self._print(str(error))

    def _say(self, words: str) -> None:
        """Show replies as they grow where somebody watches, and once they are whole elsewhere."""
        replies: list[Reply] = []
        with suppress(KeyboardInterrupt), self._shown() as show:
            for replies in self._chat.say(words, self._limit):
                show(replies)
        if replies and replies[0].label is None:
            self._print("broken off: this question and its replies are forgotten")

    def _shown(self) -> _Shown:
        return _Shown(self._console)

    def _point(self, name: str) -> None:
        self._chat.use(name)
        self._who()

    def _points(self) -> None:
        for point in self._chat.points:
            if point.on_front:
                self._print(point_line(point))

    def _against(self, name: str) -> None:
        self._chat.compare(None if name in ("", "off") else name)
        self._who()

    def _new(self) -> None:
        self._chat.forget()
        self._print("a new conversation")

    def _length(self, words: str) -> None:
        if not words.isdecimal() or int(words) < 1:
            raise UserError(f"expected /length and a number of tokens from 1, found {words or 'nothing'}")
        self._limit = int(words)

    def _help(self) -> None:
        for words, meaning in HELP.items():
            self._print(f"{words:14} {meaning}")

    def _who(self) -> None:
        names = " beside ".join(side.name for side in self._chat.sides)
        self._print(f"{names}; /help lists commands")

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


class _Shown:
    """Replies in place on a terminal, or printed once when they are done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=PER_SECOND, transient=False, auto_refresh=True)
        self._last: Sequence[Reply] = ()

    def __enter__(self) -> Callable[[Sequence[Reply]], None]:
        if self._console.is_terminal:
            self._live.start()
        return self._show

    def __exit__(self, *_error: object) -> None:
        if self._console.is_terminal:
            self._live.stop()
        elif self._last:
            self._console.print(beside(self._last))

    def _show(self, replies: Sequence[Reply]) -> None:
        self._last = replies
        if self._console.is_terminal:
            self._live.update(beside(replies))


def beside(replies: Sequence[Reply]) -> Table:
    """Replies in columns of equal width, each under its side's name and over its label, answers under thoughts."""
    table = Table.grid(padding=(0, 2), expand=len(replies) > 1)
    for _ in replies:
        table.add_column(ratio=1)
    table.add_row(*(Text(reply.side, style="bold") for reply in replies))
    table.add_row(*(Group(*_lines(reply)) for reply in replies))
    return table


def _lines(reply: Reply) -> list[Text]:
    thought = [Text(f"(thinks: {reply.thought})", style="dim italic")] if reply.thought else []
    return [*thought, Text(reply.text), Text(verdict(reply), style="dim")]


def verdict(reply: Reply) -> str:
    """A reply's label and the marker that fired, nothing while it grows."""
    if reply.label is None:
        return ""
    return f"[{reply.label}: {reply.marker}]" if reply.marker else f"[{reply.label}]"


def typed_lines(prompt: str = "> ") -> Iterator[str]:
    """Lines as they are typed, with the terminal's own editing and history, until Ctrl-D."""
    with suppress(ImportError):  # a platform without it has plain lines
        import readline  # noqa: F401 - importing it is what gives input() its editing
    while True:
        try:
            yield input(prompt)
        except EOFError:
            return
        except KeyboardInterrupt:
            print()
