"""What a trial costs at google/gemma-4-E4B-it's size: its exact configuration with random weights, nothing downloaded.

    python benchmarks/e4b.py [--device cuda] [--scale 1] [--trials-per-batch 1 2 4 8] [--rounds 1 4] [--trials 8]

Prints trials an hour and peak memory for every number of trials in a batch and of rounds, the ratio to one trial in a
batch, and whether the greedy text and the KL are those of one trial alone. Plans follow ``+sweep=gemma4`` with every
trial its own alpha_base; refinement never stops early. Random weights end no reply, so every row says all its tokens:
what is printed is the dear end of a trial. Drafts are left out, as a later contender would profit from an earlier one.

``--scale 16`` divides widths and the vocabulary and keeps the 42 layers and their pattern, for a machine without a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from saber_worker import composed, with_rounds

from saber.config import Config
from saber.keys import with_values
from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.evaluation.measurement import Measured, measure_trials
from saber.lm.evaluation.reference import Reference, make_reference
from saber.lm.inference.oom import OutOfMemory, within_memory
from saber.lm.inference.residuals import probe
from saber.lm.loading.load import build_model, quiet
from saber.lm.planning import PlanRequest, make_plans
from saber.study.run.forecast import peak_bytes
from saber.types import Activations, ProbeSet, Prompt, PromptKind, Split

LAYERS, FULL_EVERY, SHARED_KV = 42, 6, 18
FIRST_WORD = 16  # ids below it are special
SIZES: dict[PromptKind, int] = {"harmful": 96, "harmless": 64, "capability": 64}
TOLERANCE = 1e-5


def e4b_config(scale: int) -> dict[str, Any]:
    """The text configuration of google/gemma-4-E4B-it, its widths and vocabulary divided by ``scale``."""
    vocabulary = 262144 // scale
    return {
        "vocab_size": vocabulary,
        "vocab_size_per_layer_input": vocabulary,
        "hidden_size": 2560 // scale,
        "hidden_size_per_layer_input": 256 // scale,
        "intermediate_size": 10240 // scale,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 256 // scale,
        "global_head_dim": 512 // scale,
        "num_kv_shared_layers": SHARED_KV,
        "sliding_window": 512,
        "layer_types": [
            "sliding_attention" if (layer + 1) % FULL_EVERY else "full_attention" for layer in range(LAYERS)
        ],
        "final_logit_softcapping": 30.0,
        "max_position_embeddings": 131072,
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
            "full_attention": {"rope_type": "proportional", "rope_theta": 1_000_000.0, "partial_rotary_factor": 0.25},
        },
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    }


def tokenizer(vocabulary: int, length: int) -> Any:
    """As many random words as a prompt is long, the same ones for the same text; ids spelt out as text."""

    def rows(chats: Sequence[Any], *, tokenize: bool, **_: Any) -> dict[str, list[list[int]]] | list[str]:
        if not tokenize:
            return [chat[-1]["content"] for chat in chats]
        rows_there = []
        for chat in chats:
            generator = torch.Generator().manual_seed(int(chat[-1]["content"]))
            words = torch.randint(FIRST_WORD, vocabulary, (length,), generator=generator)
            rows_there.append([2, *words.tolist()])
        return {"input_ids": rows_there}

    def spelt(replies: Sequence[Sequence[int]], **_: Any) -> list[str]:
        return [" ".join(map(str, reply)) for reply in replies]

    return SimpleNamespace(
        pad_token_id=0, eos_token_id=1, bos_token_id=2, chat_template="x", apply_chat_template=rows, batch_decode=spelt
    )


def prompts(kind: PromptKind, n: int, seed: int) -> tuple[Prompt, ...]:
    """Prompts whose text is the seed of their words."""
    return tuple(Prompt(str(seed + i), kind) for i in range(n))


@dataclass(frozen=True, eq=False)
class Bench:
    """The model and what its trials share."""

    adapter: Adapter
    probes: ProbeSet
    activations: Activations
    split: Split
    reference: Reference
    config: Config


def built(options: argparse.Namespace) -> Bench:
    """Build the model where it will run, and make what trials share."""
    torch.manual_seed(0)
    about, dtype = e4b_config(options.scale), torch.bfloat16 if options.device == "cuda" else torch.float32
    with torch.device(options.device):
        model = build_model("gemma4_text", about, dtype).eval()
    adapter = adapt(model, tokenizer(about["vocab_size"], options.prompt_tokens))
    config = composed(["+sweep=gemma4"])
    config = with_values(
        config, {"evaluate.max_new_tokens": options.tokens, "evaluate.batch_size": options.rows, "data.n_probe": 60}
    )
    n_probe, n_capability = config.data.n_probe, config.data.n_capability
    assert n_probe is not None
    assert n_capability is not None
    probes = ProbeSet(
        prompts("harmful", n_probe, 0), prompts("harmless", n_probe, 1000), prompts("capability", n_capability, 2000)
    )
    (activations,) = probe(adapter, probes, batch_size=options.rows)
    split = Split(
        "tune",
        tuple(prompt for i, (kind, n) in enumerate(SIZES.items()) for prompt in prompts(kind, n, 3000 + 500 * i)),
    )
    reference = replace(make_reference(adapter, split, config.evaluate), past=None)
    return Bench(adapter, probes, activations, split, reference, config)


def requests(base: Config, rounds: int, n: int) -> list[PlanRequest]:
    """Trials that differ in strength and refine exactly so many rounds."""
    config = with_rounds(base, rounds)
    alphas = [round(0.4 + 0.8 * i / max(1, n - 1), 3) for i in range(n)]
    return [
        PlanRequest(with_values(config, {"edit.alpha_base": alpha}).edit, config.data.probe_sizes) for alpha in alphas
    ]


def trials(bench: Bench, wanted: Sequence[PlanRequest], at_once: int) -> list[Measured]:
    """Plan and measure the trials, ``at_once`` in a batch."""
    measured: list[Measured] = []
    evaluate = bench.config.evaluate
    for start in range(0, len(wanted), at_once):
        part = wanted[start : start + at_once]
        planned = make_plans(bench.adapter, bench.probes, bench.activations, part, batch_size=evaluate.batch_size)
        measured += measure_trials(
            bench.adapter, bench.split, evaluate, bench.reference, [planned_edit.compiled for planned_edit in planned]
        )
    return measured


def timed(device: torch.device, action: Callable[[], list[Measured]]) -> tuple[list[Measured], float, float]:
    """What an action gives, its seconds, and the peak of memory in gigabytes (a process's own never falls)."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    result = action()
    if on_gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return result, seconds, peak_bytes(device) / 1e9


def apart(ones: Sequence[Measured], others: Sequence[Measured]) -> tuple[int, float]:
    """Replies that differ, and the largest gap between two KLs in nats."""
    texts = [
        (a.text, b.text)
        for own, other in zip(ones, others, strict=True)
        for a, b in zip(own.responses, other.responses, strict=True)
    ]
    gaps = [abs(own.metrics["kld"] - other.metrics["kld"]) for own, other in zip(ones, others, strict=True)]
    return sum(a != b for a, b in texts), max(gaps)


def measured(bench: Bench, rounds: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every number of trials in a batch, in turn, after one batch that warms up."""
    wanted = requests(bench.config, rounds, options.trials)
    trials(bench, wanted[:1], 1)
    rows: list[dict[str, Any]] = []
    alone: list[Measured] | None = None
    for at_once in options.trials_per_batch:
        row: dict[str, Any] = {"rounds": rounds, "T": at_once}
        try:
            action = partial(trials, bench, wanted, at_once)
            result, seconds, peak = within_memory(partial(timed, bench.adapter.device, action))
        except OutOfMemory as error:
            rows.append({**row, "failure": str(error)})
            continue
        each = seconds / len(wanted)
        row |= {"s_per_trial": each, "trials_per_hour": 3600 / each, "peak_gb": peak}
        if alone is None:
            alone = result
        row["replies_apart"], row["largest_kl_gap"] = apart(alone, result)
        rows.append(row)
    return rows


def shown(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print a row for every setting."""
    table = Table(title="trials at Gemma 4 E4B's size")
    for name in (
        "rounds",
        "T",
        "s a trial",
        "trials an hour",
        "times the first",
        "peak GB",
        "replies apart",
        "KL apart",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        head = [str(row["rounds"]), str(row["T"])]
        if "failure" in row:
            table.add_row(*head, "out of memory")
            continue
        first = next(earlier for earlier in rows if earlier["rounds"] == row["rounds"] and "failure" not in earlier)
        table.add_row(
            *head,
            f"{row['s_per_trial']:.2f}",
            f"{row['trials_per_hour']:.0f}",
            f"{first['s_per_trial'] / row['s_per_trial']:.2f}",
            f"{row['peak_gb']:.1f}",
            str(row["replies_apart"]),
            f"{row['largest_kl_gap']:.1e}",
        )
    console.print(table)
    console.print(f"aims: T > 1 at 3 times T = 1 on a GPU, no reply apart and KL within {TOLERANCE:g} in fp32")


def options_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--scale", type=int, default=1, choices=(1, 2, 4, 8, 16))
    parser.add_argument("--trials-per-batch", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--prompt-tokens", type=int, default=40)
    parser.add_argument("--rows", type=int, default=256, help="rows in a batch, trials included")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks/e4b.json"))
    return parser.parse_args(words)


def main() -> None:
    """Build, measure, print the table, write JSON."""
    options = options_of()
    quiet()
    console = Console() if sys.stdout.isatty() else Console(width=140)
    started = time.perf_counter()
    bench = built(options)
    n_parameters = sum(parameter.numel() for parameter in bench.adapter.model.parameters())
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    console.print(
        f"{n_parameters / 1e9:.2f}e9 parameters in {bench.adapter.dtype} on {where}, made ready in"
        f" {time.perf_counter() - started:.0f} s"
    )
    rows = [row for rounds in options.rounds for row in measured(bench, rounds, options)]
    shown(rows, console)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    about = {"where": where, "parameters": n_parameters, "scale": options.scale, "tokens": options.tokens}
    options.out.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
