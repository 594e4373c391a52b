"""A cache on disk: one safetensors file per key, written atomically, checked when read, rebuilt when damaged."""

from __future__ import annotations

import hashlib
import json
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from saber.atomic_files import drafted
from saber.types import UserError, digest_json

CODE_VERSION = 2  # raise it when what is computed for a key changes
SIZE_OF_HEADER = struct.Struct("<Q")  # of a safetensors file: how many bytes its header takes
DAMAGE = (SafetensorError, LookupError, TypeError, ValueError, RuntimeError)  # what reading a damaged file gives


@dataclass(frozen=True, eq=False)
class Cached:
    """Named tensors and a JSON value that belongs to them."""

    tensors: Mapping[str, Tensor]
    value: object


def cache_path(folder: Path, name: str, key: Mapping[str, object]) -> Path:
    """Where what belongs to a key is stored."""
    return folder / f"{name}-{digest_json([CODE_VERSION, dict(key)])}.safetensors"


def cached(folder: Path, name: str, key: Mapping[str, object], build: Callable[[], Cached]) -> Cached:
    """Return what is stored under a key of everything it depends on, building and storing it where it is not.

    Raises:
        UserError: the folder cannot be written.
    """
    path = cache_path(folder, name, key)
    if path.exists():
        try:
            return read_cached(path)
        except DAMAGE as error:
            warnings.warn(f"cache {path.name} is damaged ({error}); it is built again", stacklevel=2)
    built = build()
    value = json.dumps(built.value)
    try:
        write_tensors(path, built.tensors, {"value": value, "sum": _sum(built.tensors, value)})
    except OSError as error:
        raise UserError(f"expected to write the cache {path}, found: {error}; free space or permit it") from error
    return built


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file beside its place, then move it there, so that no reader sees half of one.

    The same tensors and metadata are the same bytes in every process.

    Raises:
        OSError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    with drafted(path) as draft:
        try:
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, draft, dict(metadata))
        except SafetensorError as error:
            raise OSError(str(error)) from error
        _order_metadata(draft)


def _order_metadata(path: Path) -> None:
    """Put a file's metadata in the order of its names: safetensors writes it in another order each time."""
    with path.open("r+b") as file:
        (size,) = SIZE_OF_HEADER.unpack(file.read(SIZE_OF_HEADER.size))
        header = json.loads(file.read(size))
        ordered = {"__metadata__": dict(sorted(header.pop("__metadata__").items())), **header}
        text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode()
        assert len(text) <= size, f"a header of {size} bytes became {len(text)}"
        file.seek(SIZE_OF_HEADER.size)
        file.write(text.ljust(size))  # in spaces, as the format pads it


def read_cached(path: Path, *, is_known: bool = False) -> Cached:
    """Read a cache file and check that it is as it was written; its numbers are not summed where it is known already.

    Raises:
        Exception: one of `DAMAGE`, where it is not, or OSError where it cannot be read.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if not is_known and metadata["sum"] != _sum(tensors, metadata["value"]):
        raise ValueError("its checksum differs")
    return Cached(tensors, json.loads(metadata["value"]))


def _sum(tensors: Mapping[str, Tensor], value: str) -> str:
    """A checksum of everything that is read: names, dtypes, shapes, numbers, and the JSON value."""
    sha = hashlib.blake2b(value.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()
