"""The guard at load: a block's output must be its input plus the declared writes, or a writer is missing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.capture import capture
from saber.types import UserError

N_TOKENS = 12
# Rounding of a sum of a few terms, relative to the output: well under what a missing write would leave.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}


@torch.inference_mode()
def verify_writers(adapter: Adapter) -> float | None:
    """Rebuild every block's output, out = s (in + sum of m * write), and return the worst relative error.

    ``None`` for a family declared to be no such sum, whose ``inexact`` says why.

    Raises:
        UserError: a block's output differs from what its declared writers explain.
    """
    if adapter.family.inexact is not None:
        return None
    tokens = torch.arange(1, N_TOKENS + 1, device=adapter.device).unsqueeze(0)
    writes: dict[object, nn.Module] = {(w.layer, id(w.write)): w.write for w in adapter.writers}
    with (
        capture(dict(enumerate(adapter.blocks)), with_input=True, copy=True) as streams,
        capture(writes, copy=True) as added,
    ):
        adapter.model(input_ids=tokens, use_cache=False)
    worst = 0.0
    for layer, (entered, left) in streams.items():
        error = float((_rebuild(adapter, layer, entered, added) - left.double()).norm() / left.double().norm())
        worst = max(worst, error)
        if error > TOLERANCE[adapter.dtype]:
            raise UserError(
                f"expected the declared writers to explain block {layer} of"
                f" {adapter.model_type}, found an error of {error:.1e}: a writer is not declared"
            )
    return worst


def _rebuild(adapter: Adapter, layer: int, entered: Tensor, added: dict[object, Tensor]) -> Tensor:
    """What a block should put out; a module that adds several writers at once counts once."""
    multipliers = {id(w.write): w.multiplier for w in adapter.writers if w.layer == layer}
    rebuilt = entered.double()
    for write, multiplier in multipliers.items():
        rebuilt = rebuilt + multiplier * added[layer, write].double().reshape(rebuilt.shape)
    name = adapter.family.block_scale
    return rebuilt if name is None else rebuilt * getattr(adapter.blocks[layer], name).double()
