"""Contrast: which two populations directions tell apart, and whom a reader of them spares.

``refusal`` compares harmful with harmless prompts. ``false_refusal`` (Wang et al. 2024, arXiv 2410.03415) compares
borderline prompts that the unedited model refuses with those that it answers. The layer's true refusal direction
mean(H) - mean(S) can be taken out of both first, wholly as in the paper or in part; or the reader spares harmful
prompts, or what protected ones have in common, instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from jaxtyping import Float
from torch import Tensor

from saber.method.differences import NEGLIGIBLE
from saber.method.purification import remove_subspace
from saber.types import Activations
from saber.vocabulary import Contrast, Spares


@dataclass(frozen=True, eq=False)
class Contrasted:
    """Refused and answered prompts whose difference is looked for, ``is_paired`` where row i of each are twins."""

    refused: Float[Tensor, "layer n_refused d_model"]
    answered: Float[Tensor, "layer n_answered d_model"]
    is_paired: bool


def contrasted(activations: Activations, contrast: Contrast) -> Contrasted:
    """The populations of a contrast.

    Raises:
        ValueError: ``false_refusal`` without activations of borderline prompts.
    """
    if contrast == "refusal":
        return Contrasted(activations.harmful, activations.harmless, is_paired=True)
    if activations.borderline is None or activations.is_refused is None:
        raise ValueError("expected activations of borderline prompts for edit.contrast=false_refusal, found none")
    refused = activations.borderline[:, activations.is_refused]
    answered = activations.borderline[:, ~activations.is_refused]
    return Contrasted(refused, answered, is_paired=False)


def spared(
    activations: Activations, contrast: Contrast, spares: Spares
) -> tuple[Float[Tensor, "layer _ d_model"], ...]:
    """The populations that a least-drift reader leaves alone.

    ``harmless``: harmless and capability prompts, for little drift. ``answered``: the contrast's answered prompts too,
    which are harmless ones unless false refusals are looked for. ``harmful``: harmful ones, so that what is taken
    out of others stays in them. ``harmful_and_answered``: the contrast's answered prompts too.
    ``protected_and_answered``: of harmful prompts the mean of the protected ones alone. What they have in common stays
    in them; what varies among them, which is in part what false refusals have and answers lack, may be read.

    Raises:
        ValueError: ``protected_and_answered`` without a harmful prompt that is known to be protected.
    """
    if spares == "harmless":
        return activations.harmless, activations.capability
    if spares == "harmful":
        return (activations.harmful,)
    answered = contrasted(activations, contrast).answered
    if spares == "answered":
        return activations.harmless, activations.capability, answered
    if spares == "harmful_and_answered":
        return activations.harmful, answered
    if spares != "protected_and_answered":
        assert_never(spares)
    if activations.is_protected is None or not activations.is_protected.any():
        raise ValueError(f"expected protected harmful prompts for edit.spares={spares}, found none")
    return activations.harmful[:, activations.is_protected].mean(dim=1, keepdim=True), answered


def without_part(
    x: Float[Tensor, "n d_model"], direction: Float[Tensor, " d_model"], share: float
) -> Float[Tensor, "n d_model"]:
    """Take a share of a direction out of rows: x - share (x u) u^T with u of unit length, all of x for no direction."""
    length = direction.norm()
    if length <= NEGLIGIBLE * x.norm(dim=1).mean():
        return x
    return remove_subspace(x, (direction / length).unsqueeze(1), share)
