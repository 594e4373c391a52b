"""The base's logits over prompt + response: made and kept batch by batch, so that a budget bounds what is held at once.

At a vocabulary of 262,144 a hundred prompts are some 6 GB: they lie on disk and one batch of them is in memory.
"""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from saber.cache import DAMAGE, Cached, cache_path, cached, read_cached
from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.inference.batches import Batch, by_length, pad_left, pass_tokens
from saber.lm.inference.prefix import Prefix
from saber.types import UserError

GIGABYTE = 10**9
# Of the budget: a batch of base logits, the output of a pass, two copies of it that soft-capping makes on the way, a
# softmax over a piece, and what reading and writing need.
PARTS = 6
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class TeacherForced:
    """Some rows of prompt + base response with the base's logits at every position that is compared.

    ``row`` and ``column`` say where in the batch a position is, ``prompt`` which drift prompt it belongs to. A position
    may count as several: the last prompt token predicts the first response token.
    """

    batch: Batch
    row: Int[Tensor, " position"]
    column: Int[Tensor, " position"]
    prompt: Int[Tensor, " position"]
    is_first: Bool[Tensor, " position"]
    is_prompt: Bool[Tensor, " position"]
    is_response: Bool[Tensor, " position"]
    logits: Float[Tensor, "position vocab"]


@dataclass(frozen=True)
class Rows:
    """Token ids of prompt + response by drift prompt, and how many of them are the prompt's."""

    full: tuple[list[int], ...]
    n_prompt: tuple[int, ...]

    def n_positions(self, indices: Sequence[int]) -> int:
        """Positions that are compared: all after the first but the last, which predicts nothing."""
        return sum(len(self.full[i]) - 2 for i in indices)


class Stored:
    """Batches on disk, read one at a time; a file is summed when it is first read and when it has changed since.

    A scratch folder goes with it.
    """

    def __init__(self, paths: Sequence[Path], scratch: Path | None = None) -> None:
        self._paths = tuple(paths)
        self._known: dict[Path, tuple[int, int]] = {}
        if scratch is not None:
            weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[TeacherForced]:
        """Read batch by batch.

        Raises:
            UserError: a file is gone or damaged since; it is not made again, as the model may be edited by now.
        """
        return map(self._checked, self._paths)

    def _checked(self, path: Path) -> TeacherForced:
        version = _version(path)
        part = _read(path, is_known=version is not None and self._known.get(path) == version)
        if version is not None:
            self._known[path] = version
        return part


class Batches(Protocol):
    """Batches of base logits, held or read one at a time, which can be gone through again."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[TeacherForced]: ...


def part_bytes(profile: EvaluateConfig) -> int:
    """How large each of the pieces that are held at once may be."""
    return int(profile.memory_gb * GIGABYTE) // PARTS


def teacher_forced(
    adapter: Adapter,
    rows: Rows,
    profile: EvaluateConfig,
    *,
    folder: Path | None,
    name: str,
    say: Say,
    prefix: Prefix,
) -> Batches:
    """The base's logits of all rows: held where they take a part of the budget, else read from disk batch by batch.

    They are kept in ``folder`` if there is one, to be found again.

    Raises:
        UserError: one row alone exceeds its part of the budget, or the disk has too little room.
    """
    batches = plan_batches(adapter, rows, profile)
    n_bytes = sum(map(rows.n_positions, batches)) * bytes_per_position(adapter)
    fits = n_bytes <= part_bytes(profile)
    if folder is None and fits:
        return [_from_tensors(_force(adapter, rows, indices, prefix)) for indices in batches]
    scratch = Path(mkdtemp(prefix="saber-logits-")) if folder is None else None
    place = folder or scratch or Path()
    begun = {"prefix": len(prefix.tokens)} if prefix.tokens else {}
    keys = [
        {"rows": [rows.full[i] for i in batch], "prompts": [rows.n_prompt[i] for i in batch], **begun}
        for batch in batches
    ]
    paths = [cache_path(place, f"{i:04d}", key) for i, key in enumerate(keys)]
    stored = Stored(paths, scratch)
    missing = [indices for path, indices in zip(paths, batches, strict=True) if not path.exists()]
    if missing:
        wanted = sum(map(rows.n_positions, missing)) * bytes_per_position(adapter)
        _claim(place, wanted, len(rows.full), name, say)
    held: list[TeacherForced] = []
    for i, (key, indices) in enumerate(zip(keys, batches, strict=True)):
        part = cached(place, f"{i:04d}", key, partial(_cacheable, adapter, rows, indices, prefix))
        held += [_from_tensors(part.tensors)] if fits else []
    for old in set(place.iterdir()) - set(paths):  # of another batch size or budget
        old.unlink()
    return held if fits else stored


def bytes_per_position(adapter: Adapter) -> int:
    """What the logits of one position take, in the model's dtype, which loses nothing."""
    return int(adapter.model.config.get_text_config().vocab_size) * adapter.dtype.itemsize


