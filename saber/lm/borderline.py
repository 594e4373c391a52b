"""Borderline probe prompts: which of them the unedited model refuses, by its own greedy replies and the markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from saber.config import EvaluateConfig
from saber.lm.adapter import Adapter
from saber.lm.batches import check_fits, tokenise
from saber.lm.cache import Cached, cached
from saber.lm.generation import greedy
from saber.lm.measurement import label
from saber.lm.protocol import protocol_digest, under
from saber.types import ProbeSet, Split, UserError

AT_LEAST = 4  # prompts a side: fewer say nothing of a mean and its spread


def label_borderline(
    adapter: Adapter, probes: ProbeSet, profile: EvaluateConfig, *, cache: Path, model_digest: str
) -> ProbeSet:
    """The same probe set with ``is_refused``, decoded once and then read from ``cache``.

    Raises:
        UserError: a prompt exceeds the model's context.
    """
    prompts = probes.borderline
    rows = tokenise(under(adapter, profile), prompts)
    check_fits(adapter, prompts, rows, profile.max_new_tokens)

    def build() -> Cached:
        (said,) = greedy(adapter, rows, max_new_tokens=profile.max_new_tokens, batch_size=profile.batch_size)
        return Cached({}, [one.label == "refuse" for one in label(adapter, prompts, said, profile)])

    key = {"model": model_digest, "protocol": protocol_digest(adapter, Split("probe", prompts), profile)}
    found = cached(cache, "borderline", key, build).value
    assert isinstance(found, Sequence)
    return replace(probes, is_refused=tuple(map(bool, found)))


def require_both(probes: ProbeSet, *, smallest: int) -> None:
    """Pass where the smallest probe set of a study has enough borderline prompts that are refused, and answered.

    Raises:
        UserError: it has too few of one of them.
    """
    seen = probes.is_refused[:smallest]
    n_refused, n_answered = sum(seen), len(seen) - sum(seen)
    if min(n_refused, n_answered) < AT_LEAST:
        raise UserError(
            f"edit.contrast=false_refusal needs {AT_LEAST} refused and {AT_LEAST} answered borderline prompts among the"
            f" first data.n_probe={smallest}, found {n_refused} and {n_answered}: raise data.n_probe or name more data"
        )
