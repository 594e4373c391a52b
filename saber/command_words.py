"""The words of a command line before Hydra reads them: what is meant is spelt out, what is mistyped is corrected."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence
from functools import cache
from typing import get_origin

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from saber.keys import closest, config_keys, did_you_mean, key_type, sections
from saber.meant_words import SEVERAL, conf_groups, instead, plus, takes_next, two_words, typed, wrong_flag
from saber.vocabulary import Mistakes

MORE_TRIALS = re.compile(r"^study\.n_trials=(\+\d+)$")
KEY = re.compile(r"^(?:\+\+|\+|~)?([^=]*)")
DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
# What Hydra's own parser gives for odd words.
UNREADABLE = (HydraException, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
MOST_NAMED = 4


def read_words(words: Sequence[str]) -> list[str]:
    """The words as Hydra should have them.

    Raises:
        UserError: some cannot be read, or name no key: all of them are named, each with the word that was likely meant.
    """
    several = any(word in SEVERAL for word in words)
    mistakes: list[str] = []
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        if word.startswith("=") or takes_next(before) or (before.endswith("=") and "=" not in word):
            continue
        if word.startswith("-"):
            mistake = wrong_flag(word, *words[place + 1 : place + 2])
        else:
            mistake = _around_equals(words[place : place + 3]) or _mistake(word, several=several)
        mistakes += [mistake] if mistake else []
    if mistakes:
        raise Mistakes(mistakes)
    return [spell_out(word) for word in words]


def spell_out(word: str) -> str:
    """Say to Hydra what is meant: ``key=value`` sets any key of ours, be it in a file of conf/ or only in the schema.

    A part of a group, such as ``data.report={harmful: 10}``, and of ``space`` is a key too.
    The sign of ``study.n_trials=+20`` is kept, which Hydra would read as 20.
    """
    if match := MORE_TRIALS.match(word):
        word = f"study.n_trials='{match[1]}'"
    key = word.partition("=")[0]
    return f"++{word}" if key in config_keys() or key in _inner_sections() or key.startswith("space.") else word


def _around_equals(words: Sequence[str]) -> str | None:
    """The mistake of spaces around the sign, which make one word two or three: ``study.n_trials = 5``."""
    first, *rest = words
    if first == "=" or not rest or "=" in first[:-1]:
        return None
    if rest[0].startswith("="):
        parts = [first, *rest] if rest[0] == "=" else [first, rest[0]]
    elif first.endswith("=") and "=" not in rest[0] and not rest[0].startswith("-"):
        parts = [first, rest[0]]
    else:
        return None
    return f"expected no space around =, found {typed(' '.join(parts))}{instead([''.join(parts)])}"


def _mistake(word: str, *, several: bool) -> str | None:
    """What is wrong with a word, and the word that was likely meant; ``None`` where nothing is."""
    match = KEY.match(word)
    key = match[1] if match else ""
    if "=" not in word and not word.startswith("~"):
        return f"expected key=value, found {typed(word)}{instead(_meant_without_value(word))}"
    if mistake := _unknown_key(word, key):
        return mistake
    if word[match.end() if match else 0 :].startswith("=="):
        return f"expected one =, found {typed(word)}{instead([re.sub('=+', '=', word, count=1)])}"
    try:
        read = OverridesParser.create().parse_override(word)
    except UNREADABLE:
        return two_words(word) or f"cannot read {typed(word)}: {_how_to_quote(word)}"
    if read.is_sweep_override() and not several:
        return _with_comma(word, key, read)
    named = read.is_delete() or read.is_sweep_override() or isinstance(read.value(), str)
    if key in conf_groups() and key not in sections() and not named:
        return f"expected the name of a file, one of {', '.join(conf_groups()[key])}, found {typed(word)}"
    if not read.is_delete() and read.value() == {} and key.partition(".")[0] == "space":
        return f"expected values, found {typed(word)}, which changes nothing{instead([f'~{key}'])}"
    return None


def _unknown_key(word: str, key: str) -> str | None:
    """The mistake of a word whose key is none of ours, nor Hydra's."""
    plain = key.partition("@")[0].partition(":")[0]
    if plain == "sweep" and (word.startswith("++") or not word.startswith(("+", "~"))):
        name = word.partition("=")[2]
        close = difflib.get_close_matches(name, conf_groups()["sweep"], n=1) or [name]
        return f"expected one + before sweep, found {typed(word)}{instead([f'+sweep={close[0]}'])}"
    if not plain or plain.partition(".")[0] in ("hydra", "space") or plain.partition("/")[0] in conf_groups():
        return None
    within = [known for known in config_keys() if plain == known or plain.startswith(f"{known}.")]
    if within or plain in sections():
        return None
    value = word.partition("=")[2]
    same_leaf = _with_leaf(plain.rpartition(".")[2])
    if 0 < len(same_leaf) <= MOST_NAMED:
        return f"unknown key {plain}{instead([f'{known}={value}' for known in same_leaf])}"
    if groups := [name for name in closest(plain, [*config_keys(), *conf_groups()]) if name in conf_groups()]:
        return f"unknown key {plain}{instead([f'{plus(group)}{group}={value}' for group in groups])}"
    near = closest(plain, config_keys())
    if not near and (leaves := closest(plain, [key.rpartition(".")[2] for key in config_keys()])):
        return f"unknown key {plain}{instead([f'{known}={value}' for known in _with_leaf(leaves[0])[:MOST_NAMED]])}"
    return f"unknown key {plain}{did_you_mean(near)}"


