"""A checkpoint beside its base, under the study's protocol: a table, and the numbers as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from saber.config import Config
from saber.files import write_atomically
from saber.lm.loading import load
from saber.lm.measurement import measure
from saber.lm.reference import Reference
from saber.study.records import metrics_to_json
from saber.study.workbench import open_workbench
from saber.types import Metrics, SplitName


def compare_checkpoint(config: Config, checkpoint: str, console: Console) -> dict[SplitName, Metrics]:
    """Measure a checkpoint on tune and report, print it beside the base and write ``evaluations/<name>.json``."""
    bench = open_workbench(config)
    other = load(
        checkpoint,
        dtype=config.model.dtype,
        device=config.model.device,
        system_prompt=config.model.system_prompt,
        trust_remote_code=config.model.trust_remote_code,
    )
    references: dict[SplitName, Reference] = {"tune": bench.reference, "report": bench.report_reference()}
    found: dict[SplitName, Metrics] = {}
    for split, reference in references.items():
        found[split] = measure(other, bench.splits[split], config.evaluate, reference=reference)
        base = measure(bench.adapter, bench.splits[split], config.evaluate, reference=reference)
        console.print(_table(f"{checkpoint} on {split}", found[split], base))
    path = bench.folder / "evaluations" / f"{Path(checkpoint).name}.json"
    write_atomically(path, json.dumps({name: metrics_to_json(one) for name, one in found.items()}, indent=2))
    console.print(f"{path} written")
    return found


def _table(title: str, checkpoint: Metrics, base: Metrics) -> Table:
    table = Table("metric", "checkpoint", "95%", "n", "base", title=title)
    for name, one in checkpoint.estimates.items():
        shown = f"{base[name]:.4f}" if name in base.estimates else ""
        table.add_row(name, f"{one.value:.4f}", f"{one.low:.4f} to {one.high:.4f}", str(one.n), shown)
    return table
