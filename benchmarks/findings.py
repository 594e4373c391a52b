"""The tables and figures of docs/findings.md, from the finished cells of ``front.py``.

    python benchmarks/findings.py OUT [OUT ...] [--organisms seed0 seed1 seed2 seed3 seed4 qwen3-seed0] [--trials 80]

Several folders count as one; of a cell in two of them the later's counts. Prints Markdown, and writes the figures to
OUT/findings/ in the first. Every interval resamples organisms. A front is chosen on tune, and its numbers are those of
its points on report; its end is its point of least refusals on tune, of equal ones the one of least drift.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from findings_few import by_organism_table, numbers_table
from findings_figures import figures
from findings_numbers import BUDGETS, DEFAULT, END, FEW, FORMER, curse, end, end_numbers, within
from findings_text import interval, nats, share, short, times
from front import read_rows
from front_controls import CONTROLS
from front_input_controls import INPUT_CONTROLS
from front_intervals import by_organism, over_organisms, ratio
from front_levers import LEVERS
from front_methods import ARA, HERETIC, METHODS
from front_page import methods_in
from front_score import Row, by_cell, hypervolumes

from saber.publish.text.markdown import table

SIDES = (("response", "0.1"), ("first", "0.5"))
SHOWN_KLDS = (("response", "0.1"), ("first", "0.5"), ("prompt", "0.5"))
COMPARED = (HERETIC, ARA, "projected", FORMER)
PARTS = {DEFAULT: [*INPUT_CONTROLS], FORMER: [*CONTROLS, *LEVERS]}


def fronts(rows: Sequence[Row], others: Sequence[str], sides: Sequence[tuple[str, str]]) -> str:
    """Held-out hypervolumes by organism, and how many times other methods' they are on the cells of both."""
    organisms = list(dict.fromkeys(row["organism"] for row in rows))
    lines = []
    for method in methods_in(rows):
        ours = [by_cell(rows, method, "report", *side) for side in sides]
        means = [by_organism(our) for our in ours]
        cells = [", ".join(short(mean[name], 4) for mean in means) if name in means[0] else "" for name in organisms]
        compared = []
        for other in others:
            digits = 3 if other in (DEFAULT, FORMER) else 2  # most that is compared with those differs by less than 1%
            theirs = [by_cell(rows, other, "report", *side) for side in sides]
            ratios = [times(ratio(mine, their), digits) for mine, their in zip(ours, theirs, strict=True)]
            compared.append("1" if method == other else ", ".join(ratios))
        lines.append([method, str(len(ours[0])), *cells, *compared])
    return table(("method", "cells", *organisms, *(f"times `{other}`" for other in others)), lines)


def reached(rows: Sequence[Row]) -> str:
    """The least refusals on the front for so much drift: chosen on tune, the mean of organisms on report."""
    lines = []
    for method in methods_in(rows):
        of = cells_of(rows, method)
        intervals = [over_organisms({cell: within(row, budget) for cell, row in of.items()}) for budget in BUDGETS]
        lines.append([method, str(len(of)), *(interval(around, share) for around in intervals)])
    return table(("method", "cells", *(f"at most {budget:g} nats" for budget in BUDGETS)), lines)


def ends(rows: Sequence[Row]) -> str:
    """What the point of least refusals is like, held out, and how many cells reach none on tune."""
    lines = []
    for method in methods_in(rows):
        of = cells_of(rows, method)
        points = {cell: end_numbers(row) for cell, row in of.items()}
        none = sum(end(row)[0]["refusal_rate"] == 0 for row in of.values())
        shown = []
        for title in END:
            known = {cell: point[title] for cell, point in points.items() if title in point}
            as_text = nats if "KLD" in title or "prompt" in title else share
            shown.append(interval(over_organisms(known), as_text) if len(known) == len(of) else "")
        lines.append([method, f"{none} of {len(of)}", *shown])
    return table(("method", "none on tune", *END), lines)


def curses(rows: Sequence[Row]) -> str:
    """Report minus tune: over a front's points, of its end, and of its hypervolume."""
    lines = []
    for method in methods_in(rows):
        of = {cell: curse(row) for cell, row in cells_of(rows, method).items()}
        n = sum(int(numbers["points"]) for numbers in of.values())
        intervals = {
            name: over_organisms({cell: numbers[name] for cell, numbers in of.items()})
            for name in ("refusal", "drift", "end", "volume")
        }
        shown = [
            interval(numbers, share if name in ("refusal", "end") else nats) for name, numbers in intervals.items()
        ]
        lines.append([method, f"{n} in {len(of)}", *shown])
    header = ("method", "points", "refusals", "response KLD (nats)", "refusals at the end", "hypervolume (.1)")
    return table(header, lines)


def cells_of(rows: Sequence[Row], method: str) -> dict[tuple[str, int], Row]:
    """A method's cells by organism and search seed."""
    return {(row["organism"], row["seed"]): row for row in rows if row["method"] == method}


def rows_of(folders: Sequence[Path], organisms: Sequence[str], n_trials: int) -> list[dict[str, Any]]:
    """The finished cells of the methods that there are with their hypervolumes, organism by organism as asked for."""
    by_cell_name: dict[tuple[str, str, int], dict[str, Any]] = {}
    for folder in folders:
        by_cell_name |= read_rows(folder)
    rows = [row for row in by_cell_name.values() if row["n_trials"] == n_trials and row["method"] in METHODS]
    names = organisms or sorted({row["organism"] for row in rows})
    return [row | {"hypervolume": hypervolumes(row)} for name in names for row in rows if row["organism"] == name]


def main() -> None:
    """Print the tables, write the page of figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--organisms", nargs="+", default=[], help="names of organisms in the order of the columns")
    parser.add_argument("--trials", type=int, default=80)
    options = parser.parse_args()
    rows = rows_of(options.folders, options.organisms, options.trials)
    if not rows:
        folders = ", ".join(map(str, options.folders))
        print(f"error: expected finished cells of {options.trials} trials in {folders}, found none", file=sys.stderr)
        raise SystemExit(2)
    whole = [row for row in rows if not any(row["method"] in parts for parts in PARTS.values())]
    for kld, reference in SHOWN_KLDS:
        compared = fronts(whole, COMPARED, [(kld, reference)])
        print(f"\n## KLD of {kld} positions, reference (1, {reference})\n\n{compared}")
    print(f"\n## at most {FEW:.0%} refusals on tune, least drift\n\n{by_organism_table(rows)}\n\n{numbers_table(rows)}")
    print(f"\n## refusals left for so much response KLD\n\n{reached(whole)}")
    print(f"\n## the front's end\n\n{ends(whole)}")
    print(f"\n## report minus tune\n\n{curses(whole)}")
    for method, parts in PARTS.items():
        of = [row for row in rows if row["method"] in (method, *parts)]
        print(f"\n## parts of {method}: response KLD .1, first-token KLD .5\n\n{fronts(of, [method], SIDES)}")
    out = options.folders[0] / "findings"
    out.mkdir(exist_ok=True)
    for name, figure in figures(rows).items():
        figure.write_html(out / f"{name}.html", include_plotlyjs=True, config={"displayModeBar": False})
    print(f"\nfigures in {out}")


if __name__ == "__main__":
    main()
