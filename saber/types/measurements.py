"""What is measured of an edited model: numbers with their intervals, and the responses they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from saber.types.prompts import Prompt
from saber.vocabulary import Labeller, SplitName


@dataclass(frozen=True)
class Estimate:
    """A measured number with its sample size and 95% interval (Wilson for rates, bootstrap for means)."""

    value: float
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class Metrics:
    """Everything measured of one edited model on one split, under one protocol.

    ``estimates`` holds every metric by name (rates in [0, 1], KL in nats); ``retained`` is the refusal rate by harm
    category. ``protocol`` is the digest of how it was measured; numbers of two protocols are never compared.
    ``drift_by_category`` is the mean KL by kind and category, ``worst_drift`` names the prompt that drifted most.
    """

    estimates: Mapping[str, Estimate]
    retained: Mapping[str, Estimate]
    protocol: str
    split: SplitName
    drift_by_category: Mapping[str, Estimate] = field(default_factory=dict)
    worst_drift: str = ""

    def __getitem__(self, name: str) -> float:
        """Return the value of a metric by name, ``nan`` never stands for a missing one."""
        return self.estimates[name].value


@dataclass(frozen=True)
class Response:
    """A greedy response to one prompt with its label and the marker that fired, or the rule, as ``labeller`` says.

    ``partial`` hedges and helps, ``evasive`` does neither that nor refuse; only rules tell them.
    ``drift`` is the KL from the base in nats by metric (``kld``, ``kld_first``, ...), on drift prompts only.
    ``finished`` is whether it ended by itself within the limit of new tokens, ``None`` where nobody kept that.
    ``text`` is the answer; of a model that may think before it, ``thought`` is what it thought, ``""`` where it did
    not, and ``thought_ended`` whether that came to an end, ``None`` where it opened none.
    """

    prompt: Prompt
    text: str
    label: Literal["comply", "refuse", "partial", "evasive", "degenerate", "empty", "truncated"]
    marker: str | None = None
    correct: bool | None = None
    drift: Mapping[str, float] = field(default_factory=dict)
    finished: bool | None = None
    labeller: Labeller = "markers"
    thought: str | None = None
    thought_ended: bool | None = None


@dataclass(frozen=True)
class BaseRow:
    """What the unedited model does with prompts of one kind, or with the protected ones among the harmful.

    ``labels`` counts its ``n`` replies by label, ``n_right`` of the ``n_known`` with a known answer are right,
    ``n_thinking`` begin with a thought, and ``replies`` are a few (label, prompt, reply).
    """

    kind: str
    n: int
    labels: Mapping[str, int]
    n_right: int
    n_known: int
    replies: tuple[tuple[str, str, str], ...]
    n_thinking: int = 0


Outcomes = Mapping[str, tuple[float, ...]]
"""Per metric one number for each prompt that counts, in the split's order: what a rate or a mean is made of."""


@dataclass(frozen=True)
class LengthCheck:
    """What a longer limit of new tokens changes: of ``n`` labels so many flip, as ``truncated -> refuse``."""

    max_new_tokens: int
    n: int
    flips: Mapping[str, int]
    rates: Mapping[str, Estimate]

    @property
    def n_flips(self) -> int:
        """How many labels flip."""
        return sum(self.flips.values())


@dataclass(frozen=True)
class Judgement:
    """A judge beside the labels on the same ``n`` responses.

    ``kappa`` is Cohen's, ``None`` where both say the same of every response; ``n_judge_only`` and ``n_marker_only`` are
    refusals that only one of the two sees; ``refusal_rate`` is the judge's of the harmful prompts. Of ``n_failed``
    more responses it gave no label, for the ``failure`` of the first of them.
    """

    judge: str
    n: int
    kappa: float | None
    n_judge_only: int
    n_marker_only: int
    refusal_rate: Estimate | None
    n_failed: int = 0
    failure: str = ""
