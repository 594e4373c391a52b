"""Where writers are looked at: a token of every probe, and positions of the base's own replies to those left alone."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from saber.config import EditConfig, EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.evaluation.protocol import ordered
from saber.lm.evaluation.reference import base_replies
from saber.lm.inference.positions import rows_to_read
from saber.types import LookedAt, ProbeSet, Prompt, PromptKind, Split, TokenRow


def look_at(
    adapter: Adapter,
    probes: ProbeSet,
    profile: EvaluateConfig,
    *,
    replies: int,
    kept: Iterable[int],
    cache: Path | None,
    model_digest: str = "",
) -> LookedAt:
    """The token of every probe that the adapter is read at, and so many positions as ``replies`` of the base's replies.

    They are replies to harmless and capability prompts, to answered borderline ones and to the harmful prompts of the
    numbers ``kept``; a position is drawn by the prompt's place in the probe set alone.

    Raises:
        UserError: a prompt exceeds the model's context, or has no such token.
    """
    by_kind: dict[PromptKind, tuple[Prompt, ...]] = {
        "harmful": probes.harmful,
        "harmless": probes.harmless,
        "borderline": probes.borderline,
        "capability": probes.capability,
    }
    sequences = [
        TokenRow(kind, i, tuple(tokens), (len(tokens) - 1,))
        for kind, prompts in by_kind.items()
        if prompts
        for i, tokens in enumerate(rows_to_read(adapter, prompts))
    ]
    if replies == 0:
        return LookedAt(tuple(sequences))
    kept_numbers = set(kept)
    refused = {i for i, is_refused in enumerate(probes.is_refused) if is_refused}
    asked = [
        (kind, i, prompt)
        for kind, prompts in by_kind.items()
        for i, prompt in enumerate(prompts)
        if (i in kept_numbers if kind == "harmful" else kind != "borderline" or i not in refused)
    ]
    split = Split("probe", tuple(prompt for _, _, prompt in asked))
    rows, said = base_replies(adapter, split, profile, cache=cache, model_digest=model_digest, name="probe-replies")
    for (kind, i, _), tokens, reply in zip(asked, rows, said, strict=True):
        whole = (*tokens, *reply.whole[:-1])
        inside = range(len(tokens), len(whole))
        drawn = random.Random(f"{kind} {i}").sample(inside, min(replies, len(inside)))
        if drawn:
            sequences.append(TokenRow(kind, i, whole, tuple(drawn), is_reply=True))
    assert ordered(split) == split.prompts
    return LookedAt(tuple(sequences))


def replied_harmful(probes: ProbeSet, edits: Iterable[EditConfig]) -> list[int]:
    """The numbers of the harmful prompts whose refusals some of these edits keep."""
    replied: set[int] = set()
    for edit in edits:
        if "harmful" in edit.spares:
            replied |= set(range(len(probes.harmful)))
        elif edit.keeps_refusals:
            replied |= {i for i, is_protected in enumerate(probes.is_protected) if is_protected}
    return sorted(replied)
