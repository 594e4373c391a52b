"""Families that are known and not served, each with the reason: no edit of a writer can take a direction out."""

from __future__ import annotations

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
