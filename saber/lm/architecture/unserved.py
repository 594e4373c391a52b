"""Model types that transformers builds and no edit here can serve, each with the reason."""

from __future__ import annotations

from typing import Any

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
POST_NORM = "the stream itself is normalised after each add, so a direction comes back with every norm"
DIFFUSION = "it fills text in by diffusion, with an encoder and a decoder that share weights: it has no next token"
CROSS_ATTENTION = "its cross-attention blocks run only where there is an image, so text alone does not reach them"
ENCODER = "it is an encoder, trained to fill in masked words: it reads a text and does not answer it"
DECODER_HALF = (
    "it is an encoder-decoder: another stack of blocks reads what it is told, and its decoder alone answers nothing"
)
NEEDS_AN_IMAGE = "it is asked about an image, a page or a protein, and text alone is no prompt to it"
SOUND = "it goes on with sound, or writes down what it hears, and text alone is no prompt to it"
DRAFTER = "it drafts tokens for another model, whose states it reads: edit that model"

# Why a type is not served, and the types, of a text half or of a whole model.
REASONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (HYPER_CONNECTIONS, ("deepseek_v4", "glm5_next", "glm5_next_text", "hy_v4", "qwen4_exp", "qwen4_exp_text")),
    (CONVOLUTION, ("inkling2_text", "inkling_text")),
    (CHANNEL_SCALES, ("doge", "muse_spark", "muse_spark_text", "zaya")),
    (POST_NORM, ("openai-gpt", "git")),
    (DIFFUSION, ("diffusion_gemma", "diffusion_gemma_text")),
    (CROSS_ATTENTION, ("idefics", "mllama", "mllama_text_model")),
    (ENCODER, ("bert", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert", "rembert")),
    (ENCODER, ("roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm", "xlm-roberta", "xlm-roberta-xl")),
    (ENCODER, ("xmod",)),
    (DECODER_HALF, ("bart", "bert-generation", "bigbird_pegasus", "blenderbot", "blenderbot-small", "florence2")),
    (DECODER_HALF, ("marian", "mbart", "mvp", "pegasus", "plbart", "prophetnet", "t5gemma2", "t5gemma2_decoder")),
    (DECODER_HALF, ("trocr", "vision-encoder-decoder")),
    (NEEDS_AN_IMAGE, ("blip", "blip-2", "blip_text_model", "evolla", "instructblip", "instructblipvideo")),
    (NEEDS_AN_IMAGE, ("kosmos-2", "kosmos-2.5", "kosmos_2_text_model", "kosmos_2_5_text_model", "pix2struct")),
    (NEEDS_AN_IMAGE, ("pix2struct_text_model", "pp_formulanet", "pp_formulanet_text", "udop")),
    (SOUND, ("kyutai_speech_to_text", "moshi", "musicgen", "musicgen_decoder", "musicgen_melody", "whisper")),
    (SOUND, ("musicgen_melody_decoder", "voxtral_realtime", "voxtral_realtime_text")),
    (DRAFTER, ("gemma4_assistant", "gemma4_unified_assistant")),
    ("it reads bytes in patches of its own making, through three stacks of blocks of different widths", ("blt",)),
    ("it reads a prompt both ways at once, and with a cache it wants every earlier token again", ("cpmant",)),
    ("a bias of its last block's attention is added outside of the map that it belongs to", ("gpt_neox_japanese",)),
    ("two lists of blocks run several times in turn, so a block has no one place in the stream", ("hrm_text",)),
    ("it moves a robot: what it puts out are actions", ("pi0",)),
    ("its blocks add to two streams in turn, each read by the other", ("reformer",)),
    (
        "a gate that depends on the token stands between its feed-forward's output and the add, channel by channel",
        ("rwkv",),
    ),
    ("it sorts images, and answers with a probability", ("shieldgemma2",)),
    ("it predicts words in any order, each from two streams", ("xlnet",)),
)

UNSERVED: dict[str, str] = {name: reason for reason, names in REASONS for name in names}


def why_unserved(config: Any, text_type: str) -> tuple[str, str] | None:
    """The type of a configuration that is not served, its own or its text half's, and the reason; ``None`` for none."""
    whole = str(config.model_type)
    for name in (text_type, whole):
        if name in UNSERVED:
            return name, UNSERVED[name]
    return (whole, DECODER_HALF) if getattr(config, "is_encoder_decoder", False) else None
