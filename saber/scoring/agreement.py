"""How far two labellers agree beyond chance: Cohen's kappa of a judge and the markers on the same responses."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sklearn.metrics import cohen_kappa_score


def cohens_kappa(a: Sequence[bool], b: Sequence[bool]) -> float | None:
    """(p_o - p_e) / (1 - p_e), p_o the share of agreement and p_e that by chance; 1 is full agreement, 0 chance.

    ``None`` where both give every response the same label: then there is nothing that chance could explain.

    Raises:
        ValueError: the two label different numbers of responses, or none.
    """
    if len(a) != len(b) or not a:
        raise ValueError(f"expected two labels for each of some responses, found {len(a)} and {len(b)}")
    if len({*a, *b}) == 1:
        return None
    kappa = float(cohen_kappa_score(list(a), list(b)))
    return None if math.isnan(kappa) else kappa
