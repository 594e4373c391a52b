"""A few of the organism's prompts as files, for tests that need real commands and no numbers that mean something."""

from __future__ import annotations

import json
from pathlib import Path

from saber.organism.prompt_sets import organism_splits
from saber.types import PROMPT_KINDS

N_PROBE, N_MEASURED = 8, 6


def few_prompts(folder: Path) -> list[str]:
    """Write the files into ``folder`` and return the command line's words that use them."""
    prompts = organism_splits(0)["probe"]
    more = organism_splits(0)["tune"]
    sets = []
    for kind in PROMPT_KINDS:
        path = folder / f"few-{kind}.jsonl"
        chosen = [*prompts.of(kind), *more.of(kind)][: N_PROBE + 2 * N_MEASURED]
        rows = [{"prompt": p.text, "category": p.category, "answer": p.answer} for p in chosen]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        sets.append(f"{{path: {path}, kind: {kind}}}")
    measured = ", ".join(f"{kind}: {N_MEASURED}" for kind in PROMPT_KINDS)
    return [
        "data.source=sets",
        "data.near_duplicate=null",
        f"+data.sets=[{', '.join(sets)}]",
        f"+data.probe={{harmful: {N_PROBE}, harmless: {N_PROBE}, capability: {N_PROBE}}}",
        f"+data.tune={{{measured}}}",
        f"+data.report={{{measured}}}",
        f"data.n_probe={N_PROBE}",
        f"data.n_capability={N_PROBE}",
        "~space.data",
        "study.enqueue=[]",
        "study.constraints=[]",  # few are of a protected category
        "edit.protects=none",
    ]
