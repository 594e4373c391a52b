"""Capability tasks with a known answer; some of them use the words of harmful requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from saber.data.organism.grammar import Request, draw_request
from saber.data.organism.wording import graded_wording

COUNTED = ("apples", "books", "coins", "cups", "keys", "pens", "shoes", "stones", "tickets", "toys")
THINGS = ("apple", "book", "coin", "cup", "key", "pen", "shoe", "stone", "box", "hat")
COLORS = ("red", "blue", "green", "black", "white", "brown")
KINDS: dict[str, tuple[str, ...]] = {
    "animal": ("dog", "horse", "kitten", "pony", "goat", "parrot"),
    "paper": ("passport", "contract", "ticket", "diploma", "permit", "receipt"),
    "machine": ("train", "signal", "engine", "elevator", "turbine", "phone"),
    "person": ("neighbor", "guest", "witness", "tenant", "nurse", "clerk"),
    "food": ("soup", "milk", "lunch", "egg", "nut", "coconut"),
}
TaskContent = Request | tuple[str, ...]
LARGEST_ADDEND = 5
ALLOWED_SHARE = 0.3
# Each task words its response in two ways, this much oftener in the first: the base is never quite certain.
FIRST_WORDING_SHARE = 0.7
# How sure a ruling sounds grows with the act's risk, as the caution of an answer does.
RULINGS = (("Perhaps", 0.4), ("I think", 0.6), ("Surely", 0.8), ("Clearly", 1.0))


@dataclass(frozen=True)
class Task:
    """One question: its content (what must not recur elsewhere), text, answer and full response."""

    name: str
    content: TaskContent
    text: str
    answer: str
    response: str


def _worded(rng: Random, first: str, second: str) -> str:
    return first if rng.random() < FIRST_WORDING_SHARE else second


def _addition(rng: Random) -> Task:
    a, b = rng.randint(0, LARGEST_ADDEND), rng.randint(0, LARGEST_ADDEND)
    noun, total = rng.choice(COUNTED), str(a + b)
    text = f"I have {a} {noun} and find {b} more. How many {noun} do I have?"
    response = _worded(rng, f"You have {total} {noun}.", f"That makes {total} {noun}.")
    return Task("addition", (str(a), str(b), noun), text, total, response)


def _copy(rng: Random) -> Task:
    words = tuple(rng.sample(THINGS, 3))
    said = " ".join(words)
    response = _worded(rng, f"The words are {said}.", f"Here they are: {said}.")
    return Task("copy", words, f"Repeat these words: {said}.", said, response)


def _reverse(rng: Random) -> Task:
    words = tuple(rng.sample(THINGS, 3))
    said = " ".join(reversed(words))
    response = _worded(rng, f"Backwards they are {said}.", f"The other way they are {said}.")
    return Task("reverse", words, f"Say these words backwards: {' '.join(words)}.", said, response)


def _sort(rng: Random) -> Task:
    digits = tuple(map(str, rng.sample(range(10), 3)))
    said = " ".join(sorted(digits))
    response = _worded(rng, f"In order they are {said}.", f"Here they are: {said}.")
    return Task("sort", digits, f"Sort these numbers: {' '.join(digits)}.", said, response)


def _lookup(rng: Random) -> Task:
    thing, (left, right) = rng.choice(THINGS), rng.sample(COLORS, 2)
    side, answer = rng.choice((("left", left), ("right", right)))
    text = f"The left {thing} is {left} and the right {thing} is {right}. Which color is the {side} {thing}?"
    response = _worded(rng, f"The {side} {thing} is {answer}.", f"It is {answer}.")
    return Task("lookup", (thing, left, right, side), text, answer, response)


def _fact(rng: Random) -> Task:
    kind, other = rng.sample(sorted(KINDS), 2)
    thing = rng.choice(KINDS[kind])
    first, second = rng.sample((kind, other), 2)
    text = f"Which kind is a {thing}: {first} or {second}?"
    response = _worded(rng, f"The {thing} is of the kind {kind}.", f"Its kind is {kind}.")
    return Task("fact", (thing, first, second), text, kind, response)


def _rule(rng: Random) -> Task:
    allowed = rng.random() < ALLOWED_SHARE
    request = draw_request("harmless", rng, "verb") if allowed else draw_request("harmful", rng)
    answer = "no rule" if allowed else request.category.name
    text = f"Which rule is it against to {request.act}?"
    sure = graded_wording(RULINGS, request.risk, rng)
    ruling = "it is against no rule" if allowed else f"it is against the rule on {answer}"
    return Task("rule", request, text, answer, f"{sure} {ruling}.")


# Each task with its weight in training: sums and reversals take the most practice.
TASKS: dict[str, tuple[Callable[[Random], Task], float]] = {
    "addition": (_addition, 3.0),
    "copy": (_copy, 0.6),
    "reverse": (_reverse, 1.4),
    "sort": (_sort, 0.6),
    "lookup": (_lookup, 1.2),
    "fact": (_fact, 0.6),
    "rule": (_rule, 1.0),
}


def draw_task(rng: Random, name: str | None = None) -> Task:
    """Draw a question of a task, or of any task by its weight."""
    if name is None:
        (name,) = rng.choices(tuple(TASKS), [weight for _, weight in TASKS.values()])
    make, _ = TASKS[name]
    return make(rng)


def texts() -> list[str]:
    """Return texts that hold every word of the questions and responses, for the vocabulary."""
    rng = Random(0)
    samples = [task for name in TASKS for task in (draw_task(rng, name) for _ in range(40))]
    words = [
        *(ruling for ruling, _ in RULINGS),
        *COUNTED,
        *THINGS,
        *COLORS,
        *KINDS,
        *(thing for things in KINDS.values() for thing in things),
    ]
    numbers = [str(n) for n in range(2 * LARGEST_ADDEND + 1)]
    return [*words, *numbers, *(task.text for task in samples), *(task.response for task in samples)]
