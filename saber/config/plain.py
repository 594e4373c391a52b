"""What values of a configuration may be at all, whichever key they belong to: what every file and database can hold."""

from __future__ import annotations

from collections.abc import Mapping

from saber.vocabulary import UserError, shown

DEEPEST = 32  # levels of nesting; the configuration itself has five
LARGEST = 2**63  # what a database holds as a whole number is below


def check_plain(value: object, path: str = "", depth: int = 0) -> None:
    """Pass where every key is text, all text can be written to a file, and no number or nesting is absurd.

    Raises:
        UserError: one of them is not so; its key is named.
    """
    where = path or "configuration"
    if depth > DEEPEST:
        raise UserError(f"{where[:80]}...: expected at most {DEEPEST} levels, found more: flatten it")
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
            raise UserError(f"{where}: expected text, found {shown(value)}: remove the NUL or the undecoded bytes")
    elif isinstance(value, int):
        if abs(value) >= LARGEST:
            raise UserError(f"{where}: expected a number below 2^63, found one of {value.bit_length()} bits: lower it")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise UserError(f"{where}: expected text as a key, found {shown(key)}: quote it")
            check_plain(key, path, depth)
            check_plain(inner, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            check_plain(inner, f"{path}.{i}" if path else str(i), depth + 1)
