"""Which prompts the drift at the end of a front is made of, and where they lie along refusal, by kind and category.

    python benchmarks/end_drift.py OUT --organisms sweeps/_organism/seed{0,1,2,3,4} [--method saber-inputs] [--seed 0]

OUT is a folder of ``front.py``, with its studies, under the code that made it. A front's end is its point of least
refusals on tune, and its numbers are of held-out prompts. "Begins otherwise": the edited model's own reply begins with
another word than the base's. Places are those of the base's residual stream along the difference in means of the
probes, at the layer where that separates best: 0 is the mean harmless prompt, 1 the mean harmful one, and "no part of
it" a stream without that direction.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from findings_numbers import DEFAULT, end_number
from findings_text import interval, nats, share, short
from front import read_rows
from front_cells import Cell, Setting, configured, fingerprint, held_out, open_bench
from front_intervals import over_organisms
from torch import Tensor

from saber.config import Config
from saber.lm.editing.plan_file import load_plan
from saber.lm.evaluation.measurement import measure_trials
from saber.lm.inference.residuals import last_token_residuals
from saber.method.ranking import layer_fisher_ratio
from saber.publish.text.markdown import table
from saber.study.context import Workbench
from saber.study.run.session import calm_optuna
from saber.study.search.space import parse_space
from saber.study.store.fingerprint import identity
from saber.study.store.records import complete_trials, plan_path
from saber.study.store.storage import open_study
from saber.types import EditPlan, Response, UserError

Group = tuple[str, str]
Replies = list[Response]
BEGINS = "begins otherwise"
NOTHING = "no part of it"


def end_replies(cell: Cell, setting: Setting, config: Config, bench: Workbench) -> tuple[Replies, Replies]:
    """The base's and the front's end's replies to the held-out drift prompts, with their drift.

    Raises:
        UserError: the cell is not finished, or was under another configuration.
    """
    row = read_rows(setting.folder).get(cell.key)
    if row is None or row["fingerprint"] != fingerprint(cell, config):
        raise UserError(f"expected {' on '.join(map(str, cell.key[:2]))} finished under this configuration: run it")
    side = held_out(bench)
    study = open_study(config, identity(config, parse_space(config), bench))
    digests = {trial.number: str(trial.user_attrs["plan"]) for trial in complete_trials(study)}
    plan = load_plan(plan_path(bench.folder, digests[end_number(row)]))
    measured = measure_trials(bench.adapter, side.split, config.evaluate, side.reference, [EditPlan(()), plan])
    base, edited = (measurement.responses for measurement in measured)
    kept = [i for i, response in enumerate(edited) if "kld" in response.drift]
    return [base[i] for i in kept], [edited[i] for i in kept]


def composed_of(base: Replies, edited: Replies) -> dict[Group, dict[str, float]]:
    """By kind and category: its share of prompts and of each KLD's sum, its means, and how many begin otherwise."""
    groups: dict[Group, list[int]] = defaultdict(list)
    for i, response in enumerate(edited):
        groups[(response.prompt.kind, response.prompt.category)].append(i)
    sums = {kld: sum(response.drift[f"kld_{kld}"] for response in edited) for kld in ("response", "first")}
    shares = {}
    for group, members in groups.items():
        numbers = {"prompts": len(members) / len(edited)}
        for kld, total in sums.items():
            part = sum(edited[i].drift[f"kld_{kld}"] for i in members)
            numbers |= {f"share {kld}": part / total, f"mean {kld}": part / len(members)}
        otherwise = sum(edited[i].text.split()[:1] != base[i].text.split()[:1] for i in members)
        shares[group] = numbers | {BEGINS: otherwise / len(members)}
    return shares


def shown(cells: Mapping[tuple[str, int], Mapping[Group, Mapping[str, float]]]) -> str:
    """The mean of organisms with its interval, the group with most first-token drift first."""
    columns: dict[str, Callable[[float], str]] = {
        "share response": share,
        "mean response": nats,
        "share first": share,
        "mean first": partial(short, digits=3),
        BEGINS: share,
    }
    groups = dict.fromkeys(group for by_group in cells.values() for group in by_group)
    lines: list[tuple[float, list[str]]] = []
    for group in groups:
        of = {cell: by_group[group] for cell, by_group in cells.items() if group in by_group}
        means = {
            name: over_organisms({cell: numbers[name] for cell, numbers in of.items()})
            for name in ("prompts", *columns)
        }
        texts = [interval(means[name], as_text) for name, as_text in columns.items()]
        first = means["share first"].value
        lines.append((first, [_named(group), share(means["prompts"].value), *texts]))
    lines.sort(key=lambda line: -line[0])
    header = ("prompts", "share", "of response KLD", "its mean", "of first-token KLD", "its mean", BEGINS)
    return table(header, [line for _, line in lines])


def places(bench: Workbench) -> dict[Group, float]:
    """The place of each category of held-out harmless prompts along refusal, and of a stream without it."""
    seen = bench.activations
    layer = int(layer_fisher_ratio(seen.harmful, seen.harmless).argmax())
    direction = seen.harmful[layer].mean(dim=0) - seen.harmless[layer].mean(dim=0)
    prompts = [prompt for prompt in bench.splits["report"].prompts if prompt.kind in ("harmful", "harmless")]
    stream = last_token_residuals(bench.adapter, prompts, batch_size=bench.config.evaluate.batch_size)[0, layer]
    return placed([(prompt.kind, prompt.category) for prompt in prompts], stream @ direction)


def placed(groups: Sequence[Group], along: Tensor) -> dict[Group, float]:
    """Means of values so scaled that the mean harmless one is 0 and the mean harmful one 1; 0 itself as well."""
    kinds = {kind: along[[i for i, group in enumerate(groups) if group[0] == kind]].mean() for kind, _ in groups}
    low, gap = kinds["harmless"], kinds["harmful"] - kinds["harmless"]
    wanted = dict.fromkeys(group for group in groups if group[0] == "harmless")
    means = {place: along[[i for i, group in enumerate(groups) if group == place]].mean() for place in wanted}
    means[(NOTHING, "")] = torch.tensor(0.0)
    return {group: float((value - low) / gap) for group, value in means.items()}


def shown_places(cells: Mapping[tuple[str, int], Mapping[Group, float]]) -> str:
    """The mean of organisms with its interval, what lies farthest from harm first."""
    groups = dict.fromkeys(group for by_group in cells.values() for group in by_group)
    means = {
        group: over_organisms({cell: by_group[group] for cell, by_group in cells.items() if group in by_group})
        for group in groups
    }
    lines = sorted(means.items(), key=lambda line: line[1].value)
    return table(
        ("prompts", "place"), [(_named(group), interval(mean, partial(short, digits=2))) for group, mean in lines]
    )


def _named(group: Group) -> str:
    return " / ".join(filter(None, group))


def main() -> None:
    """Measure the ends, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--organisms", nargs="+", type=Path, required=True)
    parser.add_argument("--method", default=DEFAULT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    calm_optuna()
    setting = Setting(options.folder, options.trials, options.tokens)
    drift, places_of = {}, {}
    try:
        for organism in options.organisms:
            cell = Cell(options.method, organism, options.seed)
            config = configured(cell, setting)
            bench = open_bench(config)
            drift[cell.key[1:]] = composed_of(*end_replies(cell, setting, config, bench))
            places_of[cell.key[1:]] = places(bench)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    print(f"{shown(drift)}\n\n{shown_places(places_of)}")


if __name__ == "__main__":
    main()
