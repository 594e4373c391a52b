"""The passes of a measurement: the base's replies forced on T edited models, then what that leaves open decoded.

Replies to some prompts may wait until it is known which of the models are worth them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

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
    """What the passes show of T edited models: drift by drift prompt, replies and residual stream by prompt.

    ``replied`` are the numbers of the prompts whose replies are whole; of the others it is known how they begin.
    """

    drift_nats: Mapping[str, Float[Tensor, "trial prompt"]]
    replies: Sequence[Sequence[Decoded]]
    replied: frozenset[int]
    residuals: Float[Tensor, "trial layer prompt d_model"]


def run(
    adapter: Adapter,
    prompts: Sequence[Prompt],
    profile: EvaluateConfig,
    reference: Reference,
    plans: Sequence[EditPlan | CompiledPlan],
    only: Collection[int] | None = None,
) -> Seen:
    """Run T plans side by side, replying to all prompts, or to ``only`` some.

    What the reference knows of replies helps only where the model is asked the very same tokens, and only there does
    any reply wait.
    """
    rows = [tuple(row) for row in tokenise(under(adapter, profile), prompts)]
    asked_alike = tuple(rows) == reference.rows
    replied = frozenset(range(len(rows)) if only is None or not asked_alike else only)
    seen = LastTokens(adapter, len(plans), len(rows))
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
        start = HeadStart(known, prefix=prefix if asked_alike else PrefixRead(), last_tokens=seen)
        decoded = _decode(adapter, rows, profile, reference, start, drift.nats[MOVED], replied)
    return Seen(drift.nats, decoded, replied, seen.residuals)


def reply_to_the_rest(
    adapter: Adapter,
    profile: EvaluateConfig,
    reference: Reference,
    plans: Sequence[EditPlan | CompiledPlan],
    seen: Seen,
    trials: Sequence[int],
) -> list[list[Decoded]]:
    """The replies of some of the trials that were seen, by their numbers, to all prompts: those that waited as well."""
    if not trials:
        return []
    with applied(adapter, [plans[t] for t in trials]):
        known = [[reply.whole for reply in seen.replies[t]] for t in trials]
        start = HeadStart(known, prefix=reference.prefix.read(adapter, len(trials)))
        nats = seen.drift_nats[MOVED][list(trials)]
        return _decode(adapter, reference.rows, profile, reference, start, nats, range(len(reference.rows)))


def remember(reference: Reference, seen: Seen, replies: Sequence[Sequence[Decoded]]) -> None:
    """Keep what each trial replied, as far as it did, to decode later trials faster."""
    if reference.past is not None:
        for nats, said in zip(seen.drift_nats[MOVED], replies, strict=True):
            reference.past.learn(nats, [reply.whole for reply in said])


def _decode(
    adapter: Adapter,
    rows: Sequence[Sequence[int]],
    profile: EvaluateConfig,
    reference: Reference,
    start: HeadStart,
    nats: Float[Tensor, "trial prompt"],
    wanted: Collection[int],
) -> list[list[Decoded]]:
    """Greedy replies to the wanted prompts, with drafts of trials that have drifted like these."""
    past = reference.past
    start = replace(
        start,
        drafts=None if past is None else [past.like(of) for of in nats],
        most_logits=reference.part_bytes // bytes_per_position(adapter),
    )
    return greedy(
        adapter,
        rows,
        max_new_tokens=profile.max_new_tokens,
        max_thinking_tokens=profile.max_thinking_tokens,
        batch_size=profile.batch_size,
        n_trials=len(nats),
        start=start,
        only=wanted,
    )
