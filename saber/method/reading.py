"""Read: what a writer's output is read with before a direction is taken out of it.

An edit takes Q diag(a) P^T y from a write y. With P = Q the projection is orthogonal, and it disturbs every prompt
whose write happens to lean on a direction. With any other P of P^T Q = I, what a write has more of a direction is taken
out just as well: Q c is mapped to 0. The one that leaves other prompts most alone is the linearly constrained
minimum-variance beamformer (Frost 1972). Those are harmless and capability prompts, and harmful ones where only
false refusals are to go.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from saber.types import Round


def least_drift_readers(
    directions: Float[Tensor, "k d_model"],
    undisturbed: Sequence[Float[Tensor, "_ d_model"]],
    *,
    ridge: float,
) -> Float[Tensor, "k d_model"]:
    """Z = R (I + M / (ridge m))^-1 of unit directions R, with M the mean of E[x x^T] by population, m = tr M / d_model.

    P = Z^T (R Z^T)^-1 then minimises E|P^T x|^2 + ridge m |P|^2 over activations x, every population counting alike,
    subject to P^T R^T = I. A large ``ridge`` gives Z = R, the orthogonal projection.
    """
    rows = torch.cat([x.double() / (len(undisturbed) * len(x)) ** 0.5 for x in undisturbed])
    r = directions.double().to(rows.device)
    m = rows.square().sum() / rows.shape[1]
    if m == 0.0:
        return directions
    scale = ridge * m
    if len(rows) < rows.shape[1]:  # Woodbury's identity: the smaller of the two systems
        small = scale * torch.eye(len(rows), dtype=rows.dtype, device=rows.device) + rows @ rows.T
        read = r - torch.linalg.solve(small, rows @ r.T).T @ rows
    else:
        eye = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
        read = torch.linalg.solve(eye + rows.T @ rows / scale, r.T).T
    return read.float()


def readers_of(
    placed: Round,
    undisturbed: Sequence[Float[Tensor, "layer _ d_model"]],
    *,
    ridge: float,
    found_at: Sequence[int] | None = None,
) -> Float[Tensor, "direction layer d_model"]:
    """The least-drift readers of a round's directions at every layer where they act, zero elsewhere.

    At each layer they spare what is undisturbed there; with ``found_at``, the layer of each direction, what is
    undisturbed at the direction's own layer, and a direction is read alike wherever it acts.
    """
    n_directions, n_layers, _ = placed.strengths.shape
    readers = torch.zeros(n_directions, n_layers, placed.directions.shape[1])
    acts = placed.strengths.abs().sum(dim=2) > 0
    spares_at = torch.arange(n_layers).unsqueeze(0) if found_at is None else torch.tensor(found_at).unsqueeze(1)
    for layer in range(n_layers):
        here = acts & (spares_at == layer)  # where a direction is read sparing what is undisturbed at this layer
        chosen = torch.nonzero(here.any(dim=1)).flatten()
        if len(chosen):
            read_with = least_drift_readers(
                placed.directions[chosen], [x[layer] for x in undisturbed], ridge=ridge
            ).cpu()
            readers[chosen] = torch.where(here[chosen].unsqueeze(2), read_with.unsqueeze(1), readers[chosen])
    return readers
