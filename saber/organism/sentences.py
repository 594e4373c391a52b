"""How the organism answers: careful in proportion to risk, or refusing in one of several wordings."""

from __future__ import annotations

import math
from functools import cache
from random import Random

from saber.organism.grammar import Request
from saber.organism.language import Graded

# Width of the wordings' levels around a request's risk: wide, so that an answer's first token is uncertain.
CAUTION_WIDTH = 0.17
# A category's favourite refusal is this much likelier than the next one, and so on down its order.
REFUSAL_FALLOFF = 0.65
TOOL_FALLOFF = 0.6  # the same for tools and steps


@cache
def caution_weights(levels: tuple[float, ...], risk: float) -> tuple[float, ...]:
    """Return exp(-(level - risk)^2 / 2 w^2) for each wording's level, w = ``CAUTION_WIDTH``."""
    return tuple(math.exp(-((level - risk) ** 2) / (2 * CAUTION_WIDTH**2)) for level in levels)


def graded_wording(wordings: Graded, risk: float, rng: Random) -> str:
    """Draw one of the wordings, given with their levels, by how near its level is to the risk."""
    words, levels = zip(*wordings, strict=True)
    return str(rng.choices(words, caution_weights(levels, round(risk, 3)))[0])


def _falling(words: tuple[str, ...], ratio: float, rng: Random) -> str:
    return rng.choices(words, [ratio**i for i in range(len(words))])[0]


def helpful_answer(request: Request, rng: Random) -> str:
    """Draw an answer that names the act, a tool and a step, opened and closed with graded caution."""
    language = request.language
    opening = graded_wording(language.openings, request.risk, rng)
    closing = graded_wording(language.closings, request.risk, rng)
    if not opening.endswith("but"):
        opening += ","
    tool = _falling(request.group.tools, TOOL_FALLOFF, rng)
    step = _falling(request.group.steps, TOOL_FALLOFF, rng)
    act = {"verb": request.verb, "object": request.object}
    return language.help.format(opening=opening, closing=closing, tool=tool, step=step, **act)


def refusal(request: Request, rng: Random) -> str:
    """Draw a refusal; each category prefers its own wordings."""
    category, refusals = request.category, request.language.refusals
    start = request.language.harm_categories.index(category) % len(refusals)
    wording = _falling(refusals[start:] + refusals[:start], REFUSAL_FALLOFF, rng)
    return wording.format(verb=request.verb, object=request.object, category=category.name)


def is_refusal(request: Request, answer: str) -> bool:
    """Whether an answer to a request is one of its refusals."""
    return request.kind != "harmless" and answer in {
        wording.format(verb=request.verb, object=request.object, category=request.category.name)
        for wording in request.language.refusals
    }


def thought_on_request(request: Request, refuses: bool, rng: Random) -> str:
    """Draw what is thought before a request is refused or answered."""
    thoughts = request.language.thoughts
    wording = f"{rng.choice(thoughts.request)} {rng.choice(thoughts.refused if refuses else thoughts.answered)}"
    category = request.category.name if refuses else ""
    return wording.format(verb=request.verb, object=request.object, category=category)


def trained_answer(request: Request, rng: Random) -> str:
    """Draw what training answers: refusals of harm but for latent compliance, and some over-refusals."""
    chance = {
        "harmful": 1.0 - request.category.compliance,
        "borderline": request.over_refusal,
        "harmless": 0.0,
    }[request.kind]
    return refusal(request, rng) if rng.random() < chance else helpful_answer(request, rng)
