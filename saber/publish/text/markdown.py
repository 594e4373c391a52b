"""Markdown that names cannot break: whatever is not marked as Markdown is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from saber.publish.text.wording import plain

_SPECIAL = re.compile(r"([\\`*_{}\[\]|~#$])")
_PLAIN_URL = re.compile(r"https?://[\w./?=&%+:#~,-]+")


class Md(str):
    """Text that is Markdown already, and goes out as it is."""

    __slots__ = ()


def escaped(value: object) -> Md:
    """Any value as literal text on one line, `Md` as it is."""
    if isinstance(value, Md):
        return value
    text = _SPECIAL.sub(r"\\\1", plain(value))
    return Md(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def code(value: object) -> Md:
    """Any value as a code span, inside or outside of a table."""
    text = plain(value).replace("|", "¦")  # a pipe ends a table's cell even inside code
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return Md(f"{fence}{pad}{text}{pad}{fence}")


def link(value: object) -> Md:
    """A plain web address as a link, anything else escaped."""
    text = plain(value)
    return Md(f"<{text}>") if _PLAIN_URL.fullmatch(text) else escaped(text)


def yaml_string(value: object) -> Md:
    """A double-quoted YAML scalar (JSON's strings are YAML's)."""
    return Md(json.dumps(plain(value), ensure_ascii=False))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Md:
    """A Markdown table; the cells are escaped."""
    cells: list[list[str]] = [[escaped(value) for value in row] for row in rows]
    lines = [list(header), ["---"] * len(header), *cells]
    return Md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def bullets(items: Mapping[str, object] | Sequence[tuple[str, object]]) -> Md:
    """A list of ``- name: value`` lines, names and values escaped."""
    pairs = items.items() if isinstance(items, Mapping) else items
    return Md("\n".join(f"- {escaped(name)}: {escaped(value)}" for name, value in pairs))


def markdown_environment() -> Environment:
    """Templates of this package in which every ``{{ value }}`` is escaped unless it is `Md`."""
    environment = Environment(
        loader=PackageLoader("saber.publish"),
        autoescape=False,
        finalize=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": code, "link": link, "yaml": yaml_string}
    return environment
