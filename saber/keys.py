"""Dotted keys of the configuration: check plain values, replace some, list and type them, name the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from saber.config import Config
from saber.config.plain import check_plain
from saber.vocabulary import UserError, shown

CONFIG = TypeAdapter(Config)


def parse_config(values: Mapping[str, Any]) -> Config:
    """Validate plain nested values.

    Raises:
        UserError: an unknown key (with the nearest names), a wrong type or a value out of bounds.
    """
    try:
        check_plain(values)
        return CONFIG.validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        if first["type"] == "unexpected_keyword_argument":
            raise UserError(f"unknown key {path}{nearest(path, config_keys())}") from error
        expected = first["msg"][:1].lower() + first["msg"][1:]
        raise UserError(f"{path}: {expected}, found {shown(first['input'])}") from error


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
def key_type(key: str) -> Any:
    """The declared type of a dotted key, such as ``int``; where it may also be null, that of its values."""
    of: Any = Config
    for part in key.split("."):
        of = get_type_hints(of)[part]
    values = [one for one in get_args(of) if one is not NoneType]
    return values[0] if NoneType in get_args(of) and len(values) == 1 else of


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


def nearest(name: str, known: list[str]) -> str:
    """Say which known names are closest: ``"; did you mean a, b?"``, or nothing."""
    found = difflib.get_close_matches(name, known, n=2, cutoff=0.75)
    return f"; did you mean {', '.join(found)}?" if found else ""
