"""A model seen as residual stream and writers: the only view of it that the rest of SABER has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saber.lm.architecture.devices import computes_on
from saber.lm.architecture.families import FAMILIES, Family
from saber.lm.architecture.text_half import blocks_path, text_config, text_type
from saber.lm.architecture.unserved import why_unserved
from saber.lm.architecture.writer import Writer, find_writer
from saber.lm.chat.chat_format import ChatFormat
from saber.lm.chat.template_trial import shaped
from saber.types import UserError
from saber.vocabulary import Position

__all__ = ["Adapter", "Writer", "adapt"]


@dataclass(frozen=True, eq=False)
class Adapter:
    """A loaded chat model, its tokenizer, its blocks and its writers, and how it is spoken to.

    ``position`` is the token of a prompt that the residual stream is read at; ``thoughts`` are the base's own by prompt
    text, as token ids, where that is the end of them.
    """

    model: Any
    tokenizer: Any
    family: Family
    blocks: tuple[nn.Module, ...]
    writers: tuple[Writer, ...]
    system_prompt: str | None = None
    blocks_path: str = "model.layers"
    chat: ChatFormat = field(default_factory=ChatFormat)
    position: Position = "last"
    thoughts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

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
        return width(self.model.config)

    @cached_property
    def device(self) -> torch.device:
        """Where the embedding computes, and so where token ids go."""
        embedding = self.model.get_input_embeddings()
        name = next((name for name, module in self.model.named_modules() if module is embedding), "")
        return computes_on(self.model, name, embedding.weight)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype the model computes in."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    def stream(self, output: Any) -> Float[Tensor, "batch token d_model"]:
        """The residual stream in what a block puts out, whatever it is wrapped or stacked in."""
        tensor: Tensor = output[0] if isinstance(output, tuple) else output
        name = self.family.stream
        return tensor if name is None else tensor[getattr(text_config(self.model.config), name)]


def adapt(model: Any, tokenizer: Any, *, system_prompt: str | None = None) -> Adapter:
    """See a loaded model as an `Adapter`.

    Raises:
        UserError: its family is not declared, or a declared writer is not there or not what is declared.
    """
    return adapt_as(family_of(model), model, tokenizer, system_prompt=system_prompt)


def adapt_as(family: Family, model: Any, tokenizer: Any, *, system_prompt: str | None = None) -> Adapter:
    """See a loaded model as an `Adapter` of a family, whatever is declared of its type.

    Raises:
        UserError: a writer of the family is not there or not what the family says.
    """
    at = blocks_path(model, family.blocks)
    if at is None:
        raise UserError(
            f"expected the blocks of {text_type(model.config)} at {family.blocks}, found none in {type(model).__name__}"
        )
    model.eval()
    modules = dict(model.named_modules())
    blocks: Any = modules[at]
    d_model = width(model.config)
    by_block = [
        [find_writer(modules, f"{at}.{layer}", layer, row, d_model) for row in family.writers]
        for layer in range(len(blocks))
    ]
    writers = [[writer for writer in block if writer is not None] for block in by_block]
    if not all(writers):
        layer = next(i for i, block in enumerate(writers) if not block)
        raise UserError(f"expected a writer of {text_type(model.config)} in {at}.{layer}, found none of those declared")
    flat = tuple(writer for block in writers for writer in block)
    return Adapter(model, tokenizer, family, tuple(blocks), flat, system_prompt, at)


def width(config: Any) -> int:
    """The width of the residual stream."""
    return int(text_config(config).hidden_size)


def family_of(model: Any) -> Family:
    """What is declared of a model's text half, or of the whole model's type.

    Raises:
        UserError: nothing is, or the family is known to write in a way that no edit here can reach.
    """
    of_text, of_model = text_type(model.config), str(model.config.model_type)
    unserved = why_unserved(model.config, of_text)
    if unserved is not None:
        raise UserError(f"expected a family whose writes can be edited, found {unserved[0]}: {unserved[1]}")
    family = FAMILIES.get(of_text) or FAMILIES.get(of_model)
    if family is None:
        raise UserError(
            f"expected a family that is declared in saber/lm/architecture/families.py, found model_type {of_text!r}"
            f" ({type(model).__name__}): python -m saber.writers --propose model.path=... shows the row it would need,"
            " docs/families.md how to add it"
        )
    return family


def with_chat(adapter: Adapter, chat: ChatFormat, system_prompt: str | None) -> Adapter:
    """The same model spoken to in another format, its turns in the shape that its template takes.

    Raises:
        UserError: the template drops the prompt or the system prompt, or refuses a system turn.
    """
    completed = shaped(adapter.tokenizer, adapter.model_type, chat, system_prompt)
    return replace(adapter, system_prompt=system_prompt, chat=completed)


def with_system(adapter: Adapter, system_prompt: str | None) -> Adapter:
    """The same model under another system prompt.

    Raises:
        UserError: as of `with_chat`.
    """
    return with_chat(adapter, adapter.chat, system_prompt)


def shape(writer: Writer) -> str:
    """The weight's shape, and the bias's where there is one."""
    weight = " x ".join(str(n) for n in writer.weight.shape)
    return weight if writer.bias is None else f"{weight} + bias {' x '.join(str(n) for n in writer.bias.shape)}"


def before_the_add(adapter: Adapter, writer: Writer) -> str:
    """The norms, gates and scales that an output passes, in order."""
    steps = [f"norm {name}" for name in writer.norms]
    if not writer.norms and writer.write is not writer.module:
        block = adapter.blocks[writer.layer]
        inside = next(name for name, module in block.named_modules() if module is writer.write)
        steps.append(f"gate or sum inside {inside}")
    if writer.multiplier != 1.0:
        steps.append(f"times {writer.multiplier:g}")
    return ", then ".join(steps) or "nothing"


def limits(adapter: Adapter) -> list[str]:
    """What an edit of this model cannot do exactly, one sentence each."""
    reasons = [] if adapter.family.inexact is None else [adapter.family.inexact]
    if any(writer.gain is not None for writer in adapter.writers):
        reasons.append(
            "behind a norm only the strengths 0 and 1 are exact: between them the norm scales what is left up again"
        )
    if any(writer.fused for writer in adapter.writers):
        reasons.append("fused experts have no row norms of their own to keep and no LoRA form: export them merged")
        reasons.append(
            "with edit.reader=inputs they are read by the sum of their outputs, as each has inputs of its own"
        )
    if not all(writer.in_full for writer in adapter.writers):
        reasons.append("quantised weights can be edited virtually, not baked: bake in the full dtype")
    return reasons
