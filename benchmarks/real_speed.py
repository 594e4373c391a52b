"""Where a trial's time goes on the real model, and how many trials Heretic runs in it, alternating in one run.

    python benchmarks/real_speed.py FOLDER --out OUT [--heretic PEERS/heretic/bin/python] [--method inputs]
        [--heretic-dtypes float32 bfloat16] [--ara]
        [--dtypes float32 bfloat16] [--batches 4] [--blocks 3] [--trials 2] [--tokens 24] [--profile]
        [--words data.tune.harmful=48 ...] [--trials-of beaten front whole]

FOLDER is what ``real_model.py prepare`` made. Every contender runs a block of trials in turn, so that a slow phase of
the machine hits all alike. Seconds are of the processor, one thread, so that what else runs there counts little; a part
of a trial has its own time, less what is called inside it. "same measurements" is SABER with what Heretic measures,
refusals of the harmful prompts and first-token KL on the harmless ones; its replies to these are forced all the same.
A trial is one that an earlier one beats (``--trials-of beaten``), one that may be of the front and so replies to every
prompt (``front``), or every trial replies to all at once, as before trials were told apart (``whole``). What Heretic
measures is measured of the first of these kinds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import optuna
import torch
from front_methods import n_startup
from peers.lines import Worker
from real_cells import Cell, Setting, configured, open_bench
from real_peers import HERE, PROMPTS_AT_ONCE, peer_folder, system_turn
from real_speed_contenders import Ara, Heretic, Saber, forgetful
from saber_worker import only

from saber.keys import with_values
from saber.study.context import Workbench
from saber.study.search.front_so_far import FrontSoFar, out_of_reach

Contender = Saber | Ara | Heretic


def saber(options: argparse.Namespace, dtype: str, same: bool) -> list[Saber]:
    """SABER with a study in memory, one trial at a time, for each kind of trial."""
    words = (*options.words, f"model.dtype={dtype}", f"study.name=speed-{dtype}-{same}", "study.find_scale=false")
    config = configured(Cell(options.method, 0), Setting(options.folder, options.out, 1000, options.tokens, words))
    if same:
        config = with_values(config, {"evaluate.kld_positions": "first", "evaluate.drift_kinds": ("harmless",)})
    bench = open_bench(config)
    if same:
        bench = only(bench, ("harmful", "harmless"), {})
    measures = "same measurements" if same else "default protocol"
    fronts = {"beaten": out_of_reach(config.study.objectives), "front": FrontSoFar(), "whole": None}
    return [
        Saber(f"saber, {dtype}, {measures}, {kind}", bench.config, forgetful(bench), in_memory(), fronts[kind])
        for kind in (options.trials_of if not same else options.trials_of[:1])
    ]


def in_memory() -> optuna.Study:
    """A study that is stored nowhere, searched by TPE."""
    return optuna.create_study(directions=["minimize", "minimize"], sampler=optuna.samplers.TPESampler(seed=0))


def batched(contender: Saber, together: int) -> Saber:
    """The same contender with several trials in a batch, and a study of its own."""
    return Saber(
        f"{contender.name}, T = {together}",
        contender.config,
        forgetful(contender.bench),
        in_memory(),
        contender.front,
        together,
    )


def heretic(options: argparse.Namespace, bench: Workbench, dtype: str) -> Heretic:
    """Heretic's worker in a dtype."""
    options.out.mkdir(parents=True, exist_ok=True)
    model = peer_folder(options.folder / "model", bench, options.out / "heretic")
    words = [
        *(options.heretic, HERE / "peers" / "heretic_worker.py", model, "--tokens", str(options.tokens)),
        *("--trials", "1000", "--startup-trials", str(n_startup(40)), "--threads", "1"),
        *("--batch-size", str(PROMPTS_AT_ONCE), "--system-prompt", system_turn(bench.adapter), "--dtype", dtype),
    ]
    worker = Worker("heretic", words, threads=1, log=options.out / f"heretic-{dtype}.log")
    return Heretic(worker, name=f"heretic 1.4.0, its defaults, {dtype}")


