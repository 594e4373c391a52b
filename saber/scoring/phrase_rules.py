"""The named rules that read a sentence of a reply, and the patterns that read a prompt: data, in ``rules/en.yaml``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

FOLDER = files("saber.scoring") / "rules"
_NAME = re.compile(r"<(\w+)>")

Speaks = Literal["refusal", "answer", "either"]


@dataclass(frozen=True)
class Rule:
    """A kind of wording: what it may count for, and the pattern of its sentences."""

    name: str
    speaks: Speaks
    pattern: re.Pattern[str]


@cache
def rules_text() -> str:
    """The file of rules as it is written; its digest is what weights were learnt under."""
    return (FOLDER / "en.yaml").read_text(encoding="utf-8")


def rules_digest() -> str:
    """A digest of the rules' words, so that weights learnt under other ones are not used."""
    return hashlib.sha256(rules_text().encode()).hexdigest()[:16]


@cache
def rules() -> tuple[Rule, ...]:
    """The rules that read a reply, in the order of the file."""
    stated = _stated()
    return tuple(
        Rule(name, rule["speaks"], _compiled(rule["patterns"], stated["fragments"]))
        for name, rule in stated["rules"].items()
    )


@cache
def asks() -> Mapping[str, re.Pattern[str]]:
    """The patterns that say what a prompt asks for, by name."""
    stated = _stated()
    return {name: _compiled(patterns, stated["fragments"]) for name, patterns in stated["asks"].items()}


def _stated() -> Mapping[str, Any]:
    stated: Mapping[str, Any] = yaml.safe_load(rules_text())
    return stated


def _compiled(patterns: list[str] | str, fragments: Mapping[str, list[str] | str]) -> re.Pattern[str]:
    """One pattern of several, with fragments in the place of their names."""
    listed = [patterns] if isinstance(patterns, str) else patterns
    return re.compile("|".join(f"(?:{_spelt(pattern, fragments)})" for pattern in listed))


def _spelt(pattern: str, fragments: Mapping[str, list[str] | str]) -> str:
    def words(match: re.Match[str]) -> str:
        fragment = fragments[match.group(1)]
        return _spelt(fragment if isinstance(fragment, str) else f"(?:{'|'.join(fragment)})", fragments)

    return _NAME.sub(words, pattern)
