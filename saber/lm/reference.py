"""The base model's side of every comparison: its own greedy responses, and its logits over prompt + response.

Both are computed once per study and cached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from saber.config import EvaluateConfig
from saber.lm.adapter import Adapter
from saber.lm.base_logits import Batches, Rows, Say, part_bytes, teacher_forced
from saber.lm.batches import tokenise
from saber.lm.cache import Cached, cached
from saber.lm.generation import Decoded, greedy
from saber.lm.protocol import ordered, protocol_digest, under
from saber.types import Split, digest_json


@dataclass(frozen=True, eq=False)
class Reference:
    """What edited models are compared with: base responses by prompt of the split, base logits of its drift prompts.

    ``drift`` is read batch by batch where it does not fit the budget; ``part_bytes`` is what one piece may take.
    """

    responses: tuple[Decoded, ...]
    drift: Batches
    n_drift: int
    part_bytes: int


def make_reference(
    adapter: Adapter,
    split: Split,
    profile: EvaluateConfig,
    *,
    cache: Path | None = None,
    model_digest: str = "",
    say: Say = lambda _: None,
) -> Reference:
    """Decode and score the unedited base once; from ``cache`` where the same was done before.

    ``say`` is told what the logits will take on disk before they take it.

    Raises:
        UserError: the disk has too little room, or ``evaluate.memory_gb`` is too small for one prompt.
    """
    prompts = ordered(split)
    rows = tokenise(under(adapter, profile), prompts)

    def build() -> Cached:
        (made,) = greedy(adapter, rows, max_new_tokens=profile.max_new_tokens, batch_size=profile.batch_size)
        return Cached({}, [[list(one.tokens), one.end] for one in made])

    key = {"model": model_digest, "protocol": protocol_digest(adapter, split, profile)}
    stored = build() if cache is None else cached(cache, f"responses-{split.name}", key, build)
    responses = _decoded(stored)
    wanted = [i for i, prompt in enumerate(prompts) if prompt.kind in profile.drift_kinds]
    replies = [[*one.tokens, *([one.end] if one.end is not None else [])] for one in responses]
    drift = teacher_forced(
        adapter,
        Rows(tuple(rows[i] + replies[i] for i in wanted), tuple(len(rows[i]) for i in wanted)),
        profile,
        folder=None if cache is None else cache / f"logits-{split.name}-{digest_json(key)}",
        name=split.name,
        say=say,
    )
    return Reference(responses, drift, len(wanted), part_bytes(profile))


def _decoded(stored: Cached) -> tuple[Decoded, ...]:
    assert isinstance(stored.value, Sequence)
    return tuple(Decoded(tuple(tokens), end) for tokens, end in stored.value)
