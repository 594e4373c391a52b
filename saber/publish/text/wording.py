"""How numbers and names are written for people: one wording for the card, the report and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable

from saber.metrics import metric_of
from saber.types import Estimate, Metrics, Objective, PublishedRow

MISSING = "—"
WHOLE_TOLERANCE = 1e-6  # how far rate x n may be from a whole number and still be a count


def label(metric: str) -> str:
    """A metric's name in words."""
    return metric_of(metric).label


def is_rate(metric: str) -> bool:
    """Whether a metric is a share of something, written in per cent."""
    return metric_of(metric).unit == "rate"


def is_drift(metric: str) -> bool:
    """Whether a metric is a divergence in nats."""
    return metric_of(metric).unit == "nats"


def objective_text(objective: Objective) -> str:
    """An objective in words: ``minimize keyword refusal rate``."""
    return f"{objective.direction} {label(objective.metric)}"


def number_text(metric: str, value: float) -> str:
    """A metric's value alone: ``2.0%``, ``0.3164``."""
    if math.isinf(value):
        return "∞"
    return f"{100 * value:.1f}%" if is_rate(metric) else f"{value:.4f}"


def interval_text(metric: str, estimate: Estimate) -> str:
    """The 95% interval, ``[0.0, 7.3]`` (in per cent for rates), or nothing where none was measured."""
    if not has_interval(estimate):
        return ""
    low, high = (number_text(metric, end).removesuffix("%") for end in (estimate.low, estimate.high))
    return f"[{low}, {high}]"


def count_text(estimate: Estimate) -> str:
    """What the estimate rests on: ``0/49`` for a counted rate, ``n = 49`` for anything else."""
    hits = estimate.value * estimate.n
    if abs(hits - round(hits)) > WHOLE_TOLERANCE:
        return f"n = {estimate.n}"
    return f"{round(hits)}/{estimate.n}"


def estimate_text(metric: str, estimate: Estimate | None) -> str:
    """Everything on one line: ``0/49 = 0.0% [0.0, 7.3]``, ``0.3164 [0.2901, 0.3420], n = 79``."""
    if estimate is None:
        return MISSING
    value, interval = number_text(metric, estimate.value), interval_text(metric, estimate)
    if is_rate(metric) and interval:
        return f"{count_text(estimate)} = {value} {interval}"
    return f"{value} {interval}".strip() + f", n = {estimate.n}"


def metric_text(metrics: Metrics | None, metric: str) -> str:
    """`estimate_text` of a metric that may not have been measured."""
    return estimate_text(metric, None if metrics is None else metrics.estimates.get(metric))


def has_interval(estimate: Estimate) -> bool:
    """Whether low and high say more than the value does."""
    return estimate.low != estimate.high


def published_text(row: PublishedRow) -> str:
    """A published row in one line, with whose drift it is."""
    return f"{row.name}: {row.refusals}/{row.n_prompts} refused, KLD {row.kld_nats:.4f} ({row.kld_positions})"


def listed(items: list[str]) -> str:
    """Join words as in a sentence: ``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def counted(n: int, noun: str) -> str:
    """A number with its noun: ``1 trial``, ``60 trials``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def plain(value: object) -> str:
    """One line of printable text: whatever came from a user or a model can't break a line or hide a control."""
    return "".join(c for c in " ".join(str(value).split()) if c.isprintable())


def mixed_protocols(measured: Iterable[Metrics | None]) -> list[str]:
    """Protocols that differ from the first one of the same split: their numbers must not be compared."""
    first: dict[str, str] = {}
    others = [
        metrics.protocol
        for metrics in measured
        if metrics is not None and first.setdefault(metrics.split, metrics.protocol) != metrics.protocol
    ]
    return list(dict.fromkeys(others))


def size_text(n_bytes: int) -> str:
    """Bytes in the unit that suits them."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"
