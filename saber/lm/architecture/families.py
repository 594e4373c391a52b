"""What writes into the residual stream of each family of models: declared, never guessed from shapes.

To declare a family, add a row to ``FAMILIES``: where its blocks are, and for every writer in a block its kind, its
module, and what its output passes before it is added. `adapt` looks every row up, and the guard checks that a block's
output is what the rows say, out = scale * (in + sum of multiplier * write), or refuses the model by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from saber.lm.architecture.layouts import Layout
from saber.types import WriterKind


@dataclass(frozen=True)
class WriterRow:
    """One writer of a block; names are relative to the block.

    ``norms`` are the elementwise norms that its output passes before the add, in order. ``write`` is the module whose
    output is added where that is neither the last norm nor the writer (a gate stands between, or a sum of writers);
    ``multiplier`` is an attribute that scales it. The row counts in blocks with the module ``when`` and without
    ``unless``. ``expert_major`` says that fused experts put out [expert * token, d_model] instead of their sum.
    """

    kind: WriterKind
    module: str
    layout: Layout = "oi"
    norms: tuple[str, ...] = ()
    write: str | None = None
    multiplier: str | None = None
    when: str | None = None
    unless: str | None = None
    expert_major: bool = False


@dataclass(frozen=True)
class Family:
    """A family: its writers, the module list of its blocks, and what is peculiar to its stream.

    ``block_scale`` is a buffer that scales a block's whole output; ``stream`` is the configuration's name of the index
    at which a block's stacked output holds the stream that is read. ``inexact`` says what no edit of the writers can
    do; such a family's blocks are not the sum that the guard checks, and it is not asked to check them.
    """

    writers: tuple[WriterRow, ...]
    blocks: str = "model.layers"
    block_scale: str | None = None
    stream: str | None = None
    inexact: str | None = None


def in_blocks(family: Family, blocks: str = "model.language_model.layers") -> Family:
    """The same family with its blocks elsewhere, by default inside a multimodal wrapper."""
    return replace(family, blocks=blocks)


def scaled(family: Family, multiplier: str) -> Family:
    """The same family with every write multiplied by an attribute of the block."""
    return replace(family, writers=tuple(replace(row, multiplier=multiplier) for row in family.writers))


def sandwich(after_attention: str, after_mlp: str) -> Family:
    """Attention and MLP, each with a norm between its output and the add."""
    return Family((replace(ATTENTION, norms=(after_attention,)), replace(MLP, norms=(after_mlp,))))


ATTENTION = WriterRow("attention", "self_attn.o_proj")
MLP = WriterRow("mlp", "mlp.down_proj")
DENSE_OR_EXPERTS = (
    replace(MLP, unless="mlp.experts"),
    WriterRow("mlp", "mlp.experts", "eoi", when="mlp.experts"),
    WriterRow("mlp", "mlp.shared_experts.down_proj", when="mlp.shared_experts"),
)
GATED_SHARED_EXPERT = (
    replace(MLP, unless="mlp.experts"),
    WriterRow("mlp", "mlp.experts", "eoi", write="mlp", when="mlp.experts"),
    WriterRow("mlp", "mlp.shared_expert.down_proj", write="mlp", when="mlp.shared_expert"),
)
ATTENTION_OR_LINEAR = (
    replace(ATTENTION, when="self_attn"),
    WriterRow("attention", "linear_attn.out_proj", when="linear_attn"),
)

PRE_NORM = Family((ATTENTION, MLP))
SANDWICH = sandwich("post_attention_layernorm", "post_feedforward_layernorm")
MOE = Family((ATTENTION, *DENSE_OR_EXPERTS))
QWEN2_MOE = Family((ATTENTION, *GATED_SHARED_EXPERT))
QWEN3_NEXT = Family((*ATTENTION_OR_LINEAR, *GATED_SHARED_EXPERT))

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
GPT_OSS = Family((ATTENTION, WriterRow("mlp", "mlp.experts", "eio")))
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
GRANITE_MOE = Family((ATTENTION, WriterRow("mlp", "block_sparse_moe.experts", "eoi")))
GRANITE_HYBRID = Family(
    (
        replace(ATTENTION, when="self_attn"),
        WriterRow("attention", "mamba.out_proj", when="mamba"),
        WriterRow("mlp", "block_sparse_moe.experts", "eoi", when="block_sparse_moe"),
        WriterRow("mlp", "shared_mlp.output_linear"),
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
        WriterRow("attention", "self_attn.out_proj", when="self_attn"),
        WriterRow("attention", "conv.out_proj", when="conv"),
        WriterRow("mlp", "feed_forward.w2", unless="feed_forward.experts"),
        WriterRow("mlp", "feed_forward.experts", "eoi", when="feed_forward.experts"),
    )
)
NEMOTRON_H = Family(
    (
        WriterRow("attention", "mixer.o_proj", when="mixer.o_proj"),
        WriterRow("attention", "mixer.out_proj", when="mixer.out_proj"),
        WriterRow("mlp", "mixer.down_proj", when="mixer.down_proj"),
        WriterRow("mlp", "mixer.fc2_latent_proj", when="mixer.fc2_latent_proj"),
        WriterRow("mlp", "mixer.experts", "eoi", when="mixer.experts", unless="mixer.fc2_latent_proj"),
        WriterRow("mlp", "mixer.shared_experts.down_proj", when="mixer.shared_experts"),
    )
)
MINIMAX = Family(
    (
        WriterRow("attention", "self_attn.o_proj", when="self_attn.o_proj"),
        WriterRow("attention", "self_attn.out_proj", when="self_attn.out_proj"),
        WriterRow("mlp", "mlp.experts", "eoi"),
    ),
    inexact="the residual is the normed input of a block, so a direction of the stream turns with every norm's gain;"
    " transformers computes another thing for a padded prompt, so measure with evaluate.batch_size=1",
)
GPT2 = Family((WriterRow("attention", "attn.c_proj", "io"), WriterRow("mlp", "mlp.c_proj", "io")), "transformer.h")
GPT_NEOX = Family((WriterRow("attention", "attention.dense"), WriterRow("mlp", "mlp.dense_4h_to_h")), "gpt_neox.layers")

FAMILIES: dict[str, Family] = {
    "cohere2": PRE_NORM,
    "deepseek_v3": MOE,
    "exaone4": SANDWICH,
    "falcon_h1": FALCON_H1,
    "gemma": PRE_NORM,
    "gemma2": SANDWICH,
    "gemma3": in_blocks(SANDWICH),
    "gemma3_text": SANDWICH,
    "gemma3n": in_blocks(GEMMA3N),
    "gemma3n_text": GEMMA3N,
    "gemma4": in_blocks(GEMMA4),
    "gemma4_text": GEMMA4,
    "glm4": sandwich("post_self_attn_layernorm", "post_mlp_layernorm"),
    "glm4_moe": MOE,
    "gpt2": GPT2,
    "gpt_neox": GPT_NEOX,
    "gpt_oss": GPT_OSS,
    "granite": scaled(PRE_NORM, "residual_multiplier"),
    "granitemoe": scaled(GRANITE_MOE, "residual_multiplier"),
    "granitemoehybrid": scaled(GRANITE_HYBRID, "residual_multiplier"),
    "lfm2": LFM2,
    "lfm2_moe": LFM2,
    "llama": PRE_NORM,
    "llama4": in_blocks(LLAMA4, "language_model.model.layers"),
    "llama4_text": LLAMA4,
    "minimax": MINIMAX,
    "minimax_m2": MOE,
    "ministral": PRE_NORM,
    "mistral": PRE_NORM,
    "mixtral": MOE,
    "nemotron_h": NEMOTRON_H,
    "olmo2": SANDWICH,
    "olmo3": SANDWICH,
    "olmoe": MOE,
    "phi3": PRE_NORM,
    "qwen2": PRE_NORM,
    "qwen2_moe": QWEN2_MOE,
    "qwen3": PRE_NORM,
    "qwen3_5": in_blocks(QWEN3_NEXT),
    "qwen3_5_moe": in_blocks(QWEN3_NEXT),
    "qwen3_5_moe_text": QWEN3_NEXT,
    "qwen3_5_text": QWEN3_NEXT,
    "qwen3_moe": MOE,
    "qwen3_next": QWEN3_NEXT,
    "smollm3": PRE_NORM,
}
