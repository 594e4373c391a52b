"""An adapter for llama.cpp against the edit that it was made from: next tokens, replies and refusals, side by side.

    python benchmarks/llama_cpp_adapter.py <model folder> <base.gguf> <prompts folder> <markers.yaml>

transformers runs the dequantised weights of the same GGUF in fp32 and is edited virtually; llama.cpp runs the GGUF as
it is with the adapter at a scale. ``prompts`` holds harmful.jsonl and harmless.jsonl; the first 48 of each give the
direction (a difference in means at .6 of depth, taken out of the writers from .35 to .7), the next ``n`` are asked.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from llama_cpp import Llama
from torch import Tensor

from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.apply import applied
from saber.lm.editing.gguf import save_gguf_adapter
from saber.lm.inference.batches import tokenise
from saber.lm.inference.generation.greedy import end_tokens, greedy
from saber.lm.inference.residuals import probe
from saber.lm.loading.load import load, quiet
from saber.types import EditPlan, ProbeSet, Prompt

N_PROBE = 48
DEPTH, FIRST, LAST = 0.6, 0.35, 0.7  # of all layers: where the direction is read, and where it is taken out
CONTEXT = 512
SCALES = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Run:
    """One runtime on the asked prompts: log-probabilities of the next token, and greedy replies."""

    name: str
    next_token: Tensor
    replies: tuple[str, ...]


def main() -> None:
    """Make the adapter, run both, print the tables."""
    words = _arguments()
    quiet()
    torch.set_num_threads(1)
    adapter = load(str(words.model), dtype="float32", device="cpu")
    harmful, harmless = (_prompts(words.prompts / f"{kind}.jsonl", kind) for kind in ("harmful", "harmless"))
    plan = direction_plan(adapter, harmful[:N_PROBE], harmless[:N_PROBE])
    asked = [*harmful[N_PROBE : N_PROBE + words.n], *harmless[N_PROBE : N_PROBE + words.n]]
    rows = tokenise(adapter, asked)
    runs = [_transformers(adapter, rows, given, words.tokens) for given in (None, plan)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "adapter.gguf"
        save_gguf_adapter(adapter, plan, file, words.model.name)
        size = file.stat().st_size
        runs += [_llama_cpp(adapter, words.gguf, file, scale, rows, words.tokens) for scale in SCALES]
    print(f"\n{words.gguf.name}, {len(asked)} prompts, {words.tokens} greedy tokens; the adapter: {size / 1e3:.0f} kB")
    print(_next_tokens(runs))
    print(_replies(runs, words.n, _markers(words.markers)))


def direction_plan(adapter: Adapter, harmful: Sequence[Prompt], harmless: Sequence[Prompt]) -> EditPlan:
    """One direction, the difference in means at one depth, taken whole out of the writers of a band of layers."""
    (seen,) = probe(adapter, ProbeSet(tuple(harmful), tuple(harmless), tuple(harmless[:2])), batch_size=16)
    layer = round(DEPTH * adapter.n_layers)
    gap = (seen.harmful[layer].mean(0) - seen.harmless[layer].mean(0)).float()
    r = (gap / gap.norm()).unsqueeze(1)
    band = range(round(FIRST * adapter.n_layers), round(LAST * adapter.n_layers))
    return EditPlan.from_directions({layer: (r, torch.ones(1)) for layer in band})


def _transformers(adapter: Adapter, rows: Sequence[list[int]], plan: EditPlan | None, n_tokens: int) -> Run:
    print(f"transformers, {'edited' if plan else 'base'}", flush=True)
    with applied(adapter, [plan or EditPlan(())]), torch.no_grad():
        logits = [adapter.model(torch.tensor([row]), logits_to_keep=1).logits[0, -1] for row in rows]
        (replies,) = greedy(adapter, rows, max_new_tokens=n_tokens, batch_size=32)
    texts = adapter.tokenizer.batch_decode([list(reply.tokens) for reply in replies], skip_special_tokens=True)
    name = "transformers, edited" if plan else "transformers, base"
    return Run(name, torch.stack(logits).log_softmax(-1), tuple(texts))


def _llama_cpp(adapter: Adapter, gguf: Path, file: Path, scale: float, rows: Sequence[list[int]], n_tokens: int) -> Run:
    """Greedy by argmax of the raw logits, as the other side does."""
    print(f"llama.cpp, scale {scale:g}", flush=True)
    lora = {"lora_path": str(file), "lora_scale": scale} if scale else {}
    model = Llama(str(gguf), n_ctx=CONTEXT, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False, **lora)
    ends, first, texts = end_tokens(adapter), [], []
    for row in rows:
        model.reset()
        model.eval(row)
        logits = torch.tensor(model.scores[model.n_tokens - 1])
        first.append(logits.log_softmax(-1))
        said: list[int] = []
        while len(said) < n_tokens:
            token = int(logits.argmax())
            if token in ends:
                break
            said.append(token)
            model.eval([token])
            logits = torch.tensor(model.scores[model.n_tokens - 1])
        texts.append(adapter.tokenizer.decode(said, skip_special_tokens=True))
    model.close()
    return Run(f"llama.cpp, scale {scale:g}", torch.stack(first), tuple(texts))


def _next_tokens(runs: Sequence[Run]) -> str:
    """How far apart next tokens are: pairs that ought to be the same, and what the edit does for comparison."""
    by_name = {run.name: run.next_token for run in runs}
    pairs = [
        ("transformers, base", "llama.cpp, scale 0"),
        ("transformers, edited", "llama.cpp, scale 1"),
        ("transformers, base", "transformers, edited"),
        ("llama.cpp, scale 0", "llama.cpp, scale 1"),
    ]
    lines = [
        "",
        "| P | Q | KL(P, Q) mean, nats | median | most likely token the same | of the five likeliest, shared |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for ours, other in pairs:
        p, q = by_name[ours], by_name[other]
        kl = (p.exp() * (p - q)).sum(-1)
        same = (p.argmax(-1) == q.argmax(-1)).float().mean()
        five = [set(a.tolist()) & set(b.tolist()) for a, b in zip(p.topk(5).indices, q.topk(5).indices, strict=True)]
        shared = sum(map(len, five)) / (5 * len(five))
        lines.append(f"| {ours} | {other} | {kl.mean():.4f} | {kl.median():.4f} | {same:.0%} | {shared:.0%} |")
    return "\n".join(lines)


def _replies(runs: Sequence[Run], n: int, markers: Sequence[re.Pattern[str]]) -> str:
    """Refusals of harmful and of harmless prompts, and how many replies begin as those of transformers do."""
    like = {"transformers, base": runs[0], "transformers, edited": runs[1]}
    lines = ["", "| run | harmful refused | harmless refused | first 8 words as in transformers |", "|---|---|---|---|"]
    for run in runs:
        refused = [any(marker.search(text) for marker in markers) for text in run.replies]
        other = runs[1] if run.name.endswith(("edited", "scale 1")) else runs[0]
        same = sum(a.split()[:8] == b.split()[:8] for a, b in zip(run.replies, other.replies, strict=True))
        shown = "" if run.name in like or run.name.endswith("0.5") else f"{same}/{len(run.replies)}"
        lines.append(f"| {run.name} | {sum(refused[:n])}/{n} | {sum(refused[n:])}/{len(refused) - n} | {shown} |")
    return "\n".join(lines)


def _markers(file: Path) -> list[re.Pattern[str]]:
    """Each phrase as a pattern of whole words, in any case."""
    phrases = yaml.safe_load(file.read_text(encoding="utf-8"))["phrases"]
    return [re.compile(rf"(?<!\w)(?:{phrase})(?!\w)", re.IGNORECASE) for phrase in phrases]


def _prompts(file: Path, kind: str) -> list[Prompt]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [Prompt(json.loads(line)["prompt"], "harmful" if kind == "harmful" else "harmless") for line in lines]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "gguf", "prompts", "markers"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--n", type=int, default=32)
    return parser.parse_args()


if __name__ == "__main__":
    main()
