"""Room on the disk: whether folders can be written, and what a study's caches will take of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from saber.config import Config
from saber.types import Split, SplitName, UserError

GIGABYTE = 10**9
ORGANISM = "organism"
TEMPLATE_TOKENS = 40  # a chat template's own signs, the system prompt aside
SIGNS_PER_TOKEN = 3  # of English prompts there are four; fewer is the careful side
BYTES_OF = {"float32": 4, "bfloat16": 2, "float16": 2}


def check_writable(folder: Path, key: str) -> None:
    """Pass where a folder can be made or written.

    Raises:
        UserError: a file stands in its way, or its place does not permit it.
    """
    try:
        folder = folder.expanduser()
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    except (OSError, RuntimeError, ValueError) as error:  # no such home, or no name for a folder
        raise UserError(f"{key}: expected a folder, found {folder} ({error}): choose another") from error
    if not there.is_dir():
        raise UserError(f"{key}: expected a folder, found that {there} is a file: choose another")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{key}: expected to write in {there}, found it read-only: permit it or choose another")


def check_room(config: Config, splits: Mapping[SplitName, Split]) -> None:
    """Pass where the disk has room for the caches of a study that is not begun yet.

    Raises:
        UserError: it has too little, with both figures.
    """
    folder = (Path(config.study.dir) / config.study.name).expanduser()
    if (folder / "cache").exists():
        return
    needed, free = cache_bytes(config, splits), free_bytes(folder)
    if needed is not None and needed > free:
        raise UserError(
            f"{_figures(needed, free, folder)}: free space, name another study.dir, or lower data.tune and report"
        )


def spoken_room(config: Config, splits: Mapping[SplitName, Split]) -> str | None:
    """What the caches will take and what is free, in a line; nothing where the model's size is not known yet."""
    folder = (Path(config.study.dir) / config.study.name).expanduser()
    needed = cache_bytes(config, splits)
    return None if needed is None else _figures(needed, free_bytes(folder), folder)


def _figures(needed: int, free: int, folder: Path) -> str:
    return f"the caches take about {needed / GIGABYTE:.2g} GB of disk in {folder}, {free / GIGABYTE:.3g} GB are free"


def free_bytes(folder: Path) -> int:
    """What is free where a folder is, or will be."""
    return shutil.disk_usage(
        next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    ).free


def cache_bytes(config: Config, splits: Mapping[SplitName, Split]) -> int | None:
    """Base logits of tune and report: drift prompts x (prompt and response tokens) x vocabulary x bytes of a number.

    ``None`` where the model's configuration is not on this machine.
    """
    about = _model_configuration(config)
    if about is None:
        return None
    text = about.get("text_config") if isinstance(about.get("text_config"), dict) else about
    vocabulary = (text or {}).get("vocab_size", about.get("vocab_size"))
    if not isinstance(vocabulary, int):
        return None
    stored = str(about.get("dtype") or about.get("torch_dtype") or "bfloat16")
    size = BYTES_OF.get(stored if config.model.dtype == "auto" else config.model.dtype, 4)
    drifting = [
        prompt
        for name in ("tune", "report")
        for prompt in splits[name].prompts
        if prompt.kind in config.evaluate.drift_kinds
    ]
    own = len(config.evaluate.system_prompt or config.model.system_prompt or "") // SIGNS_PER_TOKEN + TEMPLATE_TOKENS
    positions = sum(len(p.text) // SIGNS_PER_TOKEN + own + config.evaluate.max_new_tokens for p in drifting)
    return positions * vocabulary * size


def _model_configuration(config: Config) -> dict[str, Any] | None:
    """The model's ``config.json``, from its folder or the hub's cache on this machine."""
    path = config.organism.out if config.model.path == ORGANISM else config.model.path
    file: Any = Path(path).expanduser() / "config.json"
    if not file.is_file():
        try:
            file = try_to_load_from_cache(path, "config.json", revision=config.model.revision)
        except ValueError:  # no name that the hub could have
            return None
    if not isinstance(file, (str, Path)):
        return None
    try:
        about = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # what loads the model says what is wrong with it
        return None
    return about if isinstance(about, dict) else None
