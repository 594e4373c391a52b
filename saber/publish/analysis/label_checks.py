"""What was checked about the labels: whether a longer reply flips them, and whether a judge agrees with them."""

from __future__ import annotations

from saber.metrics import EVASIVE, PARTIAL, REFUSAL
from saber.publish.text.wording import count_text, counted, estimate_text, listed
from saber.types import Frontier, Judgement, LengthCheck

HEDGES = ((PARTIAL, "partial"), (EVASIVE, "evasive"))


def length_text(frontier: Frontier) -> str:
    """What twice the length changes over the front, in a sentence or two."""
    checks = [point.longer for point in frontier.front if point.longer is not None]
    if not checks:
        return ""
    total, n = sum(check.n_flips for check in checks), sum(check.n for check in checks)
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


def hedging_text(frontier: Frontier) -> str:
    """How many harmful prompts are neither refused nor answered, where the labeller tells."""
    rows = [("the base", frontier.base_tune), *((point.name, point.tune) for point in frontier.front)]
    said = [
        f"{name}: {listed([f'{count_text(metrics.estimates[judgement])} {word}' for judgement, word in HEDGES])}"
        for name, metrics in rows
        if all(judgement in metrics.estimates for judgement, _ in HEDGES)
    ]
    return f"These replies to harmful prompts are not in the refusal rate: {'; '.join(said)}." if said else ""


def judge_text(frontier: Frontier) -> str:
    """How far the judge agrees with the labels at each front point, the least first."""
    judged = [(point.name, point.judgement) for point in frontier.front if point.judgement is not None]
    if not judged:
        return ""
    judged.sort(key=lambda pair: 1.0 if pair[1].kappa is None else pair[1].kappa)
    said = "; ".join(f"{name}: {agreement_text(judgement)}" for name, judgement in judged)
    return f"{judged[0][1].judge} labelled the same tune responses. {said}."


def agreement_text(judgement: Judgement) -> str:
    """Kappa, the refusals that only one sees, the judge's own refusal rate, and of how many it gave no label."""
    unlabelled = f"no label of {judgement.n_failed} responses ({judgement.failure})" if judgement.n_failed else ""
    if not judgement.n:
        return unlabelled or "no response to label"
    kappa = "undefined (one label throughout)" if judgement.kappa is None else f"{judgement.kappa:.2f}"
    text = (
        f"Cohen's kappa with the labels {kappa} on {judgement.n} responses ({judgement.n_judge_only} refusals seen by"
        f" the judge only, {judgement.n_marker_only} by the labels only)"
    )
    if judgement.refusal_rate:
        text += f", refusal rate {estimate_text(REFUSAL, judgement.refusal_rate)}"
    return f"{text}, {unlabelled}" if unlabelled else text
