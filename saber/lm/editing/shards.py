"""Bake a plan into a checkpoint on disk, a tensor at a time, without ever loading the model.

Everything that the plan does not edit is copied byte for byte: shards without an edited tensor, tensors beside one in
its shard, and every file beside the weights. Packed weights that have a plain form are written in it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.architecture.writer_rows import Layout, bias_columns, weight_columns
from saber.lm.editing.checkpoint_files import INDEX, CheckpointFiles, checkpoint_files
from saber.lm.editing.compiled import check_layers
from saber.lm.editing.low_rank import WriterEdit, compile_low_rank, with_row_norms
from saber.lm.editing.packed import CONFIG, Stored, as_plain, packing_of, plain_config, refuse_packing
from saber.lm.editing.tensor_file import PLAN, Entry, bytes_of, metadata_of, places, write_tensor_file
from saber.lm.loading.load import build_skeleton
from saber.lm.loading.stored_names import StoredAs, parameters_of
from saber.types import EditPlan, UserError

ONE_OF: dict[Layout, Layout] = {"eoi": "oi", "eio": "io"}  # a fused layout, and that of one expert stored apart
SWAPPED: dict[Layout, Layout] = {"oi": "io", "io": "oi", "eoi": "eio", "eio": "eoi"}
SPARE_BYTES = 2**28  # what is left free on the disk


@dataclass(frozen=True)
class Baked:
    """What was written: the stored tensors that were edited, those that were unpacked, and what was left out."""

    edited: frozenset[str]
    unpacked: frozenset[str]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class StoredEdit:
    """The edit of one stored tensor, a writer's weight or bias or one expert's part of it."""

    edit: WriterEdit
    layout: Layout | None  # None: a bias


@torch.no_grad()
def bake_checkpoint(
    source: Path,
    target: Path,
    plan: EditPlan,
    *,
    trust_remote_code: bool = False,
    wrote: Callable[[int], None] = lambda _n_bytes: None,
) -> Baked:
    """Copy a checkpoint with the plan baked in; ``wrote`` is told the bytes of each tensor or file as it is written.

    Peak memory is one tensor and a few blocks of columns, whatever the model's size. Edits are computed in float64, so
    that the same plan gives the same bytes whatever the number of threads.

    Raises:
        UserError: ``source`` is no checkpoint of a declared family, ``target`` is not empty or has no room, the plan
            edits nothing, or a weight to edit is neither stored as plain numbers nor packed in a way that is known.
    """
    if target.exists() and any(target.iterdir()):
        raise UserError(f"expected {target} to be empty, found files: name another folder")
    files = checkpoint_files(source)
    refuse_packing(source)
    stored = stored_tensors(files)
    edits = _edits(source, stored, plan, trust_remote_code=trust_remote_code)
    unpacked = {name for name, tensor in stored.items() if tensor.unpack is not None}
    _check_room(target, files, stored)
    target.mkdir(parents=True, exist_ok=True)
    _copy_beside(files, target, wrote)
    if packing_of(source) is not None:
        (target / CONFIG).write_text(plain_config(source), encoding="utf-8")
        _rewrite_index(source, target, stored)
    for shard in files.shards:
        mine = {name: tensor for name, tensor in stored.items() if tensor.place.file == source / shard}
        if mine.keys() & (edits.keys() | unpacked):
            entries = {name: _entry(tensor, edits.get(name), wrote) for name, tensor in mine.items()}
            write_tensor_file(target / shard, entries, metadata_of(source / shard) | {PLAN: plan.digest})
        elif mine:  # a shard of nothing but scales has no tensor left
            _copy(source / shard, target / shard, wrote)
    left_out = tuple(f"{name}/" if (source / name).is_dir() else str(name) for name in files.left_out)
    return Baked(frozenset(edits), frozenset(unpacked), left_out)


def stored_tensors(files: CheckpointFiles) -> dict[str, Stored]:
    """Every tensor of a checkpoint's shards as plain numbers.

    Raises:
        UserError: a shard is no safetensors file, or two hold a tensor of one name.
    """
    places_of = [places(files.folder / shard) for shard in files.shards]
    together = {name: place for of_file in places_of for name, place in of_file.items()}
    if len(together) < sum(map(len, places_of)):
        raise UserError(f"expected each tensor once in {files.folder}, found one in two files: keep one copy")
    return as_plain(together, files.folder)


def _entry(tensor: Stored, edit: StoredEdit | None, wrote: Callable[[int], None]) -> Entry:
    """What is to be written of a tensor: its own bytes, or the edited ones."""
    entry = tensor.entry()

    def chunks() -> Iterator[bytes | memoryview]:
        for chunk in entry.chunks() if edit is None else [bytes_of(_edited(tensor, edit))]:
            yield chunk
            wrote(len(chunk))

    return replace(entry, chunks=chunks)


def _edited(tensor: Stored, edit: StoredEdit) -> torch.Tensor:
    """A stored tensor with its edit, rounded once to its own dtype."""
    weight = tensor.read()
    if edit.layout is None:
        edit.edit.write_into_bias(bias_columns(weight))
    else:
        for columns in weight_columns(weight, edit.layout):
            edit.edit.write_into(columns)
    return weight


def _edits(
    source: Path, stored: Mapping[str, Stored], plan: EditPlan, *, trust_remote_code: bool
) -> dict[str, StoredEdit]:
    """The edit of every stored tensor that is a writer's weight or bias, or one expert's part of it."""
    model = build_skeleton(source, trust_remote_code=trust_remote_code)
    becomes = parameters_of(model, {name: tuple(tensor.shape) for name, tensor in stored.items()})
    _fill_vectors(model, stored, becomes)
    adapter = adapt(model, None)
    check_layers(adapter, plan)
    keys: dict[str, list[str]] = {}
    for key, parameter in becomes.items():
        keys.setdefault(parameter.name, []).append(key)
    edits = dict(_edits_of_writers(adapter, plan, stored, becomes, keys))
    if not edits:
        raise UserError("expected a plan that edits a writer, found one that edits none: it is the base model")
    return edits


def _edits_of_writers(
    adapter: Adapter,
    plan: EditPlan,
    stored: Mapping[str, Stored],
    becomes: Mapping[str, StoredAs],
    keys: Mapping[str, list[str]],
) -> Iterator[tuple[str, StoredEdit]]:
    """By stored name, the edit of each writer that the plan edits, in float64."""
    for writer in adapter.writers:
        edit = compile_low_rank(plan, writer)
        if edit is None:
            continue
        weight, bias = (f"{writer.name}.{parameter}" for parameter in writer.parameters)
        if weight not in keys:
            raise UserError(f"expected a stored tensor that becomes {weight}, found none that does so unchanged")
        if plan.row_norm:
            first = keys[weight][0]
            layout = _stored_layout(writer.layout, becomes[first])
            edit = with_row_norms(plan, edit, weight_columns(stored[first].read(), layout)[0])
        for key in keys[weight]:
            yield key, StoredEdit(edit.double(), _stored_layout(writer.layout, becomes[key]))
        if edit.edits_bias:
            for key in keys.get(bias, []):
                yield key, StoredEdit(edit.double(), None)


def _stored_layout(layout: Layout, parameter: StoredAs) -> Layout:
    """The layout in which a writer's weight, or one expert's part of it, is stored."""
    if parameter.is_one_expert:
        return ONE_OF[layout]
    return SWAPPED[layout] if parameter.is_transposed else layout


def _fill_vectors(model: nn.Module, stored: Mapping[str, Stored], becomes: Mapping[str, StoredAs]) -> None:
    """Read the skeleton's one-dimensional parameters: the gains of norms are among them, and all are small."""
    for key, parameter in becomes.items():
        if len(stored[key].shape) == 1:
            parent, _, leaf = parameter.name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, nn.Parameter(stored[key].read(), requires_grad=False))


