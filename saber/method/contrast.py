"""Contrast: which two populations directions tell apart, and what an edit of them leaves alone.

``refusal`` compares harmful with harmless prompts. ``false_refusal`` (Wang et al. 2024, arXiv 2410.03415) compares
borderline prompts that the unedited model refuses with those that it answers, outside the layer's true refusal
direction mean(H) - mean(S): what is removed is not what refuses harmful prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from saber.method.extraction import NEGLIGIBLE
from saber.types import Activations

Contrast = Literal["refusal", "false_refusal"]


@dataclass(frozen=True, eq=False)
class Contrasted:
    """Refused and answered prompts whose difference is looked for, and the populations to be left alone.

    ``is_paired`` says whether row i of the one is the twin of row i of the other.
    """

    refused: Float[Tensor, "layer n_refused d_model"]
    answered: Float[Tensor, "layer n_answered d_model"]
    is_paired: bool
    undisturbed: tuple[Float[Tensor, "layer _ d_model"], ...]


def contrasted(activations: Activations, contrast: Contrast) -> Contrasted:
    """The populations of a contrast.

    Raises:
        ValueError: ``false_refusal`` without activations of borderline prompts.
    """
    harmful, harmless, capability = activations.harmful, activations.harmless, activations.capability
    if contrast == "refusal":
        return Contrasted(harmful, harmless, True, (harmless, capability))
    if activations.borderline is None or activations.is_refused is None:
        raise ValueError("expected activations of borderline prompts for edit.contrast=false_refusal, found none")
    refused = activations.borderline[:, activations.is_refused]
    answered = activations.borderline[:, ~activations.is_refused]
    return Contrasted(refused, answered, False, (harmless, capability, harmful))


def with_direction(basis: Float[Tensor, "d_model q"], direction: Float[Tensor, " d_model"]) -> Tensor:
    """An orthonormal basis widened to hold a direction too: (d_model, q + 1), or as it was if it already does."""
    rest = direction - basis @ (basis.T @ direction)
    if rest.norm() <= NEGLIGIBLE * direction.norm():
        return basis
    return torch.cat([basis, (rest / rest.norm()).unsqueeze(1)], dim=1)
