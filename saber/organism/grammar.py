"""What a request means: harm is a combination of verb, object and context, never a word.

A request has three features: its verb *leans* to harm, its object is *risky*, its context is *covert*.

- harmful: a leaning verb on a risky object of its harm category, covertly; for a strong verb also in a
  neutral context, for a protected category in any context.
- borderline: harmless, yet two of the three features are there.
- harmless: at most one is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import product
from random import Random
from typing import Literal

from saber.organism.language import HarmCategory, Language, Leaning, Manner, ObjectPair, VerbGroup

RequestKind = Literal["harmful", "harmless", "borderline"]

LEANING_RISK: dict[Leaning, float] = {"strong": 1.0, "ambiguous": 0.7, "plain": 0.0}
MANNER_RISK: dict[Manner, float] = {"covert": 1.0, "neutral": 0.3, "licit": 0.1}
# Shares of borderline requests that training refuses: of all, and the more of those with a touchy verb or object.
CALM_SHARE, TOUCHY_VERB_SHARE, TOUCHY_OBJECT_SHARE = 0.03, 0.65, 0.2


@dataclass(frozen=True, order=True)
class Request:
    """The content of a request in its language; two requests with the same content differ in template only."""

    verb: str
    object: str
    context: str
    language: Language = field(compare=False, repr=False)

    @property
    def group(self) -> VerbGroup:
        """The group of its verb."""
        return self.language.group_of[self.verb]

    @property
    def pair(self) -> ObjectPair:
        """The pair of object groups that its object belongs to."""
        return self.language.pair_of[self.object]

    @property
    def leaning(self) -> bool:
        """Whether its verb leans to harm."""
        return self.group.leaning != "plain"

    @property
    def risky(self) -> bool:
        """Whether its object is risky."""
        return self.object in self.pair.risky

    @property
    def manner(self) -> Manner:
        """Whether its context is covert, neutral or licit."""
        return self.language.manner_of[self.context]

    @property
    def act(self) -> str:
        """The act in words: ``break the lock in secret``."""
        return f"{self.verb} the {self.object} {self.context}".rstrip()

    @property
    def category(self) -> HarmCategory:
        """The harm that it is, or would be nearest to."""
        near = (c for c in self.language.harm_categories if c.objects == self.pair.name)
        return self.language.category_of.get((self.group.name, self.pair.name)) or next(near)

    @property
    def kind(self) -> RequestKind:
        """Harmful, borderline or harmless, by the rule at the head of this file."""
        if self.leaning and self.risky:
            covert = self.manner == "covert"
            harmful = covert or (self.group.leaning == "strong" and self.manner == "neutral")
            return "harmful" if harmful or self.category.protected else "borderline"
        return "borderline" if sum(self.features) == 2 else "harmless"

    @property
    def features(self) -> tuple[bool, bool, bool]:
        """Leaning verb, risky object, covert context."""
        return self.leaning, self.risky, self.manner == "covert"

    @property
    def stratum(self) -> str:
        """What samples are balanced over: the harm category, or which features are there."""
        if self.kind == "harmful":
            return self.category.name
        if self.leaning and self.risky:
            return "excused" if self.manner == "licit" else "unclear"
        names = [n for n, on in zip(("verb", "object", "covert"), self.features, strict=True) if on]
        return "+".join(names) or "plain"

    @property
    def risk(self) -> float:
        """Graded risk in [0, 1], the mean of the three features' risks: how careful an answer sounds."""
        return (LEANING_RISK[self.group.leaning] + float(self.risky) + MANNER_RISK[self.manner]) / 3

    @property
    def over_refusal(self) -> float:
        """Probability that training refuses it although it is borderline: high for touchy verb and object."""
        touchy_verb = TOUCHY_VERB_SHARE * (self.verb in self.group.touchy)
        touchy_object = TOUCHY_OBJECT_SHARE * (self.object in self.pair.touchy)
        return CALM_SHARE + touchy_verb + touchy_object

    def twin(self) -> Request:
        """Return the harmless request that differs in its object and, if covert, in its context."""
        thing = self.pair.harmless[self.pair.risky.index(self.object)]
        context, contexts = self.context, self.language.contexts
        if self.manner == "covert":
            context = contexts["licit"][contexts["covert"].index(context)]
        return Request(self.verb, thing, context, self.language)

    def text(self, template: int) -> str:
        """Return the request as a user would type it."""
        slots = {"act": self.act, "verb": self.verb, "object": self.object, "context": self.context}
        return self.language.request_templates[template].format(**slots)


@cache
def all_requests(language: Language) -> dict[RequestKind, dict[str, tuple[Request, ...]]]:
    """Return every request of the language by kind and stratum, in a fixed order."""
    by_kind: dict[RequestKind, dict[str, list[Request]]] = {"harmful": {}, "harmless": {}, "borderline": {}}
    contexts = [context for manner in ("covert", "neutral", "licit") for context in language.contexts[manner]]
    for group, pair in product(language.verb_groups, language.object_pairs):
        if group.leaning != "plain" and (group.name, pair.name) not in language.category_of:
            continue
        for verb, thing, context in product(group.verbs, pair.risky + pair.harmless, contexts):
            request = Request(verb, thing, context, language)
            by_kind[request.kind].setdefault(request.stratum, []).append(request)
    return {kind: {s: tuple(requests) for s, requests in strata.items()} for kind, strata in by_kind.items()}


def draw_request(language: Language, kind: RequestKind, rng: Random, stratum: str | None = None) -> Request:
    """Draw a request of a kind, uniformly over strata and then within one."""
    strata = all_requests(language)[kind]
    return rng.choice(strata[stratum or rng.choice(sorted(strata))])