def _check_room(target: Path, files: CheckpointFiles, stored: Mapping[str, Stored]) -> None:
    """Pass where the disk has room for what is to be written.

    Raises:
        UserError: it has not.
    """
    needed = size_in_bytes(files, stored)
    parent = next(folder for folder in target.absolute().parents if folder.exists())
    free = shutil.disk_usage(parent).free - SPARE_BYTES
    if needed > free:
        raise UserError(
            f"expected {needed / 1e9:.1f} GB free at {parent}, found {max(free, 0) / 1e9:.1f}: free space, or set"
            " export.dir, or export.format=adapter, which is small"
        )


def size_in_bytes(files: CheckpointFiles, stored: Mapping[str, Stored]) -> int:
    """What a baked copy of a checkpoint takes on disk."""
    beside = sum((files.folder / file).stat().st_size for file in files.beside)
    return beside + sum(tensor.entry().n_bytes for tensor in stored.values())


def _copy_beside(files: CheckpointFiles, target: Path, wrote: Callable[[int], None]) -> None:
    for file in files.beside:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        _copy(files.folder / file, target / file, wrote)


def _copy(source: Path, target: Path, wrote: Callable[[int], None]) -> None:
    shutil.copyfile(source, target)
    wrote(target.stat().st_size)


def _rewrite_index(source: Path, target: Path, stored: Mapping[str, Stored]) -> None:
    """Name what each shard holds now, where the checkpoint has an index and its tensors are not what they were."""
    if not (source / INDEX).is_file():
        return
    index = json.loads((source / INDEX).read_text(encoding="utf-8"))
    index["weight_map"] = {name: stored[name].place.file.name for name in sorted(stored)}
    index["metadata"] = {
        **(index.get("metadata") or {}),
        "total_size": sum(tensor.entry().n_bytes for tensor in stored.values()),
    }
    (target / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
