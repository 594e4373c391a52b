"""Refusal markers as data: a file for each language and for each list that another tool published, or a user's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain, islice, product
from math import prod
from pathlib import Path
from typing import Any

import yaml

from saber.types import UserError
from saber.vocabulary import shown

SHIPPED = files("saber.scoring") / "marker_lists"
SUFFIXES = (".yaml", ".yml")
MOST_PHRASES = 10_000  # alternatives multiply: a slip of the pen must not fill the memory
_GROUP = re.compile(r"\(([^()]*)\)")
_SHAPE = "expected whole_words: true or false, and phrases: a list"


def marker_names() -> list[str]:
    """The lists that come with SABER: languages by their code, and those of other tools."""
    return sorted(file.name.removesuffix(".yaml") for file in SHIPPED.iterdir() if file.name.endswith(".yaml"))


def markers_of(lists: Sequence[str]) -> tuple[str, ...]:
    """The markers of several lists in their order, each once; a list is a shipped name or a path to a YAML file.

    Raises:
        UserError: a list is unknown, cannot be read, or is no list of markers.
    """
    return tuple(dict.fromkeys(marker for name in lists for marker in read_markers(name)))


@cache
def read_markers(name: str) -> tuple[str, ...]:
    """The markers of one list; with ``whole_words`` each has a space at both ends, which `find_marker` understands.

    Raises:
        UserError: the list is unknown, cannot be read, or is no list of markers.
    """
    if not name.endswith(SUFFIXES):
        known = marker_names()
        if name not in known:
            raise UserError(f"unknown evaluate.marker_list={name}; there are {', '.join(known)}, or give a .yaml file")
        return parse_markers((SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"), name)
    try:
        return parse_markers(Path(name).read_text(encoding="utf-8-sig"), name)
    except (OSError, ValueError) as error:
        raise UserError(f"could not read evaluate.marker_list={name!r}: {' '.join(str(error).split())}") from error


def parse_markers(text: str, name: str) -> tuple[str, ...]:
    """The markers that a YAML text lists under ``phrases``; ``(a|b)`` in a phrase stands for either.

    Raises:
        UserError: it is not YAML, or not of this shape.
    """
    try:
        stated: Any = yaml.load(text, yaml.BaseLoader)  # every scalar stays text: a phrase "no" is no boolean
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{name}: {_SHAPE}, found no YAML ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(stated, dict) or set(stated) != {"whole_words", "phrases"}:
        raise UserError(f"{name}: {_SHAPE}, found {_brief(stated)}")
    phrases, words = stated["phrases"], str(stated["whole_words"]).lower()
    if words not in ("true", "false") or not isinstance(phrases, list) or not phrases:
        raise UserError(f"{name}: {_SHAPE}, found {_brief(stated)}")
    spelt = list(islice(chain.from_iterable(spellings(phrase, name) for phrase in phrases), MOST_PHRASES + 1))
    if len(spelt) > MOST_PHRASES:
        raise UserError(f"{name}: expected at most {MOST_PHRASES} readings of all phrases, found more: drop some")
    return tuple(dict.fromkeys(f" {reading} " if words == "true" else reading for reading in spelt))


def spellings(phrase: Any, name: str) -> Iterable[str]:
    """Every way of reading a phrase with ``(a|b)`` in it.

    Raises:
        UserError: it is not text, its brackets do not match, it has too many readings, or one of them is blank.
    """
    if not isinstance(phrase, str):
        raise UserError(f"{name}: expected a phrase as text, found {_brief(phrase)}")
    parts = [part.split("|") if i % 2 else [part] for i, part in enumerate(_GROUP.split(phrase))]
    if any("(" in fixed or ")" in fixed for (fixed, *_) in parts[::2]):
        raise UserError(f"{name}: expected brackets in pairs as in (a|b), found {_brief(phrase)}")
    if prod(len(part) for part in parts) > MOST_PHRASES:
        raise UserError(f"{name}: expected at most {MOST_PHRASES} readings of a phrase, found more: {_brief(phrase)}")
    readings = [" ".join("".join(words).split()) for words in product(*parts)]
    if not all(any(sign.isalnum() for sign in reading) for reading in readings):
        raise UserError(f"{name}: expected a word in every reading of a phrase, found {_brief(phrase)}")
    return readings


def _brief(value: Any) -> str:
    return shown(value)[:80]
