"""A checkpoint on disk: written with everything a chat model needs, scanned for what others have shipped broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open

from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.loading import stored_shapes
from saber.types import UserError


def save_checkpoint(adapter: Adapter, folder: Path) -> None:
    """Write weights (safetensors), configuration, generation configuration, tokenizer and chat template."""
    adapter.model.save_pretrained(folder, safe_serialization=True)
    adapter.tokenizer.save_pretrained(folder)


def release(adapter: Adapter) -> None:
    """Give the memory of the weights back; the model has shapes afterwards and no numbers."""
    adapter.model.to("meta")


def scan_checkpoint(folder: Path, adapter: Adapter) -> int:
    """Read every stored tensor back and return how many there are.

    Raises:
        UserError: a tensor of the model is missing, has another shape, or holds NaN or infinity; or a file that a chat
            model needs is missing.
    """
    for name in ("config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"):
        if not (folder / name).exists():
            raise UserError(f"expected {name} in the exported checkpoint, found none")
    stored = dict(_stored_shapes(folder))
    for name, shape in stored_shapes(adapter.model).items():
        if name not in stored:
            raise UserError(f"expected tensor {name} in the exported checkpoint, found none")
        if stored[name] != shape:
            raise UserError(f"expected tensor {name} of shape {shape}, found {stored[name]}")
    return len(stored)


def _stored_shapes(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every stored tensor's name and shape, each checked to be finite."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - a safetensors handle is not a mapping
                tensor = file.get_tensor(name)
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                    raise UserError(f"expected finite weights, found NaN or infinity in {name}")
                yield name, tuple(tensor.shape)
