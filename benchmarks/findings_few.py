"""What few refusals cost: each cell's point of least drift with at most 2% refusals on tune, as measured on report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from findings_numbers import FORMER, few
from findings_text import interval, nats, share, short, times
from front_intervals import by_organism, over_organisms, ratio
from front_page import methods_in
from front_score import KLDS, Row

from saber.publish.text.markdown import table

Values = Mapping[tuple[str, int], float]
CAPABILITY = "capability"


def few_by_cell(rows: Sequence[Row], method: str, metric: str) -> dict[tuple[str, int], float]:
    """A held-out metric of the points of few refusals, of the cells that have one; capability less the base's."""
    points = {(row["organism"], row["seed"]): (row, few(row)) for row in rows if row["method"] == method}
    return {
        cell: point[1][metric] - (row["base"]["report"][metric] if metric == CAPABILITY else 0.0)
        for cell, (row, point) in points.items()
        if point is not None
    }


def by_organism_table(rows: Sequence[Row]) -> str:
    """The response KLD by organism, and how many times the former default's it is: on the mean, and at most."""
    organisms = list(dict.fromkeys(row["organism"] for row in rows))
    theirs = few_by_cell(rows, FORMER, "kld_response")
    lines = []
    for method in methods_in(rows):
        ours = few_by_cell(rows, method, "kld_response")
        n_cells = sum(row["method"] == method for row in rows)
        means = by_organism(ours)
        cells = [nats(means[name]) if name in means else "" for name in organisms]
        each = [r[0] for name in organisms if (r := ratio(_of(ours, name), theirs)) is not None]
        compared = ["1", ""] if method == FORMER else [times(ratio(ours, theirs)), short(max(each), 2) if each else ""]
        lines.append([method, f"{len(ours)} of {n_cells}", *cells, *compared])
    header = ("method", "cells with such a point", *organisms, f"times `{FORMER}`", "at most, on an organism")
    return table(header, lines)


def _of(values: Values, organism: str) -> Values:
    return {cell: value for cell, value in values.items() if cell[0] == organism}


def numbers_table(rows: Sequence[Row]) -> str:
    """What those points are like, and their KLDs as times the former default's on the cells of both."""
    lines = []
    for method in methods_in(rows):
        refusals, capability = (few_by_cell(rows, method, metric) for metric in ("refusal_rate", CAPABILITY))
        if not refusals:
            continue
        cells = [interval(over_organisms(refusals), share)]
        for kld in KLDS:
            ours, theirs = (few_by_cell(rows, side, f"kld_{kld}") for side in (method, FORMER))
            compared = "" if method == FORMER else f", {times(ratio(ours, theirs))} times"
            cells.append(interval(over_organisms(ours), nats) + compared)
        lines.append([method, str(len(refusals)), *cells, interval(over_organisms(capability), share)])
    klds = (f"{kld} KLD, times `{FORMER}`'s" for kld in KLDS)
    return table(("method", "cells", "refusals", *klds, "capability less the base's"), lines)
