"""A plan as an exact LoRA adapter in PEFT's layout, so that W + B A is the baked weight.

B = -U diag(a), and A = V^T W where outputs are read, A = K where inputs are.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from saber.atomic_files import write_atomically
from saber.lm.architecture.adapter import Adapter, Writer
from saber.lm.editing.apply import edits_by_writer
from saber.lm.editing.low_rank import WriterEdit
from saber.types import EditPlan, UserError

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."
# Families in which PEFT refuses modules of this name, whose weight a fused kernel may read around them.
MAMBA_TYPES, MAMBA_OUTPUT = ("falcon_h1", "nemotron_h"), "out_proj"


@torch.no_grad()
def save_adapter(adapter: Adapter, plan: EditPlan, folder: Path, base: str) -> None:
    """Write the plan as an adapter of the unedited model ``base``, fp32, with alpha = r so that its scaling is 1.

    Raises:
        UserError: the plan has no exact adapter that PEFT loads; the merged form always exists.
    """
    edits = lora_edits(adapter, plan)
    has_bias = any(writer.bias is not None and not edit.reads_input for writer, edit in edits)
    tensors: dict[str, Tensor] = {}
    for writer, edit in edits:
        name = f"{PREFIX}{writer.name}"
        read = edit.v.T if edit.reads_input else edit.v.T @ writer.columns()[0].float()
        tensors[f"{name}.lora_A.weight"] = read.cpu().contiguous()
        tensors[f"{name}.lora_B.weight"] = (-edit.u * edit.a).cpu().contiguous()
        if has_bias:
            bias = writer.bias_columns()
            change = torch.zeros(len(edit.u), 1) if bias is None else edit.on_bias(bias.float()) - bias.float()
            tensors[f"{name}.lora_B.bias"] = change.squeeze(1).cpu()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    ranks = {writer.name: int(edit.u.shape[1]) for writer, edit in edits}
    config = _config(ranks, base, has_bias=has_bias, transposed=any(writer.layout == "io" for writer, _ in edits))
    write_atomically(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def lora_edits(adapter: Adapter, plan: EditPlan) -> list[tuple[Writer, WriterEdit]]:
    """The writers that a plan edits, each with its edit.

    Raises:
        UserError: the plan edits nothing, keeps row norms, or edits a writer that PEFT cannot target.
    """
    if plan.row_norm:
        raise UserError(_merged("a plan without row norms", "one that keeps them: it is not of low rank"))
    edits = [(writer, edit) for writer, (edit,) in edits_by_writer(adapter, [plan]) if edit is not None]
    if not edits:
        raise UserError("expected a plan that edits a writer, found one that edits none: there is no adapter of it")
    for writer, _ in edits:
        if writer.fused:
            raise UserError(_merged("writers that PEFT can target", f"fused experts at {writer.name}"))
        if adapter.model_type in MAMBA_TYPES and writer.name.endswith(MAMBA_OUTPUT):
            raise UserError(_merged("writers that PEFT can target", f"{writer.name}, which it refuses in Mamba models"))
    return edits


def _merged(expected: str, found: str) -> str:
    return f"expected {expected} to export as an adapter, found {found}; export the merged form: export.format=merged"


def _config(ranks: dict[str, int], base: str, *, has_bias: bool, transposed: bool) -> dict[str, object]:
    """PEFT's description: one rank for most modules, and the others by name."""
    rank = Counter(ranks.values()).most_common(1)[0][0]
    others = {name: one for name, one in ranks.items() if one != rank}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": sorted(ranks),
        "lora_dropout": 0.0,
        "bias": "none",
        "lora_bias": has_bias,
        "fan_in_fan_out": transposed,
        "use_rslora": False,
    }


@torch.no_grad()
def merge_adapter(adapter: Adapter, folder: Path) -> None:
    """Add a written adapter to the weights in place: W + B A, and b + the bias of B.

    Raises:
        UserError: the folder holds no adapter of this model's writers.
    """
    try:
        tensors = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"expected an adapter in {folder}, found: {error}") from error
    for writer in adapter.writers:
        name = f"{PREFIX}{writer.name}.lora_"
        if not {f"{name}A.weight", f"{name}B.weight"} <= tensors.keys():
            continue
        a, b = tensors.pop(f"{name}A.weight"), tensors.pop(f"{name}B.weight")
        bias = tensors.pop(f"{name}B.bias", None)
        views = writer.columns()
        views[0].copy_(views[0].float() + (b @ a).to(writer.device))
        if bias is not None and writer.bias is not None:
            writer.bias.copy_(writer.bias.float() + bias.to(writer.device))
    if tensors:
        raise UserError(f"expected an adapter of this model's writers in {folder}, found {min(tensors)}")
