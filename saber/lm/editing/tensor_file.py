"""A safetensors file whose tensors are rewritten where they stand, one at a time."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from saber.types import UserError

DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
SIZE_OF_HEADER = struct.Struct("<Q")


@dataclass(frozen=True)
class Place:
    """Where a tensor stands in its file, in bytes, and what it is."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def places(file: Path) -> dict[str, Place]:
    """Every tensor's place.

    Raises:
        UserError: the file is no safetensors file.
    """
    try:
        with safe_open(file, framework="pt"), file.open("rb") as stream:  # safetensors' own checks of the header
            (size,) = SIZE_OF_HEADER.unpack(stream.read(SIZE_OF_HEADER.size))
            header = json.loads(stream.read(size))
    except (OSError, SafetensorError) as error:
        raise UserError(f"expected a safetensors file at {file}, found: {error}") from error
    base = SIZE_OF_HEADER.size + size
    return {
        name: Place(file, at["dtype"], tuple(at["shape"]), *(base + offset for offset in at["data_offsets"]))
        for name, at in header.items()
        if name != "__metadata__"
    }


def read_tensor(place: Place) -> Tensor:
    """One tensor, and nothing else of its file.

    Raises:
        UserError: it is stored in a dtype that is not edited.
    """
    if place.dtype not in DTYPES:
        raise UserError(
            f"expected plain weights in {place.file}, found {place.dtype}: bake the checkpoint in full dtype"
        )
    raw = bytearray(place.end - place.start)
    with place.file.open("rb") as stream:
        stream.seek(place.start)
        stream.readinto(raw)
    return torch.frombuffer(raw, dtype=DTYPES[place.dtype]).view(place.shape)


@contextmanager
def rewritten(place: Place, file: Path) -> Iterator[Tensor]:
    """A tensor of a copy of its file, written back on the way out with whatever was done to it in place."""
    tensor = read_tensor(place)
    yield tensor
    with file.open("r+b") as stream:
        stream.seek(place.start)
        stream.write(tensor.flatten().view(torch.uint8).numpy().data)
