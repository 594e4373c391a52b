"""A plan as a LoRA adapter for llama.cpp: one file of a few megabytes that edits any quantisation of the base.

``general.type=adapter``, ``adapter.type=lora``; llama.cpp adds ``scale * alpha / rank * B A x`` to each named map, so
alpha is the most frequent rank, and B of another rank is scaled to make up for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from saber.lm.architecture.adapter import Adapter, Writer
from saber.lm.editing.lora_factors import LoraFactors, lora_edits, lora_factors, no_adapter
from saber.lm.editing.tensor_file import PLAN
from saber.types import EditPlan, UserError

A, B = ".lora_a", ".lora_b"
ALPHA = "adapter.lora.alpha"
# model_type -> the member of gguf.MODEL_ARCH that llama.cpp's converter makes of it. The writers' matrices of these
# families go into a GGUF as they are, or transposed, or stacked over experts.
ARCHITECTURES: Mapping[str, str] = {
    "cohere2": "COHERE2",
    "deepseek_v3": "DEEPSEEK2",
    "exaone4": "EXAONE4",
    "gemma": "GEMMA",
    "gemma2": "GEMMA2",
    "gemma3": "GEMMA3",
    "gemma3_text": "GEMMA3",
    "gemma3n": "GEMMA3N",
    "gemma3n_text": "GEMMA3N",
    "gemma4": "GEMMA4",
    "gemma4_text": "GEMMA4",
    "glm4": "GLM4",
    "glm4_moe": "GLM4_MOE",
    "gpt2": "GPT2",
    "gpt_neox": "GPTNEOX",
    "gpt_oss": "GPT_OSS",
    "granite": "GRANITE",
    "granitemoe": "GRANITE_MOE",
    "granitemoehybrid": "GRANITE_HYBRID",
    "lfm2": "LFM2",
    "lfm2_moe": "LFM2MOE",
    "llama": "LLAMA",
    "llama4": "LLAMA4",
    "llama4_text": "LLAMA4",
    "minimax_m2": "MINIMAXM2",
    "mistral": "LLAMA",
    "mixtral": "LLAMA",
    "nemotron_h": "NEMOTRON_H",
    "olmo2": "OLMO2",
    "olmo3": "OLMO2",
    "olmoe": "OLMOE",
    "phi3": "PHI3",
    "qwen2": "QWEN2",
    "qwen2_moe": "QWEN2MOE",
    "qwen3": "QWEN3",
    "qwen3_moe": "QWEN3MOE",
    "qwen3_next": "QWEN3NEXT",
    "smollm3": "SMOLLM3",
}
REARRANGED: Mapping[str, str] = {
    "falcon_h1": "multiplies the writers by the model's multipliers",
    "qwen3_5": "reorders the value heads of linear attention",
    "qwen3_5_moe": "reorders the value heads of linear attention",
    "qwen3_5_moe_text": "reorders the value heads of linear attention",
    "qwen3_5_text": "reorders the value heads of linear attention",
}
EXPERTS = ".down_proj"  # the parameter of fused experts
OTHERWISE = {"block_sparse_moe.experts.down_proj": "block_sparse_moe.output_linear"}  # as the map still calls them


def check_gguf_adapter(adapter: Adapter, plan: EditPlan) -> None:
    """Refuse a plan that has no adapter for llama.cpp, before anything is written.

    Raises:
        UserError: as of `save_gguf_adapter`.
    """
    gguf_names(adapter)
    for writer, edit in lora_edits(adapter, plan):
        if writer.bias is not None and not edit.reads_input and bool((writer.bias.float() @ edit.v.float()).any()):
            there = f"a bias at {writer.name}, which such an adapter leaves as it is"
            raise UserError(no_adapter("writers without a bias that is edited", there))


def save_gguf_adapter(adapter: Adapter, plan: EditPlan, file: Path, base: str) -> None:
    """Write the plan as an adapter of any GGUF of the unedited model ``base``, fp32.

    Raises:
        UserError: llama.cpp has no map of the family, a bias would have to be edited, or the plan is not of low rank.
    """
    check_gguf_adapter(adapter, plan)
    gguf, names = gguf_package(), gguf_names(adapter)
    factors = {writer.name: lora_factors(writer, edit) for writer, edit in lora_edits(adapter, plan)}
    alpha = Counter(own.rank for own in factors.values()).most_common(1)[0][0]
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(file, gguf_architecture(adapter))
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32(ALPHA, float(alpha))
    writer.add_name(f"SABER {plan.digest}")
    writer.add_string("general.base_model.0.name", base)
    writer.add_string(PLAN, plan.digest)
    for name, factor in factors.items():
        writer.add_tensor(names[name] + A, factor.a.numpy())
        writer.add_tensor(names[name] + B, (factor.b * (factor.rank / alpha)).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_gguf_adapter(adapter: Adapter, file: Path) -> dict[str, LoraFactors]:
    """By the writer's name, the factors that llama.cpp adds at scale 1: alpha / rank * B, and A.

    Raises:
        UserError: the file holds no adapter of this model's writers.
    """
    alpha, tensors = _read(file)
    names = gguf_names(adapter)
    factors: dict[str, LoraFactors] = {}
    for writer in adapter.writers:
        name = names[writer.name]
        if name + A in tensors:
            a, b = (torch.from_numpy(tensors.pop(name + kind)) for kind in (A, B))
            factors[writer.name] = LoraFactors(a, b * (alpha / a.shape[-2]), None)
    if tensors:
        raise UserError(f"expected an adapter of this model's writers in {file}, found {min(tensors)}")
    return factors


def _read(file: Path) -> tuple[float, dict[str, np.ndarray]]:
    """An adapter's alpha and its tensors, copied out of the mapped file.

    Raises:
        UserError: the file is no GGUF, or no adapter.
    """
    gguf = gguf_package()
    try:
        reader = gguf.GGUFReader(file)
        alpha = float(reader.fields[ALPHA].contents())
    except (OSError, ValueError, LookupError) as error:
        raise UserError(f"expected an adapter in {file}, found: {error or type(error).__name__}") from error
    return alpha, {tensor.name: np.array(tensor.data) for tensor in reader.tensors}


def gguf_architecture(adapter: Adapter) -> str:
    """The name that GGUF files of this family carry.

    Raises:
        UserError: there is none, or llama.cpp's converter rearranges what an edit would be added to.
    """
    gguf = gguf_package()
    model_type = adapter.model_type
    if model_type in REARRANGED:
        there = f"{model_type}, of which llama.cpp's converter {REARRANGED[model_type]}"
        raise UserError(no_adapter("a family whose writers llama.cpp keeps as they are", there))
    member = getattr(gguf.MODEL_ARCH, ARCHITECTURES.get(model_type, ""), None)
    if member is None:
        known = ", ".join(sorted(ARCHITECTURES))
        raise UserError(no_adapter(f"a family that llama.cpp has a map of ({known})", model_type))
    return str(gguf.MODEL_ARCH_NAMES[member])


def gguf_names(adapter: Adapter) -> dict[str, str]:
    """By a writer's own name, what llama.cpp calls its weight.

    Raises:
        UserError: as of `gguf_architecture`, or the map lacks a writer.
    """
    gguf_architecture(adapter)
    gguf = gguf_package()
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, ARCHITECTURES[adapter.model_type]), adapter.n_layers)
    return {writer.name: _name(names, adapter, writer) for writer in adapter.writers}


def _name(names: Any, adapter: Adapter, writer: Writer) -> str:
    inside = writer.name.removeprefix(f"{adapter.blocks_path}.{writer.layer}.") + (EXPERTS if writer.fused else "")
    for prefix in (adapter.family.blocks, "backbone.layers"):  # of the text half; Nemotron's own name of its blocks
        mapped = names.get_name(f"{prefix}.{writer.layer}.{OTHERWISE.get(inside, inside)}")
        if mapped is not None:
            return f"{mapped}.weight"
    raise UserError(no_adapter("writers that GGUF's map names", writer.name))


def gguf_package() -> Any:
    """The package that reads and writes GGUF.

    Raises:
        UserError: it is not installed.
    """
    try:
        import gguf
    except ImportError as error:
        raise UserError("export.format=gguf_adapter needs the gguf package, found none: pip install gguf") from error
    return gguf
