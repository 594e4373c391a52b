"""Prompts for the real model: harmful ones that it refuses by itself, questions that it answers, and harmless ones.

Harmless and borderline prompts come from files that the user names, such as Alpaca's instructions and XSTest's safe
prompts; without one, harmless prompts are questions of NQ-open, and there are no borderline ones.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import yaml
from real_files import PROMPTS, QUESTIONS, harmful_prompts, questions, wheel

from saber.lm.architecture.adapter import Adapter
from saber.lm.inference.batches import tokenise
from saber.lm.inference.generation.decoding import HeadStart
from saber.lm.inference.generation.greedy import greedy
from saber.lm.inference.kv_cache import rewindable_cache
from saber.lm.inference.prefix import prefix_of
from saber.scoring.labelling import is_correct
from saber.scoring.markers import read_markers
from saber.scoring.refusals import find_marker
from saber.types import Prompt, UserError

HERE = Path(__file__).parent
MARKERS, FACTS = HERE / "real_markers.yaml", HERE / "real_facts.tsv"
REFUSAL_TOKENS, ANSWER_TOKENS, AT_ONCE = 24, 12, 64
N_HARMLESS, N_BORDERLINE = 400, 250
LONGEST = 300  # characters of a harmless prompt
SHARES: Mapping[str, float] = {"probe": 0.4, "tune": 0.2, "report": 0.4}
Rows = list[dict[str, str]]
Say = Callable[[str], None]


def replies(adapter: Adapter, texts: Sequence[str], tokens: int, say: Say) -> list[str]:
    """The model's greedy replies, a batch at a time, saying how far it is."""
    rows = tokenise(adapter, [Prompt(text, "harmless") for text in texts])
    prefix = prefix_of(rows, lambda: rewindable_cache(adapter)).read(adapter, 1)
    said: list[str] = []
    for start in range(0, len(rows), AT_ONCE):
        batch = rows[start : start + AT_ONCE]
        (decoded,) = greedy(adapter, batch, max_new_tokens=tokens, batch_size=AT_ONCE, start=HeadStart(prefix=prefix))
        said += adapter.tokenizer.batch_decode([list(reply.tokens) for reply in decoded], skip_special_tokens=True)
        say(f"  {len(said)} of {len(rows)} replies")
    return said


def refused(adapter: Adapter, packages: Path, say: Say) -> Rows:
    """The prompts of Do-Not-Answer that the model refuses by itself."""
    asked = harmful_prompts(wheel(PROMPTS, packages))
    say(f"Do-Not-Answer: {len(asked)} prompts, {REFUSAL_TOKENS} tokens each")
    said = replies(adapter, [text for text, _ in asked], REFUSAL_TOKENS, say)
    markers = read_markers(str(MARKERS))
    return [
        {"prompt": text, "category": category}
        for (text, category), reply in zip(asked, said, strict=True)
        if find_marker(reply, markers) is not None
    ]


def known_facts(adapter: Adapter, say: Say) -> Rows:
    """The questions of ``real_facts.tsv`` that the model answers rightly."""
    facts = [line.split("\t") for line in FACTS.read_text(encoding="utf-8").splitlines()]
    said = replies(adapter, [question for question, _ in facts], ANSWER_TOKENS, say)
    return [
        {"prompt": question, "answer": answer}
        for (question, answer), reply in zip(facts, said, strict=True)
        if is_correct(reply, answer)
    ]


def harmless_prompts(path: Path | None, packages: Path) -> Rows:
    """Instructions of a JSON list or JSONL file (``instruction``, ``prompt`` or ``text``), or questions of NQ-open."""
    if path is None:
        texts = [question for question, _ in questions(wheel(QUESTIONS, packages))]
    else:
        texts = [_text_of(row, path) for row in _json_rows(path)]
    # Of one line each, as a peer reads its prompts from lines.
    short = list(dict.fromkeys(text for text in texts if 0 < len(text) <= LONGEST and "\n" not in text))
    return [{"prompt": text} for text in Random("harmless prompts").sample(short, min(N_HARMLESS, len(short)))]


def borderline_prompts(path: Path) -> Rows:
    """The safe prompts of XSTest's own CSV (Röttger et al. 2024), by type."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row.get("label") == "safe"]
    if not rows:
        raise UserError(f"expected XSTest's xstest_prompts.csv with safe prompts, found none in {path}")
    return [{"prompt": row["prompt"], "category": row["type"]} for row in rows][:N_BORDERLINE]


def _json_rows(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8-sig")
    return json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]


def _text_of(row: Any, path: Path) -> str:
    for column in ("instruction", "prompt", "text"):
        if isinstance(row, dict) and isinstance(row.get(column), str):
            return row[column].strip()
    raise UserError(f"expected rows with instruction, prompt or text in {path}, found another")


def write_prompts(folder: Path, kinds: Mapping[str, Rows]) -> None:
    """Write a JSONL file for each kind, and ``conf/data/real.yaml``, which deals them into the three splits."""
    sets = []
    (folder / "prompts").mkdir(parents=True, exist_ok=True)
    for kind, rows in kinds.items():
        path = folder / "prompts" / f"{kind}.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        sets.append({"path": str(path.resolve()), "kind": kind})
    sizes = {split: sizes_of(kinds, share) for split, share in SHARES.items()}
    probe = sizes["probe"]
    config = {
        "source": "sets",
        "seed": 0,
        "near_duplicate": None,  # exact ones alone: no two harmful prompts share nine words of ten
        "n_probe": min(probe["harmful"], probe["harmless"]),
        "n_capability": probe["capability"],
        **sizes,
        "sets": sets,
    }
    (folder / "conf" / "data").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "data" / "real.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    (folder / "markers.yaml").write_text(MARKERS.read_text(encoding="utf-8"), encoding="utf-8")


def sizes_of(kinds: Mapping[str, Rows], share: float) -> dict[str, int]:
    """How many prompts of each kind a split takes by its share of them; none of a kind that there is not."""
    return {kind: int(len(rows) * share) for kind, rows in kinds.items()}
