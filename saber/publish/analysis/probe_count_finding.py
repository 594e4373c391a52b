"""What the trials show about the probe count: a rank correlation, and whether it may be called a finding."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import spearmanr

from saber.metrics import DRIFT, REFUSAL
from saber.types import Frontier

PROBE_KEY = "data.n_probe"
MIN_TRIALS = 20
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho between the probe count and a metric over ``n`` trials."""

    metric: str
    rho: float
    p: float
    n: int
    lowest: int
    highest: int

    @property
    def is_finding(self) -> bool:
        """Whether it rests on enough trials and is unlikely to be chance."""
        return self.n >= MIN_TRIALS and self.p < SIGNIFICANCE


def probe_pairs(frontier: Frontier, metric: str) -> list[tuple[int, float]]:
    """(probe count, metric) of every trial that has both."""
    return [
        (int(str(point.params[PROBE_KEY])), point.tune[metric])
        for point in frontier.points
        if PROBE_KEY in point.params and metric in point.tune.estimates
    ]


def probe_correlation(frontier: Frontier, metric: str) -> Correlation | None:
    """The correlation, or ``None`` where fewer than three trials vary in both."""
    pairs = probe_pairs(frontier, metric)
    counts, values = [count for count, _ in pairs], [value for _, value in pairs]
    if len(pairs) < 3 or len(set(counts)) < 2 or len(set(values)) < 2:
        return None
    spearman = spearmanr(counts, values)
    return Correlation(metric, float(spearman.statistic), float(spearman.pvalue), len(pairs), min(counts), max(counts))


def key_findings(frontier: Frontier) -> list[Correlation]:
    """The correlations of refusal and drift with the probe count that may be called findings."""
    correlations = [probe_correlation(frontier, metric) for metric in (REFUSAL, DRIFT)]
    return [correlation for correlation in correlations if correlation is not None and correlation.is_finding]
