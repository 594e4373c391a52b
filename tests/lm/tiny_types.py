"""A tiny random model of every model type that transformers builds and the rows serve: a line for each.

The configuration is the type's own default with every size made small by its name; a line says what else is needed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedConfig

from saber.lm.loading.model_classes import auto_class
from tests.conftest import randomise

SEED = 2
WIDTH = 32
TEXT_SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "lru_width"), WIDTH),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_blocks"), 2),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "d_ff", "dff", "expert_ffn_hidden_size"), 40),
    **dict.fromkeys(("ffn_hidden_size",), 40),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_target_positions"), 128),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts"), 2),
    **dict.fromkeys(("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"), 1),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size"), 16),
    **dict.fromkeys(
        ("moe_shared_expert_intermediate_size", "share_expert_dim", "shared_experts_intermediate_size"), 16
    ),
    **dict.fromkeys(("n_group", "topk_group", "num_expert_group", "first_k_dense_replace", "num_dense_layers"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "v_head_dim", "linear_key_head_dim", "linear_value_head_dim"), 8),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "rotary_dim", "time_step_rank"), 4),
    **dict.fromkeys(("mamba_d_state", "mamba_chunk_size", "chunk_size", "state_size", "ssm_state_size"), 8),
    **dict.fromkeys(
        ("hidden_size_per_layer_input", "global_head_dim", "index_head_dim", "head_dim", "linear_head_dim"), 8
    ),
    **dict.fromkeys(
        ("linear_num_value_heads", "linear_num_heads", "mamba_n_heads", "mamba_num_heads", "laurel_rank"), 4
    ),
    **dict.fromkeys(("linear_num_key_heads", "num_key_value_heads", "mamba_expand", "index_n_heads"), 2),
    **dict.fromkeys(("mamba_d_head", "mamba_head_dim", "projector_hidden_size"), 16),
    **dict.fromkeys(("vision_hidden_size", "alignment_intermediate_size"), 32),
    **dict.fromkeys(("mamba_n_groups", "n_groups"), 1),
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input", "index_topk"), 64),
    **dict.fromkeys(("sliding_window", "attention_window_size", "mamba_d_conv"), 4),
    **{"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2},
}
OTHER_SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "embed_dim", "d_model", "intermediate_size", "encoder_ffn_dim"), 32),
    **dict.fromkeys(("out_hidden_size", "output_dim", "projection_dim", "text_hidden_size", "output_channels"), WIDTH),
    **dict.fromkeys(("num_hidden_layers", "depth", "num_layers", "encoder_layers"), 1),
    **dict.fromkeys(("num_attention_heads", "num_heads", "attention_heads", "num_key_value_heads"), 2),
    **dict.fromkeys(("encoder_attention_heads", "num_blocks"), 2),
    **dict.fromkeys(("vision_output_dim", "projector_output_dim", "projector_input_dim", "adapter_out_dim"), WIDTH),
    **dict.fromkeys(("image_token_embed_dim", "adapter_in_dim", "adapter_input_size", "mlp_dim"), 32),
    **dict.fromkeys(("downsample_hidden_size", "ext_pw_out_channel", "depthwise_separable_out_channel"), 32),
    **dict.fromkeys(("nemo_conv_channels", "base_channels", "latent_channels", "moe_intermediate_size"), 32),
    **dict.fromkeys(("num_embeddings", "codebook_size", "max_image_size", "max_img_size", "bias_max_distance"), 16),
    **dict.fromkeys(("num_local_experts",), 2),
    **{"head_dim": 16, "image_size": 8, "patch_size": 4, "vocab_size": 64, "num_position_embeddings": 16},
    **{"deepstack_visual_indexes": [0], "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2},
}
TEXT_PARTS = ("text_config", "llm_config", "language_config", "thinker_config")

MLA = {"num_key_value_heads": 4, "head_dim": 4}
INDEXED = {**MLA, "qk_rope_head_dim": 4}
MROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}}
LINEAR = {"layer_types": ["linear_attention", "full_attention"]}
MROPE_HALF = {"rope_parameters": {**MROPE["rope_parameters"], "mrope_section": [1, 1, 0]}}
ZAMBA = {"attention_hidden_size": 64, "attention_head_dim": 16, "mamba_headdim": 16, "n_mamba_heads": 4}
COMPASS = {
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_parameters": dict.fromkeys(("sliding_attention", "full_attention"), MROPE["rope_parameters"]),
}
BIASES = {"attention_bias": True, "mlp_bias": True}
SPEECH = {"encoder_config": {"input_dim": 16, "hidden_dim": 32, "dim_head": 16, "max_pos_emb": 16, "context_size": 8}}

# model type -> what its default configuration needs beside small sizes
TYPES: dict[str, dict[str, Any]] = {
    "afmoe": {},
    "apertus": {},
    "arcee": {},
    "aria_text": {},
    "axk1": MLA,
    "axk2": INDEXED,
    "bailing_hybrid": {**LINEAR, **MLA},
    "bamba": {"attn_layer_indices": [1]},
    "beam": {},
    "biogpt": {},
    "bitnet": {},
    "bloom": {},
    "chameleon": {"vocabulary_map": {"<image>": 3}, "vq_config": {"channel_multiplier": [1]}},
    "codegen": {},
    "cohere": {},
    "cohere2": {},
    "cohere2_moe": {},
    "cohere_compass_text": COMPASS,
    "ctrl": {},
    "cwm": {},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 1e4},
        "ffn_config": {"ffn_hidden_size": 16, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deepseek_v2": {**MLA, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1},
    "deepseek_v3": MLA,
    "deepseek_v32": INDEXED,
    "diffllama": {},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dots3_note_text": INDEXED,
    "ernie4_5": {"use_bias": True},
    "ernie4_5_moe": {},
    "exaone4": {},
    "exaone_moe": {},
    "falcon": {"bias": True},
    "falcon_h1": {"mamba_d_ssm": 64},
    "falcon_mamba": {},
    "flex_olmo": {},
    "flint": {},
    "fuyu": {},
    "gemma": {},
    "gemma2": {},
    "gemma3_text": {},
    "gemma3n_text": {"num_kv_shared_layers": 0, "activation_sparsity_pattern": [0.0, 0.0]},
    "gemma4_text": {},
    "gemma4_unified_text": {},
    "glm": {},
    "glm4": {},
    "glm4_moe": {},
    "glm4_moe_lite": MLA,
    "glm_moe_dsa": INDEXED,
    "gpt-sw3": {},
    "gpt2": {},
    "gpt_bigcode": {},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gpt_neox": {},
    "gpt_oss": {},
    "gptj": {},
    "granite": BIASES,
    "granite_swa": {},
    "granitemoe": {},
    "granitemoe_swa": {},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "granitemoeshared": {},
    "helium": {},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8, "num_experts": 4, "moe_topk": [2, 2]},
    "hy_v3": {},
    "hyperclovax": {},
    "internlm3": {},
    "iquestcoder": {},
    "jais2": {},
    "jetmoe": {"kv_channels": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "kimi_linear": {**LINEAR, "num_key_value_heads": 4},
    "kolibri1": {},
    "laguna": {},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "lfm3": {"layer_types": ["conv", "full_attention"]},
    "llama": BIASES,
    "llama4_text": {},
    "longcat_flash": {**MLA, "zero_expert_num": 0},
    "mamba": {},
    "mamba2": {"num_heads": 4, "head_dim": 16},
    "mellum": {},
    "mimo_v2_flash": {},
    "minicpm3": MLA,
    "minimax": {},
    "minimax_m2": {},
    "minimax_m3_vl_text": {},
    "ministral": {"head_dim": 8},
    "ministral3": {},
    "mistral": {},
    "mistral4": MLA,
    "mixtral": {},
    "modernbert-decoder": {},
    "mpt": {},
    "nanochat": {},
    "nemotron": {**BIASES, "num_key_value_heads": 2},
    "nemotron_h": {},
    "olmo": {},
    "olmo2": {},
    "olmo3": {},
    "olmo_hybrid": {},
    "olmoe": {},
    "opt": {},
    "persimmon": {},
    "phi": {},
    "phi3": {},
    "phi4_multimodal": {"vision_config": {"crop_size": 8}},
    "phimoe": {},
    "qwen2": {},
    "qwen2_moe": {},
    "qwen3": {},
    "qwen3_5_moe_text": LINEAR,
    "qwen3_5_text": LINEAR,
    "qwen3_moe": {},
    "qwen3_next": LINEAR,
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "seed_oss": {},
    "smollm3": {},
    "solar_open": {},
    "stablelm": {},
    "starcoder2": {},
    "vaultgemma": {},
    "xglm": {},
    "xlstm": {},
    "youtu": MLA,
    "zamba": {
        "layers_block_type": ["linear_attention", "hybrid", "hybrid"],
        "num_hidden_layers": 3,
        "num_key_value_heads": 4,
    },
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"], "num_key_value_heads": 4, **ZAMBA},
    # multimodal wrappers, served as their text half is
    "aria": {},
    "aya_vision": {},
    "cohere2_vision": {"alignment_intermediate_size": 32},
    "cohere_compass": {"text_config": COMPASS},
    "cosmos3_edge": {"text_config": MROPE},
    "cosmos3_omni": {},
    "deepseek_ocr2": {
        "text_config": {
            "num_experts_per_tok": 2,
            "n_group": 1,
            "topk_group": 1,
            "mlp_layer_types": ["dense", "sparse"],
        },
        "vision_config": {"sam_config": {"downsample_channels": [32, 32], "global_attn_indexes": [0]}},
    },
    "deepseek_vl": {},
    "deepseek_vl_hybrid": {},
    "dots3_note": {"text_config": INDEXED, "vision_config": {"mlp_layer_types": ["dense"]}},
    "emu3": {"vocabulary_map": {"<image>": 3}, "vq_config": {"channel_multiplier": [1], "attn_resolutions": []}},
    "ernie4_5_vl_moe": {"text_config": {**MROPE, "moe_intermediate_size": [16, 16]}},
    "exaone4_5": {},
    "gemma3": {},
    "gemma4": {},
    "gemma4_unified": {},
    "glm46v": {"text_config": MROPE},
    "glm4v": {"text_config": MROPE},
    "glm4v_moe": {"text_config": MROPE_HALF},
    "glm_ocr": {"text_config": MROPE_HALF},
    "glmasr": {},
    "glmga": {"text_config": MROPE_HALF},
    "got_ocr2": {},
    "granite4_vision": {
        "vision_config": {"hidden_size": 64},
        "deepstack_layer_map": [[-1, 0]],
        "spatial_target_layers": [0],
        "downsample_rate": "1/2",
    },
    "granite_docling": {},
    "granite_speech": SPEECH,
    "granite_speech_plus": SPEECH,
    "hunyuan_vl": {
        "text_config": {**MROPE, "head_dim": 8},
        "vision_config": {"max_image_size": 32, "img_max_token_num": 16},
    },
    "hyperclovax_vision_v2": {},
    "idefics2": {},
    "idefics3": {},
    "internvl": {},
    "janus": {"vq_config": {"channel_multiplier": [1]}, "vision_config": {"projection_dim": 32}},
    "kimi_k25": {"text_config": MLA},
    "lfm2_vl": {},
    "lfm3_vl": {},
    "lighton_ocr": {},
    "llama4": {},
    "llava": {},
    "llava_next": {},
    "llava_next_video": {},
    "llava_onevision": {},
    "minicpm_ocr": {"text_config": LINEAR},
    "minicpmv4_6": {"text_config": LINEAR},
    "minicpmv4_7": {"text_config": LINEAR},
    "minimax_m3_vl": {},
    "mistral3": {},
    "mistral_large4": {"text_config": INDEXED},
    "molmo2": {"vision_config": {"image_size": [8, 8]}, "adapter_config": {"vision_feature_layer": [0]}},
    "moss_transcribe_diarize": {},
    "muse_glimmer": {
        "out_hidden_size": 32,
        "projector_hidden_size": 32,
        "vision_config": {"pos_emb_height": 2, "pos_emb_width": 2},
    },
    "nemotron_h_omni": {
        "video_temporal_patch_size": 2,
        "vision_config": {"mlp_ratio": 2.0, "video_temporal_patch_size": 2},
    },
    "ovis2": {},
    "paddleocr_vl": {"text_config": MROPE},
    "paligemma": {},
    "pp_chart2table": {},
    "qianfan_ocr": {},
    "qwen2_5_omni_thinker": {"text_config": MROPE, "vision_start_token_id": 3},
    "qwen2_5_vl": {"text_config": MROPE},
    "qwen2_audio": {},
    "qwen2_vl": {"text_config": MROPE},
    "qwen3_5": {"text_config": LINEAR},
    "qwen3_5_moe": {"text_config": LINEAR},
    "qwen3_asr": {},
    "qwen3_omni_moe_thinker": {"vision_start_token_id": 3},
    "qwen3_vl": {},
    "qwen3_vl_moe": {},
    "smolvlm": {},
    "step3p7": {"text_config": {"sliding_window": 4}, "vision_config": {"mlp_ratio": 2.0}},
    "unlimited_ocr": {"vision_config": {"sam_config": {"downsample_channels": [32, 32], "global_attn_indexes": [0]}}},
    "video_llama_3": {},
    "video_llava": {},
    "vipllava": {},
    "voxtral": {},
}

# Left padding changes what transformers itself computes for these: a batch is one prompt.
UNPADDED = {"minimax", "paligemma", "recurrent_gemma", "xlstm"}
# They attend to the whole prompt both ways, which a pass over prompt and reply without a cache cannot know.
BOTH_WAYS = {"paligemma"}
# They need packages that are not among the dependencies, or their smallest models are no tiny ones.
UNTRIED = {"fast_vlm", "fun_asr_nano", "gemma3n", "nemo_speechlm", "perception_lm", "vibevoice_asr"}
# Of these the thinker is served, which has a line of its own.
SPEAKS = {"qwen2_5_omni", "qwen3_omni_moe"}


def small(config: PreTrainedConfig, more: dict[str, Any], part: str = "") -> dict[str, Any]:
    """The arguments that make a configuration tiny, and all parts of it."""
    sizes = TEXT_SIZES if part == "" or part in TEXT_PARTS else OTHER_SIZES
    arguments: dict[str, Any] = {}
    for name, value in config.to_dict().items():
        inner = getattr(config, name, None) if isinstance(value, dict) else None
        if isinstance(inner, PreTrainedConfig):
            arguments[name] = {**small(inner, more.get(name, {}), name), "model_type": inner.model_type}
        elif name in sizes and value is not None and not isinstance(value, bool | dict):
            arguments[name] = sizes[name]
    return {**arguments, **{name: value for name, value in more.items() if not isinstance(arguments.get(name), dict)}}


def tiny_config(model_type: str, more: dict[str, Any]) -> PreTrainedConfig:
    """A tiny configuration of a type."""
    sized: PreTrainedConfig = AutoConfig.for_model(model_type, **small(AutoConfig.for_model(model_type), more))
    return sized


def build_type(model_type: str, more: dict[str, Any]) -> Any:
    """A tiny random model of a type."""
    config = tiny_config(model_type, more)
    torch.manual_seed(0)
    model = auto_class(config).from_config(config, dtype=torch.float32)
    randomise(model, SEED)
    return model.eval()


@cache
def tiny_of_type(model_type: str) -> Any:
    """The tiny model of a line; copy it before changing it."""
    return build_type(model_type, TYPES[model_type])
