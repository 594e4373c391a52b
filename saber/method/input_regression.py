"""Read inputs: what a direction is taken out by, when it is a linear function of what goes *into* a writer.

A writer y = W x + b is edited as y <- y - U diag(a) K x. Its output has d_model dimensions, its input as many as an MLP
is wide, and there a function of x can tell prompts apart that no function of y can. K is a ridge regression: of the
component T that is to go, at the prompts that it is to go from, and of nothing, at all that is to be left alone,

    K = argmin  mean_b |K x_b - t_b|^2  +  lam s mean_s |K x_s|^2  +  mu m |K|^2

over inputs x_b and x_s; the populations among x_s count by their weights. s = E|x_b|^2 / E|x_s|^2 and
m = E|x_b|^2 / d_in, so that lam and mu mean the same at every writer of every model. With rows
Z = [x_b / sqrt(n_b); sqrt(lam s w / n_s) x_s] and targets T~ = [t_b / sqrt(n_b); 0] it is ridge regression in the
textbook's form (Hoerl and Kennard 1970),

    K = T~^T Z (Z^T Z + mu m I)^-1  =  T~^T (Z Z^T + mu m I)^-1 Z,

the smaller of the two systems being solved. Where many K are asked for of the same inputs and weights, what is spared
is decomposed once, sum_s w_s E[x_s x_s^T] = Q diag(l) Q^T. With D = Q diag(lam s l + mu m)^-1 Q^T, B = X_b / sqrt(n_b)
and T_b = T / sqrt(n_b) it leaves a system as small as the prompts that refusal is taken from (push-through identity),

    K = T_b^T (I + B D B^T)^-1 B D.

As lam grows K comes to lie in the null space of what is left alone (AlphaEdit, arXiv 2410.02355); kin are MEMIT's
update (2210.07229), ridge LEACE (2306.03819), and the affine editing of concepts (2411.09003), whose constant is
where t is counted from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

RIDGES = tuple(10.0**power for power in range(-4, 2))  # where a ridge is looked for when none is given
SPARE_WEIGHTS = tuple(10.0**power for power in range(-1, 3))


@dataclass(frozen=True, eq=False)
class Population:
    """Inputs that count together, each row alike."""

    rows: Float[Tensor, "n d_in"]

    @cached_property
    def power(self) -> float:
        """E|x|^2."""
        return float(self.rows.double().square().sum()) / len(self.rows)

    @cached_property
    def moment(self) -> Float[Tensor, "d_in d_in"]:
        """E[x x^T], float64."""
        rows = self.rows.double()
        return rows.T @ rows / len(rows)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What is spared in its own axes Q, its power l along each, and the inputs X_b Q that refusal is taken from."""

    axes: Float[Tensor, "d_in d_in"]
    values: Float[Tensor, " d_in"]
    taken: Float[Tensor, "n_taken d_in"]

    def readers(
        self, targets: Float[Tensor, "n_taken rank"], *, spare_weight: float, ridge: float
    ) -> Float[Tensor, "rank d_in"]:
        """K for lam s = ``spare_weight`` and mu m = ``ridge``."""
        n = len(targets)
        by_axis = self.taken / (spare_weight * self.values + ridge)
        system = by_axis @ self.taken.T / n
        system.diagonal().add_(1.0)
        mixed = torch.cholesky_solve(targets / n, torch.linalg.cholesky(system))
        return mixed.T @ by_axis @ self.axes.T


@dataclass(frozen=True, eq=False)
class Regression:
    """The inputs of one writer: those where a component is to go, and the populations that are left alone.

    ``inner`` are the inner products of all rows, in this order, where they are known already; they are worked out
    where they are not and the smaller system needs them. ``is_steady`` says that it will be asked many times with the
    same weights: what is spared is then decomposed, at some fifteen times the cost of one answer without.
    """

    taken: Population
    spared: Sequence[Population]
    inner: Float[Tensor, "n n"] | None = None
    is_steady: bool = False
    spectra: dict[tuple[float, ...], Spectrum] = field(default_factory=dict)

    @property
    def d_in(self) -> int:
        """Width of the inputs."""
        return self.taken.rows.shape[1]

    @property
    def n_rows(self) -> int:
        """Number of rows of Z."""
        return len(self.taken.rows) + sum(len(population.rows) for population in self.spared)

    @cached_property
    def rows(self) -> Float[Tensor, "n d_in"]:
        """All inputs, float64, not yet weighted."""
        return torch.cat([self.taken.rows, *(population.rows for population in self.spared)]).double()

    @cached_property
    def products(self) -> Float[Tensor, "n n"]:
        """Inner products of all rows."""
        return self.rows @ self.rows.T if self.inner is None else self.inner.double()

    def scale(self, weights: Sequence[float]) -> float:
        """S: the power of what is taken over that of all that is spared."""
        power = sum((w * population.power for w, population in zip(weights, self.spared, strict=True)), 0.0)
        return self.taken.power / power if power > 0.0 else 1.0  # what is all zero weighs nothing by itself

    def shares(self, weights: Sequence[float], spare_weight: float) -> list[float]:
        """Lam s w by spared population."""
        scale = self.scale(weights)
        return [spare_weight * scale * w for w in weights]

    def spectrum(self, weights: Sequence[float]) -> Spectrum:
        """What is spared with such weights, decomposed the first time that it is asked for."""
        key = tuple(weights)
        if key not in self.spectra:
            taken = self.taken.rows.double()
            moment = torch.zeros(self.d_in, self.d_in, dtype=taken.dtype, device=taken.device)
            for weight, population in zip(weights, self.spared, strict=True):
                rows = population.rows.double()
                moment.addmm_(rows.T, rows, alpha=weight / len(rows))
            values, axes = torch.linalg.eigh(moment)
            self.spectra[key] = Spectrum(axes, values, taken @ axes)
        return self.spectra[key]

    def row_weights(self, weights: Sequence[float], spare_weight: float) -> Float[Tensor, " n"]:
        """What each input is multiplied by to be a row of Z."""
        shares = [1.0, *self.shares(weights, spare_weight)]
        each = [
            torch.full((len(population.rows),), (share / len(population.rows)) ** 0.5, dtype=torch.float64)
            for population, share in zip((self.taken, *self.spared), shares, strict=True)
        ]
        return torch.cat(each).to(self.taken.rows.device)


