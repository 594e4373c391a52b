"""How a family of models is declared: its blocks, what each writer's output passes, and how its weight is laid out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from saber.types import WriterKind

Layout = Literal["oi", "io", "eoi", "eio", "fio"]

# What each layout is, and the parameters that hold the weight and the bias of such a module.
MEANING: dict[Layout, str] = {
    "oi": "Linear [d_model, d_in]",
    "io": "Conv1D [d_in, d_model]",
    "eoi": "fused experts [expert, d_model, d_in]",
    "eio": "fused experts [expert, d_in, d_model]",
    "fio": "fused experts in one matrix [expert * d_in, d_model]",
}
FUSED: tuple[Layout, ...] = ("eoi", "eio", "fio")
WEIGHT: dict[Layout, str] = {"oi": "weight", "io": "weight", **dict.fromkeys(FUSED, "down_proj")}
BIAS: dict[Layout, str] = {"oi": "bias", "io": "bias", **dict.fromkeys(FUSED, "down_proj_bias")}


@dataclass(frozen=True)
class WriterRow:
    """One writer of a block; names are relative to the block.

    ``norms`` are the elementwise norms that its output passes before the add, in order. ``write`` is the module whose
    output is added where that is neither the last norm nor the writer (a gate stands between, or a sum of writers);
    ``multiplier`` is an attribute that scales it. The row counts in blocks with the module ``when`` and without
    ``unless``. ``expert_major`` says that fused experts put out [expert * token, d_model] instead of their sum.
    ``weight`` and ``bias`` are where the module has its parameters, if not where its layout has them.
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
    weight: str | None = None
    bias: str | None = None


@dataclass(frozen=True)
class Family:
    """A family: its writers, the module list of its blocks, and what is peculiar to its stream.

    ``blocks`` is where they are in the causal language model; inside a multimodal wrapper they are looked for in its
    text half. ``block_scale`` is a buffer that scales a block's whole output; ``stream`` is the configuration's name of
    the index at which a block's stacked output holds the stream that is read. ``scaled_adds`` says that every add
    multiplies the stream and the write by numbers of the layer, which the guard finds out. ``inexact`` says what no
    edit of the writers can do; such a family's blocks are not the sum that the guard checks, and it is not asked to.
    ``reads_again`` is for models that keep their state in their own modules, or in a form whose rows cannot be chosen.
    """

    writers: tuple[WriterRow, ...]
    blocks: str = "model.layers"
    block_scale: str | None = None
    stream: str | None = None
    scaled_adds: bool = False
    inexact: str | None = None
    reads_again: bool = False


def scaled(family: Family, multiplier: str) -> Family:
    """The same family with every write multiplied by an attribute of the block."""
    return replace(family, writers=tuple(replace(row, multiplier=multiplier) for row in family.writers))


def sandwich(after_attention: str, after_mlp: str) -> Family:
    """Attention and MLP, each with a norm between its output and the add."""
    return Family((replace(ATTENTION, norms=(after_attention,)), replace(MLP, norms=(after_mlp,))))


def two_writers(attention: str, mlp: str, blocks: str = "model.layers", layout: Layout = "oi") -> Family:
    """Attention and MLP under other names, with nothing between them and the add."""
    return Family((WriterRow("attention", attention, layout), WriterRow("mlp", mlp, layout)), blocks)


def where_present(kind: WriterKind, module: str, layout: Layout = "oi", norms: tuple[str, ...] = ()) -> WriterRow:
    """A writer that counts in the blocks that have its module."""
    return WriterRow(kind, module, layout, norms, when=module)


ATTENTION = WriterRow("attention", "self_attn.o_proj")
MLP = WriterRow("mlp", "mlp.down_proj")


def is_fused(layout: Layout) -> bool:
    """Whether one parameter holds the matrices of all experts, on a leading axis."""
    return layout in FUSED


def residual_axis(layout: Layout) -> int:
    """The axis of the weight that is the residual stream's."""
    return {"oi": 0, "io": 1, "eoi": 1, "eio": 2, "fio": 1}[layout]


def n_axes(layout: Layout) -> int:
    """How many axes the weight has."""
    return 3 if layout in ("eoi", "eio") else 2


def weight_columns(weight: Tensor, layout: Layout) -> list[Float[Tensor, "d_model n"]]:
    """Views of a weight with the residual axis first, one for each matrix: writing into them writes into the weight."""
    matrices = list(weight.unbind(0)) if n_axes(layout) == 3 else [weight]
    return [matrix if residual_axis(layout) == n_axes(layout) - 2 else matrix.T for matrix in matrices]


def bias_columns(bias: Tensor) -> Float[Tensor, "d_model n"]:
    """A view of a bias [d_model] or [expert, d_model] with the residual axis first."""
    return bias.unsqueeze(1) if bias.ndim == 1 else bias.T
