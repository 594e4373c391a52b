"""``least_drift``: the reader of outputs that disturbs prompts left alone least.

It is the linearly constrained minimum-variance beamformer (Frost 1972).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from saber.options.reading_options import ReadingOptions


def readers(
    directions: Float[Tensor, "k d_model"],
    undisturbed: Sequence[Float[Tensor, "_ d_model"]],
    options: ReadingOptions,
) -> Float[Tensor, "k d_model"]:
    """Z = R (I + M / (ridge m))^-1 of unit directions R, with M the mean of E[x x^T] by population, m = tr M / d_model.

    P = Z^T (R Z^T)^-1 then minimises E|P^T x|^2 + ridge m |P|^2 over activations x, every population counting alike,
    subject to P^T R^T = I, with ``edit.reader_ridge`` as ridge. A large one gives Z = R, the orthogonal projection.
    """
    rows = torch.cat([x.double() / (len(undisturbed) * len(x)) ** 0.5 for x in undisturbed])
    r = directions.double().to(rows.device)
    m = rows.square().sum() / rows.shape[1]
    if m == 0.0:
        return directions
    scale = options.reader_ridge * m
    if len(rows) < rows.shape[1]:  # Woodbury's identity: the smaller of the two systems
        small = scale * torch.eye(len(rows), dtype=rows.dtype, device=rows.device) + rows @ rows.T
        read = r - torch.linalg.solve(small, rows @ r.T).T @ rows
    else:
        eye = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
        read = torch.linalg.solve(eye + rows.T @ rows / scale, r.T).T
    return read.float()
