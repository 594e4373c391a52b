"""Where the residual axis of a writer's weight is: every layout is seen as columns [d_model, n] that can be edited."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor

Layout = Literal["oi", "io", "eoi", "eio"]

# What each layout is, and the parameters that hold the weight and the bias of such a module.
MEANING: dict[Layout, str] = {
    "oi": "Linear [d_model, d_in]",
    "io": "Conv1D [d_in, d_model]",
    "eoi": "fused experts [expert, d_model, d_in]",
    "eio": "fused experts [expert, d_in, d_model]",
}
WEIGHT: dict[Layout, str] = {"oi": "weight", "io": "weight", "eoi": "down_proj", "eio": "down_proj"}
BIAS: dict[Layout, str] = {"oi": "bias", "io": "bias", "eoi": "down_proj_bias", "eio": "down_proj_bias"}


def is_fused(layout: Layout) -> bool:
    """Whether one parameter holds the matrices of all experts, on a leading axis."""
    return layout in ("eoi", "eio")


def residual_axis(layout: Layout) -> int:
    """The axis of the weight that is the residual stream's."""
    return {"oi": 0, "io": 1, "eoi": 1, "eio": 2}[layout]


def weight_columns(weight: Tensor, layout: Layout) -> list[Float[Tensor, "d_model n"]]:
    """Views of a weight with the residual axis first, one for each matrix: writing into them writes into the weight."""
    matrices = list(weight.unbind(0)) if is_fused(layout) else [weight]
    return [matrix.T if layout in ("io", "eio") else matrix for matrix in matrices]


def bias_columns(bias: Tensor) -> Float[Tensor, "d_model n"]:
    """A view of a bias [d_model] or [expert, d_model] with the residual axis first."""
    return bias.unsqueeze(1) if bias.ndim == 1 else bias.T
