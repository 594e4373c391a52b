"""What writes into the residual stream of each family of models: declared, never guessed from shapes.

To declare a family, add a row: where its blocks are, and for every writer in a block its kind, its module, and the
norms between its output and the residual add, in order. `adapt` then checks the row against the model: a block's
output must equal its input plus the declared writes, or the model is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from saber.types import WriterKind


@dataclass(frozen=True)
class WriterRow:
    """One writer of a block: a Linear [d_model, d_in], and the elementwise norms its output passes before the add."""

    kind: WriterKind
    module: str
    norms: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Family:
    """A family: the module list of blocks, its writers, and the buffer that scales a block's whole output, if any."""

    blocks: str
    writers: tuple[WriterRow, ...]
    block_scale: str | None = None


PRE_NORM = Family("model.layers", (WriterRow("attention", "self_attn.o_proj"), WriterRow("mlp", "mlp.down_proj")))

SANDWICH = Family(
    "model.layers",
    (
        WriterRow("attention", "self_attn.o_proj", ("post_attention_layernorm",)),
        WriterRow("mlp", "mlp.down_proj", ("post_feedforward_layernorm",)),
    ),
)

GEMMA4 = Family(
    "model.layers",
    (
        *SANDWICH.writers,
        WriterRow("per_layer", "per_layer_projection", ("post_per_layer_input_norm",), optional=True),
    ),
    block_scale="layer_scalar",
)


def inside_wrapper(family: Family) -> Family:
    """The same family inside a multimodal wrapper."""
    return Family("model.language_model.layers", family.writers, family.block_scale)


FAMILIES: dict[str, Family] = {
    "gemma2": SANDWICH,
    "gemma3": inside_wrapper(SANDWICH),
    "gemma3_text": SANDWICH,
    "gemma4": inside_wrapper(GEMMA4),
    "gemma4_text": GEMMA4,
    "llama": PRE_NORM,
    "mistral": PRE_NORM,
    "olmo2": SANDWICH,
    "phi3": PRE_NORM,
    "qwen2": PRE_NORM,
    "qwen3": PRE_NORM,
    "smollm3": PRE_NORM,
}
