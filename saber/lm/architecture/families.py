"""What writes into the residual stream of each family of models: declared, never guessed from shapes.

To declare a family, add a line to ``ROWS`` with the ``model_type`` of its text half: where its blocks are, and for
every writer in a block its kind, its module, and what its output passes before it is added. `adapt` looks it up, and
the guard checks that a block's output is what the rows say, out = scale * (in + sum of multiplier * write), or refuses
the model by name. A multimodal wrapper needs no line: it is served as its text half is.
"""

from __future__ import annotations

from saber.lm.architecture.family_shapes import (
    AFMOE,
    AXK1,
    BEAM,
    ERNIE_VL,
    FALCON_H1,
    GEMMA3N,
    GEMMA4,
    GRANITE_HYBRID,
    GRANITE_MOE,
    JAMBA,
    KOLIBRI1,
    LFM2,
    LFM3,
    LLAMA4,
    LONGCAT,
    MAMBA,
    MINIMAX,
    MOE,
    NEMOTRON_H,
    OLMO_HYBRID,
    PRE_NORM,
    QWEN2_MOE,
    QWEN3_NEXT,
    RECURRENT_GEMMA,
    SANDWICH,
    SANDWICH_MOE,
    SCALED_MOE,
    SHARED_MLP_MOE,
    TRANSPOSED_MOE,
    XLSTM,
    ZAMBA,
)
from saber.lm.architecture.writer_rows import Family, WriterRow, sandwich, scaled, two_writers

__all__ = ["FAMILIES", "ROWS", "Family", "WriterRow"]

# A family, and the model types whose text half is of it.
ROWS: tuple[tuple[Family, tuple[str, ...]], ...] = (
    (PRE_NORM, ("apertus", "arcee", "bitnet", "chameleon", "cohere", "cohere2", "cohere_compass_text", "cwm")),
    (PRE_NORM, ("diffllama", "emu3_text_model", "ernie4_5", "gemma", "glm", "helium", "hunyuan_v1_dense")),
    (PRE_NORM, ("hunyuan_vl_text", "internlm3", "iquestcoder", "jais2", "llama", "ministral", "ministral3")),
    (PRE_NORM, ("mistral", "molmo2_text", "nemotron", "olmo", "paddleocr_vl_text", "phi3", "phi4_multimodal")),
    (PRE_NORM, ("qwen2", "qwen2_5_omni_text", "qwen2_5_vl_text", "qwen2_vl_text", "qwen3", "qwen3_vl_text")),
    (PRE_NORM, ("seed_oss", "smollm3", "stablelm", "vaultgemma", "youtu")),
    (scaled(PRE_NORM, "residual_multiplier"), ("granite", "granite4_vision_text", "granite_docling_text")),
    (scaled(PRE_NORM, "residual_multiplier"), ("granite_swa",)),
    (scaled(PRE_NORM, "residual_scale"), ("minicpm3",)),
    (two_writers("self_attn.o_proj", "mlp.c_proj"), ("starcoder2",)),
    (two_writers("self_attn.o_proj", "mlp.fc2"), ("cosmos3_edge_text", "nanochat")),
    (two_writers("self_attn.dense", "mlp.fc2"), ("phi",)),
    (two_writers("self_attn.dense", "mlp.dense_4h_to_h"), ("persimmon",)),
    (two_writers("attn.Wo", "mlp.Wo"), ("modernbert-decoder",)),
    (two_writers("self_attn.out_proj", "fc2"), ("xglm",)),
    (two_writers("self_attn.out_proj", "fc2", "biogpt.layers"), ("biogpt",)),
    (two_writers("self_attn.out_proj", "fc2", "model.decoder.layers"), ("opt",)),
    (two_writers("self_attention.dense", "mlp.dense_4h_to_h", "transformer.h"), ("bloom", "falcon")),
    (two_writers("attention.dense", "mlp.dense_4h_to_h", "gpt_neox.layers"), ("gpt_neox",)),
    (two_writers("attn.c_proj", "mlp.c_proj", "transformer.h"), ("gpt_bigcode",)),
    (two_writers("attn.c_proj", "mlp.c_proj", "transformer.h", "io"), ("gpt2",)),
    (two_writers("attn.out_proj", "mlp.fc_out", "transformer.h"), ("codegen", "gptj")),
    (two_writers("attn.attention.out_proj", "mlp.c_proj", "transformer.h"), ("gpt_neo",)),
    (two_writers("attn.out_proj", "ffn.down_proj", "transformer.blocks"), ("mpt",)),
    (two_writers("multi_head_attention.dense", "ffn.2", "transformer.h"), ("ctrl",)),
    (SANDWICH, ("exaone4", "gemma2", "gemma3_text", "muse_glimmer_text", "olmo2", "olmo3")),
    (sandwich("post_self_attn_layernorm", "post_mlp_layernorm"), ("glm4", "glm4v_text", "glm_ocr_text")),
    (sandwich("post_norm1", "post_norm2"), ("hyperclovax",)),
    (GEMMA3N, ("gemma3n_text",)),
    (GEMMA4, ("gemma4_text", "gemma4_unified_text")),
    (MOE, ("axk2", "bailing_hybrid", "deepseek_v2", "deepseek_v3", "deepseek_v32", "dots1", "dots3_note_text")),
    (MOE, ("ernie4_5_moe", "exaone_moe", "glm4_moe", "glm4_moe_lite", "glm4v_moe_text", "glm_moe_dsa", "hy_v3")),
    (MOE, ("kimi_linear", "laguna", "mellum", "mimo_v2_flash", "minimax_m2", "mistral4", "mistral_large4_text")),
    (MOE, ("mixtral", "olmoe", "phimoe", "qwen3_moe", "qwen3_omni_moe_text", "qwen3_vl_moe_text", "solar_open")),
    (MOE, ("deepseek_ocr2_text", "step3p5", "unlimited_ocr_text")),
    (QWEN2_MOE, ("flint", "qwen2_moe")),
    (QWEN3_NEXT, ("qwen3_5_moe_text", "qwen3_5_text", "qwen3_next")),
    (SCALED_MOE, ("cohere2_moe", "minimax_m3_vl_text")),
    (TRANSPOSED_MOE, ("aria_text", "gpt_oss")),
    (SHARED_MLP_MOE, ("hunyuan_v1_moe",)),
    (SANDWICH_MOE, ("flex_olmo",)),
    (AFMOE, ("afmoe",)),
    (KOLIBRI1, ("kolibri1",)),
    (AXK1, ("axk1",)),
    (BEAM, ("beam",)),
    (ERNIE_VL, ("ernie4_5_vl_moe_text",)),
    (LLAMA4, ("llama4_text",)),
    (LONGCAT, ("longcat_flash",)),
    (scaled(GRANITE_MOE, "residual_multiplier"), ("granitemoe",)),
    (scaled(GRANITE_HYBRID, "residual_multiplier"), ("granitemoe_swa", "granitemoehybrid", "granitemoeshared")),
    (MINIMAX, ("minimax",)),
    (OLMO_HYBRID, ("olmo_hybrid",)),
    (FALCON_H1, ("falcon_h1",)),
    (JAMBA, ("bamba", "jamba")),
    (LFM2, ("lfm2", "lfm2_moe")),
    (LFM3, ("lfm3",)),
    (NEMOTRON_H, ("nemotron_h",)),
    (RECURRENT_GEMMA, ("recurrent_gemma",)),
    (XLSTM, ("xlstm",)),
    (ZAMBA, ("zamba", "zamba2")),
    (MAMBA, ("falcon_mamba", "mamba", "mamba2")),
)

