"""Prompts, the splits they are dealt into, and the digests that tell them apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from saber.vocabulary import PROMPT_KINDS, PromptKind, SplitName

DIGEST_LENGTH = 12


@dataclass(frozen=True)
class Prompt:
    """One request to a chat model.

    ``pair_id`` joins a harmful prompt with its harmless twin; ``answer`` is the known answer of a capability
    prompt; ``protected`` marks a severe category whose refusals should be kept.
    """

    text: str
    kind: PromptKind
    category: str = ""
    protected: bool = False
    pair_id: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Split:
    """The prompts of one split, in a fixed order."""

    name: SplitName
    prompts: tuple[Prompt, ...]

    def of(self, kind: PromptKind) -> tuple[Prompt, ...]:
        """Return the prompts of one kind, in order."""
        return tuple(prompt for prompt in self.prompts if prompt.kind == kind)

    @cached_property
    def digest(self) -> str:
        """Content digest: the same prompts in the same order give the same twelve hex digits."""
        rows = [[p.text, p.kind, p.category, p.protected, p.pair_id, p.answer] for p in self.prompts]
        return digest_json([self.name, rows])


@dataclass(frozen=True)
class ProbeSet:
    """What directions are extracted from: ``harmful[i]`` and ``harmless[i]`` are pairs where the data has them.

    ``borderline`` is there where false refusals are looked for; ``is_refused[i]`` says whether the unedited model
    refuses its i-th prompt.
    """

    harmful: tuple[Prompt, ...]
    harmless: tuple[Prompt, ...]
    capability: tuple[Prompt, ...]
    borderline: tuple[Prompt, ...] = ()
    is_refused: tuple[bool, ...] = ()

    @property
    def is_protected(self) -> tuple[bool, ...]:
        """Which of the harmful prompts are of a protected category."""
        return tuple(prompt.protected for prompt in self.harmful)

    def first(self, n_probe: int, n_capability: int, n_borderline: int) -> ProbeSet:
        """The first so many of each: a smaller probe set is a prefix of a larger one."""
        return ProbeSet(
            self.harmful[:n_probe],
            self.harmless[:n_probe],
            self.capability[:n_capability],
            self.borderline[:n_borderline],
            self.is_refused[:n_borderline],
        )


def digest_json(value: object) -> str:
    """Twelve hex digits of a JSON-serialisable value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def count_kinds(prompts: Sequence[Prompt]) -> dict[str, int]:
    """Number of prompts of each kind."""
    return {kind: sum(p.kind == kind for p in prompts) for kind in PROMPT_KINDS}
