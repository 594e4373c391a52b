"""Thoughts in replies: where the answer begins, and how many tokens a thought and an answer may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from saber.lm.chat.chat_format import Thinking

OPENING_TOKENS = 24  # a thought has opened within so many tokens, however its marks are cut into tokens
CLOSING_TOKENS = 32  # the mark that ends it takes no more


@dataclass(frozen=True, eq=False)
class ThoughtReader:
    """Finds the answer in the tokens of a reply of a model that may think before it."""

    tokenizer: Any
    thinking: Thinking

    def opens(self, tokens: Sequence[int]) -> bool:
        """Whether a reply begins with a thought, or inside the one that its prompt opened."""
        if self.thinking.begins_inside:
            return True
        return self.thinking.format.is_opened_by(self._text(tokens[:OPENING_TOKENS]))

    def answer_start(self, tokens: Sequence[int]) -> int | None:
        """How many tokens come before the answer: 0 where there is no thought, ``None`` while it has not ended."""
        if self.opens(tokens):
            return self._end(tokens)
        head = tokens[:OPENING_TOKENS]
        end = self._end(head)  # of a thought that was never opened: a mark with nothing before it is no answer either
        return 0 if end is None or self.words(head[:end]) else end

    def ends_thought(self, tokens: Sequence[int]) -> bool:
        """Whether the last tokens of a reply that is inside a thought end it."""
        return self._has_end(tokens[-CLOSING_TOKENS:])

    def words(self, tokens: Sequence[int]) -> str:
        """The text of a thought, without the marks around it."""
        return self.thinking.format.without_marks(self._text(tokens))

    def _end(self, tokens: Sequence[int]) -> int | None:
        """The fewest tokens that hold the end of a thought, by bisection: more tokens hold it too."""
        if not self._has_end(tokens):
            return None
        without, with_end = 0, len(tokens)
        while with_end - without > 1:
            middle = (without + with_end) // 2
            without, with_end = (without, middle) if self._has_end(tokens[:middle]) else (middle, with_end)
        return with_end

    def _has_end(self, tokens: Sequence[int]) -> bool:
        return self.thinking.format.is_ended_in(self._text(tokens))

    def _text(self, tokens: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text


@dataclass(frozen=True)
class PartedReply:
    """A reply in two: its thought, ``""`` where it opened none, whether that ended, and the tokens of its answer."""

    thought: str
    has_ended: bool | None
    answer: tuple[int, ...]


def parted(reader: ThoughtReader, tokens: Sequence[int]) -> PartedReply:
    """Part a reply; a thought that does not end leaves no answer."""
    start = reader.answer_start(tokens)
    if start is None:
        return PartedReply(reader.words(tokens), False, ())
    thought = reader.words(tokens[:start])
    return PartedReply(thought, True if thought or reader.opens(tokens) else None, tuple(tokens[start:]))


@dataclass(frozen=True, eq=False)
class Limits:
    """How many tokens a reply may take: ``answer``, and where it thinks first, up to ``thought`` before them."""

    answer: int
    thought: int = 0
    reader: ThoughtReader | None = None

    @property
    def most(self) -> int:
        """The longest that a reply can be."""
        return self.answer + self.thought

    def of(self, said: Sequence[int]) -> int:
        """How long a reply that begins so may become: a thought that has not ended has its own limit."""
        if self.reader is None:
            return self.answer
        start = self.reader.answer_start(said)
        return self.thought if start is None else start + self.answer

    def cut(self, tokens: Sequence[int]) -> int:
        """How many tokens of a longer reply these limits would have let it say."""
        start = 0 if self.reader is None else self.reader.answer_start(tokens)
        if start is None or start > self.thought:
            return min(len(tokens), self.thought)
        return min(len(tokens), start + self.answer)


class RowLimit:
    """The limit of one reply while it grows, looked for again only where a thought may begin or end."""

    def __init__(self, limits: Limits, said: Sequence[int]) -> None:
        self._limits = limits
        self._is_thinking = False
        self.now = limits.answer
        self._settle(said)

    def after(self, said: Sequence[int]) -> int:
        """The limit once the last of these tokens is said."""
        reader = self._limits.reader
        if reader is not None and (len(said) <= OPENING_TOKENS or (self._is_thinking and reader.ends_thought(said))):
            self._settle(said)
        return self.now

    def _settle(self, said: Sequence[int]) -> None:
        if self._limits.reader is not None:
            start = self._limits.reader.answer_start(said)
            self._is_thinking = start is None
            self.now = self._limits.thought if start is None else start + self._limits.answer