def plan_batches(adapter: Adapter, rows: Rows, profile: EvaluateConfig) -> list[list[int]]:
    """Row indices by batch: of similar length, and so few that a pass's whole output is within its part of the budget.

    Raises:
        UserError: one row alone exceeds it.
    """
    per_position, limit = bytes_per_position(adapter), part_bytes(profile)
    lengths = [len(row) for row in rows.full]
    longest = max(lengths, default=0)
    if longest * per_position > limit:
        raise UserError(
            f"evaluate.memory_gb: expected at least {PARTS * longest * per_position / GIGABYTE:.3g} for a prompt and"
            f" response of {longest} tokens, found {profile.memory_gb:g}: raise it"
        )
    return by_length(
        lengths, lambda width: min(profile.batch_size, limit // (width * per_position)), pass_tokens(adapter)
    )


def _claim(folder: Path, n_bytes: int, n_prompts: int, name: str, say: Say) -> None:
    """Say what the logits will take on disk, or refuse where it has not that much."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    size = f"{n_bytes / GIGABYTE:.3g} GB"
    if n_bytes > free:
        raise UserError(
            f"expected {size} of disk in {folder} for the base logits of {n_prompts} {name} prompts, found"
            f" {free / GIGABYTE:.3g} GB free: free space, or name another study.dir"
        )
    say(f"base logits of {n_prompts} {name} prompts: {size} of disk in {folder} ({free / GIGABYTE:.3g} GB free)")


@torch.inference_mode()
def _force(adapter: Adapter, rows: Rows, indices: Sequence[int], prefix: Prefix) -> dict[str, Tensor]:
    """The base's logits at all prompt positions after the first and at all that predict a response token."""
    batch = pad_left(adapter, [rows.full[i] for i in indices])
    places = [
        (row, batch.input_ids.shape[1] - len(rows.full[i]) + at, i, at, rows.n_prompt[i])
        for row, i in enumerate(indices)
        for at in range(1, len(rows.full[i]) - 1)
    ]
    row, column, prompt, at, n_prompt = torch.tensor(places, device=adapter.device).T.contiguous()
    read = prefix.read(adapter, 1)
    logits = adapter.model(**read.inputs(batch), use_cache=read.cache is not None).logits
    return {
        "input_ids": batch.input_ids,
        "attention_mask": batch.attention_mask,
        "row": row,
        "column": column,
        "prompt": prompt,
        "is_first": at == n_prompt - 1,
        "is_prompt": at <= n_prompt - 1,
        "is_response": at >= n_prompt - 1,
        "logits": read.logits_at(logits, 0, row, column, at),
    }


def _cacheable(adapter: Adapter, rows: Rows, indices: Sequence[int], prefix: Prefix) -> Cached:
    return Cached(_force(adapter, rows, indices, prefix), None)


def _version(path: Path) -> tuple[int, int] | None:
    """What changes when a file does: its size and when it was last written; None where it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _read(path: Path, *, is_known: bool = False) -> TeacherForced:
    try:
        return _from_tensors(read_cached(path, is_known=is_known).tensors)
    except (OSError, *DAMAGE) as error:
        raise UserError(f"expected base logits in {path}, found: {error}; run again") from error


def _from_tensors(tensors: Mapping[str, Tensor]) -> TeacherForced:
    rest = dict(tensors)
    return TeacherForced(Batch(rest.pop("input_ids"), rest.pop("attention_mask")), **rest)
