"""Look a declared writer up in a model's modules, with the gain of the norms behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saber.lm.architecture.devices import computes_on
from saber.lm.architecture.writer_rows import (
    BIAS,
    MEANING,
    WEIGHT,
    Layout,
    WriterRow,
    bias_columns,
    is_fused,
    n_axes,
    residual_axis,
    weight_columns,
)
from saber.types import UserError, WriterKind

EDITABLE_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
NORM_TOLERANCE = 1e-3  # what the epsilon inside a norm may do to a probe of unit size


@dataclass(frozen=True, eq=False)
class Writer:
    """A linear map of one block whose output enters the residual stream.

    ``gain`` is the elementwise weight of the ``norms`` between its output and the residual add, ``None`` without any;
    ``write`` is the module whose output, times ``multiplier``, is what is added. The rows of its output come in
    ``n_expert_groups`` groups, one for each expert where experts put out their own rows, else 1. ``elsewhere`` is where
    it computes while its weight is held in other memory. ``parameters`` are the names of its weight and bias in it.
    """

    layer: int
    kind: WriterKind
    name: str
    module: nn.Module
    write: nn.Module
    gain: Float[Tensor, " d_model"] | None
    layout: Layout = "oi"
    norms: tuple[str, ...] = ()
    multiplier: float = 1.0
    n_expert_groups: int = 1
    elsewhere: torch.device | None = None
    parameters: tuple[str, str] = ("weight", "bias")

    @property
    def place(self) -> str:
        """Its layer and its module in the block, ``3.mlp.down_proj``: the same inside a multimodal wrapper."""
        return f"{self.layer}.{self.name.split(f'.{self.layer}.', 1)[1]}"

    @property
    def d_in(self) -> int:
        """The width of what goes into it; a packed weight's shape does not say, so a Linear is asked itself."""
        if self.layout == "oi":
            return int(self.module.in_features)  # type: ignore[arg-type]  # nn.Module's attributes are untyped
        return int(self.weight.shape[{"io": 0, "eoi": 2, "eio": 1, "fio": 0}[self.layout]])

    @property
    def weight(self) -> Tensor:
        """The weight as it is stored, in the writer's layout; packed where the model is quantised."""
        tensor: Tensor = attrgetter(self.parameters[0])(self.module)
        return tensor

    @property
    def bias(self) -> Tensor | None:
        """The bias [d_model], or [expert, d_model] of fused experts."""
        return _attribute(self.module, self.parameters[1])

    @property
    def fused(self) -> bool:
        """Whether it is all experts of a layer in one parameter."""
        return is_fused(self.layout)

    @property
    def device(self) -> torch.device:
        """Where it computes: where its weight is, or will be brought; the CPU while it is nowhere yet."""
        return (self.elsewhere or torch.device("cpu")) if self.weight.is_meta else self.weight.device

    @property
    def in_full(self) -> bool:
        """Whether the weight is stored as plain numbers, not packed or scaled by a quantiser."""
        return self.weight.dtype in EDITABLE_DTYPES and self.weight.ndim == n_axes(self.layout)

    def columns(self) -> list[Float[Tensor, "d_model n"]]:
        """Views of the weight, one for each matrix, with the residual axis first.

        Raises:
            UserError: the weight is quantised.
        """
        if not self.in_full:
            raise UserError(
                f"expected plain weights at {self.name}, found {type(self.module).__name__} with {self.weight.dtype}:"
                " load the checkpoint that it was quantised from, without model.quantise, to bake or to keep row norms"
            )
        if self.weight.is_meta:
            raise UserError(
                f"expected the weight of {self.name} in memory, found it held elsewhere by model.device_map: bake the"
                " checkpoint on disk (saber.lm.editing.shards.bake_checkpoint), which needs no room"
            )
        return weight_columns(self.weight, self.layout)

    def bias_columns(self) -> Float[Tensor, "d_model n"] | None:
        """A view of the bias, or of the biases of all experts, with the residual axis first."""
        return None if self.bias is None else bias_columns(self.bias)


