"""The closed vocabularies and the one error for users: nothing heavy is imported here, so that --help is quick."""

from __future__ import annotations

from typing import Literal

PromptKind = Literal["harmful", "harmless", "borderline", "capability"]
PROMPT_KINDS: tuple[PromptKind, ...] = ("harmful", "harmless", "borderline", "capability")

WriterKind = Literal["attention", "mlp", "per_layer"]
WRITER_KINDS: tuple[WriterKind, ...] = ("attention", "mlp", "per_layer")

SplitName = Literal["probe", "tune", "report"]
SPLIT_NAMES: tuple[SplitName, ...] = ("probe", "tune", "report")


class UserError(Exception):
    """A mistake that the user can mend: one line saying what was expected, what was found, what to do."""
