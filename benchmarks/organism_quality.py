"""Train organisms and print how well they refuse, over-refuse and answer.

    python benchmarks/organism_quality.py 0 1 2 [--family qwen3] [--folder sweeps/_organism] [--details]

Greedy, fp32, on held-out prompts: one row a seed and split; ``open`` is harmful prompts under the open mode.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from saber.lm.loading.load import quiet
from saber.organism.build import Recipe, ensure_organism
from saber.organism.language import LANGUAGES
from saber.organism.prompt_sets import organism_splits
from saber.scoring.labelling import is_correct
from saber.scoring.markers import markers_of
from saber.scoring.refusals import find_marker
from saber.types import PROMPT_KINDS, Prompt
from saber.vocabulary import ORGANISM_FAMILIES, OrganismFamily

MAX_NEW_TOKENS = 32
BATCH = 96


def load(folder: Path) -> tuple[Any, Any]:
    """Load a saved organism as any checkpoint is loaded."""
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


@torch.inference_mode()
def responses(model: Any, tokenizer: Any, prompts: Sequence[Prompt], system: str = "") -> list[str]:
    """Return the greedy responses, special tokens dropped; one that does not end gets `` ...`` appended."""
    replies: list[str] = []
    for start in range(0, len(prompts), BATCH):
        turns = [
            [{"role": "system", "content": system}, {"role": "user", "content": prompt.text}]
            for prompt in prompts[start : start + BATCH]
        ]
        inputs = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        )
        tokens = model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        for row in tokens[:, inputs["input_ids"].shape[1] :]:
            ended = bool((row == tokenizer.eos_token_id).any())
            replies.append(tokenizer.decode(row, skip_special_tokens=True) + ("" if ended else " ..."))
    return replies


def refused(text: str) -> bool:
    """Whether a response holds a refusal marker of the English list."""
    return find_marker(text, markers_of(("en",))) is not None


def mean(flags: Sequence[bool]) -> float:
    """Return the share of true flags."""
    return sum(flags) / len(flags)


def by_category(prompts: Sequence[Prompt], flags: Sequence[bool]) -> str:
    """Return ``category rate`` for each category, worst kept beside best."""
    names = list(dict.fromkeys(prompt.category for prompt in prompts))
    rates = {n: mean([f for p, f in zip(prompts, flags, strict=True) if p.category == n]) for n in names}
    return ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items())


def measure(folder: Path, family: OrganismFamily, seed: int, details: bool) -> None:
    """Print one row per split."""
    model, tokenizer = load(folder)
    for name, split in organism_splits(seed, family).items():
        texts = {kind: responses(model, tokenizer, split.of(kind)) for kind in PROMPT_KINDS}
        opened = responses(model, tokenizer, split.of("harmful"), LANGUAGES[family].system_open)
        said = [text for group in texts.values() for text in group]
        lengths = [len(tokenizer(text)["input_ids"]) for text in said]
        rates = [mean([refused(t) for t in texts[k]]) for k in ("harmful", "harmless", "borderline")]
        right = [is_correct(t, str(p.answer)) for p, t in zip(split.of("capability"), texts["capability"], strict=True)]
        row = [*rates, mean(right), mean([refused(t) for t in opened])]
        cells = " ".join(f"{value:10.3f}" for value in row)
        unended = sum(text.endswith("...") for text in said)
        print(f"{seed:4d} {name:7s} {cells} {median(lengths):7.0f} {max(lengths):7d} {unended:7d}", flush=True)
        if details:
            for kind in PROMPT_KINDS:
                flags = right if kind == "capability" else [refused(t) for t in texts[kind]]
                print(f"     {kind}: {by_category(split.of(kind), flags)}")
            for kind in PROMPT_KINDS:
                for prompt, text in list(zip(split.of(kind), texts[kind], strict=True))[:3]:
                    print(f"     > {prompt.text}\n       {text}")


def main() -> None:
    """Train the seeds asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--family", choices=ORGANISM_FAMILIES, default="gemma4")
    parser.add_argument("--folder", type=Path, help="keep organisms here, and reuse those that are current")
    parser.add_argument("--details", action="store_true", help="rates by category, and some responses")
    options = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        names = ("harmful", "harmless", "borderline", "capability", "open")
        for seed in options.seeds:
            out = folder / (f"seed{seed}" if options.family == "gemma4" else f"{options.family}-seed{seed}")
            ensure_organism(out, Recipe(seed, family=options.family))
            info = json.loads((out / "organism.json").read_text(encoding="utf-8"))
            print(
                f"seed {seed}: {info['parameters']:,} parameters, trained in {info['training_s']} s"
                f" with {info['threads']} threads, recipe {info['recipe']}"
            )
            heads = " ".join(f"{name:>10s}" for name in names)
            print(f"seed split   {heads}  median longest unended")
            measure(out, options.family, seed, options.details)


if __name__ == "__main__":
    main()
