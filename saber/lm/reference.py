"""The base model's side of every comparison: its own greedy responses, and its logits over prompt + response.

Both are computed once per study and cached. Logits are kept in the model's dtype, which loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from saber.config import EvaluateConfig
from saber.lm.adapter import Adapter
from saber.lm.batches import Batch, by_length, pad_left, tokenise
from saber.lm.cache import Cached, cached
from saber.lm.generation import Decoded, greedy
from saber.lm.protocol import ordered, protocol_digest, under
from saber.types import Split


@dataclass(frozen=True, eq=False)
class TeacherForced:
    """Some rows of prompt + base response with the base's logits at every position that is compared.

    ``row`` and ``column`` say where in the batch a position is, ``prompt`` which drift prompt it belongs to. A position
    may count as several: the last prompt token predicts the first response token.
    """

    batch: Batch
    row: Int[Tensor, " position"]
    column: Int[Tensor, " position"]
    prompt: Int[Tensor, " position"]
    is_first: Bool[Tensor, " position"]
    is_prompt: Bool[Tensor, " position"]
    is_response: Bool[Tensor, " position"]
    logits: Float[Tensor, "position vocab"]


@dataclass(frozen=True, eq=False)
class Reference:
    """What edited models are compared with: base responses by prompt of the split, base logits of its drift prompts."""

    responses: tuple[Decoded, ...]
    drift: tuple[TeacherForced, ...]
    n_drift: int


def make_reference(
    adapter: Adapter,
    split: Split,
    profile: EvaluateConfig,
    *,
    cache: Path | None = None,
    model_digest: str = "",
) -> Reference:
    """Decode and score the unedited base once; from ``cache`` where the same was done before."""

    def build() -> Cached:
        return _build(adapter, split, profile)

    if cache is None:
        return _from_cached(build())
    key = {"model": model_digest, "protocol": protocol_digest(adapter, split, profile)}
    return _from_cached(cached(cache, f"reference-{split.name}", key, build))


def _build(adapter: Adapter, split: Split, profile: EvaluateConfig) -> Cached:
    """Responses of every prompt, then one teacher-forced pass over the drift prompts."""
    rows = tokenise(under(adapter, profile), ordered(split))
    (responses,) = greedy(adapter, rows, max_new_tokens=profile.max_new_tokens, batch_size=profile.batch_size)
    wanted = [i for i, prompt in enumerate(ordered(split)) if prompt.kind in profile.drift_kinds]
    tensors = _teacher_force(adapter, [rows[i] for i in wanted], [responses[i] for i in wanted], profile.batch_size)
    value = {
        "responses": [[list(one.tokens), one.end] for one in responses],
        "n_drift": len(wanted),
        "n_batches": len(tensors),
    }
    flat = {f"{i}.{name}": tensor for i, batch in enumerate(tensors) for name, tensor in batch.items()}
    return Cached(flat, value)


@torch.inference_mode()
def _teacher_force(
    adapter: Adapter, prompts: Sequence[list[int]], responses: Sequence[Decoded], batch_size: int
) -> list[dict[str, Tensor]]:
    """The base's logits at all prompt positions after the first and at all that predict a response token."""
    replies = [[*one.tokens, *([one.end] if one.end is not None else [])] for one in responses]
    full = [prompt + reply for prompt, reply in zip(prompts, replies, strict=True)]
    made: list[dict[str, Tensor]] = []
    for indices in by_length(full, batch_size):
        batch = pad_left(adapter, [full[i] for i in indices])
        places = [
            (row, batch.input_ids.shape[1] - len(full[i]) + at, i, at, len(prompts[i]))
            for row, i in enumerate(indices)
            for at in range(1, len(full[i]) - 1)
        ]
        row, column, prompt, at, n_prompt = torch.tensor(places, device=adapter.device).T.contiguous()
        logits = adapter.model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=batch.position_ids,
            use_cache=False,
        ).logits
        made.append(
            {
                "input_ids": batch.input_ids,
                "attention_mask": batch.attention_mask,
                "row": row,
                "column": column,
                "prompt": prompt,
                "is_first": at == n_prompt - 1,
                "is_prompt": at <= n_prompt - 1,
                "is_response": at >= n_prompt - 1,
                "logits": logits[row, column].clone(),
            }
        )
    return made


def _from_cached(stored: Cached) -> Reference:
    value = stored.value
    assert isinstance(value, Mapping)
    drift = []
    for i in range(value["n_batches"]):
        part = {name.split(".", 1)[1]: t for name, t in stored.tensors.items() if name.startswith(f"{i}.")}
        drift.append(TeacherForced(Batch(part.pop("input_ids"), part.pop("attention_mask")), **part))
    responses = tuple(Decoded(tuple(tokens), end) for tokens, end in value["responses"])
    return Reference(responses, tuple(drift), value["n_drift"])
