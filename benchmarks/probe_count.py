"""Does the number of probes move the selected layers and the trade-off? One edit, planned from more and more probes.

    python benchmarks/probe_count.py [--organism sweeps/_organism/seed0] [--probes 24 40 60 80 104 128] [--orders 5]
        [--out probe_count.json] [key=value ...]

Everything but ``data.n_probe`` and the order of the probes (``data.seed``) is fixed: the published recipe's numbers
(alpha_base .825, top-k 14) in the preset ``saber``, or what further words say. Each order is a nested sequence: 40
probes are the first 24 and 16 more. Layers are those that the first round's directions come from; "turned" is the angle
between the leading direction of that layer and what the same order's largest probe set gives there.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from front_cells import Cell, Setting, configured, open_bench
from rich.console import Console
from rich.table import Table
from saber_worker import composed

from saber.data.splits import probe_set
from saber.lm.activations import probe
from saber.lm.measurement import measure_trials
from saber.lm.planning import PlannedEdit, PlanRequest, make_plans
from saber.study.workbench import Workbench


def planned(bench: Workbench, words: list[str], order: int, counts: list[int]) -> list[PlannedEdit]:
    """The fixed edit, planned from so many probes of one order."""
    config = composed(["+sweep=organism_layers", "model.path=x", *words])
    probes = probe_set(bench.splits["probe"], (max(counts), config.data.n_capability, 0), order)
    (base,) = probe(bench.adapter, probes, batch_size=256)
    requests = [PlanRequest(config.edit, (n, config.data.n_capability, n)) for n in counts]
    return [make_plans(bench.adapter, probes, base, [one], batch_size=256)[0] for one in requests]


def rows_of(bench: Workbench, words: list[str], order: int, counts: list[int]) -> list[dict[str, Any]]:
    """What the edits of one order are and do."""
    made = planned(bench, words, order, counts)
    profile, split = bench.config.evaluate, bench.splits["tune"]
    largest = {(one.direction.layer, one.direction.index): one.direction.vector for one in made[-1].selected}
    rows: list[dict[str, Any]] = []
    for n, one in zip(counts, made, strict=True):
        (measured,) = measure_trials(bench.adapter, split, profile, bench.reference, [one.compiled])
        first = one.selected[0].direction
        same = largest.get((first.layer, first.index))
        cosine = None if same is None else min(1.0, abs(float(first.vector @ same)))
        rows.append(
            {
                "order": order,
                "n_probe": n,
                "layers": sorted({chosen.direction.layer for chosen in one.selected}),
                "turned": None if cosine is None else math.degrees(math.acos(cosine)),
                **{name: measured.metrics[name] for name in ("refusal_rate", "kld_response", "kld_first")},
            }
        )
    return rows


def shown(rows: list[dict[str, Any]]) -> Table:
    """By number of probes: layers with how many orders chose them, then means with standard deviations over orders."""
    table = Table(title="one edit from more and more probes", caption="mean ± standard deviation over orders")
    for name in ("probes", "layers (orders)", "turned, degrees", "refusal rate", "KLD response", "KLD first"):
        table.add_column(name, justify="left" if "layers" in name else "right")
    for n in dict.fromkeys(row["n_probe"] for row in rows):
        of = [row for row in rows if row["n_probe"] == n]
        layers = Counter(layer for row in of for layer in row["layers"])
        cells = [" ".join(f"{layer}({layers[layer]})" for layer in sorted(layers))]
        for name in ("turned", "refusal_rate", "kld_response", "kld_first"):
            values = [row[name] for row in of if row[name] is not None]
            spread = stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{mean(values):.3f} ± {spread:.3f}" if values else "another layer")
        table.add_row(str(n), *cells)
    return table


def main() -> None:
    """Plan and measure for every order, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="further words of the command line")
    parser.add_argument("--organism", type=Path, default=Path("sweeps/_organism/seed0"))
    parser.add_argument("--probes", type=int, nargs="+", default=[24, 40, 60, 80, 104, 128])
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks/probe_count.json"))
    options = parser.parse_args()
    cell = Cell("saber", options.organism, 0)
    bench = open_bench(configured(cell, Setting(options.out.parent / "probe_count", 1, 32)))
    rows: list[dict[str, Any]] = []
    for order in range(options.orders):
        rows += rows_of(bench, options.words, order, sorted(options.probes))
    console = Console(width=140)
    console.print(shown(rows))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"organism": str(options.organism), "words": options.words, "rows": rows}) + "\n")
    console.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
