"""Outcomes by prompt add up to the rates and means, and survive being written as rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from saber.config import EvaluateConfig
from saber.lm.evaluation.measurement import Measured, measure_trials
from saber.lm.evaluation.outcomes import outcomes_of
from saber.lm.evaluation.reference import make_reference
from saber.lm.loading.load import load, quiet
from saber.organism.prompt_sets import organism_splits
from saber.study.store.artifacts import response_rows, responses_from_rows
from saber.types import PROMPT_KINDS, Split
from tests.lm.evaluation.test_profiles import plan_of

PER_KIND = 8


@pytest.fixture(scope="module")
def measured(organism_folder: Path) -> Measured:
    quiet()
    adapter = load(str(organism_folder), dtype="float32", device="cpu")
    tune = organism_splits(0)["tune"]
    split = Split("tune", tuple(prompt for kind in PROMPT_KINDS for prompt in tune.of(kind)[:PER_KIND]))
    profile = EvaluateConfig(max_new_tokens=12)
    reference = make_reference(adapter, split, profile)
    return measure_trials(adapter, split, profile, reference, [plan_of(adapter)])[0]


def test_outcomes_add_up_to_the_metrics(measured: Measured) -> None:
    outcomes = outcomes_of(measured.responses)
    for name, values in outcomes.items():
        estimate = measured.metrics.estimates[name]
        assert estimate.n == len(values)
        assert estimate.value == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert {"refusal_rate", "protected_refusal_rate", "capability", "kld", "kld_first"} <= set(outcomes)
    assert len(outcomes["kld"]) == 2 * PER_KIND


def test_outcomes_survive_the_artifact(measured: Measured) -> None:
    again = responses_from_rows(response_rows(measured.responses))
    assert outcomes_of(again) == outcomes_of(measured.responses)


def test_drift_is_said_by_category_and_its_worst_prompt_by_number(measured: Measured) -> None:
    by_category = measured.metrics.drift_by_category
    assert sum(estimate.n for estimate in by_category.values()) == 2 * PER_KIND
    whole = sum(estimate.value * estimate.n for estimate in by_category.values()) / (2 * PER_KIND)
    assert whole == pytest.approx(measured.metrics["kld"], abs=1e-6)
    assert all(name.split(":")[0] in ("harmless", "capability") for name in by_category)
    kind, _, number, _ = measured.metrics.worst_drift.split()
    worst = measured.responses[int(number)]
    assert worst.prompt.kind == kind
    assert worst.drift["kld"] == pytest.approx(measured.metrics["kld_max"])
    assert worst.prompt.text not in measured.metrics.worst_drift
