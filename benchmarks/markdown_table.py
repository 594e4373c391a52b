"""Tables of Markdown, and numbers as the documents write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table with a header."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def short(value: float, digits: int) -> str:
    """A number without the zero before its point: .0971, -.0045."""
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text
