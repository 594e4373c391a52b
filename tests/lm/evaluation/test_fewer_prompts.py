"""The base's side of fewer prompts is what it would be if they had been all, and the base is not asked for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.evaluation.base_logits import Stored
from saber.lm.evaluation.fewer_prompts import of_fewer
from saber.lm.evaluation.measurement import measure_trials
from saber.lm.evaluation.protocol import ordered
from saber.lm.evaluation.reference import make_reference
from saber.types import PROMPT_KINDS, EditPlan, Split
from tests.lm.evaluation.test_profiles import plan_of

PER_KIND = 8
KEPT = {"harmful": 3, "harmless": 4, "borderline": 0, "capability": 2}


@pytest.mark.parametrize("memory_gb", [4.0, 0.001], ids=["held", "on disk"])
@pytest.mark.parametrize("n_trials", [1, 3])
def test_fewer_prompts_are_measured_as_if_they_were_all(
    adapter: Adapter, split: Split, tmp_path: Path, n_trials: int, memory_gb: float
) -> None:
    profile = EvaluateConfig(max_new_tokens=8, batch_size=16, memory_gb=memory_gb)
    whole = make_reference(adapter, split, profile, cache=tmp_path)
    assert isinstance(whole.drift, Stored) == (memory_gb < 1)
    few = Split(split.name, tuple(prompt for kind in PROMPT_KINDS for prompt in split.of(kind)[1 : 1 + KEPT[kind]]))
    prompts = ordered(split)
    kept = [i for i, prompt in enumerate(prompts) if prompt in few.prompts]
    asked: list[object] = []
    hook = adapter.model.register_forward_hook(lambda *_: asked.append(_))
    fewer = of_fewer(whole, kept)
    hook.remove()
    assert not asked

    alone = make_reference(adapter, few, profile)
    assert (fewer.rows, fewer.responses, fewer.drifting) == (alone.rows, alone.responses, alone.drifting)
    plans = [plan_of(adapter), EditPlan(()), plan_of(adapter)][:n_trials]
    for mine, theirs in zip(
        measure_trials(adapter, few, profile, fewer, plans),
        measure_trials(adapter, few, profile, alone, plans),
        strict=True,
    ):
        assert [r.text for r in mine.responses] == [r.text for r in theirs.responses]
        assert mine.metrics.estimates.keys() == theirs.metrics.estimates.keys()
        for name, estimate in theirs.metrics.estimates.items():
            torch.testing.assert_close(mine.metrics[name], estimate.value, atol=1e-5, rtol=1e-4)
    assert len(list(fewer.drift)) <= len(fewer.drift) == len(whole.drift)
