"""What a cell's numbers show of organisms: means with intervals that resample organisms, not cells.

Three searches of one organism are not three organisms: an organism counts with the mean over its search seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean

import numpy as np

from saber.scoring.statistics import bootstrap_mean
from saber.types import Estimate

N_RESAMPLES = 10_000
FEWEST = 3  # organisms: of two an interval would say nothing
ByCell = Mapping[tuple[str, int], float]


def by_organism(values: ByCell) -> dict[str, float]:
    """Each organism's mean over its search seeds."""
    names = dict.fromkeys(organism for organism, _ in values)
    return {name: mean(value for (organism, _), value in values.items() if organism == name) for name in names}


def over_organisms(values: ByCell) -> Estimate:
    """The mean over organisms with its 95% interval.

    Raises:
        ValueError: there is no value.
    """
    return bootstrap_mean(np.array(list(by_organism(values).values())), n_resamples=N_RESAMPLES, seed=0)


def ratio(ours: ByCell, theirs: ByCell) -> tuple[float, float, float] | None:
    """Mean of ours over mean of theirs on the cells that both have, with a 95% interval; ``None`` without such cells.

    The interval resamples organisms, ours and theirs together, so it says how far another draw of organisms could
    lead, as far as these show it. With fewer than three it is not known: NaN.
    """
    cells = [cell for cell in ours if cell in theirs]
    pairs = [by_organism({cell: side[cell] for cell in cells}) for side in (ours, theirs)]
    mine, other = (np.array(list(side.values())) for side in pairs)
    if not cells or other.sum() == 0:
        return None
    value = float(mine.sum() / other.sum())
    if len(mine) < FEWEST:
        return value, float("nan"), float("nan")
    drawn = np.random.default_rng(0).integers(len(mine), size=(N_RESAMPLES, len(mine)))
    above, below = mine[drawn].sum(axis=1), other[drawn].sum(axis=1)
    ratios = np.divide(above, below, out=np.full_like(above, np.inf), where=below > 0)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return value, float(low), float(high)
