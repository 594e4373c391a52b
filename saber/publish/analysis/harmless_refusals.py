"""Whether an edit makes the model refuse what is harmless: nobody seeks that, so it must be said."""

from __future__ import annotations

from saber.metrics import HARMLESS_REFUSAL as HARMLESS
from saber.publish.text.wording import counted, estimate_text
from saber.types import Frontier


def harmless_text(frontier: Frontier) -> str:
    """A warning where front points refuse more harmless prompts than the base model, beyond its interval."""
    base = frontier.base_tune.estimates.get(HARMLESS)
    if base is None:
        return ""
    risen = [
        (point, point.tune.estimates[HARMLESS])
        for point in frontier.front
        if HARMLESS in point.tune.estimates and point.tune[HARMLESS] > base.high
    ]
    if not risen:
        return ""
    worst, most = max(risen, key=lambda pair: pair[1].value)
    return (
        f"{len(risen)} of {counted(len(frontier.front), 'front point')} refuse more harmless prompts than the base"
        f" model ({estimate_text(HARMLESS, base)}); most of all {worst.name}, {estimate_text(HARMLESS, most)}."
    )
