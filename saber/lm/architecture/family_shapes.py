"""The ways in which families write into the stream: each is what the blocks of one or several model types have."""

from __future__ import annotations

from dataclasses import replace

from saber.lm.architecture.writer_rows import ATTENTION, MLP, Family, WriterRow, sandwich, two_writers, where_present

ROUTED = where_present("mlp", "mlp.experts", "eoi")
DENSE_OR_EXPERTS = (
    replace(MLP, unless="mlp.experts"),
    ROUTED,
    where_present("mlp", "mlp.shared_experts.down_proj"),
)
GATED_SHARED_EXPERT = (
    replace(MLP, unless="mlp.experts"),
    replace(ROUTED, write="mlp"),
    WriterRow("mlp", "mlp.shared_expert.down_proj", write="mlp", when="mlp.shared_expert"),
)
SCALED_EXPERTS = (
    replace(MLP, unless="mlp.experts"),
    replace(ROUTED, write="mlp"),
    WriterRow("mlp", "mlp.shared_experts.down_proj", write="mlp", when="mlp.shared_experts"),
)
ATTENTION_OR_LINEAR = (
    replace(ATTENTION, when="self_attn"),
    WriterRow("attention", "linear_attn.out_proj", when="linear_attn"),
)

PRE_NORM = Family((ATTENTION, MLP))
SANDWICH = sandwich("post_attention_layernorm", "post_feedforward_layernorm")
GLM4 = sandwich("post_self_attn_layernorm", "post_mlp_layernorm")
MOE = Family((ATTENTION, *DENSE_OR_EXPERTS))
SHARED_MLP_MOE = Family((ATTENTION, ROUTED, where_present("mlp", "mlp.shared_mlp.down_proj")))
TRANSPOSED_MOE = Family(
    (ATTENTION, WriterRow("mlp", "mlp.experts", "eio"), where_present("mlp", "mlp.shared_experts.down_proj"))
)
QWEN2_MOE = Family((ATTENTION, *GATED_SHARED_EXPERT))
QWEN3_NEXT = Family((*ATTENTION_OR_LINEAR, *GATED_SHARED_EXPERT))
SCALED_MOE = Family((ATTENTION, *SCALED_EXPERTS))

PER_LAYER = WriterRow(
    "per_layer", "per_layer_projection", norms=("post_per_layer_input_norm",), when="per_layer_projection"
)
GEMMA3N = Family(
    (
        *SANDWICH.writers,
        WriterRow("per_layer", "laurel.linear_right", norms=("laurel.post_laurel_norm",)),
        PER_LAYER,
    ),
    stream="altup_active_idx",
    inexact="Laurel also adds a normed copy of the stream, whose share along a direction no output matrix can remove,"
    " and AltUp mixes four streams with coefficients that depend on them",
)
GEMMA4 = Family(
    (
        SANDWICH.writers[0],
        WriterRow("mlp", "mlp.down_proj", norms=("post_feedforward_layernorm",), unless="experts"),
        WriterRow(
            "mlp",
            "mlp.down_proj",
            norms=("post_feedforward_layernorm_1", "post_feedforward_layernorm"),
            when="experts",
        ),
        WriterRow(
            "mlp",
            "experts",
            "eoi",
            norms=("post_feedforward_layernorm_2", "post_feedforward_layernorm"),
            when="experts",
        ),
        PER_LAYER,
    ),
    block_scale="layer_scalar",
)
LLAMA4 = Family(
    (
        ATTENTION,
        WriterRow("mlp", "feed_forward.down_proj", unless="feed_forward.experts"),
        WriterRow(
            "mlp",
            "feed_forward.experts",
            "eio",
            write="feed_forward",
            when="feed_forward.experts",
            expert_major=True,
        ),
        WriterRow(
            "mlp", "feed_forward.shared_expert.down_proj", write="feed_forward", when="feed_forward.shared_expert"
        ),
    )
)
SANDWICH_MOE = Family(
    (
        replace(ATTENTION, norms=("post_attention_layernorm",)),
        WriterRow("mlp", "mlp.experts", "eoi", norms=("post_feedforward_layernorm",)),
    )
)


def _experts_before(norm: str) -> tuple[WriterRow, ...]:
    """Routed and shared experts whose sum passes a norm."""
    return (
        replace(ROUTED, norms=(norm,)),
        where_present("mlp", "mlp.shared_experts.down_proj", norms=(norm,)),
    )


