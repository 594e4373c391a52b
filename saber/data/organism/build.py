"""Train an organism into a folder, whole or not at all, and know whether a folder's organism is current."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import torch

from saber.data.organism.architecture import MODEL_TYPE, organism_config
from saber.data.organism.examples import training_examples
from saber.data.organism.prompts import organism_splits, write_splits
from saber.data.organism.tokenizer import CHAT_TEMPLATE, organism_tokenizer, vocabulary
from saber.data.organism.training import Progress, TrainingSettings, train_organism
from saber.types import digest_json

# To be raised when the training code changes in a way that its inputs do not show.
RECIPE_VERSION = 1
INFO_FILE = "organism.json"


@cache
def recipe_digest(seed: int, steps: int | None = None) -> str:
    """Return twelve hex digits of what determines the organism: body, words, settings, examples, splits."""
    settings = _settings(steps)
    examples = training_examples(seed, settings.steps * settings.batch_size)
    return digest_json(
        {
            "version": RECIPE_VERSION,
            "seed": seed,
            "config": [MODEL_TYPE, organism_config()],
            "vocabulary": vocabulary(),
            "chat_template": CHAT_TEMPLATE,
            "settings": asdict(settings),
            "examples": [[e.system, e.prompt, e.answer] for e in examples],
            "splits": [split.digest for split in organism_splits(seed).values()],
        }
    )


def make_organism(out: Path, seed: int = 0, steps: int | None = None, progress: Progress | None = None) -> None:
    """Train an organism and put it at ``out`` in one move, in place of what was there.

    ``progress`` hears (step, steps, loss). The folder loads like any checkpoint and also holds
    ``organism.json`` and the splits ``prompts/{probe,tune,report}.jsonl``.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _fill(unfinished, seed, _settings(steps), progress)
        _move_into_place(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def ensure_organism(out: Path, seed: int = 0, steps: int | None = None, progress: Progress | None = None) -> bool:
    """Train the organism unless ``out`` already holds this recipe's; return whether it was trained."""
    if stored_recipe(Path(out)) == recipe_digest(seed, steps):
        return False
    make_organism(out, seed, steps, progress)
    return True


def stored_recipe(out: Path) -> str | None:
    """Return the recipe digest of the organism in a folder, ``None`` if there is none or its file is damaged."""
    info = out / INFO_FILE
    try:
        return str(json.loads(info.read_text())["recipe"]) if info.is_file() else None
    except (LookupError, RecursionError, TypeError, ValueError):
        return None


def _settings(steps: int | None) -> TrainingSettings:
    return TrainingSettings() if steps is None else replace(TrainingSettings(), steps=steps)


def _fill(folder: Path, seed: int, settings: TrainingSettings, progress: Progress | None) -> None:
    """Train, and write everything an organism's folder holds."""
    started = time.perf_counter()
    tokenizer = organism_tokenizer()
    model = train_organism(tokenizer, seed, settings, progress)
    seconds = time.perf_counter() - started
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_splits(folder / "prompts", seed)
    info = {
        "seed": seed,
        "recipe": recipe_digest(seed, settings.steps),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "training_s": round(seconds, 1),
        "threads": min(torch.get_num_threads(), settings.max_threads),
        "settings": asdict(settings),
    }
    (folder / INFO_FILE).write_text(json.dumps(info, indent=2) + "\n")


def _move_into_place(made: Path, out: Path) -> None:
    """Rename ``made`` to ``out``; what was there is removed only once the new one is in place."""
    made.chmod(0o755)  # a temporary folder is private to its owner
    if not out.exists():
        os.rename(made, out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
    os.rename(out, old / out.name)
    os.rename(made, out)
    shutil.rmtree(old)
