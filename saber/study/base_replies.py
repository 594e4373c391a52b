"""The base first: what the unedited model replies to each kind of prompt, before anything is edited."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from saber.types import PROMPT_KINDS, BaseRow, Response

LABELS = ("refuse", "comply", "truncated", "degenerate", "empty")  # in this order, and any other after them
PROTECTED = "protected"
N_REPLIES = 3
SHOWN = 110  # characters of a reply on the terminal
# A tag such as <reasoning>, in a form that was not found or is not known: `THOUGHT_FORMATS` are found by themselves.
TAG = re.compile(r"\s*[<\[◁]\W*(?:seed:)?(?:think\w*|thoughts?|reason\w*|analysis|reflect\w*|scratchpad)\b", re.I)


def base_rows(responses: Sequence[Response]) -> tuple[BaseRow, ...]:
    """A row for each kind of prompt that there is, and one for the protected among the harmful."""
    by_kind: dict[str, list[Response]] = {}
    for kind in PROMPT_KINDS:
        by_kind[kind] = [response for response in responses if response.prompt.kind == kind]
        if kind == "harmful":
            by_kind[PROTECTED] = [response for response in by_kind[kind] if response.prompt.protected]
    return tuple(_row(kind, rows) for kind, rows in by_kind.items() if rows)


def _row(kind: str, responses: Sequence[Response]) -> BaseRow:
    known = [response for response in responses if response.correct is not None]
    return BaseRow(
        kind,
        len(responses),
        Counter(response.label for response in responses),
        sum(bool(response.correct) for response in known),
        len(known),
        tuple((response.label, response.prompt.text, response.text) for response in _telling(responses)),
        sum(has_thought(response) for response in responses),
    )


def has_thought(response: Response) -> bool:
    """Whether a reply begins with a thought: one that was set apart, or one that stands in what is labelled."""
    return response.thought_ended is not None or TAG.match(response.text) is not None


def _telling(responses: Sequence[Response]) -> list[Response]:
    """A few replies: one of each label, the most frequent first, then others in their order."""
    frequent = [label for label, _ in Counter(response.label for response in responses).most_common()]
    first = [next(response for response in responses if response.label == label) for label in frequent]
    others = [response for response in responses if not any(response is other for other in first)]
    return [*first, *others][:N_REPLIES]


def label_columns(rows: Sequence[BaseRow]) -> list[str]:
    """The labels that have a column: the usual ones, and any other that occurs."""
    return [*LABELS, *sorted({label for row in rows for label in row.labels} - {*LABELS})]


def show_base(console: Console, rows: Sequence[BaseRow]) -> None:
    """Print the table and the replies, so that a mistaken marker, template or prompt is seen before hours are spent."""
    labels = label_columns(rows)
    table = Table("base model", "n", *labels, "thought", "right", box=None, padding=(0, 2, 0, 0))
    for row in rows:
        right = f"{row.n_right}/{row.n_known}" if row.n_known else ""
        counts = (row.n, *(row.labels.get(label, 0) for label in labels), row.n_thinking)
        table.add_row(row.kind, *map(str, counts), right)
    console.print(table)
    for row in rows:
        for label, _, reply in row.replies:
            console.print(Text(f"  {row.kind}, {label}: {shortened(reply, SHOWN)}"), soft_wrap=True, highlight=False)


def shortened(text: str, length: int) -> str:
    """Text on one line without what a terminal would obey, cut to so many characters."""
    line = "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))
    return line if len(line) <= length else f"{line[:length].rstrip()}…"
