"""What a trial costs beyond the model: its wall time over that of the same forward passes with no SABER around them.

    python benchmarks/overhead.py [--trials-per-batch 1 4] [--rounds 1 4] [--repeats 5] [--threads 1] [--profile]

One batch of trials is run with every call of the model recorded: its inputs, how many blocks ran, which call continued
which cache. The same calls are then made on the bare model, without hooks, and timed; trial and replay alternate.

- *model inside* is the time inside the model's calls during the trial: over the bare one it is what hooks add;
- *planning* and *measuring* are what `plan_trials` and `measure_trials` take outside the model's calls;
- *Optuna and storage* is a turn of the driver less its evaluation.

Memory is the resident size: at its peak, and once model, references and caches are loaded, both less what the process
held before it loaded the model.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from saber_worker import Sweep, worker_options

from saber.config import Config
from saber.lm.evaluation.measurement import measure_trials
from saber.study.run.evaluator import plan_trials
from saber.study.search.space import suggest

MODEL_RATIO, SHARE, MEMORY_RATIO = 1.25, 0.10, 1.3
N_PROFILED = 18


class Stop(Exception):
    """Ends a replayed call after the last block that ran in the recorded one."""


@dataclass
class Call:
    """One recorded call of the model: its inputs, the caches as numbers, and how many blocks ran."""

    module: Any
    inputs: dict[str, Any]
    cache: int | None
    first_cache: Any
    n_blocks: int = 0


@dataclass
class Recording:
    """All calls of one batch of trials, the time inside them, and the caches in use."""

    calls: list[Call] = field(default_factory=list)
    seconds: float = 0.0
    depth: int = 0
    started: float = 0.0
    known: dict[int, int] = field(default_factory=dict)
    n_rows: dict[int, int] = field(default_factory=dict)  # of each cache, after the last call that used it
    held: list[Any] = field(default_factory=list)  # keeps caches alive, so that no id is used twice


@contextmanager
def recorded(model: Any, blocks: Any, *, keep: bool) -> Iterator[Recording]:
    """Time every outermost call of the model or its body, and keep its inputs if asked."""
    record = Recording()

    def enter(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        record.depth += 1
        if record.depth > 1:
            return
        if keep:
            record.calls.append(_call(record, module, args, kwargs))
        record.started = time.perf_counter()

    def leave(_module: Any, _args: Any, _kwargs: Any, output: Any) -> None:
        record.depth -= 1
        if record.depth == 0:
            record.seconds += time.perf_counter() - record.started
            cache = getattr(output, "past_key_values", None)
            if keep and cache is not None:
                record.n_rows[id(cache)] = _n_rows(cache)
                if id(cache) not in record.known:
                    record.known[id(cache)] = len(record.calls) - 1
                    record.held.append(cache)

    def count(_module: Any, _args: Any) -> None:
        if keep:
            record.calls[-1].n_blocks += 1

    with ExitStack() as hooks:
        for module in (model, model.get_decoder()):
            hooks.callback(module.register_forward_pre_hook(enter, with_kwargs=True).remove)
            hooks.callback(module.register_forward_hook(leave, with_kwargs=True, always_call=True).remove)
        for block in blocks:
            hooks.callback(block.register_forward_pre_hook(count).remove)
        yield record


def _call(record: Recording, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    if args:
        raise SystemExit(f"error: expected the model's inputs by name, found {len(args)} by position")
    inputs = {name: value.clone() if torch.is_tensor(value) else value for name, value in kwargs.items()}
    cache = inputs.pop("past_key_values", None)
    first = None
    if cache is not None and (id(cache) not in record.known or _n_rows(cache) > record.n_rows.get(id(cache), 0)):
        first = copy.deepcopy(cache)  # such as a static cache, a prefix computed once, or several that were joined
        record.known[id(cache)] = len(record.calls)
        record.held.append(cache)
    return Call(module, inputs, None if cache is None else record.known[id(cache)], first)


@torch.inference_mode()
def replay(recording: Recording, blocks: Any, clock: Callable[[], float] = time.perf_counter) -> float:
    """Make the recorded calls on the bare model; seconds inside them."""
    caches: dict[int, Any] = {}
    seconds = 0.0
    for number, call in enumerate(recording.calls):
        cache = None
        if call.first_cache is not None:
            caches[call.cache or 0] = copy.deepcopy(call.first_cache)
        if call.cache is not None:
            cache = caches[call.cache]
            _shrink(cache, next(value for value in call.inputs.values() if torch.is_tensor(value)))
        with ExitStack() as hooks:
            if 0 < call.n_blocks < len(blocks):
                hooks.callback(blocks[call.n_blocks].register_forward_pre_hook(_stop).remove)
            started = clock()
            try:
                output = call.module(**call.inputs, **({} if cache is None else {"past_key_values": cache}))
            except Stop:
                output = None
            seconds += clock() - started
        if getattr(output, "past_key_values", None) is not None:
            caches.setdefault(number if call.cache is None else call.cache, output.past_key_values)
    return seconds


def _stop(_module: Any, _args: Any) -> None:
    raise Stop


def _shrink(cache: Any, ids: torch.Tensor) -> None:
    """Drop rows that had left the batch; which ones makes no difference to the time."""
    if _n_rows(cache) > len(ids):
        cache.reorder_cache(torch.arange(len(ids), device=ids.device))


def _n_rows(cache: Any) -> int:
    """How many rows a cache holds; none where it keeps no keys, or none yet."""
    return max((len(layer.keys) for layer in cache.layers if getattr(layer, "keys", None) is not None), default=0)


def trial(sweep: Sweep, configs: list[Config], *, keep: bool = False) -> tuple[dict[str, float], Recording]:
    """Plan and measure a batch of trials; seconds of each part."""
    bench = sweep.bench
    model, blocks = bench.adapter.model, bench.adapter.blocks
    with recorded(model, blocks, keep=keep) as record:
        started = time.perf_counter()
        planned = plan_trials(bench, configs)
        planning, inside_planning = time.perf_counter() - started, record.seconds
        started = time.perf_counter()
        plans = [planned_edit.plan for planned_edit in planned]
        measure_trials(bench.adapter, bench.splits["tune"], bench.config.evaluate, bench.reference, plans)
        measuring = time.perf_counter() - started
    inside = record.seconds
    return {
        "evaluation": planning + measuring,
        "model inside": inside,
        "planning": planning - inside_planning,
        "measuring": measuring - (inside - inside_planning),
    }, record


def measure(sweep: Sweep, n: int, repeats: int) -> dict[str, Any]:
    """Alternate trial, replay and a turn of the driver, ``n`` trials in a batch; seconds a trial."""
    rows: list[dict[str, float]] = []
    for repeat in range(repeats + 1):
        configs = [suggest(sweep.study.ask(), sweep.knobs, sweep.config) for _ in range(n)]
        _, recording = trial(sweep, configs, keep=True)
        parts, _ = trial(sweep, configs)
        bare = replay(recording, sweep.bench.adapter.blocks)
        turn = sweep.handle({"run": n, "trials_per_batch": n})
        evaluated = sum(driven.user_attrs["seconds"] for driven in sweep.study.get_trials(deepcopy=False)[-n:])
        if repeat:  # the first warms up
            rows.append({**parts, "bare model": bare, "Optuna and storage": turn["seconds"] - evaluated})
    of = {name: median(row[name] for row in rows) / n for name in rows[0]}
    wall = of["evaluation"] + of["Optuna and storage"]
    return {
        "T": n,
        "s_per_trial": of,
        "wall": wall,
        "over_model": median((row["evaluation"] + row["Optuna and storage"]) / row["bare model"] for row in rows),
        "hooks": of["model inside"] - of["bare model"],
        "calls": len(recording.calls),
    }


def resident() -> int:
    """Bytes resident now."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()


