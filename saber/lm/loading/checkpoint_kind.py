"""What is refused of a checkpoint: folders that hold no weights of a chat model, and weights that do not fill one."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from saber.types import UserError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
ADAPTER = "adapter_config.json"


def refuse_what_is_no_checkpoint(path: str) -> None:
    """Pass for a hub id, and for a folder that may hold a checkpoint in safetensors.

    Raises:
        UserError: it is a GGUF file, an adapter without its base, or holds pickles alone.
    """
    place = Path(path)
    if place.is_file():
        raise UserError(_gguf(path, place.name) if place.suffix == ".gguf" else _file(path))
    if not place.is_dir():
        return
    has_weights = any(place.glob("*.safetensors"))
    ggufs = sorted(file.name for file in place.glob("*.gguf"))
    if ggufs and not has_weights:
        raise UserError(_gguf(path, ggufs[0]))
    if (place / ADAPTER).exists():
        raise UserError(
            f"expected a whole model in {path}, found a PEFT adapter of {_base_of(place)}: merge it first"
            " (PeftModel.merge_and_unload, then save_pretrained) and name the merged folder"
        )
    pickles = sorted(file.name for end in PICKLES for file in place.glob(f"*{end}"))
    if pickles and not has_weights:
        raise UserError(
            f"expected weights as safetensors in {path}, found {pickles[0]}: a pickle, and reading one runs whatever"
            " code its author put there; have it converted where that does no harm, or choose another checkpoint"
        )


def refuse_unknown_tokens(path: str, n_known: int, vocabulary: dict[str, int], pad: str | None) -> None:
    """Pass where the model knows every token that the tokenizer can give; a padding token is never looked at.

    Raises:
        UserError: it does not.
    """
    beyond = sorted((index, token) for token, index in vocabulary.items() if index >= n_known and token != pad)
    if beyond:
        raise UserError(
            f"expected a tokenizer of at most the model's {n_known} tokens in {path}, found {len(beyond)} more, such as"
            f" {beyond[0][1]!r}: it belongs to another model, or the embedding was not resized"
        )


def _base_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, LookupError, TypeError):
        return "another model"


def _gguf(path: str, name: str) -> str:
    return (
        f"expected a folder with safetensors at {path}, found {name}: GGUF is for running a model, and its weights are"
        " rounded; name the checkpoint that it was made from"
    )


def _file(path: str) -> str:
    return f"expected a model's folder or a hub id, found the file {path}: name the folder that it is in"


def refuse_unfilled(path: str, report: Mapping[str, Collection[Any]]) -> None:
    """Refuse a model some of whose weights the checkpoint did not fill, by what loading it reported.

    Raises:
        UserError: weights are of other shapes than the configuration's, or missing.
    """
    mismatched = sorted(report["mismatched_keys"])
    if mismatched:
        name, stored, wanted = mismatched[0]
        raise UserError(
            f"expected weights of the shapes that config.json in {path} says, found {len(mismatched)} others: {name} is"
            f" {tuple(stored)}, not {tuple(wanted)}; the files belong to two models, or its packing is not known here"
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(f"expected {path} to fill every weight, found {len(missing)} missing: {missing[0]}, ...")
