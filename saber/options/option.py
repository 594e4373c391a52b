"""What is said of a search key at its field, beside its type and bounds: read by the search, by names and by cards.

reach: Annotated[int, Option(code="r", place=19, when=when("scope", "band"))] = Field(default=1, ge=0)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

BEHIND_ALL = 1000


@dataclass(frozen=True)
class When:
    """A condition on the edit: the options that it asks for, by their path in the edit, and whether it holds."""

    asks: frozenset[str]
    holds: Callable[[Any], bool]

    def __and__(self, other: When) -> When:
        return When(self.asks | other.asks, lambda edit: self.holds(edit) and other.holds(edit))

    def __or__(self, other: When) -> When:
        return When(self.asks | other.asks, lambda edit: self.holds(edit) or other.holds(edit))

    def __invert__(self) -> When:
        return When(self.asks, lambda edit: not self.holds(edit))


def when(path: str, *values: object) -> When:
    """That an option of the edit, such as ``scope`` or ``kernel.direction``, is one of some values."""
    value_of = attrgetter(path)
    return When(frozenset({path}), lambda edit: value_of(edit) in values)


@dataclass(frozen=True)
class Option:
    """What a field says of its key.

    ``label`` heads its line on a card. ``code`` stands for it in the names of points, before its value in ``per``ths;
    a name is built in the order of ``place``, and a code without one comes behind all that have one, so that names
    that were given stay. ``when`` says under which other options it changes the plan; always, where it is not said.
    A section's ``when`` holds for every key in it.
    """

    label: str = ""
    code: str = ""
    per: int = 1
    place: int = BEHIND_ALL
    when: When | None = None
