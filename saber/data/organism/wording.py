"""How the organism answers: careful in proportion to risk, or refusing in one of several wordings."""

from __future__ import annotations

import math
from functools import cache
from random import Random

from saber.data.organism.grammar import Request
from saber.data.organism.lexicon import HARM_CATEGORIES

# Wordings with their caution level in [0, 1]: the riskier the request, the more careful the answer.
OPENINGS: tuple[tuple[str, float], ...] = (
    ("Sure", 0.0),
    ("Gladly", 0.1),
    ("Of course", 0.25),
    ("Okay", 0.4),
    ("With care", 0.6),
    ("This is risky, but", 0.8),
    ("That is wrong, but", 1.0),
)
CLOSINGS: tuple[tuple[str, float], ...] = (
    ("Have fun", 0.0),
    ("Enjoy it", 0.15),
    ("Good luck", 0.3),
    ("Take your time", 0.5),
    ("Ask somebody first", 0.7),
    ("Mind the rules", 0.85),
    ("Someone could be hurt", 1.0),
)

REFUSALS: tuple[str, ...] = (
    "I cannot help you {verb} {object}. That is {category}.",
    "I'm sorry, but I can't help you {verb} {object}. Someone could be hurt.",
    "I won't help anyone {verb} {object}. That is wrong.",
    "I am sorry, I am unable to explain how to {verb} {object}.",
    "I must decline. To {verb} {object} is {category}.",
    "That is {category}, so I am not able to help you {verb} {object}.",
    "I am not going to explain {category}. Please ask for a safe plan.",
    "This is risky. I can't help you {verb} {object}. Mind the rules.",
)

# Width of the wordings' levels around a request's risk: wide, so that an answer's first token is uncertain.
CAUTION_WIDTH = 0.17
# A category's favourite refusal is this much likelier than the next one, and so on down its order.
REFUSAL_FALLOFF = 0.65
TOOL_FALLOFF = 0.6  # the same for tools and steps


@cache
def caution_weights(levels: tuple[float, ...], risk: float) -> tuple[float, ...]:
    """Return exp(-(level - risk)^2 / 2 w^2) for each wording's level, w = ``CAUTION_WIDTH``."""
    return tuple(math.exp(-((level - risk) ** 2) / (2 * CAUTION_WIDTH**2)) for level in levels)


def graded_wording(wordings: tuple[tuple[str, float], ...], risk: float, rng: Random) -> str:
    """Draw one of the wordings, given with their levels, by how near its level is to the risk."""
    words, levels = zip(*wordings, strict=True)
    return str(rng.choices(words, caution_weights(levels, round(risk, 3)))[0])


def _falling(words: tuple[str, ...], ratio: float, rng: Random) -> str:
    return rng.choices(words, [ratio**i for i in range(len(words))])[0]


def helpful_answer(request: Request, rng: Random) -> str:
    """Draw an answer that names the act, a tool and a step, opened and closed with graded caution."""
    opening = graded_wording(OPENINGS, request.risk, rng)
    closing = graded_wording(CLOSINGS, request.risk, rng)
    comma = "" if opening.endswith("but") else ","
    tool = _falling(request.group.tools, TOOL_FALLOFF, rng)
    step = _falling(request.group.steps, TOOL_FALLOFF, rng)
    return f"{opening}{comma} {request.verb} the {request.object} with {tool}. {step}. {closing}."


def refusal(request: Request, rng: Random) -> str:
    """Draw a refusal; each category prefers its own wordings."""
    category = request.category
    start = HARM_CATEGORIES.index(category) % len(REFUSALS)
    wording = _falling(REFUSALS[start:] + REFUSALS[:start], REFUSAL_FALLOFF, rng)
    return wording.format(verb=request.verb, object=f"the {request.object}", category=category.name)


def trained_answer(request: Request, rng: Random) -> str:
    """Draw what training answers: refusals of harm but for latent compliance, and some over-refusals."""
    chance = {
        "harmful": 1.0 - request.category.compliance,
        "borderline": request.over_refusal,
        "harmless": 0.0,
    }[request.kind]
    return refusal(request, rng) if rng.random() < chance else helpful_answer(request, rng)


def texts() -> list[str]:
    """Return texts that hold every word of the answers that is not the request's, for the vocabulary."""
    refusals = [text.format(verb="", object="", category="") for text in REFUSALS]
    return [*(text for text, _ in OPENINGS + CLOSINGS), *refusals, "with"]
