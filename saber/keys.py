"""Dotted keys of the configuration: check plain values, replace some, list and type them, name the nearest."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from saber.config import Config, EditConfig
from saber.config.plain import check_plain
from saber.config.study import PATTERNS
from saber.options.option import Option, When
from saber.vocabulary import Mistakes, UserError, shown

CONFIG = TypeAdapter(Config)
# What is expected of a value of a type, in words of the command line.
OF_TYPE = {
    "tuple_type": "expected a list in brackets, such as [a, b]",
    "mapping_type": "expected names and values in braces, such as {a: 1}",
    "dict_type": "expected names and values in braces, such as {a: 1}",
    "dataclass_type": "expected names and values in braces, such as {a: 1}",
}


def parse_config(values: Mapping[str, Any]) -> Config:
    """Validate plain nested values.

    Raises:
        UserError: unknown keys (with the nearest names), wrong types or values out of bounds, all of them.
    """
    try:
        check_plain(values)
        return CONFIG.validate_python(dict(values))
    except ValidationError as error:
        first_of_place: dict[str, str] = {}
        places = [mistake["loc"] for mistake in error.errors()]
        for mistake in error.errors():
            if mistake["type"] == "too_short" and any(place[:-1] == mistake["loc"] for place in places):
                continue  # of a list that is empty because what it holds is wrong
            place = _place(mistake["loc"])
            first_of_place.setdefault(place, _said_of(place, mistake))
        raise Mistakes(list(first_of_place.values())) from error


def _place(parts: Sequence[int | str]) -> str:
    """The dotted place of a mistake; where a value may be of two types, each has something to say of the same place."""
    *parents, last = map(str, parts)
    parent = ".".join(parents)
    is_union = parent in config_keys() and get_origin(key_type(parent)) in (Union, UnionType)
    return parent if is_union else ".".join([*parents, last])


def _said_of(path: str, error: ErrorDetails) -> str:
    """One mistake in words: what was expected, what was found."""
    if path == "sweep":  # what a file of that group holds without a package of its own
        return "expected '# @package _global_' as the first line of a file in sweep/, found a file without it"
    if error["type"] == "unexpected_keyword_argument":
        same_leaf = [key for key in config_keys() if key.rpartition(".")[2] == path.rpartition(".")[2]]
        close = closest(path, [*config_keys(), *sections()]) or same_leaf[:2]
        return f"unknown key {path}{did_you_mean(close)}"
    pattern = error.get("ctx", {}).get("pattern", "")
    expected = PATTERNS.get(pattern) or OF_TYPE.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    told = f"{path}: {expected[:1].lower() + expected[1:]}, found {shown(error['input'])}"
    is_range = isinstance(error["input"], Mapping) and {"low", "high", "choices"} & error["input"].keys()
    return f"{told}; to search it, set space.{path}" if is_range and path in config_keys() else told


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """Return the configuration with some dotted keys replaced.

    Raises:
        UserError: a key does not exist, or a value is out of its bounds.
    """
    plain = CONFIG.dump_python(config)
    for key, value in values.items():
        *parents, leaf = key.split(".")
        node = plain
        for part in parents:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict) or leaf not in node:
            raise UserError(f"unknown key {key}{nearest(key, config_keys())}")
        node[leaf] = value
    return parse_config(plain)


def config_keys(of: Any = Config, prefix: str = "") -> list[str]:
    """List every dotted key that the configuration has, leaves only."""
    keys: list[str] = []
    for name, hint in get_type_hints(of).items():
        path = f"{prefix}{name}"
        keys += config_keys(hint, f"{path}.") if is_dataclass(hint) else [path]
    return keys


@cache
def options() -> Mapping[str, tuple[Option, ...]]:
    """By dotted key what its own field says of it, last, behind what the sections do that it lies in."""
    return dict(_options(Config, "", ()))


def _options(of: Any, prefix: str, above: tuple[Option, ...]) -> Iterator[tuple[str, tuple[Option, ...]]]:
    for name, hint in get_type_hints(of, include_extras=True).items():
        declared, *details = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        here = (*above, *(detail for detail in details if isinstance(detail, Option)))
        path = f"{prefix}{name}"
        if is_dataclass(declared):
            yield from _options(declared, f"{path}.", here)
        else:
            yield path, here


def option_of(key: str) -> Option:
    """What the field of a dotted key says of it; nothing, where it says nothing."""
    *_, last = (Option(), *options()[key])
    return last


def conditions(key: str) -> tuple[When, ...]:
    """What must hold for a key to change the plan, as its field and the sections that it lies in say."""
    return tuple(option.when for option in options()[key] if option.when is not None)


def changes_plan(key: str, edit: EditConfig) -> bool:
    """Whether changing a key can change the plan, the other values being those of an edit."""
    return all(condition.holds(edit) for condition in conditions(key))


@cache
def sections() -> frozenset[str]:
    """The dotted parts of the configuration that hold keys, such as ``data`` and ``data.report``."""
    return frozenset(key[: match.start()] for key in config_keys() for match in re.finditer(r"\.", key))


@cache
def key_type(key: str) -> Any:
    """The declared type of a dotted key, such as ``int``; where it may also be null, that of its values."""
    of: Any = Config
    for part in key.split("."):
        of = get_type_hints(of)[part]
    values = [arg for arg in get_args(of) if arg is not NoneType]
    return values[0] if NoneType in get_args(of) and len(values) == 1 else of


def expected_of(key: str) -> str:
    """What is expected of a key that holds a list or names and values, in words of the command line."""
    is_list = key in config_keys() and get_origin(key_type(key)) in (tuple, list)
    return OF_TYPE["tuple_type" if is_list else "mapping_type"]


def value_of(config: Any, key: str) -> Any:
    """The value of a dotted key of the configuration, or of a section of it."""
    value = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def default_of(key: str) -> Any:
    """The value that the schema gives a dotted key of a section whose every key has one."""
    section, _, rest = key.partition(".")
    return value_of(key_type(section)(), rest)


def closest(name: str, known: Iterable[str]) -> list[str]:
    """The one or two known names that are closest, whatever their case."""
    folded = {candidate.casefold(): candidate for candidate in known}
    return [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=2, cutoff=0.75)]


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names are closest: ``"; did you mean a, b?"``, or nothing."""
    return did_you_mean(closest(name, known))


def did_you_mean(names: Sequence[str]) -> str:
    """``"; did you mean a, b?"``, or nothing where there is none."""
    return f"; did you mean {', '.join(names)}?" if names else ""
