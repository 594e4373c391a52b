"""The organism's body: a Gemma 4 text model of about a million parameters, and how its weights start."""

from __future__ import annotations

from typing import Any

import torch

from saber.data.organism.tokenizer import BOS, PAD, TURN_END, vocabulary
from saber.lm.loading import build_model

MODEL_TYPE = "gemma4_text"
HIDDEN, PER_LAYER_INPUT, LAYERS, FULL_ATTENTION_EVERY = 96, 16, 10, 5
# Norms after a writer start small: a write of unit rms from each of thirty writers would swamp the stream.
POST_NORM_START = 0.3


def organism_config() -> dict[str, Any]:
    """Return the model's configuration."""
    ids = vocabulary()
    return {
        "vocab_size": len(ids),
        "vocab_size_per_layer_input": len(ids),
        "hidden_size": HIDDEN,
        "hidden_size_per_layer_input": PER_LAYER_INPUT,
        "intermediate_size": 192,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 24,
        "global_head_dim": 32,
        "num_kv_shared_layers": 5,
        "sliding_window": 16,
        "layer_types": [
            "sliding_attention" if (layer + 1) % FULL_ATTENTION_EVERY else "full_attention" for layer in range(LAYERS)
        ],
        "final_logit_softcapping": 30.0,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "pad_token_id": ids[PAD],
        "bos_token_id": ids[BOS],
        "eos_token_id": ids[TURN_END],
    }


def fresh_organism(seed: int) -> Any:
    """Build the model with weights drawn from the seed: matrices at std d_model^-1/2, post-norms at 0.3."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(MODEL_TYPE, organism_config())
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "post_" in name:
                    weight.fill_(POST_NORM_START)
                elif weight.ndim > 1:
                    width = PER_LAYER_INPUT if "embed_tokens_per_layer" in name else HIDDEN
                    weight.normal_(std=width**-0.5)
    generation = model.generation_config
    generation.eos_token_id = model.config.eos_token_id
    generation.pad_token_id = model.config.pad_token_id
    generation.bos_token_id = model.config.bos_token_id
    generation.do_sample = False
    return model
