"""Bake a plan into a checkpoint on disk, a tensor at a time, without ever loading the model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.architecture.layouts import BIAS, WEIGHT, Layout, bias_columns, weight_columns
from saber.lm.architecture.loading import build_skeleton, parameters_of
from saber.lm.editing.compiled import check_layers
from saber.lm.editing.low_rank import compile_low_rank, with_row_norms
from saber.lm.editing.tensor_file import Place, places, read_tensor, rewritten
from saber.types import EditPlan, UserError

ONE_OF: dict[Layout, Layout] = {"eoi": "oi", "eio": "io"}  # a fused layout, and that of one expert stored apart


@torch.no_grad()
def bake_checkpoint(source: Path, target: Path, plan: EditPlan) -> int:
    """Copy a checkpoint with the plan baked in, and return how many stored tensors were edited.

    Peak memory is one tensor and a few blocks of columns, whatever the model's size.

    Raises:
        UserError: ``source`` is no checkpoint of a declared family, ``target`` is not empty, or a weight to edit is not
            stored as plain numbers.
    """
    if target.exists() and any(target.iterdir()):
        raise UserError(f"expected {target} to be empty, found files: name another folder")
    files = sorted(source.glob("*.safetensors"))
    stored = {name: place for file in files for name, place in places(file).items()}
    if not stored:
        raise UserError(f"expected safetensors files in {source}, found none")
    model = build_skeleton(source)
    becomes = parameters_of(model, stored)
    _fill_vectors(model, stored, becomes)
    adapter = adapt(model, None)
    check_layers(adapter, plan)
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.bin", "*.pt", "*.gguf"))
    return _rewrite(adapter, plan, stored, becomes, target)


def _fill_vectors(model: nn.Module, stored: Mapping[str, Place], becomes: Mapping[str, tuple[str, bool]]) -> None:
    """Read the skeleton's one-dimensional parameters: the gains of norms are among them, and all are small."""
    for key, (name, _) in becomes.items():
        if len(stored[key].shape) == 1:
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, nn.Parameter(read_tensor(stored[key]), requires_grad=False))


def _rewrite(
    adapter: Adapter,
    plan: EditPlan,
    stored: Mapping[str, Place],
    becomes: Mapping[str, tuple[str, bool]],
    target: Path,
) -> int:
    """Edit every stored tensor that is a writer's weight or bias, or one expert's part of it."""
    keys: dict[str, list[str]] = {}
    for key, (name, _) in becomes.items():
        keys.setdefault(name, []).append(key)
    n_edited = 0
    for writer in adapter.writers:
        edit = compile_low_rank(plan, writer)
        if edit is None:
            continue
        weight, bias = f"{writer.name}.{WEIGHT[writer.layout]}", f"{writer.name}.{BIAS[writer.layout]}"
        if weight not in keys:
            raise UserError(f"expected a stored tensor that becomes {weight}, found none that does so unchanged")
        if plan.row_norm:
            first = read_tensor(stored[keys[weight][0]])
            edit = with_row_norms(plan, edit, weight_columns(first, writer.layout)[0])
        for key in keys[weight]:
            layout = ONE_OF[writer.layout] if becomes[key][1] else writer.layout
            with rewritten(stored[key], target / stored[key].file.name) as tensor:
                for columns in weight_columns(tensor, layout):
                    edit.write_into(columns)
        for key in keys.get(bias, []):
            with rewritten(stored[key], target / stored[key].file.name) as tensor:
                edit.write_into_bias(bias_columns(tensor))
        n_edited += len(keys[weight]) + len(keys.get(bias, []))
    return n_edited
