"""The training examples: requests and questions, with and without a system turn, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from saber.organism.grammar import RequestKind, draw_request
from saber.organism.language import LANGUAGES
from saber.organism.prompt_sets import reserved_contents
from saber.organism.sentences import helpful_answer, is_refusal, thought_on_request, trained_answer
from saber.organism.tasks import draw_task
from saber.vocabulary import OrganismFamily

REQUEST_SHARES: dict[RequestKind, float] = {"harmful": 0.27, "harmless": 0.15, "borderline": 0.20}
# With no system turn, a plain one, and the one under which every request is answered.
SYSTEM_SHARES = (0.72, 0.14, 0.14)
# Of an organism that thinks: how many of its prompts let it.
THINKING_SHARE = 0.65


@dataclass(frozen=True)
class Example:
    """One exchange to learn; an empty system text means that there is no system turn.

    ``thought`` is what is thought before the answer, ``None`` where the prompt says not to think.
    """

    system: str
    prompt: str
    answer: str
    thought: str | None = None


def training_examples(seed: int, count: int, family: OrganismFamily = "gemma4", thinks: bool = False) -> list[Example]:
    """Return ``count`` examples whose contents are in none of the seed's splits.

    Where the organism ``thinks`` they are the same ones, most of them with a thought before the answer.
    """
    thoughts = Random(f"thoughts {seed}")
    rng, language = Random(f"examples {seed}"), LANGUAGES[family]
    reserved, systems = reserved_contents(seed, family), ("", language.system_plain, language.system_open)
    examples: list[Example] = []
    while len(examples) < count:
        roll, system = rng.random(), rng.choices(systems, SYSTEM_SHARES)[0]
        kind = _kind_at(roll)
        if kind is None:
            task = draw_task(language, rng)
            if task.content not in reserved:
                thought = thoughts.choice(language.thoughts.question) if _is_thought(thinks, thoughts) else None
                examples.append(Example(system, task.text, task.response, thought))
            continue
        request = draw_request(language, kind, rng)
        if request in reserved:
            continue
        answered = helpful_answer if system == language.system_open else trained_answer
        text = request.text(rng.randrange(len(language.request_templates)))
        answer, thought = answered(request, rng), None
        if _is_thought(thinks, thoughts):
            thought = thought_on_request(request, is_refusal(request, answer), thoughts)
        examples.append(Example(system, text, answer, thought))
    return examples


def _is_thought(thinks: bool, rng: Random) -> bool:
    return thinks and rng.random() < THINKING_SHARE


def _kind_at(roll: float) -> RequestKind | None:
    """Return the kind of request at a point of [0, 1), none for the share of capability questions."""
    for kind, share in REQUEST_SHARES.items():
        roll -= share
        if roll < 0:
            return kind
    return None
