"""What was checked about the labels: whether a longer reply flips them."""

from __future__ import annotations

from saber.publish.wording import counted, listed
from saber.types import Frontier, LengthCheck


def length_text(frontier: Frontier) -> str:
    """What twice the length changes over the front, in a sentence or two."""
    checks = [point.longer for point in frontier.front if point.longer is not None]
    if not checks:
        return ""
    total, n = sum(one.n_flips for one in checks), sum(one.n for one in checks)
    most = max(frontier.front, key=lambda point: point.longer.n_flips if point.longer else -1)
    text = (
        f"Decoded to {checks[0].max_new_tokens} new tokens, twice the limit, {total} of the {n} labels of"
        f" {counted(len(checks), 'front point')} flip"
    )
    if not total or most.longer is None:
        return f"{text}."
    return f"{text}; most at {most.name}: {flips_text(most.longer)}."


def flips_text(check: LengthCheck) -> str:
    """Which labels flip, the most frequent first: ``2 of 288 labels flip (2 truncated -> refuse)``."""
    if not check.flips:
        return f"no label of {check.n} flips"
    flips = sorted(check.flips.items(), key=lambda item: (-item[1], item[0]))
    return f"{check.n_flips} of {check.n} labels flip ({listed([f'{n} {name}' for name, n in flips])})"
