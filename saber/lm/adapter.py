"""A model seen as residual stream and writers: the only view of it that the rest of SABER has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saber.lm.families import FAMILIES, Family, WriterRow
from saber.types import UserError, WriterKind


@dataclass(frozen=True, eq=False)
class Writer:
    """A linear map [d_model, d_in] of one block whose output enters the residual stream.

    ``gain`` is the elementwise weight of the norms between its output and the residual add, ``None`` without any;
    ``write`` is the module whose output is what is added.
    """

    layer: int
    kind: WriterKind
    name: str
    module: nn.Linear
    write: nn.Module
    gain: Float[Tensor, " d_model"] | None


@dataclass(frozen=True, eq=False)
class Adapter:
    """A loaded chat model, its tokenizer, its blocks and its writers."""

    model: Any
    tokenizer: Any
    family: Family
    blocks: tuple[nn.Module, ...]
    writers: tuple[Writer, ...]
    system_prompt: str | None = None

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks."""
        return len(self.blocks)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.writers[0].module.out_features)

    @cached_property
    def device(self) -> torch.device:
        """Where the embedding is, and so where token ids go."""
        found: torch.device = self.model.get_input_embeddings().weight.device
        return found

    @property
    def dtype(self) -> torch.dtype:
        """The dtype the model computes in."""
        found: torch.dtype = self.model.dtype
        return found


def adapt(model: Any, tokenizer: Any, *, system_prompt: str | None = None) -> Adapter:
    """See a loaded model as an `Adapter`.

    Raises:
        UserError: its family is not declared, or a declared writer is not there or not a plain linear map.
    """
    model_type = model.config.model_type
    family = FAMILIES.get(model_type)
    if family is None:
        raise UserError(
            f"expected a declared family, found model_type {model_type!r} ({type(model).__name__});"
            f" declare it in saber/lm/families.py; declared: {', '.join(sorted(FAMILIES))}"
        )
    modules = dict(model.named_modules())
    blocks = modules.get(family.blocks)
    if not isinstance(blocks, nn.ModuleList):
        raise UserError(f"expected the blocks of {model_type} at {family.blocks}, found none in {type(model).__name__}")
    model.eval()
    writers = tuple(
        writer
        for layer in range(len(blocks))
        for row in family.writers
        if (writer := _find_writer(modules, f"{family.blocks}.{layer}", layer, row)) is not None
    )
    return Adapter(model, tokenizer, family, tuple(blocks), writers, system_prompt)


def _find_writer(modules: dict[str, nn.Module], block: str, layer: int, row: WriterRow) -> Writer | None:
    """Look one declared writer up; an optional one may be missing altogether."""
    name = f"{block}.{row.module}"
    module = modules.get(name)
    if module is None and row.optional:
        return None
    if not isinstance(module, nn.Linear):
        found = type(module).__name__ if module is not None else "nothing"
        raise UserError(f"expected a linear writer at {name}, found {found}; see saber/lm/families.py")
    norms = [modules.get(f"{block}.{norm}") for norm in row.norms]
    if None in norms:
        raise UserError(f"expected norms {', '.join(row.norms)} after {name}, found a missing one")
    chain = [norm for norm in norms if norm is not None]
    gain = _gain(chain, module) if chain else None
    return Writer(layer, row.kind, name, module, chain[-1] if chain else module, gain)


@torch.no_grad()
def _gain(norms: list[nn.Module], module: nn.Linear) -> Float[Tensor, " d_model"]:
    """The product of the norms' weights: a norm maps ones to its gain, whether it stores w or 1 + w."""
    ones = torch.ones(module.out_features, dtype=torch.float32, device=module.weight.device)
    gain = ones
    for norm in norms:
        weight = next(norm.parameters())
        gain = gain * norm(ones.to(weight.device, weight.dtype)).float().to(ones.device)
    return gain
