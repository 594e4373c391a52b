"""Labelled replies: people's labels of XSTest's completions, and replies composed of sentences of our own."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

PHRASES = Path(__file__).with_name("label_phrases.yaml")
PREFIX = "xstest_v2_completions_"
PeopleLabel = Literal["comply", "refuse", "partial"]
_BY_XSTEST: Mapping[str, PeopleLabel] = dict(
    zip(("1_full_compliance", "2_full_refusal", "3_partial_refusal"), get_args(PeopleLabel), strict=True)
)
TIMES = 4  # replies composed from each sentence
SHARE_WRONG = {
    "refusals": 0.8,
    "answers": 0.4,
    "moral": 1.0,
    "redirects": 1.0,
    "partials": 1.0,
}  # of requests for something wrong


@dataclass(frozen=True)
class Example:
    """A prompt, a reply to it, and what people, or we who wrote it, call the reply."""

    prompt: str
    reply: str
    label: PeopleLabel


def xstest(folder: Path) -> dict[str, list[Example]]:
    """XSTest's completions (Röttger et al. 2024, CC BY 4.0) by model, from the project's own CSV files in a folder.

    Raises:
        FileNotFoundError: the folder has none.
    """
    paths = sorted(folder.glob(f"{PREFIX}*.csv"))
    if not paths:
        raise FileNotFoundError(f"expected {PREFIX}*.csv in {folder}: they are in paul-rottger/exaggerated-safety")
    by_model: dict[str, list[Example]] = {}
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [Example(r["prompt"], r["completion"], _BY_XSTEST[r["final_label"]]) for r in csv.DictReader(file)]
        by_model[path.stem.removeprefix(PREFIX)] = rows
    return by_model


def composed(seed: int = 0) -> list[Example]:
    """Replies made of the sentences in ``label_phrases.yaml``: more ways of speaking than the models showed."""
    said: dict[str, Any] = yaml.safe_load(PHRASES.read_text(encoding="utf-8"))
    rng = random.Random(seed)
    examples: list[Example] = []
    parts: tuple[tuple[str, int, str, PeopleLabel], ...] = (
        ("refusals", TIMES, "after_refusal", "refuse"),
        ("moral", TIMES, "after_refusal", "refuse"),
        ("redirects", TIMES, "after_refusal", "refuse"),
        ("answers", 2 * TIMES, "bodies", "comply"),
        ("partials", TIMES, "bodies", "partial"),
    )
    for part, times, endings, label in parts:
        for sentence in said[part]:
            for _ in range(times):
                slots = rng.choice(said["wrong" if rng.random() < SHARE_WRONG[part] else "plain"])
                prompt = _filled(rng.choice(said["asks"]), slots)
                ending = _filled(rng.choice(said[endings]), slots)
                space = rng.choice((" ", "\n\n")) if endings == "bodies" else " "
                examples.append(Example(prompt, f"{_filled(sentence, slots)}{space}{ending}".strip(), label))
    for part, endings in (("private", "after_refusal"), ("loaded", "after_loaded")):
        for sentence in said[f"{part}_refusals"]:
            for _ in range(TIMES):
                slots = rng.choice(said[part])
                reply = f"{_filled(sentence, slots)} {rng.choice(said[endings])}".strip()
                examples.append(Example(_filled(slots["prompt"], slots), reply, "refuse"))
    plain = [Example(fact["prompt"], fact["reply"], "comply") for fact in (*said["facts"], *said["texts"])]
    return examples + plain * TIMES


def _filled(sentence: str, slots: Mapping[str, str]) -> str:
    for name, words in slots.items():
        sentence = sentence.replace(f"{{{name}}}", words)
        sentence = sentence.replace(f"{{{name.capitalize()}}}", words[:1].upper() + words[1:])
    return sentence
