"""The passes of a measurement: the base's replies forced on T edited models, then what that leaves open decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.apply import applied
from saber.lm.editing.compiled import CompiledPlan
from saber.lm.evaluation.base_logits import bytes_per_position
from saber.lm.evaluation.protocol import under
from saber.lm.evaluation.reference import Reference
from saber.lm.evaluation.teacher_forcing import drift_of
from saber.lm.inference.batches import tokenise
from saber.lm.inference.generation.decoding import HeadStart
from saber.lm.inference.generation.greedy import Decoded, Tokens, greedy
from saber.lm.inference.prefix import PrefixRead
from saber.lm.inference.residuals import LastTokens
from saber.types import EditPlan, Prompt

MOVED = "response"  # the positions whose drift says how alike trials are: of the three they guess best


@dataclass(frozen=True, eq=False)
class Seen:
    """What the passes show of T edited models: drift by drift prompt, replies and residual stream by prompt."""

    drift_nats: Mapping[str, Float[Tensor, "trial prompt"]]
    replies: Sequence[Sequence[Decoded]]
    residuals: Float[Tensor, "trial layer prompt d_model"]


def run(
    adapter: Adapter,
    prompts: Sequence[Prompt],
    profile: EvaluateConfig,
    reference: Reference,
    plans: Sequence[EditPlan | CompiledPlan],
) -> Seen:
    """Run T plans side by side.

    What the reference knows of replies helps only where the model is asked the very same tokens.
    """
    rows = [tuple(row) for row in tokenise(under(adapter, profile), prompts)]
    asked_alike = tuple(rows) == reference.rows
    seen = LastTokens(adapter, len(plans), len(rows))
    past = reference.past
    with applied(adapter, plans), seen.gathering():
        prefix = reference.prefix.read(adapter, len(plans))
        drift = drift_of(
            adapter,
            reference,
            n_trials=len(plans),
            batch_size=profile.batch_size,
            prefix=prefix,
            last_tokens=seen if asked_alike else None,
        )
        known: list[list[Tokens]] = [[()] * len(rows) for _ in plans]
        if asked_alike:
            for of, beginnings in zip(known, drift.beginnings, strict=True):
                for i, beginning in zip(reference.drifting, beginnings, strict=True):
                    of[i] = beginning
        decoded = greedy(
            adapter,
            rows,
            max_new_tokens=profile.max_new_tokens,
            max_thinking_tokens=profile.max_thinking_tokens,
            batch_size=profile.batch_size,
            n_trials=len(plans),
            start=HeadStart(
                known,
                drafts=None if past is None else [past.like(nats) for nats in drift.nats[MOVED]],
                prefix=prefix if asked_alike else PrefixRead(),
                most_logits=reference.part_bytes // bytes_per_position(adapter),
                last_tokens=seen,
            ),
        )
    if past is not None:
        for nats, replies in zip(drift.nats[MOVED], decoded, strict=True):
            past.learn(nats, [reply.whole for reply in replies])
    return Seen(drift.nats, decoded, seen.residuals)
