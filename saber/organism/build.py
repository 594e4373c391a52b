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

from saber.organism.architecture import MODEL_TYPES, organism_config
from saber.organism.examples import training_examples
from saber.organism.prompts import organism_splits, write_splits
from saber.organism.tokenizer import chat_template, organism_tokenizer, vocabulary
from saber.organism.training import SETTINGS, Progress, TrainingSettings, train_organism
from saber.types import UserError, digest_json
from saber.vocabulary import OrganismFamily

# To be raised when the training code changes in a way that its inputs do not show.
RECIPE_VERSION = 1
INFO_FILE = "organism.json"


@cache
def recipe_digest(seed: int, steps: int | None = None, family: OrganismFamily = "gemma4") -> str:
    """Return twelve hex digits of what determines the organism: body, words, settings, examples, splits."""
    settings = _settings(family, steps)
    examples = training_examples(seed, settings.steps * settings.batch_size, family)
    return digest_json(
        {
            "version": RECIPE_VERSION,
            "seed": seed,
            "config": [MODEL_TYPES[family], organism_config(family)],
            "vocabulary": vocabulary(family),
            "chat_template": chat_template(family),
            "settings": asdict(settings),
            "examples": [[e.system, e.prompt, e.answer] for e in examples],
            "splits": [split.digest for split in organism_splits(seed, family).values()],
        }
    )


def make_organism(
    out: Path,
    seed: int = 0,
    steps: int | None = None,
    progress: Progress | None = None,
    family: OrganismFamily = "gemma4",
) -> None:
    """Train an organism and put it at ``out`` in one move, in place of what was there.

    ``progress`` hears (step, steps, loss). The folder loads like any checkpoint and also holds
    ``organism.json`` and the splits ``prompts/{probe,tune,report}.jsonl``.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _fill(unfinished, family, seed, _settings(family, steps), progress)
        _move_into_place(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def ensure_organism(
    out: Path,
    seed: int = 0,
    steps: int | None = None,
    progress: Progress | None = None,
    family: OrganismFamily = "gemma4",
) -> bool:
    """Train the organism unless ``out`` already holds this recipe's; return whether it was trained.

    Raises:
        UserError: ``out`` holds an organism of another family, which is not to be lost.
    """
    recipe, found = _stored(Path(out))
    if found is not None and found != family:
        raise UserError(
            f"expected a {family} organism in {out}, found a {found} one: set organism.out to another folder"
        )
    if recipe == recipe_digest(seed, steps, family):
        return False
    make_organism(out, seed, steps, progress, family)
    return True


def _stored(out: Path) -> tuple[str, str] | tuple[None, None]:
    """Return recipe digest and family of the organism in a folder, ``None`` if there is none or its file is damaged."""
    info = out / INFO_FILE
    try:
        found = json.loads(info.read_text(encoding="utf-8")) if info.is_file() else None
        # The first organisms did not say their family.
        return (str(found["recipe"]), str(found.get("family", "gemma4"))) if found is not None else (None, None)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None, None


def _settings(family: OrganismFamily, steps: int | None) -> TrainingSettings:
    return SETTINGS[family] if steps is None else replace(SETTINGS[family], steps=steps)


def _fill(
    folder: Path, family: OrganismFamily, seed: int, settings: TrainingSettings, progress: Progress | None
) -> None:
    """Train, and write everything an organism's folder holds."""
    started = time.perf_counter()
    model = train_organism(family, seed, settings, progress)
    seconds = time.perf_counter() - started
    model.save_pretrained(folder)
    organism_tokenizer(family).save_pretrained(folder)
    write_splits(folder / "prompts", seed, family)
    info = {
        "family": family,
        "seed": seed,
        "recipe": recipe_digest(seed, settings.steps, family),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "training_s": round(seconds, 1),
        "threads": min(torch.get_num_threads(), settings.max_threads),
        "settings": asdict(settings),
    }
    (folder / INFO_FILE).write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


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
