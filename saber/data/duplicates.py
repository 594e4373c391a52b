"""Near duplicates: prompts of one kind whose words are nearly the same set."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

ROUNDING = 1e-9  # a product such as 0.9 x 10 must not round up to one word more


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
    frequency = Counter(word for some in words for word in some)
    kept_by_word: dict[str, list[int]] = defaultdict(list)
    found: dict[int, int] = {}
    for i, some in enumerate(words):
        needed = math.ceil(threshold * len(some) - ROUNDING)
        rarest = sorted(some, key=lambda word: (frequency[word], word))[: len(some) - needed + 1]
        earlier = sorted({j for word in rarest for j in kept_by_word[word]})
        match = next((j for j in earlier if _jaccard(some, words[j]) >= threshold - ROUNDING), None)
        if match is not None:
            found[i] = match
            continue
        for word in rarest:
            kept_by_word[word].append(i)
    return found


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0
