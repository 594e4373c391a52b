"""Borderline probe prompts: which of them the unedited model refuses, by its own greedy replies and their labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.evaluation.measurement import label
from saber.lm.evaluation.reference import base_replies
from saber.types import ProbeSet, Split, UserError

AT_LEAST = 4  # prompts a side: fewer say nothing of a mean and its spread


def label_borderline(
    adapter: Adapter, probes: ProbeSet, profile: EvaluateConfig, *, cache: Path, model_digest: str
) -> ProbeSet:
    """The same probe set with ``is_refused``, from replies decoded once and then read from ``cache``.

    Raises:
        UserError: a prompt exceeds the model's context.
    """
    split = Split("probe", probes.borderline)
    _, said = base_replies(adapter, split, profile, cache=cache, model_digest=model_digest, name="borderline")
    labelled = label(adapter, split.prompts, said, profile)
    return replace(probes, is_refused=tuple(response.label == "refuse" for response in labelled))


def require_protected(probes: ProbeSet, *, smallest: int) -> None:
    """Pass where the smallest probe set of a study has enough harmful prompts of a protected category.

    Raises:
        UserError: it has too few of them.
    """
    n_there = sum(probes.is_protected[:smallest])
    if n_there < AT_LEAST:
        raise UserError(
            f"edit.spares=protected_and_answered needs {AT_LEAST} protected prompts among the first"
            f" data.n_probe={smallest} harmful ones, found {n_there}: raise data.n_probe or name protected categories"
        )


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
            f" first {smallest}, found {n_refused} and {n_answered}: raise data.n_borderline or name more data"
        )