def find_writer(
    modules: Mapping[str, nn.Module], block: str, layer: int, row: WriterRow, d_model: int
) -> Writer | None:
    """Look one declared writer up; ``None`` where its row does not count in this block.

    Raises:
        UserError: a module that the row names is missing or is not what the row says.
    """
    if row.when is not None and not _has(modules, f"{block}.{row.when}"):
        return None
    if row.unless is not None and _has(modules, f"{block}.{row.unless}"):
        return None
    name = f"{block}.{row.module}"
    module = modules.get(name)
    parameters = (row.weight or WEIGHT[row.layout], row.bias or BIAS[row.layout])
    if module is None or not _is_map(module, row.layout, d_model, parameters[0]):
        there = type(module).__name__ if module is not None else "nothing"
        raise UserError(
            f"expected a linear writer at {name}, found {there}, not {MEANING[row.layout]} with d_model {d_model};"
            " see saber/lm/architecture/families.py"
        )
    named = [(norm, _named(modules, f"{block}.{norm}", f"a norm after {name}")) for norm in row.norms]
    norms = {norm: there for norm, there in named if not isinstance(there, nn.Identity)}
    write = list(norms.values())[-1] if norms else module
    if row.write is not None:
        write = _named(modules, f"{block}.{row.write}", f"what adds {name}")
    weight: Tensor = attrgetter(parameters[0])(module)
    return Writer(
        layer=layer,
        kind=row.kind,
        name=name,
        module=module,
        write=write,
        gain=_gain(list(norms.values()), name, weight, d_model) if norms else None,
        layout=row.layout,
        norms=tuple(norms),
        multiplier=float(attrgetter(row.multiplier)(modules[block])) if row.multiplier is not None else 1.0,
        n_expert_groups=int(weight.shape[0]) if row.expert_major else 1,
        elsewhere=computes_on(modules[""], name, weight),
        parameters=parameters,
    )


def _has(modules: Mapping[str, nn.Module], name: str) -> bool:
    """Whether a module is there; an Identity stands for one that is not."""
    return name in modules and not isinstance(modules[name], nn.Identity)


def _named(modules: Mapping[str, nn.Module], name: str, what: str) -> nn.Module:
    if name not in modules:
        raise UserError(f"expected {what} at {name}, found nothing; see saber/lm/architecture/families.py")
    return modules[name]


def _attribute(module: nn.Module, name: str) -> Tensor | None:
    """A parameter of a module, wherever inside it; ``None`` for none."""
    held: Any = module
    for part in name.split("."):
        held = getattr(held, part, None)
    return held if isinstance(held, Tensor) else None


def _is_map(module: nn.Module, layout: Layout, d_model: int, weight_at: str) -> bool:
    """Whether a module is of the declared layout; a packed weight's own shape says nothing, so it is not asked."""
    if layout == "oi":
        return isinstance(module, nn.Linear) and module.out_features == d_model
    if layout == "io":
        return getattr(module, "nf", None) == d_model
    weight = _attribute(module, weight_at)
    return weight is not None and weight.ndim == n_axes(layout) and weight.shape[residual_axis(layout)] == d_model


@torch.no_grad()
def _gain(norms: list[nn.Module], name: str, weight: Tensor, d_model: int) -> Float[Tensor, " d_model"]:
    """The product of the norms' weights: a norm maps ones to its gain, whether it stores w, 1 + w or nothing."""
    gain = torch.ones(d_model, device=_place(norms[0], weight))
    for norm in norms:
        device = _place(norm, weight)
        of_ones = norm(torch.ones(d_model, device=device)).float()
        ramp = torch.linspace(-1.0, 2.0, d_model, device=device)
        expected = of_ones * ramp / ramp.square().mean().sqrt()
        if not torch.allclose(norm(ramp).float(), expected, rtol=NORM_TOLERANCE, atol=NORM_TOLERANCE):
            raise UserError(f"expected norms after {name} that are w * x / rms(x), found {type(norm).__name__}")
        gain = gain * of_ones.to(gain.device)
    return gain


def _place(norm: nn.Module, weight: Tensor) -> torch.device:
    """Where a norm computes: where its own weight is, or without one where the writer's is; on the CPU for meta."""
    own = next(norm.parameters(), weight)
    return torch.device("cpu") if own.is_meta else own.device
