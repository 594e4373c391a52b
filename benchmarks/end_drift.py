"""Which prompts the drift at the end of a front is made of, held out, by their kind and category.

    python benchmarks/end_drift.py OUT --organisms sweeps/_organism/seed{0,1,2,3,4} [--method saber] [--seed 0]

OUT is a folder of ``front.py``, with its studies, under the code that made it. A front's end is its point of least
refusals on tune. "Begins otherwise": the edited model's own reply begins with another word than the base's.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from findings import interval, share
from findings_numbers import end_number
from front import read_rows
from front_cells import Cell, Setting, configured, fingerprint, held_out, open_bench
from front_intervals import over_organisms
from markdown_table import markdown, short

from saber.lm.measurement import measure_trials
from saber.lm.plan_file import load_plan
from saber.study.identity import identity
from saber.study.records import complete_trials, plan_path
from saber.study.session import calm_optuna, searched
from saber.study.storage import open_study
from saber.types import EditPlan, Response, UserError

Group = tuple[str, str]
BEGINS = "begins otherwise"


def end_replies(cell: Cell, setting: Setting) -> tuple[list[Response], list[Response]]:
    """The base's and the front's end's replies to the held-out drift prompts, with their drift.

    Raises:
        UserError: the cell is not finished, or was under another configuration.
    """
    config = configured(cell, setting)
    row = read_rows(setting.folder).get(cell.key)
    if row is None or row["fingerprint"] != fingerprint(cell, config):
        raise UserError(f"expected {' on '.join(map(str, cell.key[:2]))} finished under this configuration: run it")
    bench = open_bench(config)
    side = held_out(bench)
    study = open_study(config, identity(config, searched(config), bench))
    digests = {trial.number: str(trial.user_attrs["plan"]) for trial in complete_trials(study)}
    plan = load_plan(plan_path(bench.folder, digests[end_number(row)]))
    base, edited = (
        measure_trials(bench.adapter, side.split, config.evaluate, side.reference, [one])[0].responses
        for one in (EditPlan(()), plan)
    )
    kept = [i for i, response in enumerate(edited) if "kld" in response.drift]
    return [base[i] for i in kept], [edited[i] for i in kept]


def composed_of(base: list[Response], edited: list[Response]) -> dict[Group, dict[str, float]]:
    """By kind and category: its share of prompts and of each KLD's sum, its means, and how many begin otherwise."""
    groups: dict[Group, list[int]] = defaultdict(list)
    for i, response in enumerate(edited):
        groups[(response.prompt.kind, response.prompt.category)].append(i)
    sums = {kld: sum(response.drift[f"kld_{kld}"] for response in edited) for kld in ("response", "first")}
    found = {}
    for group, members in groups.items():
        numbers = {"prompts": len(members) / len(edited)}
        for kld, total in sums.items():
            part = sum(edited[i].drift[f"kld_{kld}"] for i in members)
            numbers |= {f"share {kld}": part / total, f"mean {kld}": part / len(members)}
        otherwise = sum(edited[i].text.split()[:1] != base[i].text.split()[:1] for i in members)
        found[group] = numbers | {BEGINS: otherwise / len(members)}
    return found


def table(cells: Mapping[tuple[str, int], Mapping[Group, Mapping[str, float]]]) -> str:
    """The mean of organisms with its interval, the group with most first-token drift first."""
    columns: dict[str, Callable[[float], str]] = {
        "share response": share,
        "mean response": lambda value: short(value, 4),
        "share first": share,
        "mean first": lambda value: short(value, 3),
        BEGINS: share,
    }
    groups = dict.fromkeys(group for found in cells.values() for group in found)
    lines: list[tuple[float, list[str]]] = []
    for group in groups:
        of = {cell: found[group] for cell, found in cells.items() if group in found}
        means = {name: over_organisms({cell: one[name] for cell, one in of.items()}) for name in ("prompts", *columns)}
        shown = [interval(means[name], as_text) for name, as_text in columns.items()]
        first = means["share first"].value
        lines.append((first, [" / ".join(group).rstrip(" /"), share(means["prompts"].value), *shown]))
    lines.sort(key=lambda line: -line[0])
    header = ("prompts", "share", "of response KLD", "its mean", "of first-token KLD", "its mean", BEGINS)
    return markdown(header, [line for _, line in lines])


def main() -> None:
    """Measure the ends, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--organisms", nargs="+", type=Path, required=True)
    parser.add_argument("--method", default="saber")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    calm_optuna()
    setting = Setting(options.folder, options.trials, options.tokens)
    wanted = [Cell(options.method, organism, options.seed) for organism in options.organisms]
    try:
        cells = {cell.key[1:]: composed_of(*end_replies(cell, setting)) for cell in wanted}
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    print(table(cells))


if __name__ == "__main__":
    main()
