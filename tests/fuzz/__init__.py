"""Odd input by the thousand: the right result or one line, never another exception, a hang or a changed study.

`CASES` is the one place that says how many cases run. They are the same ones every time; ``SABER_FUZZ=20`` in the
environment makes them twenty times as many, and other ones at every run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from saber.types import UserError

CASES = {
    "one value of the configuration": 700,
    "a whole configuration": 300,
    "an interpolation": 200,
    "words of a command line": 40,
    "a file of a group": 30,
    "a space": 700,
    "the name of a point": 400,
    "a number of trials": 150,
    "bytes of a prompt file": 700,
    "lines of a text file": 200,
    "rows of a table": 200,
    "the name of a prompt file": 100,
    "prompts to be dealt": 300,
    "a damaged plan": 500,
    "a damaged cache": 400,
    "damaged base logits": 300,
    "damaged scores": 300,
    "damaged responses": 200,
    "a file of markers": 400,
    "a damaged checkpoint": 300,
    "where a study is kept": 40,
    "a half width": 150,
    "the words of an organism": 150,
    "the name of a study": 300,
    "the name of a point that is asked for": 200,
}
TIMES = int(os.environ.get("SABER_FUZZ", "0"))
LONGEST = 12_000  # characters of an error, each of them an escape such as \U0010ffff

Test = Callable[..., None]


def fuzzed(subject: str) -> Callable[[Test], Test]:
    """Run a property as often as `CASES` says."""
    return settings(
        max_examples=CASES[subject] * max(1, TIMES),
        derandomize=not TIMES,
        database=None,
        deadline=None,  # other work may share the machine; a hang meets pytest's own limit
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def or_one_line() -> Iterator[None]:
    """What is inside may raise a `UserError` of one printable line, and nothing else."""
    try:
        yield
    except UserError as error:
        check_line(str(error))


def check_line(text: str) -> None:
    """One line, or a list with a line a mistake: each says something, is shown as it is, and is read to its end."""
    head, *mistakes = text.split("\n")
    assert not mistakes or head.endswith(" mistakes:"), ascii(text)
    assert all(line.startswith("  - ") for line in mistakes), ascii(text)
    for line in (head, *mistakes):
        assert line.strip()
        assert line.isprintable(), ascii(line)
        assert len(line) <= LONGEST


odd_text = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(), max_size=6),  # half surrogate pairs, controls and private signs among them
    st.sampled_from(
        [
            "", " ", "\0", "\n", "a\nb", "\x1b[31m", "\ufeff", "\u2028", "\ud800", "\u202eabc", "../../x",
            "/etc/passwd",
            "~", "null", "none", "true", "1e999", "nan", "-inf", "???", "٣", "x" * 5000, "9" * 5000, "%s{0}", "'\"",
        ]
    ),
)  # fmt: skip
odd_number = st.one_of(
    st.integers(),
    st.integers(-3, 3),
    st.floats(),
    st.booleans(),
    st.sampled_from([2**31, 2**32, 2**63, -(2**63), 2**64, 10**400, 5e-324, 1.8e308, -0.0]),
)
odd_scalar: st.SearchStrategy[Any] = st.one_of(st.none(), odd_text, odd_number)


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any], size: int = 8) -> st.SearchStrategy[Any]:
    """Values within lists and mappings."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
        max_leaves=size,
    )


def deep(levels: int, inner: Any, key: str | None = "a") -> Any:
    """A value within so many lists, or mappings with this key."""
    for _ in range(levels):
        inner = [inner] if key is None else {key: inner}
    return inner
