"""Safetensors files as bytes: where each tensor stands, one read at a time, and a file written tensor by tensor."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from saber.cache import SIZE_OF_HEADER
from saber.types import UserError

DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
PACKED_DTYPES = {"F8_E4M3": torch.float8_e4m3fn, "U8": torch.uint8, "I8": torch.int8}
PLAN = "saber.plan"  # the metadata key that names the plan's digest in every file that it changed or made
CHUNK_BYTES = 2**22
ALIGNED_TO = 8  # bytes, of the header's end: what the format's own writer does


@dataclass(frozen=True)
class Place:
    """Where a tensor stands in its file, in bytes, and what it is."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    def chunks(self) -> Iterator[bytes]:
        """Its bytes as they stand, a few megabytes at a time."""
        with self.file.open("rb") as stream:
            stream.seek(self.start)
            left = self.end - self.start
            while left:
                chunk = stream.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise UserError(f"expected {self.file} as it was, found its end: it changed meanwhile")
                left -= len(chunk)
                yield chunk


@dataclass(frozen=True)
class Entry:
    """A tensor to be written: what it is, and its bytes when they are asked for."""

    dtype: str
    shape: tuple[int, ...]
    n_bytes: int
    chunks: Callable[[], Iterable[bytes | memoryview]]

    @property
    def width(self) -> int:
        """Bytes of one number, 0 where there is none or several share a byte."""
        return self.n_bytes // max(1, prod(self.shape))


def places(file: Path) -> dict[str, Place]:
    """Every tensor's place, in the order in which they stand.

    Raises:
        UserError: the file is no safetensors file.
    """
    header, base = _header(file)
    by_name = {
        name: Place(file, at["dtype"], tuple(at["shape"]), *(base + offset for offset in at["data_offsets"]))
        for name, at in header.items()
        if name != "__metadata__"
    }
    return dict(sorted(by_name.items(), key=lambda item: (item[1].start, item[0])))


def metadata_of(file: Path) -> dict[str, str]:
    """What the file says of itself beside its tensors."""
    return dict(_header(file)[0].get("__metadata__", {}))


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """A file's header and where its data begins."""
    try:
        with safe_open(file, framework="pt"), file.open("rb") as stream:  # safetensors' own checks of the header
            (size,) = SIZE_OF_HEADER.unpack(stream.read(SIZE_OF_HEADER.size))
            return json.loads(stream.read(size)), SIZE_OF_HEADER.size + size
    except (OSError, SafetensorError) as error:
        raise UserError(f"expected a safetensors file at {file}, found: {error}") from error


def read_tensor(place: Place) -> Tensor:
    """One tensor of plain numbers, and nothing else of its file.

    Raises:
        UserError: it is stored in a dtype that is not edited.
    """
    if place.dtype not in DTYPES:
        raise UserError(
            f"expected plain weights in {place.file}, found {place.dtype}: bake the checkpoint in full dtype"
        )
    return read_stored(place)


def read_stored(place: Place) -> Tensor:
    """One tensor as it is stored, packed or plain."""
    raw = bytearray(place.end - place.start)
    with place.file.open("rb") as stream:
        stream.seek(place.start)
        stream.readinto(raw)
    dtype = (DTYPES | PACKED_DTYPES)[place.dtype]
    return torch.frombuffer(raw, dtype=dtype).view(place.shape) if raw else torch.empty(place.shape, dtype=dtype)


def bytes_of(tensor: Tensor) -> memoryview:
    """The bytes of a tensor as a file holds them."""
    view: memoryview = tensor.contiguous().flatten().view(torch.uint8).numpy().data
    return view


def tensor_entry(tensor: Tensor) -> Entry:
    """A tensor in memory, to be written."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    held = tensor.detach().cpu()
    return Entry(names[held.dtype], tuple(held.shape), held.nbytes, lambda: [bytes_of(held)])


def write_tensor_file(file: Path, entries: Mapping[str, Entry], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file one tensor at a time; equal entries and metadata give equal bytes.

    Tensors keep their order, the widest dtypes first so that every one is aligned.

    Raises:
        ValueError: an entry gives more or fewer bytes than its shape takes.
    """
    ordered = sorted(entries.items(), key=lambda item: -item[1].width)
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name, entry in ordered:
        begin, end = end, end + entry.n_bytes
        header[name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNED_TO)
    with file.open("wb") as stream:
        stream.write(SIZE_OF_HEADER.pack(len(text)))
        stream.write(text)
        for name, entry in ordered:
            written = sum(stream.write(chunk) for chunk in entry.chunks())
            if written != entry.n_bytes:
                raise ValueError(f"expected {entry.n_bytes} bytes of {name}, found {written}")
