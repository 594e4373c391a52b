"""Tiny random models of many families, some in several shapes, with norms, biases and scales of their own."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.loading.load import build_model
from tests.conftest import TINY_GEMMA4, randomise

SEED = 2  # under others, the tiny Gemma 4s amplify the rounding of a weight to 1e-5 of the logits
SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "intermediate_size": 40,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
}
SLIDING: dict[str, Any] = {
    **SMALL,
    "sliding_window": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
}
EXPERTS: dict[str, Any] = {**SMALL, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LOCAL_EXPERTS: dict[str, Any] = {**SMALL, "num_local_experts": 4, "num_experts_per_tok": 2}
ROUTED: dict[str, Any] = {
    **SMALL,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 16,
}
LINEAR: dict[str, Any] = {
    "layer_types": ["linear_attention", "full_attention"] * 2,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
SHARED_EXPERT: dict[str, Any] = {**EXPERTS, "shared_expert_intermediate_size": 16}
MAMBA: dict[str, Any] = {
    "mamba_d_state": 8,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_n_heads": 4,
    "mamba_d_head": 12,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 8,
}
MULTIPLIERS: dict[str, Any] = {"residual_multiplier": 0.3, "embedding_multiplier": 2.0, "logits_scaling": 0.5}
BIASES: dict[str, Any] = {"attention_bias": True, "mlp_bias": True}
VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
QWEN_VISION: dict[str, Any] = {
    "depth": 1,
    "hidden_size": 16,
    "num_heads": 2,
    "intermediate_size": 16,
    "out_hidden_size": 24,
}
GEMMA3N: dict[str, Any] = {
    **SLIDING,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": 64,
    "num_kv_shared_layers": 2,
    "laurel_rank": 4,
    "activation_sparsity_pattern": [0.0] * 4,
}
GEMMA4_MOE: dict[str, Any] = {
    **TINY_GEMMA4,
    "enable_moe_block": True,
    "num_experts": 4,
    "top_k_experts": 2,
    "moe_intermediate_size": 16,
    "hidden_size_per_layer_input": 0,
    "num_kv_shared_layers": 0,
}

LLAMA4: dict[str, Any] = {
    **LOCAL_EXPERTS,
    "intermediate_size_mlp": 40,
    "interleave_moe_layer_step": 2,
    "attention_chunk_size": 8,
}

# name of the case -> (model_type, configuration)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "cohere2": ("cohere2", {**SLIDING, "logit_scale": 0.5}),
    "deepseek_v3": (
        "deepseek_v3",
        {
            **ROUTED,
            "num_key_value_heads": 4,
            "head_dim": 4,
            "q_lora_rank": 8,
            "kv_lora_rank": 8,
            "qk_rope_head_dim": 4,
            "qk_nope_head_dim": 4,
            "v_head_dim": 8,
        },
    ),
    "exaone4": ("exaone4", SLIDING),
    "falcon_h1": (
        "falcon_h1",
        {
            **SMALL,
            **{**MAMBA, "mamba_d_ssm": 48},
            **BIASES,
            "projectors_bias": True,
            "attention_out_multiplier": 0.7,
            "ssm_out_multiplier": 1.3,
            "mlp_multipliers": [0.9, 0.6],
        },
    ),
    "gemma": ("gemma", SMALL),
    "gemma2": ("gemma2", SLIDING),
    "gemma3": ("gemma3", {"text_config": SLIDING, "vision_config": {**VISION, "image_size": 8, "patch_size": 4}}),
    "gemma3_text": ("gemma3_text", SLIDING),
    "gemma3n": ("gemma3n_text", GEMMA3N),
    "gemma4": ("gemma4", {"text_config": TINY_GEMMA4, "vision_config": VISION, "audio_config": None}),
    "gemma4_moe": ("gemma4_text", GEMMA4_MOE),
    "gemma4_text": ("gemma4_text", TINY_GEMMA4),
    "glm4": ("glm4", {**SMALL, "attention_bias": True}),
    "glm4_moe": ("glm4_moe", ROUTED),
    "gpt2": ("gpt2", {**SMALL, "n_positions": 128}),
    "gpt_neox": ("gpt_neox", SMALL),
    "gpt_neox_serial": ("gpt_neox", {**SMALL, "use_parallel_residual": False}),
    "gpt_oss": ("gpt_oss", {**LOCAL_EXPERTS, "sliding_window": 4, "layer_types": SLIDING["layer_types"]}),
    "granite": ("granite", {**SMALL, **MULTIPLIERS, **BIASES}),
    "granitemoe": ("granitemoe", {**LOCAL_EXPERTS, **MULTIPLIERS}),
    "granitemoehybrid": (
        "granitemoehybrid",
        {
            **LOCAL_EXPERTS,
            **MULTIPLIERS,
            **MAMBA,
            "layer_types": ["mamba", "attention"] * 2,
            "shared_intermediate_size": 16,
        },
    ),
    "lfm2": ("lfm2", {**SMALL, "layer_types": ["conv", "full_attention"] * 2}),
    "lfm2_bias": ("lfm2", {**SMALL, "layer_types": ["conv", "full_attention"] * 2, "conv_bias": True}),
    "lfm2_moe": (
        "lfm2_moe",
        {**EXPERTS, "layer_types": ["conv", "full_attention"] * 2, "num_dense_layers": 2},
    ),
    "llama": ("llama", {**SMALL, **BIASES, "tie_word_embeddings": True}),
    "llama4": ("llama4", {"text_config": LLAMA4, "vision_config": {**VISION, "image_size": 8, "patch_size": 4}}),
    "llama4_text": ("llama4_text", LLAMA4),
    "minimax": ("minimax", {**LOCAL_EXPERTS, "layer_types": LINEAR["layer_types"], "block_size": 8}),
    "minimax_m2": ("minimax_m2", LOCAL_EXPERTS),
    "ministral": ("ministral", SLIDING),
    "mistral": ("mistral", {**SMALL, "sliding_window": 4}),
    "mixtral": ("mixtral", LOCAL_EXPERTS),
    "nemotron_h": (
        "nemotron_h",
        {
            **{k: v for k, v in ROUTED.items() if k != "num_hidden_layers"},
            "layers_block_type": ["mamba", "moe", "attention", "mlp"],
            "mlp_bias": True,
            "mamba_num_heads": 4,
            "mamba_head_dim": 12,
            "ssm_state_size": 8,
            "n_groups": 1,
            "chunk_size": 8,
            "moe_shared_expert_intermediate_size": 16,
        },
    ),
    "olmo2": ("olmo2", SMALL),
    "olmo3": ("olmo3", SLIDING),
    "olmoe": ("olmoe", {**EXPERTS, "head_dim": 6, "intermediate_size": 16}),
    "phi3": ("phi3", SMALL),
    "qwen2": ("qwen2", {**SMALL, "tie_word_embeddings": True}),
    "qwen2_moe": ("qwen2_moe", {**SHARED_EXPERT, "mlp_only_layers": [0]}),
    "qwen3": ("qwen3", {**SMALL, "attention_bias": True}),
    "qwen3_5": (
        "qwen3_5",
        {"text_config": {**SMALL, **LINEAR}, "vision_config": QWEN_VISION},
    ),
    "qwen3_5_moe": (
        "qwen3_5_moe",
        {"text_config": {**SHARED_EXPERT, **LINEAR}, "vision_config": QWEN_VISION},
    ),
    "qwen3_5_moe_text": ("qwen3_5_moe_text", {**SHARED_EXPERT, **LINEAR}),
    "qwen3_5_text": ("qwen3_5_text", {**SMALL, **LINEAR}),
    "qwen3_moe": ("qwen3_moe", {**EXPERTS, "mlp_only_layers": [0]}),
    "qwen3_next": ("qwen3_next", {**SHARED_EXPERT, **LINEAR, "mlp_only_layers": [0]}),
    "smollm3": ("smollm3", {**SMALL, "no_rope_layers": [1, 1, 1, 0]}),
}
CASES["nemotron_h_latent"] = ("nemotron_h", {**CASES["nemotron_h"][1], "moe_latent_size": 16, "use_bias": True})


@cache
def _model(case: str) -> Any:
    model_type, config = CASES[case]
    torch.manual_seed(0)
    model = build_model(model_type, config)
    randomise(model, SEED)
    return model.eval()


# Left padding changes what transformers itself computes: a bias fills the padded positions that a convolution or a
# recurrence then reads, and MiniMax's blocks are counted from the padding. There a batch is one prompt.
UNPADDED = {"lfm2_bias", "minimax", "nemotron_h_latent"}
# Their state is not keys and values alone: a refused draft could not be taken back.
RECURRENT = UNPADDED | {
    *("falcon_h1", "granitemoehybrid", "lfm2", "lfm2_moe", "nemotron_h", "qwen3_5", "qwen3_5_moe"),
    *("qwen3_5_moe_text", "qwen3_5_text", "qwen3_next"),
}


def tiny(case: str, dtype: torch.dtype = torch.float32) -> Adapter:
    """A fresh adapter of one case: the same weights on every call."""
    model = copy.deepcopy(_model(case))
    for held in (*model.parameters(), *model.buffers()):
        if held.is_floating_point():  # a vision tower may have complex ones
            held.data = held.data.to(dtype)
    model.config.dtype = dtype
    return adapt(model, None)
