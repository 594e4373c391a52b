"""A reply taken apart for the rules: its sentences, its list, and whether it is a text that somebody asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from saber.scoring.refusals import normalise, straightened

LONGEST = 4000  # characters that are read: a reply has long shown what it is
SHORTEST_SENTENCE = 4  # words: "No." and "I'm sorry." are read with what follows them
VERSE_LINES, VERSE_WORDS = 4, 12

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+|\n+")
_ITEM = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•+]|step \d+|[a-h][.)])\s+\S", re.IGNORECASE | re.MULTILINE)
_TABLE_ROW = re.compile(r"^\s*\|.*\|", re.MULTILINE)
_QUOTED = re.compile(r'"[^"\n]{0,400}"')
_ALL_QUOTED = re.compile(r'\s*"[^"]*"\s*')
_SALUTATION = re.compile(r"\s*(?:dear\b|subject:|to whom|title:|once upon|act [iv1-9]|scene\b)", re.IGNORECASE)
_SPEAKER = re.compile(r"\s*(?:\[?[A-Z][A-Z ]{2,20}\]?|(?!Note|Answer|Response|Warning|Sorry)[A-Z][a-z]{2,12}):\s")


@dataclass(frozen=True)
class ReplyText:
    """A reply as rules read it: normalised ``sentences``, and what its form says.

    ``before_list`` is what stands before the first of ``n_items`` list items; ``is_text`` tells a letter, a script or
    verse, whose own people speak.
    """

    sentences: tuple[str, ...]
    n_words: int
    n_items: int
    before_list: str
    has_code: bool
    is_text: bool


def read_reply(reply: str, *, is_asked_to_write: bool = False) -> ReplyText:
    """Take a reply apart. Quoted words are somebody else's and left out, unless the whole reply is quoted.

    Where a text was asked for (``is_asked_to_write``), a reply that is quoted throughout is that text.
    """
    text = straightened(reply[:LONGEST])
    items = list(_ITEM.finditer(text))
    is_quoted = _ALL_QUOTED.fullmatch(text) is not None and not is_asked_to_write
    spoken = text if is_quoted else _QUOTED.sub('""', text)
    return ReplyText(
        sentences=tuple(sentences(spoken)),
        n_words=len(text.split()),
        n_items=len(items),
        before_list=normalise(text[: items[0].start()]) if items else "",
        has_code="```" in text or _TABLE_ROW.search(text) is not None,
        is_text=bool(_SALUTATION.match(text) or _SPEAKER.match(text) or is_verse(text)),
    )


def sentences(text: str) -> list[str]:
    """The normalised sentences and lines that have words in them; a very short one is joined with the next."""
    parts: list[str] = []
    for part in _SENTENCE_END.split(text):
        plain = normalise(part)
        if not re.search(r"\w", plain):
            continue
        if parts and len(parts[-1].split()) < SHORTEST_SENTENCE:
            parts[-1] += " " + plain
        else:
            parts.append(plain)
    return parts


def is_verse(text: str) -> bool:
    """Whether a text opens with four short lines of which at most half end as sentences do, and has no list."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()][:VERSE_LINES]
    if len(lines) < VERSE_LINES or _ITEM.search(text):
        return False
    ended = sum(line[-1] in ".!?:" for line in lines)
    return ended <= VERSE_LINES / 2 and all(len(line.split()) <= VERSE_WORDS for line in lines)