def _with_leaf(leaf: str) -> list[str]:
    """The keys that end with a name."""
    return [known for known in config_keys() if known.rpartition(".")[2] == leaf]


def _meant_without_value(word: str) -> list[str]:
    """What a word without a value could mean: an option of a group, or a key."""
    choices = [
        f"{plus(group)}{group}={option}" for group, named in conf_groups().items() for option in named if option == word
    ]
    keys = [f"{known}=..." for known in config_keys() if word in (known, known.rpartition(".")[2])]
    before, _, behind = word.lstrip("+").partition(":")  # as in a file
    signs = [word.replace(":", "=", 1)] if behind and before in [*config_keys(), *conf_groups()] else []
    return [*choices, *keys, *signs][:MOST_NAMED]


def _how_to_quote(word: str) -> str:
    """The same word with its value quoted, where Hydra can read that."""
    key, _, value = word.partition("=")
    if "=" not in word:
        return "expected ~ and a key"
    if value[:1] in ("[", "{", '"', "'"):
        return "close its brackets and quotes"
    for sign in ('"', "'"):
        quoted = f"{key}={sign}{value}{sign}"
        if sign not in value and _is_readable(quoted):
            return f"quote its value, {shlex.quote(quoted)}"
    return "put its value into quotes of one kind"


def _is_readable(word: str) -> bool:
    try:
        return not OverridesParser.create().parse_override(word).is_sweep_override()
    except UNREADABLE:
        return False


def _with_comma(word: str, key: str, read: Override) -> str:
    """A value with a comma is several values to Hydra, each a study of its own with --multirun."""
    value = word.partition("=")[2]
    several = "with --multirun each part is a study of its own"
    if not getattr(read.value(), "simple_form", False) or key not in config_keys():
        return f"found several values in {typed(word)}: {several}"
    of = key_type(key)
    if get_origin(of) in (tuple, list):
        meant = f"{key}=[{value}]"
    elif of is float and DECIMAL_COMMA.fullmatch(value):
        meant = f"{key}={value.replace(',', '.')}"
    else:
        meant = f'{key}="{value}"'
    return f"found a comma in {typed(word)}{instead([meant])} ({several})"


@cache
def _inner_sections() -> frozenset[str]:
    """Dotted parts of the configuration that are neither a group nor a value, such as ``data.report``."""
    return frozenset(section for section in sections() if "." in section)
