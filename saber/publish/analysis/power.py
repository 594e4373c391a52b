"""How many prompts a claim needs: the number whose Wilson interval is as narrow as wanted, by base rate."""

from __future__ import annotations

from rich.table import Table

from saber.scoring.statistics import CONFIDENCE, prompts_for_half_width

BASE_RATES = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0)

NARROWEST = 1e-6  # some 10^12 prompts; floats count them one by one


def power_table(half_width: float) -> Table:
    """Prompts needed for a rate to be known to ``half_width`` on each side, for several rates.

    Raises:
        ValueError: ``half_width`` is outside [`NARROWEST`, 1).
    """
    if not NARROWEST <= half_width < 1:
        raise ValueError(f"expected a half width in [{NARROWEST:g}, 1), found {half_width}")
    title = f"prompts for a {CONFIDENCE:.0%} interval of ±{100 * half_width:g} points"
    table = Table("rate", "prompts", title=title, min_width=len(title))
    for rate in BASE_RATES:
        table.add_row(f"{rate:.0%}", str(prompts_for_half_width(half_width, rate=rate)))
    return table
