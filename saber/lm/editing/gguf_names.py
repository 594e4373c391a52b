"""What llama.cpp calls the writers of a family: GGUF's tensor maps, where its converter leaves them as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saber.lm.architecture.adapter import Adapter, Writer
from saber.lm.editing.lora_factors import no_adapter
from saber.types import UserError

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


def gguf_architecture(adapter: Adapter) -> str:
    """The name that GGUF files of this family carry.

    Raises:
        UserError: there is none, or llama.cpp's converter rearranges what an edit would be added to.
    """
    gguf = gguf_package()
    model_type = adapter.model_type
    if model_type in REARRANGED:
        found = f"{model_type}, of which llama.cpp's converter {REARRANGED[model_type]}"
        raise UserError(no_adapter("a family whose writers llama.cpp keeps as they are", found))
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
        found = names.get_name(f"{prefix}.{writer.layer}.{OTHERWISE.get(inside, inside)}")
        if found is not None:
            return f"{found}.weight"
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
