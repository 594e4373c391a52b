"""How much of its drafts a pass is fed: as much as says most tokens in the time, by how guesses have fared so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

COPIED = 0.25  # what copying a row's part of the cache takes, in tokens of a pass
DOUBT = 2  # guesses that a row's own must outweigh: until then it is taken to be as its batch is


@dataclass
class Tried:
    """What became of a row's guesses: tokens confirmed, and drafts refused at some token."""

    n_confirmed: int = 0
    n_refused: int = 0

    def take(self, n_confirmed: int, *, of: int) -> None:
        """Count a draft ``of`` so many tokens."""
        self.n_confirmed += n_confirmed
        self.n_refused += n_confirmed < of


def best_width(
    lengths: Sequence[int], rates: Float[np.ndarray, " open"], *, n_rows: int, per_pass: int, most: int
) -> int:
    """How many tokens of drafts so long are fed to each row for most tokens to be said in the time of a pass.

    A row whose guesses are confirmed at rate p says 1 + p + ... + p^w of w, in a pass of ``n_rows`` (1 + w) tokens and
    what a pass takes beside them; what is refused is taken back out of the cache.
    """
    widths = np.arange(min(max(lengths), most) + 1)
    fed = np.minimum(np.array(lengths)[:, None], widths)
    said = ((1 - rates[:, None] ** (fed + 1)) / (1 - rates[:, None])).sum(axis=0)
    costs = n_rows * (1 + widths + COPIED * (widths > 0)) + per_pass
    return int((said / costs).argmax())


def confirmed(rows: Sequence[Tried], batch: Sequence[Tried]) -> Float[np.ndarray, " row"]:
    """The rate at which each row's guesses were confirmed, and where it has few of its own, as the batch's were."""
    n_said, n_refused = sum(row.n_confirmed for row in batch), sum(row.n_refused for row in batch)
    usual = (n_said + 1) / (n_said + n_refused + 2)
    own = np.array([[row.n_confirmed, row.n_confirmed + row.n_refused] for row in rows])
    rates: Float[np.ndarray, " row"] = (own[:, 0] + DOUBT * usual) / (own[:, 1] + DOUBT)
    return rates
