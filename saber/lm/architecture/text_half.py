"""The text half of a model: of a multimodal wrapper, the language model inside it, else the model itself."""

from __future__ import annotations

from typing import Any

from torch import nn


def text_config(config: Any) -> Any:
    """The part of a configuration that describes the decoder of text."""
    return config.get_text_config(decoder=True)


def text_type(config: Any) -> str:
    """The model type of the text half, by which a family is declared."""
    return str(text_config(config).model_type)


def blocks_path(model: nn.Module, blocks: str) -> str | None:
    """Where a model has the list of blocks that its causal language model has at ``blocks``; ``None`` for nowhere.

    In a wrapper the text half is the first module with the text half's configuration that has the whole path, or else
    its last part: the inner model has it there without the causal model's own prefix.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    config: Any = getattr(model, "config", None)
    wanted = text_type(config)
    if config.model_type == wanted:
        return blocks if isinstance(modules.get(blocks), nn.ModuleList) else None
    halves = [name for name, module in modules.items() if name and _type_of(module) == wanted]
    for path in (blocks, blocks.rpartition(".")[2]):
        for half in halves:
            if isinstance(modules.get(f"{half}.{path}"), nn.ModuleList):
                return f"{half}.{path}"
    return None


def _type_of(module: nn.Module) -> str | None:
    return getattr(getattr(module, "config", None), "model_type", None)
