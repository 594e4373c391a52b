"""A plan as an exact LoRA adapter in PEFT's layout, so that W + B A is the baked weight.

B = -U diag(a), and A = V^T W where outputs are read, A = K where inputs are.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from saber.atomic_files import write_atomically
from saber.lm.architecture.adapter import Adapter, Writer
from saber.lm.editing.lora_factors import LoraFactors, lora_edits, lora_factors, merge_factors, no_adapter
from saber.lm.editing.low_rank import WriterEdit
from saber.lm.editing.tensor_file import PLAN, tensor_entry, write_tensor_file
from saber.types import EditPlan, UserError

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."
# Families in which PEFT refuses modules of this name, whose weight a fused kernel may read around them.
MAMBA_TYPES, MAMBA_OUTPUT = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"), "out_proj"


@torch.no_grad()
def save_adapter(adapter: Adapter, plan: EditPlan, folder: Path, base: str) -> None:
    """Write the plan as an adapter of the unedited model ``base``, fp32, with alpha = r so that its scaling is 1.

    Raises:
        UserError: the plan has no exact adapter that PEFT loads; the merged form always exists.
    """
    factors = {writer: lora_factors(writer, edit) for writer, edit in _targeted(adapter, plan)}
    has_bias = any(own.bias is not None for own in factors.values())
    tensors: dict[str, Tensor] = {}
    for writer, factor in factors.items():
        name = f"{PREFIX}{writer.name}"
        tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"] = factor.a, factor.b
        if has_bias:
            tensors[f"{name}.lora_B.bias"] = torch.zeros(len(factor.b)) if factor.bias is None else factor.bias
    folder.mkdir(parents=True, exist_ok=True)
    entries = {name: tensor_entry(tensor) for name, tensor in tensors.items()}
    write_tensor_file(folder / WEIGHTS, entries, {"format": "pt", PLAN: plan.digest})
    ranks = {writer.name: own.rank for writer, own in factors.items()}
    config = _config(ranks, base, has_bias=has_bias, transposed=any(writer.layout == "io" for writer in factors))
    write_atomically(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def check_adapter(adapter: Adapter, plan: EditPlan) -> None:
    """Refuse a plan that has no adapter, before anything is written.

    Raises:
        UserError: as of `save_adapter`.
    """
    _targeted(adapter, plan)


def _targeted(adapter: Adapter, plan: EditPlan) -> list[tuple[Writer, WriterEdit]]:
    """The writers that a plan edits, each with its edit, all of which PEFT can target.

    Raises:
        UserError: the plan edits nothing, keeps row norms, or edits a writer that PEFT cannot target.
    """
    edits = lora_edits(adapter, plan)
    for writer, _ in edits:
        if writer.fused:
            raise UserError(no_adapter("writers that PEFT can target", f"fused experts at {writer.name}"))
        if adapter.model_type in MAMBA_TYPES and writer.name.endswith(MAMBA_OUTPUT):
            raise UserError(
                no_adapter("writers that PEFT can target", f"{writer.name}, which it refuses in Mamba models")
            )
    return edits


def _config(ranks: dict[str, int], base: str, *, has_bias: bool, transposed: bool) -> dict[str, object]:
    """PEFT's description: one rank for most modules, and the others by name."""
    rank = Counter(ranks.values()).most_common(1)[0][0]
    others = {name: own_rank for name, own_rank in ranks.items() if own_rank != rank}
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


def read_adapter(adapter: Adapter, folder: Path) -> dict[str, LoraFactors]:
    """By the writer's name, the factors of a written adapter.

    Raises:
        UserError: the folder holds no adapter of this model's writers.
    """
    try:
        tensors = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"expected an adapter in {folder}, found: {error}") from error
    factors: dict[str, LoraFactors] = {}
    for writer in adapter.writers:
        name = f"{PREFIX}{writer.name}.lora_"
        if {f"{name}A.weight", f"{name}B.weight"} <= tensors.keys():
            a, b = tensors.pop(f"{name}A.weight"), tensors.pop(f"{name}B.weight")
            factors[writer.name] = LoraFactors(a, b, tensors.pop(f"{name}B.bias", None))
    if tensors:
        raise UserError(f"expected an adapter of this model's writers in {folder}, found {min(tensors)}")
    return factors


def merge_adapter(adapter: Adapter, folder: Path) -> None:
    """Add a written adapter to the weights in place: W + B A, and b + the bias of B.

    Raises:
        UserError: the folder holds no adapter of this model's writers, or the weights are packed.
    """
    merge_factors(adapter, read_adapter(adapter, folder))