def memory(before: int, loaded: int) -> dict[str, float]:
    """Peak over loaded, both less what was there before."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "before_mb": before / 1e6,
        "loaded_mb": loaded / 1e6,
        "peak_mb": peak / 1e6,
        "ratio": peak / loaded,
        "ratio_less_before": (peak - before) / max(1, loaded - before),
    }


def profile(sweep: Sweep) -> str:
    """Where one trial's time goes by operator, under torch's profiler."""
    configs = [suggest(sweep.study.ask(), sweep.knobs, sweep.config)]
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        trial(sweep, configs)
    return profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=N_PROFILED, max_name_column_width=40)


def shown(measured: list[dict[str, Any]], console: Console) -> None:
    """Print one row a setting: shares of the wall time of a trial."""
    table = Table(title="a trial's time")
    names = ("rounds", "T", "ms a trial", "over bare model", "bare model", "hooks", "planning", "measuring", "Optuna")
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("all but the model", justify="right")
    for setting in measured:
        of, wall = setting["s_per_trial"], setting["wall"]
        rest = [setting["hooks"], of["planning"], of["measuring"], of["Optuna and storage"]]
        cells = [f"{share / wall:.0%}" for share in (of["bare model"], *rest, sum(rest))]
        table.add_row(
            str(setting["rounds"]), str(setting["T"]), f"{1000 * wall:.0f}", f"{setting['over_model']:.2f}", *cells
        )
    console.print(table)
    console.print(f"targets: over bare model <= {MODEL_RATIO}, hooks, planning, Optuna and bookkeeping < {SHARE:.0%}")


def run(options: argparse.Namespace, rounds: int, folder: Path, console: Console) -> list[dict[str, Any]]:
    """All batch sizes for one number of rounds."""
    before = resident()
    words = [str(options.organism), str(folder / f"rounds-{rounds}"), f"--rounds={rounds}", f"--only={options.only}"]
    sweep = Sweep(worker_options([*words, f"--threads={options.threads}"]))
    loaded = resident()
    measured = [{"rounds": rounds, **measure(sweep, n, options.repeats)} for n in options.trials_per_batch]
    measured[-1]["memory"] = memory(before, loaded)
    if options.profile:
        console.print(profile(sweep), highlight=False)
    return measured


def main() -> None:
    """Measure, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--organism", type=Path, default=Path("sweeps/_organism/seed0"))
    parser.add_argument("--trials-per-batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=("refusals", "all"), default="all")
    parser.add_argument("--profile", action="store_true", help="torch's profiler on one trial")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks/overhead.json"))
    options = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=180)
    measured: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for rounds in options.rounds:
            measured += run(options, rounds, Path(folder), console)
    shown(measured, console)
    of = next(setting["memory"] for setting in measured if "memory" in setting)  # the first: a peak is never taken back
    console.print(
        f"memory: {of['before_mb']:.0f} MB before the model, {of['loaded_mb']:.0f} loaded, {of['peak_mb']:.0f} at the"
        f" peak: {of['ratio']:.2f} times loaded (target {MEMORY_RATIO}),"
        f" {of['ratio_less_before']:.2f} times without what was there before"
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
