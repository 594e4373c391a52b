"""Take one refusal direction out of a chat model, and measure what that does to it.

    python examples/edit_a_model.py sweeps/_organism/seed0

Works with any folder of a model that SABER knows; the prompts here are those of the embedded organism.
"""

from __future__ import annotations

import sys

import torch

import saber
from saber.lm.architecture.adapter import Adapter
from saber.lm.inference.residuals import last_token_residuals
from saber.organism.prompt_sets import organism_splits
from saber.types import WRITER_KINDS, EditPlan, Round, Split
from saber.vocabulary import PromptKind

N_EACH = 24  # prompts of a kind, so that this takes seconds


def refusal_direction(adapter: Adapter, probe: Split, layer: int) -> torch.Tensor:
    """The unit difference in means of harmful and harmless prompts after one block (Arditi et al. 2024)."""
    means = [
        last_token_residuals(adapter, prompts[:N_EACH], batch_size=8)[0, layer].mean(dim=0)
        for prompts in (probe.of("harmful"), probe.of("harmless"))
    ]
    difference = means[0] - means[1]
    return difference / difference.norm()


def main(model: str) -> None:
    """Edit the model virtually at three strengths and print what is measured; its weights stay as they are."""
    adapter = saber.load(model, dtype="float32", device="cpu")
    splits = organism_splits(0)
    direction = refusal_direction(adapter, splits["probe"], layer=round(0.6 * (adapter.n_layers - 1)))
    kinds: tuple[PromptKind, ...] = ("harmful", "harmless", "capability")
    tune = Split("tune", tuple(prompt for kind in kinds for prompt in splits["tune"].of(kind)[:N_EACH]))
    for strength in (0.0, 0.5, 1.0):
        strengths = torch.full((1, adapter.n_layers, len(WRITER_KINDS)), strength)
        plan = EditPlan((Round(direction.unsqueeze(0), strengths),) if strength else ())
        metrics = saber.measure(adapter, tune, plan=plan)
        refusal = metrics.estimates["refusal_rate"]
        print(
            f"strength {strength:.1f}: {refusal.value:.0%} [{refusal.low:.0%}, {refusal.high:.0%}] refused,"
            f" response KLD {metrics['kld']:.4f} nats, capability {metrics['capability']:.0%}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
