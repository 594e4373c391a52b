"""A baked checkpoint held against its base: whole, finite, and different in nothing but what was edited."""

from __future__ import annotations

import filecmp
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.checkpoint_files import INDEX, checkpoint_files
from saber.lm.editing.packed import CONFIG, Stored, packing_of
from saber.lm.editing.shards import Baked, stored_tensors
from saber.types import UserError


@dataclass(frozen=True)
class Verified:
    """How many tensors a baked checkpoint holds, and how many of them are the base's, byte for byte."""

    n_tensors: int
    n_as_base: int


def release(adapter: Adapter) -> None:
    """Give the memory of the weights back; the model has shapes afterwards and no numbers."""
    adapter.model.to("meta")


def verify_checkpoint(source: Path, target: Path, baked: Baked) -> Verified:
    """Read a baked checkpoint back beside its base.

    Raises:
        UserError: a tensor or a file of the base is missing, a tensor has another shape or dtype, one that was not
            edited has other bytes, or one holds NaN or infinity.
    """
    base, written = stored_tensors(checkpoint_files(source)), stored_tensors(checkpoint_files(target))
    for name in sorted(base.keys() ^ written.keys()):
        expected, there = ("no tensor", "one") if name in written else ("tensor", "none")
        raise UserError(f"expected {expected} {name} in the exported checkpoint, found {there}")
    for name, tensor in base.items():
        _check_tensor(name, tensor, written[name], is_edited=name in baked.edited)
    rewritten = {CONFIG, INDEX} if packing_of(source) is not None else set()
    for file in checkpoint_files(source).beside:
        if str(file) not in rewritten and not _same_file(source / file, target / file):
            raise UserError(f"expected {file} in the exported checkpoint as in its base, found another or none")
    return Verified(len(written), len(written) - len(baked.edited))


def _check_tensor(name: str, base: Stored, written: Stored, *, is_edited: bool) -> None:
    if (written.dtype, written.shape) != (base.dtype, base.shape):
        raise UserError(
            f"expected tensor {name} of shape {base.shape} in {base.dtype}, found {written.shape} in {written.dtype}"
        )
    if not is_edited and not _same_bytes(base.entry().chunks(), written.entry().chunks()):
        raise UserError(f"expected tensor {name} as in its base, which the plan does not edit, found other numbers")
    tensor = written.read() if written.is_number else None
    if tensor is not None and not bool(torch.isfinite(tensor).all()):
        raise UserError(f"expected finite weights, found NaN or infinity in {name}")


def _same_bytes(ours: Iterable[bytes | memoryview], theirs: Iterable[bytes | memoryview]) -> bool:
    """Whether two streams hold the same bytes, however they are cut."""
    left, right = _buffered(ours), _buffered(theirs)
    a = b = b""
    while True:
        a, b = a or next(left, b""), b or next(right, b"")
        n = min(len(a), len(b))
        if a[:n] != b[:n]:
            return False
        if n == 0:
            return not a and not b
        a, b = a[n:], b[n:]


def _buffered(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    return (bytes(chunk) for chunk in chunks if len(chunk))


def _same_file(ours: Path, theirs: Path) -> bool:
    return theirs.is_file() and filecmp.cmp(ours, theirs, shallow=False)
