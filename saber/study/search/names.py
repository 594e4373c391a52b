"""Points are named from what was searched: nh60_a825_g14 has 60 probes, alpha_base 0.825 and global top-k 14."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from saber.keys import option_of, options
from saber.options.option import Option

MINUS = "m"  # a name is letters and digits
LONGEST = 90  # characters, so that a folder is named after study and point
LARGEST = 10**9  # beyond it a value is written as it is, not in hundredths


@cache
def coded() -> Mapping[str, Option]:
    """The keys that have a code, in the order in which names are built."""
    named = {key: option_of(key) for key in options() if option_of(key).code}
    return dict(sorted(named.items(), key=lambda item: item[1].place))


def point_name(params: Mapping[str, Any], taken: Collection[str], number: int) -> str:
    """Name a point; a name that is taken gets the trial number."""
    known = [key for key in coded() if key in params]
    others = sorted(key for key in params if key not in coded())
    words = [_coded(key, params[key]) for key in known] + [_spelt(key, params[key]) for key in others]
    name = "_".join(filter(None, words))
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]}_n{number}"
    name = name or "point"
    return f"{name}_n{number}" if name in taken else name


def _coded(key: str, value: Any) -> str:
    option = coded()[key]
    if option.per == 1 or abs(value) > LARGEST:
        return re.sub(r"[^A-Za-z0-9]+", "", f"{option.code}{value}".replace("-", MINUS))
    width = len(str(option.per)) - 1
    return f"{option.code}{MINUS if value < 0 else ''}{round(abs(float(value)) * option.per):0{width}d}"


def _spelt(key: str, value: Any) -> str:
    """A choice by its own word; a number behind the initials of its key."""
    if isinstance(value, str):
        return re.sub(r"[^A-Za-z0-9]+", "", value)
    initials = "".join(word[0] for part in key.split(".")[1:] for word in part.split("_"))
    return re.sub(r"[^A-Za-z0-9]+", "", f"{initials}{value:g}" if isinstance(value, float) else f"{initials}{value}")
