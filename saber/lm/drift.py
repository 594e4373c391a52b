"""Drift: KL from the base to T edited models at the positions of the reference, in one teacher-forced pass."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from saber.lm.adapter import Adapter
from saber.lm.base_logits import TeacherForced
from saber.lm.reference import Reference
from saber.scoring.divergence import kl_divergence_nats

POSITIONS = ("first", "prompt", "response")
SOFTMAX_BYTES = 24  # a token and position: six fp32 arrays are alive in one divergence


@torch.inference_mode()
def drift_nats(
    adapter: Adapter, reference: Reference, *, n_trials: int, batch_size: int
) -> dict[str, Float[Tensor, "trial prompt"]]:
    """KL(P_base || P_edited) in nats by drift prompt: the mean over its first, prompt or response positions.

    Call it inside ``applied`` with ``n_trials`` plans.
    """
    device = adapter.device
    sums = {name: torch.zeros(n_trials, reference.n_drift, device=device) for name in POSITIONS}
    counts = {name: torch.zeros(reference.n_drift, device=device) for name in POSITIONS}
    for part in reference.drift:
        per_position = _kl_of_batch(adapter, part, n_trials, batch_size, reference.part_bytes)
        prompt = part.prompt.to(device)
        for name, where in zip(POSITIONS, (part.is_first, part.is_prompt, part.is_response), strict=True):
            counted = where.to(device)
            sums[name].index_add_(1, prompt[counted], per_position[:, counted])
            counts[name].index_add_(0, prompt[counted], torch.ones(int(counted.sum()), device=device))
    return {name: (sums[name] / counts[name]).cpu() for name in POSITIONS}


def _kl_of_batch(
    adapter: Adapter, part: TeacherForced, n_trials: int, batch_size: int, part_bytes: int
) -> Float[Tensor, "trial position"]:
    """KL at every position of some rows, as many rows at a time as keep trials x rows within both batch sizes."""
    device = adapter.device
    n_rows = len(part.batch.input_ids)
    step = max(1, min(batch_size, n_rows) // n_trials)
    out = torch.empty(n_trials, len(part.row), device=device)
    n_at_once = max(1, part_bytes // (SOFTMAX_BYTES * part.logits.shape[-1]))
    for start in range(0, n_rows, step):
        rows = slice(start, start + step)
        batch = type(part.batch)(
            part.batch.input_ids[rows].to(device), part.batch.attention_mask[rows].to(device)
        ).for_trials(n_trials)
        logits = adapter.model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=batch.position_ids,
            use_cache=False,
        ).logits.unflatten(0, (n_trials, -1))
        inside = torch.nonzero((part.row >= start) & (part.row < start + step)).flatten()
        for here in torch.split(inside, n_at_once):
            base = part.logits[here].to(device)
            for t in range(n_trials):
                edited = logits[t, part.row[here] - start, part.column[here]]
                out[t, here.to(device)] = kl_divergence_nats(base, edited)
    return out
