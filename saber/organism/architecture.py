"""An organism's body: a model of about a million parameters of its family, and how its weights start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from saber.lm.loading.load import build_model
from saber.organism.language import TURNS
from saber.organism.tokenizer import vocabulary
from saber.vocabulary import OrganismFamily

MODEL_TYPES: dict[OrganismFamily, str] = {"gemma4": "gemma4_text", "qwen3": "qwen3"}
HIDDEN, PER_LAYER_INPUT, LAYERS, FULL_ATTENTION_EVERY = 96, 16, 10, 5
# Norms after a writer start small: a write of unit rms from each of thirty writers would swamp the stream.
POST_NORM_START = 0.3
# Texts have some thirty tokens, so rotations need not be slow (not tried apart from the other settings).
QWEN3_ROPE_THETA = 100.0


def organism_config(family: OrganismFamily, thinks: bool = False) -> dict[str, Any]:
    """Return the model's configuration."""
    ids, turns = vocabulary(family, thinks), TURNS[family]
    return {
        "vocab_size": len(ids),
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 24,
        "max_position_embeddings": 256,
        "pad_token_id": ids[turns.pad],
        "bos_token_id": None if turns.bos is None else ids[turns.bos],
        "eos_token_id": ids[turns.end],
        **_BODIES[family](len(ids)),
    }


def _gemma4_body(n_words: int) -> dict[str, Any]:
    return {
        "vocab_size_per_layer_input": n_words,
        "hidden_size_per_layer_input": PER_LAYER_INPUT,
        "intermediate_size": 192,
        "global_head_dim": 32,
        "num_kv_shared_layers": 5,
        "sliding_window": 16,
        "layer_types": [
            "sliding_attention" if (layer + 1) % FULL_ATTENTION_EVERY else "full_attention" for layer in range(LAYERS)
        ],
        "final_logit_softcapping": 30.0,
        "tie_word_embeddings": True,
    }


def _qwen3_body(_: int) -> dict[str, Any]:
    return {
        "intermediate_size": 224,
        "rope_parameters": {"rope_type": "default", "rope_theta": QWEN3_ROPE_THETA},
        "tie_word_embeddings": False,
    }


def _start_gemma4(name: str, weight: Tensor) -> None:
    """Matrices at std d_model^-1/2, post-norms at 0.3."""
    if "post_" in name:
        weight.fill_(POST_NORM_START)
    elif weight.ndim > 1:
        width = PER_LAYER_INPUT if "embed_tokens_per_layer" in name else HIDDEN
        weight.normal_(std=width**-0.5)


def _start_qwen3(name: str, weight: Tensor) -> None:
    """Matrices at std d_model^-1/2, norms at one; smaller writers or larger embeddings learn more slowly."""
    weight.fill_(1.0) if "norm" in name else weight.normal_(std=HIDDEN**-0.5)


_BODIES: dict[OrganismFamily, Callable[[int], dict[str, Any]]] = {"gemma4": _gemma4_body, "qwen3": _qwen3_body}
_STARTS: dict[OrganismFamily, Callable[[str, Tensor], None]] = {"gemma4": _start_gemma4, "qwen3": _start_qwen3}


def fresh_organism(seed: int, family: OrganismFamily, thinks: bool = False) -> Any:
    """Build the model with weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(MODEL_TYPES[family], organism_config(family, thinks))
        with torch.no_grad():
            for name, weight in model.named_parameters():
                _STARTS[family](name, weight)
    generation = model.generation_config
    generation.eos_token_id = model.config.eos_token_id
    generation.pad_token_id = model.config.pad_token_id
    generation.bos_token_id = model.config.bos_token_id
    generation.do_sample = False
    return model