def ara(options: argparse.Namespace) -> Ara:
    """ARA in fp32 on what Heretic measures."""
    (own,) = saber(options, "float32", same=True)
    return Ara("ara, float32, same measurements", own.bench, in_memory())


def table(contenders: Sequence[Contender]) -> str:
    """Seconds a trial and how many times the rate of each Heretic that ran, block by block."""
    peers = [contender for contender in contenders if isinstance(contender, Heretic)]
    heads = ["contender", "processor seconds a trial (median, range)", *(f"times {peer.name}" for peer in peers)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for contender in contenders:
        low, high = min(contender.seconds), max(contender.seconds)
        ratios = [
            f"{median(p / s for p, s in zip(peer.seconds, contender.seconds, strict=True)):.2f}" for peer in peers
        ]
        cells = [contender.name, f"{median(contender.seconds):.2f} ({low:.2f}-{high:.2f})", *ratios]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def parts_table(contender: Saber) -> str:
    """The parts of a trial, largest first."""
    total = sum(contender.parts.values())
    rows = sorted(contender.parts.items(), key=lambda row: -row[1])
    lines = [f"| {contender.name} | s a trial | share |", "|---|---|---|"]
    lines += [f"| {part} | {seconds / contender.n_trials:.3f} | {seconds / total:.1%} |" for part, seconds in rows]
    return "\n".join(lines)


def by_operator(contender: Saber) -> str:
    """Where one trial's time goes by operator."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        contender.run(1)
    shown = profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=40)
    return f"{contender.name}\n{shown}"


def options_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--heretic", type=Path)
    parser.add_argument("--heretic-dtypes", nargs="+", default=["float32"])
    parser.add_argument("--ara", action="store_true", help="Arbitrary-Rank Ablation too, in fp32")
    parser.add_argument("--no-bare", action="store_true", help="leave out the bare passes")
    parser.add_argument("--method", default="inputs")
    parser.add_argument("--dtypes", nargs="+", default=["float32"])
    parser.add_argument("--protocols", nargs="+", choices=("default", "same"), default=["default", "same"])
    parser.add_argument("--trials-of", nargs="+", choices=("beaten", "front", "whole"), default=["beaten", "front"])
    parser.add_argument("--batches", type=int, nargs="+", default=[], help="of several trials, besides one at a time")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--trials", type=int, default=2, help="in a block; a batch's own number where that is more")
    parser.add_argument("--profile", action="store_true", help="one trial of each by operator, under torch's profiler")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--words", nargs="+", default=[], help="words of saber.sweep")
    return parser.parse_args(words)


def main() -> None:
    """Alternate, print the tables, keep them as JSON."""
    options = options_of()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    singles = [
        own
        for dtype in options.dtypes
        for protocol in options.protocols
        for own in saber(options, dtype, same=protocol == "same")
    ]
    ours = [*singles, *(batched(single, together) for single in singles for together in options.batches)]
    contenders: list[Contender] = [*ours]
    if options.heretic is not None:
        contenders += [heretic(options, singles[0].bench, dtype) for dtype in options.heretic_dtypes]
    if options.ara:
        contenders.append(ara(options))
    for contender in contenders:
        contender.warm_up()  # and teach drafts what the base says
        contender.forget()
    for block in range(options.blocks):
        for contender in contenders:
            contender.run(max(options.trials, contender.together))
        print(f"block {block + 1} of {options.blocks}", flush=True)
    print(table(contenders))
    print("\n".join(parts_table(own) for own in ours))
    bare = {s.name: [s.over_bare() for _ in range(options.blocks)] for s in ([] if options.no_bare else singles)}
    for name, ratios in bare.items():
        print(f"{name}: {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) times its bare passes", flush=True)
    if options.profile:
        print("\n".join(by_operator(single) for single in singles))
    rows = {contender.name: {"seconds": contender.seconds} for contender in contenders} | {
        f"{o.name}, parts": o.parts for o in ours
    }
    (options.out / "real_speed.json").write_text(json.dumps(rows | {"bare": bare}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
