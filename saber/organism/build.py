"""Train an organism into a folder, whole or not at all, and know whether a folder's organism is current."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import torch

from saber.organism.architecture import MODEL_TYPES, organism_config
from saber.organism.examples import training_examples
from saber.organism.prompt_sets import organism_splits, write_splits
from saber.organism.tokenizer import chat_template, organism_tokenizer, vocabulary
from saber.organism.training import SETTINGS, Progress, TrainingSettings, train_organism
from saber.types import UserError, digest_json
from saber.vocabulary import OrganismFamily

# To be raised when the training code changes in a way that its inputs do not show.
RECIPE_VERSION = 1
INFO_FILE = "organism.json"


@dataclass(frozen=True)
class Recipe:
    """What an organism is made of: its random seed, for how many steps it is trained, its family, and its habit."""

    seed: int = 0
    steps: int | None = None
    family: OrganismFamily = "gemma4"
    thinks: bool = False

    @property
    def kind(self) -> str:
        """Its family, and whether it thinks, in words."""
        return f"thinking {self.family}" if self.thinks else self.family

    @property
    def settings(self) -> TrainingSettings:
        """How it is trained."""
        of_family = SETTINGS[self.family]
        return of_family if self.steps is None else replace(of_family, steps=self.steps)


@cache
def recipe_digest(recipe: Recipe) -> str:
    """Twelve hex digits of what determines the organism: body, words, settings, examples, splits."""
    seed, family, thinks, settings = recipe.seed, recipe.family, recipe.thinks, recipe.settings
    examples = training_examples(seed, settings.steps * settings.batch_size, family, thinks)
    return digest_json(
        ({"thoughts": [e.thought for e in examples]} if thinks else {})
        | {
            "version": RECIPE_VERSION,
            "seed": seed,
            "config": [MODEL_TYPES[family], organism_config(family, thinks)],
            "vocabulary": vocabulary(family, thinks),
            "chat_template": chat_template(family, thinks),
            "settings": asdict(settings),
            "examples": [[e.system, e.prompt, e.answer] for e in examples],
            "splits": [split.digest for split in organism_splits(seed, family).values()],
        }
    )


def make_organism(out: Path, recipe: Recipe, progress: Progress | None = None) -> None:
    """Train an organism and put it at ``out`` in one move, in place of what was there.

    ``progress`` hears (step, steps, loss). The folder loads like any checkpoint and also holds
    ``organism.json`` and the splits ``prompts/{probe,tune,report}.jsonl``.

    Raises:
        UserError: what is at ``out`` is not ours to replace: a file, or a folder with something else in it.
    """
    out = Path(out)
    if out.exists() and not (out / INFO_FILE).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"expected {out} to be free or an organism, found something else: name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _fill(unfinished, recipe, progress)
        _move_into_place(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def ensure_organism(out: Path, recipe: Recipe, progress: Progress | None = None) -> bool:
    """Train the organism unless ``out`` already holds this recipe's; return whether it was trained.

    Raises:
        UserError: ``out`` holds an organism of another family or habit, which is not to be lost.
    """
    digest, kind = _stored(Path(out))
    if kind is not None and kind != recipe.kind:
        raise UserError(
            f"expected a {recipe.kind} organism in {out}, found a {kind} one: set organism.out to another folder"
        )
    if digest == recipe_digest(recipe):
        return False
    make_organism(out, recipe, progress)
    return True


def _stored(out: Path) -> tuple[str, str] | tuple[None, None]:
    """Return recipe digest and kind of the organism in a folder, ``None`` if there is none or its file is damaged."""
    info = out / INFO_FILE
    try:
        about = json.loads(info.read_text(encoding="utf-8")) if info.is_file() else None
        if about is None:
            return None, None
        # The first organisms did not say their family.
        stored = Recipe(family=about.get("family", "gemma4"), thinks=bool(about.get("thinks", False)))
        return str(about["recipe"]), stored.kind
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None, None


def _fill(folder: Path, recipe: Recipe, progress: Progress | None) -> None:
    """Train, and write everything an organism's folder holds."""
    family, seed, thinks, settings = recipe.family, recipe.seed, recipe.thinks, recipe.settings
    started = time.perf_counter()
    model = train_organism(family, seed, settings, progress, thinks)
    seconds = time.perf_counter() - started
    model.save_pretrained(folder)
    organism_tokenizer(family, thinks).save_pretrained(folder)
    write_splits(folder / "prompts", seed, family)
    info = {
        "family": family,
        "seed": seed,
        "recipe": recipe_digest(recipe),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "training_s": round(seconds, 1),
        "threads": min(torch.get_num_threads(), settings.max_threads),
        "settings": asdict(settings),
        **({"thinks": True} if thinks else {}),
    }
    (folder / INFO_FILE).write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


def _move_into_place(finished: Path, out: Path) -> None:
    """Rename ``finished`` to ``out``; what was there is removed only once the new one is in place."""
    finished.chmod(0o755)  # a temporary folder is private to its owner
    if not out.exists():
        os.rename(finished, out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
    os.rename(out, old / out.name)
    os.rename(finished, out)
    shutil.rmtree(old)
