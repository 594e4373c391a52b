"""Every weight of a model, wherever it is held: one at a time, their digest, and whether all are finite."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from accelerate.utils import align_module_device
from torch import Tensor, nn

from saber.lm.architecture.writer import EDITABLE_DTYPES
from saber.types import DIGEST_LENGTH, UserError


def stored_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter and buffer that a checkpoint holds, by name in order; what is elsewhere comes one at a time.

    To be asked for before the first pass: with bitsandbytes 0.50 on a CPU, ``state_dict`` spoils weights of four bits
    that a pass has packed anew.
    """
    for name, tensor in sorted(model.state_dict().items()):
        if not tensor.is_meta:  # bitsandbytes names more than modules have: weight.absmax
            yield name, tensor
            continue
        parent, _, leaf = name.rpartition(".")
        module = model.get_submodule(parent)
        with align_module_device(module, torch.device("cpu")):
            yield name, getattr(module, leaf)


def weights_digest(model: Any) -> str:
    """Twelve hex digits of every parameter and buffer: name, shape, dtype and bytes."""
    sha = hashlib.blake2b()
    for name, tensor in stored_tensors(model):
        sha.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        sha.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return sha.hexdigest()[:DIGEST_LENGTH]


def require_finite(model: nn.Module) -> None:
    """Pass where every weight that is stored as plain numbers is finite.

    Raises:
        UserError: one is not, and every measurement would be NaN.
    """
    for name, tensor in stored_tensors(model):
        if tensor.dtype in EDITABLE_DTYPES and not bool(torch.isfinite(tensor).all()):
            raise UserError(
                f"expected finite weights, found NaN or infinity in {name}: the checkpoint is damaged, get it again"
            )