def input_readers(
    targets: Float[Tensor, "n_taken rank"],
    regression: Regression,
    weights: Sequence[float],
    *,
    spare_weight: float,
    ridge: float,
) -> Float[Tensor, "rank d_in"]:
    """K for targets t_b with lam = ``spare_weight``, mu = ``ridge``; nothing is read where all inputs are zero."""
    t, d, taken = targets.double(), regression.d_in, regression.taken
    scale = ridge * taken.power / d
    if scale == 0.0:
        return torch.zeros(t.shape[1], d, device=targets.device)
    if regression.n_rows < d:
        by_row = regression.row_weights(weights, spare_weight)
        system = by_row.unsqueeze(1) * regression.products * by_row
        system.diagonal().add_(scale)
        mixed = torch.cholesky_solve(_padded(t, len(by_row)), torch.linalg.cholesky(system))
        return ((mixed * by_row.unsqueeze(1)).T @ regression.rows).float()
    if regression.is_steady:
        spared = spare_weight * regression.scale(weights)
        return regression.spectrum(weights).readers(t, spare_weight=spared, ridge=scale).float()
    system = taken.moment.clone()
    for population, share in zip(regression.spared, regression.shares(weights, spare_weight), strict=True):
        system.add_(population.moment, alpha=share)
    system.diagonal().add_(scale)
    wanted = taken.rows.double().T @ t / len(t)
    return torch.cholesky_solve(wanted, torch.linalg.cholesky(system)).T.float()


def _padded(targets: Float[Tensor, "n_taken rank"], n_rows: int) -> Float[Tensor, "n rank"]:
    """T~: the weighted targets, and 0 for what is spared."""
    padded = torch.zeros(n_rows, targets.shape[1], dtype=targets.dtype, device=targets.device)
    padded[: len(targets)] = targets / len(targets) ** 0.5
    return padded


def left_out_error(
    targets: Float[Tensor, "n_taken rank"],
    regression: Regression,
    weights: Sequence[float],
    *,
    spare_weight: float,
    ridges: Sequence[float],
) -> Float[Tensor, " ridge"]:
    """By ridge, how far K is off at a row that it has not seen: the exact leave-one-out error, in closed form.

    (mean_b |K_-b x_b - t_b|^2 + s mean_s |K_-s x_s|^2) / mean_b |t_b|^2, the populations by their weights, whatever lam
    is, so that the errors of several lam can be compared. K_-i leaves row i out of Z and keeps the other rows' shares:
    its residual is r_i / (1 - h_i), with r the residual of K and h the diagonal of the hat matrix.
    """
    by_row = regression.row_weights(weights, spare_weight)
    z = by_row.unsqueeze(1) * regression.rows
    wanted = _padded(targets.double(), len(z))
    left, singular, _ = torch.linalg.svd(z, full_matrices=False)
    compared = regression.row_weights(weights, 1.0) / by_row  # from lam's weighting to the one for all lam
    scale = regression.taken.power / regression.d_in
    errors = []
    for ridge in ridges:
        shrunk = singular.square() / (singular.square() + ridge * scale)
        residual = wanted - left @ (shrunk.unsqueeze(1) * (left.T @ wanted))
        leverage = left.square() @ shrunk
        errors.append((compared.unsqueeze(1) * residual / (1.0 - leverage).unsqueeze(1)).square().sum())
    return torch.stack(errors) / wanted.square().sum()


def best_weights(
    targets: Float[Tensor, "n_taken rank"],
    regression: Regression,
    weights: Sequence[float],
    *,
    spare_weight: float | None,
    ridge: float | None,
) -> tuple[float, float]:
    """(lam, mu): as given, and where one is ``None`` that of a grid with the least `left_out_error`."""
    if spare_weight is not None and ridge is not None:
        return spare_weight, ridge
    ridges = RIDGES if ridge is None else (ridge,)
    spare_weights = SPARE_WEIGHTS if spare_weight is None else (spare_weight,)
    if regression.taken.power == 0.0 or not targets.any():
        return spare_weights[0], ridges[0]
    errors = torch.stack(
        [left_out_error(targets, regression, weights, spare_weight=w, ridges=ridges) for w in spare_weights]
    )
    at = int(errors.argmin())
    return spare_weights[at // len(ridges)], ridges[at % len(ridges)]
