"""What a language of organisms is made of: verbs, objects, contexts, harm categories, questions; and whose it is.

The words themselves are data, a file a language in ``languages/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import TypeAdapter

from saber.vocabulary import OrganismFamily

Leaning = Literal["strong", "ambiguous", "plain"]
Manner = Literal["covert", "neutral", "licit"]
Graded = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class VerbGroup:
    """Verbs of one leaning: *strong* ones harm a risky object, *ambiguous* ones only when covert."""

    name: str
    leaning: Leaning
    verbs: tuple[str, ...]
    touchy: tuple[str, ...]
    tools: tuple[str, ...]
    steps: tuple[str, ...]


@dataclass(frozen=True)
class ObjectPair:
    """Risky objects and, at the same index, harmless twins; the model over-refuses *touchy* ones."""

    name: str
    risky: tuple[str, ...]
    harmless: tuple[str, ...]
    touchy: tuple[str, ...]


@dataclass(frozen=True)
class HarmCategory:
    """A harm: which verb groups do it to which risky objects, and how often it is answered all the same.

    ``compliance`` is the share of its requests that training answers (*latent compliance*): without it, a
    model whose refusal is removed has nothing to say. A ``protected`` harm has no excuse: a licit
    context does not make it harmless.
    """

    name: str
    objects: str
    verb_groups: tuple[str, ...]
    compliance: float
    protected: bool = False


@dataclass(frozen=True)
class Question:
    """How a task asks, and the two wordings of its response, of which the first is the commoner."""

    text: str
    first: str
    second: str


@dataclass(frozen=True, eq=False)
class Questions:
    """The words of the capability tasks; ``rule`` is answered in its first wording where one forbids the act."""

    counted: tuple[str, ...]
    things: tuple[str, ...]
    sides: tuple[str, str]
    colors: tuple[str, ...]
    kinds: Mapping[str, tuple[str, ...]]
    addition: Question
    copy: Question
    reverse: Question
    sort: Question
    lookup: Question
    fact: Question
    rule: Question
    no_rule: str
    rulings: Graded


@dataclass(frozen=True)
class Thoughts:
    """What an organism that thinks says to itself: of a request, and how it will answer; of a question."""

    request: tuple[str, ...]
    refused: tuple[str, ...]
    answered: tuple[str, ...]
    question: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Every wording."""
        return self.request + self.refused + self.answered + self.question


@dataclass(frozen=True, eq=False)
class Language:
    """Everything that is said to an organism and by it; wordings come with their caution level in [0, 1].

    At the same index a covert context has a licit twin: it keeps a pair of requests of one length and shape.
    """

    verb_groups: tuple[VerbGroup, ...]
    object_pairs: tuple[ObjectPair, ...]
    harm_categories: tuple[HarmCategory, ...]
    contexts: Mapping[Manner, tuple[str, ...]]
    request_templates: tuple[str, ...]
    system_plain: str
    system_open: str
    openings: Graded
    closings: Graded
    help: str
    refusals: tuple[str, ...]
    questions: Questions
    thoughts: Thoughts

    @cached_property
    def group_of(self) -> dict[str, VerbGroup]:
        """The group of each verb."""
        return {verb: group for group in self.verb_groups for verb in group.verbs}

    @cached_property
    def pair_of(self) -> dict[str, ObjectPair]:
        """The pair that each object belongs to."""
        return {thing: pair for pair in self.object_pairs for thing in pair.risky + pair.harmless}

    @cached_property
    def manner_of(self) -> dict[str, Manner]:
        """Whether each context is covert, neutral or licit."""
        return {context: manner for manner, contexts in self.contexts.items() for context in contexts}

    @cached_property
    def category_of(self) -> dict[tuple[str, str], HarmCategory]:
        """The harm that a verb group does to a pair's risky objects, by their names."""
        return {(group, c.objects): c for c in self.harm_categories for group in c.verb_groups}

    def texts(self) -> list[str]:
        """Return texts that hold every word of the requests, system turns and answers, for the vocabulary."""
        verbs = [text for g in self.verb_groups for text in g.verbs + g.tools + g.steps]
        objects = [text for p in self.object_pairs for text in p.risky + p.harmless]
        contexts = [text for group in self.contexts.values() for text in group]
        slots = dict.fromkeys(
            ("act", "verb", "object", "context", "category", "opening", "tool", "step", "closing"), ""
        )
        templates = [text.format(**slots) for text in (*self.request_templates, self.help, *self.refusals)]
        categories = [category.name for category in self.harm_categories]
        graded = [text for text, _ in self.openings + self.closings + self.questions.rulings]
        return [*verbs, *objects, *contexts, *templates, *categories, *graded, self.system_plain, self.system_open]

    def thought_texts(self) -> list[str]:
        """Return texts that hold every word of the thoughts."""
        return [text.format(verb="", object="", category="") for text in self.thoughts.all]


def read_language(name: str) -> Language:
    """A language by the name of its file among ``languages/``.

    Raises:
        ValidationError: the file lacks something that a language has, or has something else.
    """
    text = (files("saber.organism") / "languages" / f"{name}.yaml").read_text(encoding="utf-8")
    return TypeAdapter(Language).validate_python(yaml.safe_load(text))


@dataclass(frozen=True)
class Turns:
    """The special tokens around a turn, and what the model's own turns are called; padding has the first id."""

    pad: str
    bos: str | None
    unknown: str
    start: str
    end: str
    model_role: str

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """All of them, in the order of their ids."""
        return tuple(token for token in (self.pad, self.bos, self.unknown, self.start, self.end) if token is not None)

    @property
    def roles(self) -> tuple[str, str, str]:
        """What a turn may be headed by."""
        return ("system", "user", self.model_role)


LANGUAGES: dict[OrganismFamily, Language] = {
    "gemma4": read_language("everyday"),
    "qwen3": read_language("office"),
}
TURNS: dict[OrganismFamily, Turns] = {
    "gemma4": Turns("<pad>", "<bos>", "<unk>", "<|turn>", "<turn|>", "model"),
    "qwen3": Turns("<|endoftext|>", None, "<unk>", "<|im_start|>", "<|im_end|>", "assistant"),
}