FAMILIES: dict[str, Family] = {name: family for family, names in ROWS for name in names}


HYPER_CONNECTIONS = (
    "hyper-connections mix several residual streams with coefficients that depend on them, so there is no one stream to"
    " take a direction out of"
)
CONVOLUTION = (
    "a convolution with a kernel for each channel stands between its writers and the add, so no edit of an output"
    " matrix takes a direction out of the stream"
)
CHANNEL_SCALES = (
    "the residual is multiplied by a vector in every block, so a direction of the stream turns from block to block"
)
FLATTENED = "its experts keep one flattened matrix, whose residual axis no layout of ours names"
POST_NORM = "the stream itself is normalised after each add, so a direction comes back with every norm"
DIFFUSION = "it fills text in by diffusion, with an encoder and a decoder that share weights: it has no next token"
CROSS_ATTENTION = "its cross-attention blocks run only where there is an image, so text alone does not reach them"

UNSERVED: dict[str, str] = {
    "dbrx": FLATTENED,
    "deepseek_v4": HYPER_CONNECTIONS,
    "diffusion_gemma": DIFFUSION,
    "doge": CHANNEL_SCALES,
    "gpt_neox_japanese": "a bias of its last block's attention is added outside of the map that it belongs to",
    "glm5_next": HYPER_CONNECTIONS,
    "glm5_next_text": HYPER_CONNECTIONS,
    "hrm_text": "two lists of blocks run several times in turn, so a block has no one place in the stream",
    "hy_v4": HYPER_CONNECTIONS,
    "inkling2_text": CONVOLUTION,
    "inkling_text": CONVOLUTION,
    "jetmoe": "its experts put out rows sorted by expert, which the edits of several trials cannot be told apart in",
    "mllama": CROSS_ATTENTION,
    "mllama_text_model": CROSS_ATTENTION,
    "muse_spark": CHANNEL_SCALES,
    "muse_spark_text": CHANNEL_SCALES,
    "openai-gpt": POST_NORM,
    "plbart": POST_NORM,
    "qwen4_exp": HYPER_CONNECTIONS,
    "qwen4_exp_text": HYPER_CONNECTIONS,
    "rwkv": "a gate that depends on the token stands between its feed-forward's output and the add, channel by channel",
    "zaya": CHANNEL_SCALES,
}
