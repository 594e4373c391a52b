"""The front so far: in whatever order trials come, and however old the front they see, none of the last one is lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from saber.config import ConstraintConfig, Objective, StudyConfig
from saber.scoring.pareto import is_beaten, pareto_mask
from saber.study.search.front_so_far import FrontSoFar, front_so_far, out_of_reach, sought_metrics
from saber.types import Estimate, Metrics

GOALS = (Objective("refusal_rate", "minimize", 1.0), Objective("capability", "maximize", 0.0))
STUDY = StudyConfig(name="s", objectives=GOALS, constraints=(ConstraintConfig("kld", at_most=0.5),))
LEVELS = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])  # few, so that many are equal
TRIALS = st.lists(st.tuples(LEVELS, LEVELS, LEVELS), min_size=1, max_size=12)


def measured(refusal_rate: float, capability: float, kld: float) -> Metrics:
    values = {"refusal_rate": refusal_rate, "capability": capability, "kld": kld}
    return Metrics({name: Estimate(value, 9, value, value) for name, value in values.items()}, {}, "p", "tune")


def told(refusal_rate: float, capability: float, kld: float) -> FrozenTrial:
    return create_trial(
        values=[refusal_rate, capability],
        params={"x": 0.0},
        distributions={"x": FloatDistribution(0, 1)},
        user_attrs={"feasible": kld <= 0.5},
    )


@given(TRIALS, st.data())
def test_a_point_of_the_last_front_was_never_out_of_reach(
    trials: list[tuple[float, float, float]], data: st.DataObject
) -> None:
    """Trials are told in an order of their own, and each sees the front as it was at some time before."""
    feasible = [i for i, (_, _, kld) in enumerate(trials) if kld <= 0.5]
    values = np.array([[trials[i][0], trials[i][1]] for i in feasible]).reshape(-1, 2)
    kept = pareto_mask(values, ["minimize", "maximize"])
    on_front = {i for i, on in zip(feasible, kept, strict=True) if on}
    order = data.draw(st.permutations(range(len(trials))))
    for place, i in enumerate(order):
        n_seen = data.draw(st.integers(0, place))
        seen = front_so_far([told(*trials[j]) for j in order[:n_seen]], GOALS)
        assert not (i in on_front and seen.is_out_of_reach(measured(*trials[i]), STUDY, None))
    whole = front_so_far([told(*trial) for trial in trials], GOALS)
    assert [whole.is_out_of_reach(measured(*trial), STUDY, None) for trial in trials] == [
        i not in on_front for i in range(len(trials))
    ]


@given(st.lists(st.tuples(LEVELS, LEVELS), min_size=1, max_size=9))
def test_beaten_is_what_the_mask_leaves_out(costs: list[tuple[float, float]]) -> None:
    kept = pareto_mask(np.array(costs), ["minimize", "minimize"])
    assert [not is_beaten(cost, costs) for cost in costs] == kept.tolist()


def test_nothing_is_beaten_at_the_start_and_everything_by_what_is_out_of_reach() -> None:
    assert not FrontSoFar().is_out_of_reach(measured(1.0, 0.0, 0.1), STUDY, None)
    assert out_of_reach(GOALS).is_out_of_reach(measured(0.0, 1.0, 0.0), STUDY, None)


@pytest.mark.parametrize("kld", [0.6, math.nan, math.inf])
def test_a_trial_that_is_not_feasible_or_no_number_is_out_of_reach(kld: float) -> None:
    assert FrontSoFar().is_out_of_reach(measured(0.0, 1.0, kld), STUDY, None)


def test_the_search_asks_for_objectives_constraints_and_the_score() -> None:
    assert sought_metrics(STUDY) == {"refusal_rate", "capability", "kld", "residual_refusal"}
