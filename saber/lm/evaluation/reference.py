"""The base model's side of every comparison: its own greedy responses, and its logits over prompt + response.

Both are computed once per study and cached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from saber.cache import Cached, cached
from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.evaluation.base_logits import Batches, Rows, Say, bytes_per_position, part_bytes, teacher_forced
from saber.lm.evaluation.protocol import ordered, protocol_digest, under
from saber.lm.inference.batches import check_fits, check_held, tokenise
from saber.lm.inference.generation.drafts import Past
from saber.lm.inference.generation.greedy import Decoded, greedy, limits_of
from saber.lm.inference.kv_cache import rewindable_cache
from saber.lm.inference.prefix import Prefix, prefix_of
from saber.types import Split, digest_json


@dataclass(frozen=True, eq=False)
class Reference:
    """What edited models are compared with: token ids and base response by prompt, base logits of the drift prompts.

    ``drift`` is read batch by batch where it does not fit the budget; ``part_bytes`` is what one piece may take.
    ``prefix`` is what all prompts begin with.
    ``drifting`` are the places of the drift prompts among all of the split. ``past`` remembers what is replied, to
    decode later replies faster; ``None`` where the model's state cannot be taken back.
    """

    rows: tuple[tuple[int, ...], ...]
    responses: tuple[Decoded, ...]
    drift: Batches
    drifting: tuple[int, ...]
    part_bytes: int
    prefix: Prefix
    past: Past | None

    @property
    def n_drift(self) -> int:
        """Number of drift prompts."""
        return len(self.drifting)

    def emptied(self) -> Reference:
        """The same with no trial remembered, as a study begins."""
        return self if self.past is None else replace(self, past=self.past.emptied())


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
        UserError: a prompt exceeds the context, the disk has too little room, or ``evaluate.memory_gb`` is too small.
    """
    prompts = ordered(split)
    key = _key(adapter, split, profile, model_digest)
    rows, responses = base_replies(
        adapter, split, profile, cache=cache, model_digest=model_digest, name=f"responses-{split.name}", say=say
    )
    cache_type = rewindable_cache(adapter)
    most_logits = part_bytes(profile) // bytes_per_position(adapter)
    prefix = prefix_of(rows, lambda: cache_type, most_logits=most_logits)
    wanted = [i for i, prompt in enumerate(prompts) if prompt.kind in profile.drift_kinds]
    drift = teacher_forced(
        adapter,
        Rows(tuple([*rows[i], *responses[i].whole] for i in wanted), tuple(len(rows[i]) for i in wanted)),
        profile,
        prefix=prefix,
        folder=None if cache is None else cache / f"logits-{split.name}-{digest_json(key)}",
        name=split.name,
        say=say,
    )
    past = None if cache_type is None else Past(cache_type, [response.whole for response in responses])
    return Reference(tuple(map(tuple, rows)), responses, drift, tuple(wanted), part_bytes(profile), prefix, past)


def base_replies(
    adapter: Adapter,
    split: Split,
    profile: EvaluateConfig,
    *,
    cache: Path | None,
    model_digest: str,
    name: str,
    say: Say = lambda _: None,
) -> tuple[list[list[int]], tuple[Decoded, ...]]:
    """The token ids of a split's prompts, in the order of `ordered`, and the base's greedy replies to them.

    The replies are decoded once and then read from ``cache``, where they are stored under ``name``.

    Raises:
        UserError: a prompt exceeds the model's context.
    """
    prompts = ordered(split)
    asked = under(adapter, profile)
    rows = tokenise(asked, prompts)
    check_held(asked, prompts)
    limits = limits_of(adapter, profile.max_new_tokens, profile.max_thinking_tokens)
    check_fits(adapter, prompts, rows, limits.most)

    def build() -> Cached:
        say(f"the unedited model replies to {len(rows)} {split.name} prompts, once")
        (replies,) = greedy(
            adapter,
            rows,
            max_new_tokens=profile.max_new_tokens,
            max_thinking_tokens=profile.max_thinking_tokens,
            batch_size=profile.batch_size,
        )
        return Cached({}, [[list(reply.tokens), reply.end] for reply in replies])

    key = _key(adapter, split, profile, model_digest)
    return rows, _decoded(build() if cache is None else cached(cache, name, key, build))


def _key(adapter: Adapter, split: Split, profile: EvaluateConfig, model_digest: str) -> dict[str, str]:
    """All that the base's side of a split depends on."""
    return {"model": model_digest, "protocol": protocol_digest(adapter, split, profile)}


def _decoded(stored: Cached) -> tuple[Decoded, ...]:
    assert isinstance(stored.value, Sequence)
    return tuple(Decoded(tuple(tokens), end) for tokens, end in stored.value)
