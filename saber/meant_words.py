"""Words that are likely meant: flags as Hydra has them, choices of conf/, two words typed as one, each shown quoted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from saber.keys import closest, config_keys
from saber.vocabulary import shown

SEVERAL = ("--multirun", "-m")
# Flags of Hydra's that take the word behind them.
WITH_A_VALUE = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun", "--info", "-i",
)  # fmt: skip
FLAGS = (
    *WITH_A_VALUE, *SEVERAL, "--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r",
    "--shell-completion", "-sc",
)  # fmt: skip
PRINTED = ("job", "hydra", "all")  # what --cfg can print
LONGEST_SHOWN = 200


def takes_next(word: str) -> bool:
    """Whether the next word is a flag's value, or that of a key which was typed as a flag."""
    return word in WITH_A_VALUE or (word.startswith("-") and word.lstrip("-") in [*config_keys(), *conf_groups()])


def wrong_flag(word: str, following: str = "") -> str | None:
    """The mistake of a flag that Hydra does not have, or that lacks its value."""
    name, _, value = word.partition("=")
    if name not in FLAGS:
        key = name.lstrip("-")
        is_key = key in config_keys() or key in conf_groups()
        meant = [f"{plus(key)}{key}={value or following}"] if is_key else closest(name, FLAGS)
        return f"unknown flag {typed(word)}{instead(meant) or '; words are key=value, and --help lists the flags'}"
    value = value or following
    if name in ("--cfg", "-c") and value not in PRINTED:
        return f"expected {name} {' or '.join(PRINTED)}, found {typed(value) if value else 'none'}"
    if name in WITH_A_VALUE and name not in ("--info", "-i") and not value:
        return f"expected a value behind {name}, found none"
    return None


def two_words(word: str) -> str | None:
    """The mistake of two words without a space between them: ``+sweep=organismstudy.n_trials=5``."""
    for match in list(re.finditer("=", word))[1:]:
        before = word[: match.start()]
        key = max((name for name in [*config_keys(), *conf_groups()] if before.endswith(name)), key=len, default="")
        first = before[: len(before) - len(key)].rstrip("+~")
        if key and not first.endswith(("=", "/", ".", "_")):
            meant = f"{shlex.quote(first)} {shlex.quote(word[len(first) :])}"
            return f"expected a space before {key}, found {typed(word)}; did you mean {meant}?"
    return None


def plus(group: str) -> str:
    """The sign before a group that no file of conf/ has chosen from."""
    return "+" if group == "sweep" else ""


def typed(word: str) -> str:
    """A word as it was typed, where a line can show it."""
    return word if word.isprintable() and len(word) <= LONGEST_SHOWN else shown(word)


def instead(meant: Sequence[str]) -> str:
    """``"; did you mean a or b?"`` as one would type them, or nothing."""
    return f"; did you mean {' or '.join(shlex.quote(word) for word in meant)}?" if meant else ""


@cache
def conf_groups() -> Mapping[str, tuple[str, ...]]:
    """The groups of conf/ with what can be chosen of each."""
    choices: dict[str, tuple[str, ...]] = {}
    folders: Any = files("saber.conf")
    for group in folders.iterdir():
        if group.is_dir() and not group.name.startswith("_"):
            choices[group.name] = tuple(
                sorted(file.name.removesuffix(".yaml") for file in group.iterdir() if file.name.endswith(".yaml"))
            )
    return choices
