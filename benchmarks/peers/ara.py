"""Arbitrary-Rank Ablation, written anew from its published objective (Weidmann 2026, p-e-w/heretic#211 and #332).

Heretic 1.4.0 on the package index does not have it. For every writer with weight W (d_out, d_in), its inputs X_g, X_b
at the last token of harmless and harmful prompts and its outputs Y_g, Y_b there, a matrix W' of W's own row norms is
found that makes least

    preserve mean((W' X_g - Y_g)^2) + steer (d(W' X_b, Y_g) - overcorrect d(W' X_b, Y_b)),

d(A, B) the mean Euclidean distance of each row of A to its k nearest rows of B. W' = the rows of W + B A scaled to W's
norms, A and B of rank 50 as LoRA begins them (A uniform, B = 0); five steps of L-BFGS, each of 20 iterations with a
strong Wolfe line search. The layers are one range. ``suggested`` has the keys and ranges of
its search.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import optuna
import torch
from torch import Tensor

RANK = 50
N_STEPS, N_ITERATIONS, N_HISTORY = 5, 20, 10


@dataclass(frozen=True)
class Settings:
    """A trial of ARA: layers from ``first_layer`` up to but without ``end_layer``, three weights, k neighbours."""

    first_layer: int
    end_layer: int
    preserve: float
    steer: float
    overcorrect: float
    n_neighbours: int


def suggested(trial: optuna.Trial, n_layers: int) -> Settings:
    """The settings that a sampler chooses in the ranges of the published search."""
    return Settings(
        first_layer=trial.suggest_int("first_layer", 0, n_layers // 2),
        end_layer=trial.suggest_int("end_layer", n_layers // 2, n_layers),
        preserve=trial.suggest_float("preserve", 0.0, 1.0),
        steer=trial.suggest_float("steer", 1e-4, 1.0, log=True),
        overcorrect=trial.suggest_float("overcorrect", 0.0, 1.3),
        n_neighbours=trial.suggest_int("n_neighbours", 1, 15),
    )


@dataclass(frozen=True, eq=False)
class Seen:
    """Inputs (prompt, d_in) and outputs (prompt, d_out) of one writer, fp32."""

    inputs: Tensor
    outputs: Tensor


def nearest_distance(rows: Tensor, others: Tensor, k: int) -> Tensor:
    """The Euclidean distance of a row to its k nearest of the others, mean over those and over rows."""
    return torch.cdist(rows, others).topk(min(k, len(others)), dim=1, largest=False).values.mean()


def objective(new_harmless: Tensor, new_harmful: Tensor, harmless: Tensor, harmful: Tensor, of: Settings) -> Tensor:
    """What is made least, from a writer's new and old outputs."""
    preserve = (new_harmless - harmless).square().mean()
    pull = nearest_distance(new_harmful, harmless, of.n_neighbours)
    push = nearest_distance(new_harmful, harmful, of.n_neighbours)
    return of.preserve * preserve + of.steer * (pull - of.overcorrect * push)


def row_scales(weight: Tensor, norms: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """|w_i| / |w_i + b_i A| of every row i, without the sum W + B A itself."""
    square = norms.square() + 2 * (up * (weight @ down.T)).sum(1) + (up @ (down @ down.T) * up).sum(1)
    return norms / square.clamp(min=1e-12).sqrt()


def fitted(weight: Tensor, harmless: Seen, harmful: Seen, of: Settings, seed: int) -> Tensor:
    """The weight W' (d_out, d_in) of one writer."""
    norms = weight.norm(dim=1)
    generator = torch.Generator().manual_seed(seed)
    down = torch.empty(RANK, weight.shape[1])
    torch.nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
    down.requires_grad_(True)
    up = torch.zeros(len(weight), RANK, requires_grad=True)
    bare_harmless, bare_harmful = harmless.inputs @ weight.T, harmful.inputs @ weight.T

    def loss() -> Tensor:
        scales = row_scales(weight, norms, up, down)
        new_harmless = (bare_harmless + harmless.inputs @ down.T @ up.T) * scales
        new_harmful = (bare_harmful + harmful.inputs @ down.T @ up.T) * scales
        return objective(new_harmless, new_harmful, harmless.outputs, harmful.outputs, of)

    optimiser = torch.optim.LBFGS(
        [down, up], lr=1.0, max_iter=N_ITERATIONS, history_size=N_HISTORY, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(N_STEPS):
        optimiser.step(closure)
    with torch.no_grad():
        return (weight + up @ down) * row_scales(weight, norms, up, down)[:, None]


def edited(
    weights: Mapping[tuple[int, str], Tensor],
    harmless: Mapping[tuple[int, str], Seen],
    harmful: Mapping[tuple[int, str], Seen],
    of: Settings,
    seed: int,
) -> dict[tuple[int, str], Tensor]:
    """The new weights of all writers in the layers that are edited; a writer is named by its layer and its module."""
    return {
        (layer, name): fitted(weight.float(), harmless[layer, name], harmful[layer, name], of, seed + layer).to(
            weight.dtype
        )
        for (layer, name), weight in weights.items()
        if of.first_layer <= layer < of.end_layer
    }
