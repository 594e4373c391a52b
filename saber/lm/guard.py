"""The guard at load: a block's output must be its input plus the declared writes, or a writer is missing."""

from __future__ import annotations

import torch
from torch import nn

from saber.lm.activations import capture
from saber.lm.adapter import Adapter
from saber.types import UserError

N_TOKENS = 12
# Rounding of a sum of a few terms, relative to the output: well under what a missing write would leave.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}


@torch.inference_mode()
def verify_writers(adapter: Adapter) -> float:
    """Rebuild every block's output, out = s (in + sum of writes), and return the worst relative error.

    The first block is not checked: what enters it is not another block's output.

    Raises:
        UserError: a block's output differs from what its declared writers explain.
    """
    modules: dict[object, nn.Module] = dict(enumerate(adapter.blocks))
    modules |= {(writer.layer, writer.name): writer.write for writer in adapter.writers}
    tokens = torch.arange(1, N_TOKENS + 1, device=adapter.device).unsqueeze(0)
    with capture(modules) as seen:
        adapter.model(input_ids=tokens, use_cache=False)
    worst = 0.0
    for layer in range(1, adapter.n_layers):
        rebuilt = seen[layer - 1].double()
        for writer in adapter.writers:
            if writer.layer == layer:
                rebuilt = rebuilt + seen[layer, writer.name].double()
        scale_name = adapter.family.block_scale
        if scale_name is not None:
            rebuilt = rebuilt * getattr(adapter.blocks[layer], scale_name).double()
        error = (rebuilt - seen[layer].double()).norm() / seen[layer].double().norm()
        worst = max(worst, float(error))
        if worst > TOLERANCE[adapter.dtype]:
            raise UserError(
                f"expected the declared writers to explain block {layer} of"
                f" {adapter.model.config.model_type}, found an error of {worst:.1e}: a writer is not declared"
            )
    return worst
