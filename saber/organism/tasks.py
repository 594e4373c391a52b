"""Capability tasks with a known answer; some of them use the words of harmful requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from saber.organism.grammar import Request, draw_request
from saber.organism.language import Language, Question
from saber.organism.sentences import graded_wording

TaskContent = Request | tuple[str, ...]
LARGEST_ADDEND = 5
ALLOWED_SHARE = 0.3
# Each task words its response in two ways, this much oftener in the first: the base is never quite certain.
FIRST_WORDING_SHARE = 0.7


@dataclass(frozen=True)
class Task:
    """One question: its content (what must not recur elsewhere), text, answer and full response."""

    name: str
    content: TaskContent
    text: str
    answer: str
    response: str


def _asked(name: str, content: TaskContent, question: Question, answer: str, rng: Random, **slots: object) -> Task:
    wording = question.first if rng.random() < FIRST_WORDING_SHARE else question.second
    return Task(name, content, question.text.format(**slots), answer, wording.format(answer=answer, **slots))


def _addition(language: Language, rng: Random) -> Task:
    words = language.questions
    a, b = rng.randint(0, LARGEST_ADDEND), rng.randint(0, LARGEST_ADDEND)
    noun = rng.choice(words.counted)
    return _asked("addition", (str(a), str(b), noun), words.addition, str(a + b), rng, a=a, b=b, noun=noun)


def _copy(language: Language, rng: Random) -> Task:
    words = language.questions
    given = tuple(rng.sample(words.things, 3))
    said = " ".join(given)
    return _asked("copy", given, words.copy, said, rng, words=said)


def _reverse(language: Language, rng: Random) -> Task:
    words = language.questions
    given = tuple(rng.sample(words.things, 3))
    return _asked("reverse", given, words.reverse, " ".join(reversed(given)), rng, words=" ".join(given))


def _sort(language: Language, rng: Random) -> Task:
    words = language.questions
    digits = tuple(map(str, rng.sample(range(10), 3)))
    return _asked("sort", digits, words.sort, " ".join(sorted(digits)), rng, words=" ".join(digits))


def _lookup(language: Language, rng: Random) -> Task:
    words = language.questions
    thing, (left, right) = rng.choice(words.things), rng.sample(words.colors, 2)
    side, answer = rng.choice(tuple(zip(words.sides, (left, right), strict=True)))
    slots = {"thing": thing, "left": left, "right": right, "side": side}
    return _asked("lookup", (thing, left, right, side), words.lookup, answer, rng, **slots)


def _fact(language: Language, rng: Random) -> Task:
    words = language.questions
    kind, other = rng.sample(sorted(words.kinds), 2)
    thing = rng.choice(words.kinds[kind])
    first, second = rng.sample((kind, other), 2)
    return _asked("fact", (thing, first, second), words.fact, kind, rng, thing=thing, first=first, second=second)


def _rule(language: Language, rng: Random) -> Task:
    words, allowed = language.questions, rng.random() < ALLOWED_SHARE
    request = draw_request(language, "harmless", rng, "verb") if allowed else draw_request(language, "harmful", rng)
    answer = words.no_rule if allowed else request.category.name
    # How sure a ruling sounds grows with the act's risk, as the caution of an answer does.
    sure = graded_wording(words.rulings, request.risk, rng)
    wording = words.rule.second if allowed else words.rule.first
    text = words.rule.text.format(act=request.act)
    return Task("rule", request, text, answer, wording.format(sure=sure, answer=answer))


# Each task with its weight in training: sums and reversals take the most practice.
TASKS: dict[str, tuple[Callable[[Language, Random], Task], float]] = {
    "addition": (_addition, 3.0),
    "copy": (_copy, 0.6),
    "reverse": (_reverse, 1.4),
    "sort": (_sort, 0.6),
    "lookup": (_lookup, 1.2),
    "fact": (_fact, 0.6),
    "rule": (_rule, 1.0),
}


def draw_task(language: Language, rng: Random, name: str | None = None) -> Task:
    """Draw a question of a task, or of any task by its weight."""
    if name is None:
        (name,) = rng.choices(tuple(TASKS), [weight for _, weight in TASKS.values()])
    make, _ = TASKS[name]
    return make(language, rng)


def texts(language: Language) -> list[str]:
    """Return texts that hold every word of the questions and responses, for the vocabulary."""
    rng, words = Random(0), language.questions
    samples = [task for name in TASKS for task in (draw_task(language, rng, name) for _ in range(40))]
    kinds = [*words.kinds, *(thing for things in words.kinds.values() for thing in things)]
    numbers = [str(n) for n in range(2 * LARGEST_ADDEND + 1)]
    said = [text for task in samples for text in (task.text, task.response)]
    return [*words.counted, *words.things, *words.colors, *kinds, *numbers, *said]
