"""Prompts that are the same but for case, spaces and punctuation, and near duplicates: nearly the same words."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from saber.types import PROMPT_KINDS, Prompt, UserError

MARKS = ".,;:!?\"'`()[]{}…“”‘’«»¿¡"  # stripped from words; signs such as + - * / make another prompt
MAX_SHOWN = 60
ROUNDING = 1e-9  # a product such as 0.9 x 10 must not round up to one word more


def normalised(text: str) -> str:
    """The text without what does not make another prompt: case, white space and punctuation around words."""
    words = unicodedata.normalize("NFKC", text).replace("’", "'").casefold().split()
    return " ".join(filter(None, (word.strip(MARKS) for word in words))) or " ".join(words)


def different(prompts: Sequence[Prompt], near_duplicate: float | None) -> list[Prompt]:
    """The first of equal prompts and of near duplicates of one kind; a twin of another kind repeats nothing.

    Raises:
        UserError: a prompt is of two kinds.
    """
    first: dict[str, Prompt] = {}
    conflicts: list[tuple[Prompt, Prompt]] = []
    for prompt in prompts:
        earlier = first.setdefault(normalised(prompt.text), prompt)
        if earlier.kind != prompt.kind:
            conflicts.append((earlier, prompt))
    if conflicts:
        earlier, later = conflicts[0]
        raise UserError(
            f"expected prompts of one kind each, found {len(conflicts)} of two, such as {shown(earlier)},"
            f" {earlier.kind} and {later.kind}: take them out of one file"
        )
    exact = list(first.values())
    repeated = repeats(exact, near_duplicate)
    return [prompt for i, prompt in enumerate(exact) if i not in repeated]


def repeats(prompts: Sequence[Prompt], threshold: float | None) -> dict[int, int]:
    """Index of each near duplicate -> that of the earlier prompt of its kind that it repeats."""
    earlier_twin: dict[int, int] = {}
    if threshold is None:
        return earlier_twin
    for kind in PROMPT_KINDS:
        places = [i for i, prompt in enumerate(prompts) if prompt.kind == kind]
        texts = [normalised(prompts[i].text) for i in places]
        earlier_twin |= {places[i]: places[j] for i, j in near_duplicates(texts, threshold).items()}
    return earlier_twin


def near_duplicates(texts: Sequence[str], threshold: float) -> dict[int, int]:
    """Index of each text that repeats an earlier kept one -> that earlier index.

    Two texts repeat each other where |A & B| / |A | B| >= ``threshold`` (Jaccard) for their sets of words. Only pairs
    that share one of their rarest words are compared: with fewer in common they can't reach the threshold.

    Raises:
        ValueError: ``threshold`` is outside (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"expected a threshold in (0, 1], found {threshold}")
    words = [frozenset(text.split()) for text in texts]
    frequency = Counter(word for of_text in words for word in of_text)
    kept_by_word: dict[str, list[int]] = defaultdict(list)
    twins: dict[int, int] = {}
    for i, text_words in enumerate(words):
        needed = math.ceil(threshold * len(text_words) - ROUNDING)
        rarest = sorted(text_words, key=lambda word: (frequency[word], word))[: len(text_words) - needed + 1]
        earlier = sorted({j for word in rarest for j in kept_by_word[word]})
        match = next((j for j in earlier if _jaccard(text_words, words[j]) >= threshold - ROUNDING), None)
        if match is not None:
            twins[i] = match
            continue
        for word in rarest:
            kept_by_word[word].append(i)
    return twins


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


def shown(prompt: Prompt) -> str:
    """A prompt's text in quotes, shortened to what an error has room for."""
    text = prompt.text if len(prompt.text) <= MAX_SHOWN else prompt.text[:MAX_SHOWN] + "…"
    return repr(text)
