"""Does the number of probes move the selected layers and the trade-off? One edit, planned from more and more probes.

    python benchmarks/probe_count.py [--organisms sweeps/_organism/seed0 ...] [--probes 24 40 60 80 104 128]
        [--orders 5] [--out outputs/benchmarks/probe_count] [key=value ...]

Everything but ``data.n_probe`` and the order of the probes (``data.seed``) is fixed: the published recipe's numbers
(alpha_base .825, top-k 14) in the preset ``saber``, or what further words say. Each order is a nested sequence: 40
probes are the first 24 and 16 more. Layers are those that the first round's directions come from; "turned" is the angle
between the leading direction of that layer and what the same order's largest probe set gives there. Prints Markdown;
writes OUT.json and OUT.html, a figure.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import plotly.graph_objects as go
from findings_text import interval, short
from front_cells import Cell, Setting, configured, open_bench
from front_intervals import over_organisms
from plotly.subplots import make_subplots
from saber_worker import composed

from saber.data.splits import probe_set
from saber.lm.evaluation.measurement import measure_trials
from saber.lm.inference.residuals import probe
from saber.lm.planning import PlannedEdit, PlanRequest, make_plans
from saber.publish.figures.theme import CHOSEN, TRIAL, styled
from saber.publish.text.markdown import table
from saber.study.context import Workbench

NUMBERS = {"turned": 1, "refusal_rate": 3, "kld_response": 4, "kld_first": 3}  # digits
DRAWN = {"refusal_rate": "refusals", "kld_response": "response KLD (nats)"}
THIN = {"color": TRIAL, "width": 1}
THICK = {"color": CHOSEN, "width": 2.5}


def planned(bench: Workbench, words: list[str], order: int, counts: list[int]) -> list[PlannedEdit]:
    """The fixed edit, planned from so many probes of one order."""
    config = composed(["+sweep=organism_layers", "model.path=x", *words])
    n_capability = config.data.n_capability
    assert n_capability is not None
    probes = probe_set(bench.splits["probe"], (max(counts), n_capability, 0), order)
    (base,) = probe(bench.adapter, probes, batch_size=256)
    requests = [PlanRequest(config.edit, (n, n_capability, n)) for n in counts]
    return [make_plans(bench.adapter, probes, base, [request], batch_size=256)[0] for request in requests]


def rows_of(bench: Workbench, words: list[str], order: int, counts: list[int]) -> list[dict[str, Any]]:
    """What the edits of one order are and do on one organism."""
    edits = planned(bench, words, order, counts)
    profile, split = bench.config.evaluate, bench.splits["tune"]
    largest = {(edit.direction.layer, edit.direction.index): edit.direction.vector for edit in edits[-1].selected}
    rows: list[dict[str, Any]] = []
    for n, edit in zip(counts, edits, strict=True):
        (measured,) = measure_trials(bench.adapter, split, profile, bench.reference, [edit.compiled])
        first = edit.selected[0].direction
        same = largest.get((first.layer, first.index))
        cosine = None if same is None else min(1.0, abs(float(first.vector @ same)))
        rows.append(
            {
                "organism": Path(bench.config.model.path).name,
                "order": order,
                "n_probe": n,
                "layers": sorted({chosen.direction.layer for chosen in edit.selected}),
                "turned": None if cosine is None else math.degrees(math.acos(cosine)),
                **{name: measured.metrics[name] for name in ("refusal_rate", "kld_response", "kld_first")},
            }
        )
    return rows


def shown(rows: list[dict[str, Any]]) -> str:
    """By organism and probes: how many orders chose each layer, then means ± standard deviations over orders."""
    lines = []
    for organism, n in dict.fromkeys((row["organism"], row["n_probe"]) for row in rows):
        of = [row for row in rows if (row["organism"], row["n_probe"]) == (organism, n)]
        layers = Counter(layer for row in of for layer in row["layers"])
        cells = [organism, str(n), " ".join(f"{layer}({layers[layer]})" for layer in sorted(layers))]
        for name, digits in NUMBERS.items():
            values = [row[name] for row in of if row[name] is not None]
            spread = stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{short(mean(values), digits)} ± {short(spread, digits)}" if values else "another layer")
        lines.append(cells)
    return table(("organism", "probes", "layers (orders)", "turned, degrees", *list(NUMBERS)[1:]), lines)


def moved(rows: list[dict[str, Any]]) -> str:
    """What the most probes give minus what the fewest do, orders paired: the mean of organisms with its interval."""
    fewest, most = min(row["n_probe"] for row in rows), max(row["n_probe"] for row in rows)
    by_key = {(row["organism"], row["order"], row["n_probe"]): row for row in rows}
    keys = {(organism, order) for organism, order, _ in by_key}
    said = []
    for name, digits in list(NUMBERS.items())[1:]:
        change = over_organisms({key: by_key[*key, most][name] - by_key[*key, fewest][name] for key in keys})
        said.append(f"{name} {interval(change, partial(short, digits=digits))}")
    return f"{most} probes minus {fewest}: {', '.join(said)}"


def figure(rows: list[dict[str, Any]]) -> go.Figure:
    """Refusals and drift against the number of probes, a panel an organism and a line an order."""
    organisms = list(dict.fromkeys(row["organism"] for row in rows))
    drawn = make_subplots(
        2, len(organisms), shared_xaxes=True, shared_yaxes="rows", subplot_titles=organisms, vertical_spacing=0.08
    )
    for row, (name, title) in enumerate(DRAWN.items(), start=1):
        for column, organism in enumerate(organisms, start=1):
            of = [row for row in rows if row["organism"] == organism]
            counts = sorted({row["n_probe"] for row in of})
            for order in sorted({row["order"] for row in of}):
                values = [row[name] for n in counts for row in of if (row["order"], row["n_probe"]) == (order, n)]
                drawn.add_trace(go.Scatter(x=counts, y=values, line=THIN, mode="lines+markers"), row=row, col=column)
            means = [mean(row[name] for row in of if row["n_probe"] == n) for n in counts]
            drawn.add_trace(go.Scatter(x=counts, y=means, line=THICK, mode="lines"), row=row, col=column)
        drawn.update_yaxes(title=title, rangemode="tozero", row=row, col=1)
    drawn.update_xaxes(title="probes", row=2)
    styled(drawn, height=480)
    drawn.update_layout(showlegend=False)
    return drawn


def main() -> None:
    """Plan and measure for every organism and order, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="further words of the command line")
    parser.add_argument("--organisms", nargs="+", type=Path, default=[Path("sweeps/_organism/seed0")])
    parser.add_argument("--probes", type=int, nargs="+", default=[24, 40, 60, 80, 104, 128])
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks/probe_count"))
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for organism in options.organisms:
        bench = open_bench(configured(Cell("saber", organism, 0), Setting(options.out, 1, 32)))
        for order in range(options.orders):
            rows += rows_of(bench, options.words, order, sorted(options.probes))
    print(f"{shown(rows)}\n\n{moved(rows)}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(
        json.dumps({"words": options.words, "rows": rows}) + "\n", encoding="utf-8"
    )
    figure(rows).write_html(options.out.with_suffix(".html"), include_plotlyjs=True, config={"displayModeBar": False})
    print(f"\nwritten to {options.out}.json and {options.out}.html")


if __name__ == "__main__":
    main()
