"""A model seen as residual stream and writers: the only view of it that the rest of SABER has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saber.lm.architecture.families import FAMILIES, Family
from saber.lm.architecture.writers import Writer, find_writer
from saber.types import UserError

__all__ = ["Adapter", "Writer", "adapt"]


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
    def model_type(self) -> str:
        """The name that transformers gives the family."""
        return str(self.model.config.model_type)

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks."""
        return len(self.blocks)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.model.config.get_text_config().hidden_size)

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

    def stream(self, output: Any) -> Float[Tensor, "batch token d_model"]:
        """The residual stream in what a block puts out, whatever it is wrapped or stacked in."""
        tensor: Tensor = output[0] if isinstance(output, tuple) else output
        name = self.family.stream
        return tensor if name is None else tensor[getattr(self.model.config.get_text_config(), name)]


def adapt(model: Any, tokenizer: Any, *, system_prompt: str | None = None) -> Adapter:
    """See a loaded model as an `Adapter`.

    Raises:
        UserError: its family is not declared, or a declared writer is not there or not what is declared.
    """
    model_type = model.config.model_type
    family = FAMILIES.get(model_type)
    if family is None:
        raise UserError(
            f"expected a declared family, found model_type {model_type!r} ({type(model).__name__}) with block lists"
            f" {', '.join(_module_lists(model)) or 'nowhere'}; declare it in"
            f" saber/lm/architecture/families.py as docs/families.md shows; declared: {', '.join(sorted(FAMILIES))}"
        )
    modules = dict(model.named_modules())
    blocks = modules.get(family.blocks)
    if not isinstance(blocks, nn.ModuleList):
        raise UserError(f"expected the blocks of {model_type} at {family.blocks}, found none in {type(model).__name__}")
    model.eval()
    d_model = int(model.config.get_text_config().hidden_size)
    found = [
        [find_writer(modules, f"{family.blocks}.{layer}", layer, row, d_model) for row in family.writers]
        for layer in range(len(blocks))
    ]
    writers = [[writer for writer in block if writer is not None] for block in found]
    if not all(writers):
        layer = next(i for i, block in enumerate(writers) if not block)
        raise UserError(f"expected a writer of {model_type} in {family.blocks}.{layer}, found none of those declared")
    flat = tuple(writer for block in writers for writer in block)
    return Adapter(model, tokenizer, family, tuple(blocks), flat, system_prompt)


def _module_lists(model: nn.Module) -> list[str]:
    """Where a model has lists of modules: one of them is its decoder blocks."""
    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    return [f"{name} ({len(module)} x {type(module[0]).__name__})" for name, module in lists if len(module)]