AFMOE = Family(
    (
        replace(ATTENTION, norms=("post_attention_layernorm",)),
        replace(MLP, norms=("post_mlp_layernorm",), unless="mlp.experts"),
        *_experts_before("post_mlp_layernorm"),
    )
)
BEAM = Family(
    (
        replace(ATTENTION, norms=("post_attention_layernorm",)),
        replace(MLP, norms=("post_feedforward_layernorm",), unless="mlp.experts"),
        *_experts_before("post_feedforward_layernorm"),
    ),
    scaled_adds=True,
)
KOLIBRI1 = Family((replace(ATTENTION, norms=("post_self_attn_layernorm",)), *_experts_before("post_mlp_layernorm")))
AXK1 = Family((ATTENTION, replace(MLP, unless="mlp.experts"), *_experts_before("mlp.post_mlp_layernorm")))
OLMO_HYBRID = Family(
    (
        replace(ATTENTION, norms=("post_attention_layernorm",), when="self_attn"),
        where_present("attention", "linear_attn.o_proj"),
        replace(MLP, norms=("post_feedforward_layernorm",), when="post_feedforward_layernorm"),
        replace(MLP, unless="post_feedforward_layernorm"),
    )
)
ERNIE_VL = Family(
    (
        ATTENTION,
        replace(MLP, unless="mlp.text_moe"),
        replace(where_present("mlp", "mlp.text_moe.experts", "eoi"), write="mlp"),
        replace(where_present("mlp", "mlp.vision_moe.experts", "eoi"), write="mlp"),
        WriterRow("mlp", "mlp.shared_experts.down_proj", write="mlp", when="mlp.text_moe"),
    )
)
DBRX = Family(
    (
        WriterRow("attention", "norm_attn_norm.attn.out_proj"),
        WriterRow("mlp", "ffn.experts", "fio", weight="mlp.w2"),
    ),
    "transformer.blocks",
)
JETMOE = Family(
    (
        WriterRow("attention", "self_attention", "eoi", weight="experts.output_linear.weight", bias="experts.bias"),
        WriterRow("mlp", "mlp", "eoi", weight="output_linear.weight", bias="bias"),
    )
)
LONGCAT = Family(
    (
        WriterRow("attention", "self_attn.0.o_proj"),
        WriterRow("attention", "self_attn.1.o_proj"),
        WriterRow("mlp", "mlps.0.down_proj"),
        WriterRow("mlp", "mlps.1.down_proj"),
        WriterRow("mlp", "mlp.experts", "eoi"),
    )
)
RECURRENT_GEMMA = Family(
    (
        where_present("attention", "temporal_block.o_proj"),
        where_present("attention", "temporal_block.linear_out"),
        WriterRow("mlp", "mlp_block.down_proj"),
    ),
    reads_again=True,
)
XLSTM = replace(two_writers("mlstm_layer.out_proj", "ffn.proj_down", "backbone.blocks"), reads_again=True)
ZAMBA = Family(
    (where_present("attention", "mamba.out_proj"), where_present("attention", "mamba_decoder.mamba.out_proj"))
)
MAMBA = Family((WriterRow("attention", "mixer.out_proj"),), "backbone.layers")

GRANITE_MOE = Family((ATTENTION, WriterRow("mlp", "block_sparse_moe.experts", "eoi")))
GRANITE_HYBRID = Family(
    (
        replace(ATTENTION, when="self_attn"),
        WriterRow("attention", "mamba.out_proj", when="mamba"),
        where_present("mlp", "block_sparse_moe.experts", "eoi"),
        where_present("mlp", "shared_mlp.output_linear"),
    )
)
FALCON_H1 = Family(
    (
        replace(ATTENTION, multiplier="attn_out_multiplier"),
        WriterRow("attention", "mamba.out_proj", multiplier="ssm_out_multiplier"),
        WriterRow("mlp", "feed_forward.down_proj", write="feed_forward"),
    )
)
LFM2 = Family(
    (
        where_present("attention", "self_attn.out_proj"),
        where_present("attention", "conv.out_proj"),
        where_present("mlp", "feed_forward.w2"),
        where_present("mlp", "feed_forward.experts", "eoi"),
    )
)
LFM3 = Family(
    (
        where_present("attention", "self_attn.o_proj", norms=("post_operator_norm",)),
        where_present("attention", "conv.out_proj", norms=("post_operator_norm",)),
        WriterRow("mlp", "feed_forward.w2", norms=("post_ffn_norm",)),
    )
)
JAMBA = Family(
    (
        where_present("attention", "self_attn.o_proj"),
        where_present("attention", "mamba.out_proj"),
        where_present("mlp", "feed_forward.down_proj"),
        where_present("mlp", "feed_forward.experts", "eoi"),
    )
)
NEMOTRON_H = Family(
    (
        where_present("attention", "mixer.o_proj"),
        where_present("attention", "mixer.out_proj"),
        where_present("mlp", "mixer.down_proj"),
        where_present("mlp", "mixer.fc2_latent_proj"),
        replace(where_present("mlp", "mixer.experts", "eoi"), unless="mixer.fc2_latent_proj"),
        where_present("mlp", "mixer.shared_experts.down_proj"),
    )
)
MINIMAX = Family(
    (
        where_present("attention", "self_attn.o_proj"),
        where_present("attention", "self_attn.out_proj"),
        WriterRow("mlp", "mlp.experts", "eoi"),
    ),
    inexact="the residual is the normed input of a block, so a direction of the stream turns with every norm's gain;"
    " transformers computes another thing for a padded prompt, so measure with evaluate.batch_size=1",
)
GPT2 = Family((WriterRow("attention", "attn.c_proj", "io"), WriterRow("mlp", "mlp.c_proj", "io")), "transformer.h")
GPT_NEOX = Family((WriterRow("attention", "attention.dense"), WriterRow("mlp", "mlp.dense_4h_to_h")), "gpt_neox.layers")
