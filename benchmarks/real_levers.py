"""What attention's implementation, bfloat16 and compiled blocks are worth to a trial's measurement on a CPU.

    python benchmarks/real_levers.py FOLDER --out OUT [--repeats 5] [--levers eager sdpa bfloat16 mlps blocks]
        [--harmful 16] [--harmless 8] [--tokens 16]

FOLDER is what ``real_model.py prepare`` made. One plan, a tenth of the difference in means taken out of every layer, is
measured under every lever in turn, again and again, so that a slow phase of the machine hits all alike. Each lever has
a base of its own, as a study would; seconds are of the processor, one thread. A compiled part is compiled with the
plan's hooks in it: one that is applied later would not be seen.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import torch
from real_cells import Cell, Setting, configured

from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.apply import applied
from saber.lm.evaluation.measurement import Measured, measure_trials
from saber.lm.evaluation.reference import Reference, make_reference
from saber.lm.inference.residuals import last_token_residuals
from saber.lm.loading.load import load
from saber.study.preflight import preflight
from saber.types import EditPlan, Split

LEVERS = {
    "eager": ("fp32, eager attention", "float32", "eager"),
    "sdpa": ("fp32, sdpa attention", "float32", "sdpa"),
    "bfloat16": ("bf16, sdpa attention", "bfloat16", "sdpa"),
    "mlps": ("fp32, sdpa attention, MLPs compiled", "float32", "sdpa"),
    "blocks": ("fp32, sdpa attention, blocks compiled", "float32", "sdpa"),
}
STRENGTH = 0.1


@dataclass
class Contender:
    """One lever's model with its own base, edited for as long as it is measured, and what repeats took."""

    name: str
    adapter: Adapter
    split: Split
    profile: EvaluateConfig
    reference: Reference
    editing: AbstractContextManager[Adapter]
    seconds: list[float] = field(default_factory=list)
    compiling: float = 0.0
    last: Measured | None = None

    def run(self) -> None:
        """Measure the edited model once."""
        started = time.process_time()
        (self.last,) = measure_trials(self.adapter, self.split, self.profile, self.reference, [EditPlan(())])
        self.seconds.append(time.process_time() - started)

    def drift(self) -> list[float]:
        """The response KLD of every drift prompt, in nats."""
        assert self.last is not None
        return [reply.drift["kld_response"] for reply in self.last.responses if "kld_response" in reply.drift]


def contender(lever: str, options: argparse.Namespace, split: Split, profile: EvaluateConfig) -> Contender:
    """A lever's model, edited and compiled."""
    name, dtype, attention = LEVERS[lever]
    adapter = load(str(options.folder / "model"), dtype=dtype, device="cpu", attn_implementation=attention)
    reference = replace(make_reference(adapter, split, profile), past=None)  # drafts would learn the replies
    editing = applied(adapter, [difference_in_means(adapter, split)])
    editing.__enter__()
    built = Contender(name, adapter, split, profile, reference, editing)
    if lever in ("mlps", "blocks"):
        for block in adapter.blocks:
            part = block if lever == "blocks" else block.get_submodule("mlp")
            part.forward = torch.compile(part.forward, dynamic=True)
    built.run()  # warms up, and compiles
    built.compiling = built.seconds.pop()
    return built


def difference_in_means(adapter: Adapter, split: Split) -> EditPlan:
    """What the means of the residual streams differ by, a tenth of it taken out of every layer."""
    harmful, harmless = (
        last_token_residuals(adapter, split.of(kind), batch_size=8)[0] for kind in ("harmful", "harmless")
    )
    apart = torch.nn.functional.normalize(harmful.mean(dim=1) - harmless.mean(dim=1), dim=-1)
    return EditPlan.from_directions({i: (r.unsqueeze(1), torch.tensor([STRENGTH])) for i, r in enumerate(apart)})


def table(contenders: Sequence[Contender]) -> str:
    """Seconds, paired ratios, and how far numbers and replies are from the first lever's."""
    first = contenders[0]
    lines = ["| lever | s (median, range) | times the first (median, range) | largest difference of response KLD |"]
    lines += ["|---|---|---|---|"]
    for lever in contenders:
        ratios = [mine / base for mine, base in zip(lever.seconds, first.seconds, strict=True)]
        apart = max(abs(mine - base) for mine, base in zip(lever.drift(), first.drift(), strict=True))
        lines.append(
            f"| {lever.name} | {median(lever.seconds):.2f} ({min(lever.seconds):.2f}-{max(lever.seconds):.2f})"
            f" | {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | {apart:.1e} |"
        )
    return "\n".join(lines)


def differing(built: Contender, first: Contender) -> int:
    """How many replies of the edited model differ from the first lever's."""
    assert built.last is not None
    assert first.last is not None
    return sum(a.text != b.text for a, b in zip(built.last.responses, first.last.responses, strict=True))


def main() -> None:
    """Alternate, print the table, keep the seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--levers", nargs="+", choices=tuple(LEVERS), default=list(LEVERS))
    parser.add_argument("--harmful", type=int, default=16)
    parser.add_argument("--harmless", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=16)
    options = parser.parse_args()
    torch._dynamo.config.recompile_limit = 64  # a block is compiled for its number, and for each form of the cache
    config = configured(Cell("inputs", 0), Setting(options.folder, options.out, 40, options.tokens))
    tune = preflight(config, searching=False).splits["tune"]
    split = Split("tune", (*tune.of("harmful")[: options.harmful], *tune.of("harmless")[: options.harmless]))
    torch.set_num_threads(1)
    contenders = [contender(lever, options, split, config.evaluate) for lever in options.levers]
    for _ in range(options.repeats):
        for entrant in contenders:
            entrant.run()
    print(table(contenders))
    for entrant in contenders:
        mean, apart = sum(entrant.drift()) / len(entrant.drift()), differing(entrant, contenders[0])
        print(
            f"{entrant.name}: first run {entrant.compiling:.1f} s, {apart} replies differ, mean response KLD {mean:.6f}"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    seconds = {entrant.name: entrant.seconds for entrant in contenders}
    (options.out / "real_levers.json").write_text(json.dumps(seconds, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
