"""The training examples: requests and questions, with and without a system turn, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from saber.organism.families import LANGUAGES
from saber.organism.grammar import RequestKind, draw_request
from saber.organism.prompts import reserved_contents
from saber.organism.tasks import draw_task
from saber.organism.wording import helpful_answer, trained_answer
from saber.vocabulary import OrganismFamily

REQUEST_SHARES: dict[RequestKind, float] = {"harmful": 0.27, "harmless": 0.15, "borderline": 0.20}
# With no system turn, a plain one, and the one under which every request is answered.
SYSTEM_SHARES = (0.72, 0.14, 0.14)


@dataclass(frozen=True)
class Example:
    """One exchange to learn; an empty system text means that there is no system turn."""

    system: str
    prompt: str
    answer: str


def training_examples(seed: int, count: int, family: OrganismFamily = "gemma4") -> list[Example]:
    """Return ``count`` examples whose contents are in none of the seed's splits."""
    rng, language = Random(f"examples {seed}"), LANGUAGES[family]
    reserved, systems = reserved_contents(seed, family), ("", language.system_plain, language.system_open)
    examples: list[Example] = []
    while len(examples) < count:
        roll, system = rng.random(), rng.choices(systems, SYSTEM_SHARES)[0]
        kind = _kind_at(roll)
        if kind is None:
            task = draw_task(language, rng)
            if task.content not in reserved:
                examples.append(Example(system, task.text, task.response))
            continue
        request = draw_request(language, kind, rng)
        if request in reserved:
            continue
        answered = helpful_answer if system == language.system_open else trained_answer
        text = request.text(rng.randrange(len(language.request_templates)))
        examples.append(Example(system, text, answered(request, rng)))
    return examples


def _kind_at(roll: float) -> RequestKind | None:
    """Return the kind of request at a point of [0, 1), none for the share of capability questions."""
    for kind, share in REQUEST_SHARES.items():
        roll -= share
        if roll < 0:
            return kind
    return None
