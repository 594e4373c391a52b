"""Does a reply's first token say anything? Where it is fixed, such as a thinking mark, its divergence is 0."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from saber.config import EvaluateConfig
from saber.lm.evaluation.reference import Reference
from saber.metrics import DRIFT, DRIFT_BY_POSITION, DRIFT_OVER_PROMPTS
from saber.types import UserError

FIXED_NATS = 0.01  # a distribution of less entropy has one token, for all that an edit could show
NEARLY_ALL = 0.9  # share of prompts
FIRST = DRIFT_BY_POSITION[0]
BY_POSITION = (DRIFT, *DRIFT_OVER_PROMPTS, "score")  # what `evaluate.kld_positions` says the place of


def first_token_entropies(reference: Reference) -> Float[Tensor, " prompt"]:
    """Entropy in nats, -sum p ln p, of the base's distribution of the first response token, by drift prompt."""
    entropies = torch.zeros(reference.n_drift)
    for part in reference.drift:
        log_p = part.logits[part.is_first].float().log_softmax(dim=-1)
        entropies[part.prompt[part.is_first].cpu()] = -(log_p.exp() * log_p).nan_to_num().sum(dim=-1).cpu()
    return entropies


def require_free_first_token(reference: Reference, profile: EvaluateConfig, objectives: Sequence[str]) -> None:
    """Pass unless an objective is a divergence of the first token and the base always says the same one there.

    Raises:
        UserError: it is so; what to use is named.
    """
    sought = [FIRST, *(BY_POSITION if profile.kld_positions == "first" else ())]
    asked = [name for name in objectives if name in sought]
    if not asked or not reference.n_drift:
        return
    n_fixed = int((first_token_entropies(reference) < FIXED_NATS).sum())
    if n_fixed >= NEARLY_ALL * reference.n_drift:
        raise UserError(
            f"study.objectives {asked[0]}: expected a first response token that differs by prompt, found that the base"
            f" is certain of it (entropy under {FIXED_NATS} nats) on {n_fixed} of {reference.n_drift} prompts, so that"
            " its KLD is 0 whatever the edit; use evaluate.kld_positions=response and kld"
        )
