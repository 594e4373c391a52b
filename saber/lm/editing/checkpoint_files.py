"""The files of a checkpoint: those with its weights, those beside them, and other copies of weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from saber.types import UserError

SINGLE, INDEX, ENDING = "model.safetensors", "model.safetensors.index.json", ".safetensors"
# Weights in other forms: an export that copied them would hold the unedited model beside the edited one.
OTHER_FORMS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".gguf", ".ggml", ".h5", ".msgpack", ".onnx", ".ot", ".npz")
SECOND_COPY = "consolidated"  # what Mistral's own tools read, beside the shards that others read


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint's files by what they are, each relative to ``folder``.

    ``shards`` hold the weights; ``beside`` belongs to the model and is copied as it is; ``left_out`` are weights in
    another form, hidden files, and folders with weights of their own.
    """

    folder: Path
    shards: tuple[Path, ...]
    beside: tuple[Path, ...]
    left_out: tuple[Path, ...]

    @property
    def n_bytes(self) -> int:
        """What the shards and what is beside them take on disk."""
        return sum((self.folder / file).stat().st_size for file in (*self.shards, *self.beside))


def checkpoint_folder(path: str, revision: str | None = None) -> Path:
    """Where a checkpoint lies: the folder itself, or the hub's snapshot with every file that belongs to the model.

    Raises:
        UserError: it is neither.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    others = [f"*{ending}" for ending in OTHER_FORMS] + [f"{SECOND_COPY}*{ENDING}", "original/*", "metal/*"]
    try:
        return Path(snapshot_download(path, revision=revision, ignore_patterns=others))
    except (OSError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"expected the files of {path}, a folder or on the hub, found: {first[:160]}") from error


def checkpoint_files(folder: Path) -> CheckpointFiles:
    """Sort a checkpoint's files.

    Raises:
        UserError: the folder holds no weights as safetensors, or the index names a shard that is not there.
    """
    shards = _shards(folder)
    if not shards:
        raise UserError(f"expected safetensors files in {folder}, found none")
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise UserError(f"expected {missing[0]}, which {INDEX} names, in {folder}, found none")
    beside: list[Path] = []
    left_out: list[Path] = []
    for file in sorted(folder.iterdir()):
        name = Path(file.name)
        if name in shards:
            continue
        if file.is_dir() and not file.name.startswith(".") and not any(_weights(inner) for inner in _below(file)):
            beside += [inner.relative_to(folder) for inner in _below(file)]
        elif file.is_dir() or _is_other_form(file):
            left_out.append(name)
        else:
            beside.append(name)
    return CheckpointFiles(folder, shards, tuple(beside), tuple(left_out))


def _shards(folder: Path) -> tuple[Path, ...]:
    """The files that the index names, or else the one file, or else all that there are."""
    index = folder / INDEX
    if index.is_file():
        try:
            named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        except (ValueError, LookupError, AttributeError) as error:
            raise UserError(f"expected an index with a weight_map in {index}, found: {error}") from error
        return tuple(Path(name) for name in sorted(set(named)))
    if (folder / SINGLE).is_file():
        return (Path(SINGLE),)
    return tuple(Path(file.name) for file in sorted(folder.glob(f"*{ENDING}")))


def _below(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def _weights(file: Path) -> bool:
    return file.suffix == ENDING or file.suffix in OTHER_FORMS


def _is_other_form(file: Path) -> bool:
    """Whether a file at the top is weights in another form, or hidden and no part of the repository."""
    if file.name.startswith("."):
        return file.name != ".gitattributes"
    return file.suffix in OTHER_FORMS or (file.suffix == ENDING and file.name.startswith(SECOND_COPY))
