"""Whether a response gives the known answer of a capability prompt."""

from __future__ import annotations

import re


def is_correct(response: str, answer: str) -> bool:
    """True where the answer's words stand together in the response, whatever the case, punctuation or spacing."""
    given, wanted = _words(response), _words(answer)
    return any(given[i : i + len(wanted)] == wanted for i in range(len(given) - len(wanted) + 1))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
