"""Faults put in on purpose: each is either caught with one line, or changes nothing, or is labelled as what it is."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from saber.config import EvaluateConfig
from saber.data.splits import check_disjoint
from saber.lm.architecture.adapter import Adapter
from saber.lm.evaluation.measurement import Measured, measure_trials
from saber.lm.evaluation.reference import make_reference
from saber.lm.inference.batches import Batch, pad_left, tokenise
from saber.lm.inference.generation.greedy import greedy
from saber.organism.prompt_sets import organism_splits
from saber.types import EditPlan, Split, UserError
from tests.lm.evaluation.test_profiles import plan_of

PER_KIND = 6
PROFILE = EvaluateConfig(max_new_tokens=12)
SUPPRESSED = [5, 6, 7, 400]


@pytest.fixture
def adapter(adapter: Adapter) -> Adapter:
    """The shared model with a tokenizer of one's own, to break."""
    return dataclasses.replace(adapter, tokenizer=copy.deepcopy(adapter.tokenizer))


def measured(adapter: Adapter, split: Split, plan: EditPlan | None = None) -> Measured:
    reference = make_reference(adapter, split, PROFILE)
    return measure_trials(adapter, split, PROFILE, reference, [plan or EditPlan(())])[0]


def with_logits(adapter: Adapter, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Change what the head puts out while inside; remove the hook it returns."""
    return adapter.model.get_output_embeddings().register_forward_hook(lambda _m, _i, logits: change(logits))


# --- right padding ---


def test_a_tokenizer_that_pads_right_changes_nothing(adapter: Adapter, split: Split) -> None:
    plain = measured(adapter, split, plan_of(adapter))
    adapter.tokenizer.padding_side = "right"
    assert measured(adapter, split, plan_of(adapter)).metrics == plain.metrics


def test_padding_on_the_right_would_change_what_is_said(
    adapter: Adapter, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tokenise(adapter, split.prompts)
    (plain,) = greedy(adapter, rows, max_new_tokens=12, batch_size=64)

    def pad_right(_: Adapter, sequences: list[list[int]]) -> Batch:
        left = pad_left(adapter, sequences)
        turned = [
            torch.roll(ids, int(mask.sum())) for ids, mask in zip(left.input_ids, left.attention_mask, strict=True)
        ]
        masks = [torch.roll(mask, int(mask.sum())) for mask in left.attention_mask]
        return Batch(torch.stack(turned), torch.stack(masks))

    monkeypatch.setattr("saber.lm.inference.generation.decoding.pad_left", pad_right)
    (broken,) = greedy(adapter, rows, max_new_tokens=12, batch_size=64)
    assert broken != plain  # so that the test of batched against single decoding would see it


# --- double BOS ---


def test_a_prompt_never_begins_with_two_bos(adapter: Adapter, split: Split) -> None:
    bos = adapter.tokenizer.bos_token_id
    assert all(row[0] == bos and row.count(bos) == 1 for row in tokenise(adapter, split.prompts))


def test_a_template_that_writes_a_second_bos_is_caught(adapter: Adapter, split: Split) -> None:
    adapter.tokenizer.chat_template = "{{ bos_token }}" + adapter.tokenizer.chat_template
    with pytest.raises(UserError, match=r"expected one <bos> at the start of a prompt, found two: .*chat template"):
        measured(adapter, split)


# --- leaked report prompts ---


@pytest.mark.parametrize("change", [str, str.upper, lambda text: f"  {text}!  ", lambda text: text.replace("'", "’")])
def test_a_report_prompt_in_tune_is_caught(change: Callable[[str], str]) -> None:
    splits = dict(organism_splits(0))
    leaked = splits["report"].prompts[3]
    prompts = (*splits["tune"].prompts, dataclasses.replace(leaked, text=change(leaked.text)))
    splits["tune"] = Split("tune", prompts)
    with pytest.raises(UserError, match=r"expected disjoint splits, found .* in tune and report"):
        check_disjoint(splits)


# --- -inf logits ---


def test_suppressed_tokens_in_both_models_give_no_nan(adapter: Adapter, split: Split) -> None:
    def suppress(logits: torch.Tensor) -> torch.Tensor:
        return logits.index_fill(-1, torch.tensor(SUPPRESSED), -math.inf)

    hook = with_logits(adapter, suppress)
    soft_cap = adapter.model.config.final_logit_softcapping
    adapter.model.config.final_logit_softcapping = None  # it would turn -inf into a number
    try:
        outcome = measured(adapter, split, plan_of(adapter))
        logits = adapter.model(input_ids=torch.tensor([[1, 3, 6]])).logits
        assert bool((logits[..., SUPPRESSED] == -math.inf).all())
    finally:
        hook.remove()
        adapter.model.config.final_logit_softcapping = soft_cap
    for name, estimate in outcome.metrics.estimates.items():
        assert math.isfinite(estimate.value), name
        assert estimate.low <= estimate.value <= estimate.high, name
    assert outcome.metrics["kld"] > 0


def test_a_token_that_only_the_edit_suppresses_is_infinite_drift_and_not_nan(adapter: Adapter, split: Split) -> None:
    reference = make_reference(adapter, split, PROFILE)
    adapter.model.config.final_logit_softcapping, soft_cap = None, adapter.model.config.final_logit_softcapping
    hook = with_logits(adapter, lambda logits: logits.index_fill(-1, torch.arange(200), -math.inf))
    try:
        (outcome,) = measure_trials(adapter, split, PROFILE, reference, [EditPlan(())])
    finally:
        hook.remove()
        adapter.model.config.final_logit_softcapping = soft_cap
    assert outcome.metrics["kld"] == math.inf
    assert not any(math.isnan(estimate.value) for estimate in outcome.metrics.estimates.values())


# --- models that do not answer ---


def always(token: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda logits: torch.zeros_like(logits).index_fill(-1, torch.tensor([token]), 9.0)


def test_a_model_that_says_nothing_neither_complies_nor_refuses(adapter: Adapter, split: Split) -> None:
    hook = with_logits(adapter, always(adapter.model.generation_config.eos_token_id))
    try:
        outcome = measured(adapter, split)
    finally:
        hook.remove()
    assert {response.label for response in outcome.responses} == {"empty"}
    assert (outcome.metrics["refusal_rate"], outcome.metrics["degenerate_rate"]) == (0.0, 1.0)


def test_a_model_that_always_loops_is_degenerate(adapter: Adapter, split: Split) -> None:
    word = adapter.tokenizer.convert_tokens_to_ids(adapter.tokenizer.tokenize("jar"))[0]
    hook = with_logits(adapter, always(word))
    try:
        outcome = measured(adapter, split)
    finally:
        hook.remove()
    assert {response.label for response in outcome.responses} == {"degenerate"}
    assert (outcome.metrics["refusal_rate"], outcome.metrics["degenerate_rate"]) == (0.0, 1.0)


def test_a_looping_model_is_no_success_even_where_it_refuses_nothing(adapter: Adapter, split: Split) -> None:
    word = adapter.tokenizer.convert_tokens_to_ids(adapter.tokenizer.tokenize("jar"))[0]
    hook = with_logits(adapter, always(word))
    try:
        capability = measured(adapter, split).metrics["capability"]
    finally:
        hook.remove()
    assert capability == 0.0
