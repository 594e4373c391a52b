"""The seed's score, and scaling over a study."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saber.scoring.pareto import scale_to_unit, score

UNIT = st.floats(0, 1)
NATS = st.floats(0, 100)


def test_the_seed_s_aggressive_point() -> None:
    kld_nats = 0.43274  # published as 0.4327
    for residual in (0.0, 0.5, 1.0):
        total = score(refusal_rate=0.0, kld_nats=kld_nats, residual_scaled=residual)
        assert (round(kld_nats, 4), round(total, 4)) == (0.4327, 0.0432)


def test_the_last_term_needs_refusals_and_residual() -> None:
    assert score(refusal_rate=0.5, kld_nats=0.0, residual_scaled=0.5) == 0.5
    assert score(refusal_rate=0.5, kld_nats=0.0, residual_scaled=1.0) == pytest.approx(0.5 + 0.08 * 0.5)
    assert score(refusal_rate=1.0, kld_nats=math.e - 1, residual_scaled=1.0) == pytest.approx(1.2)


@given(UNIT, UNIT, NATS, NATS, UNIT, UNIT)
def test_score_grows_with_everything_bad(r1: float, r2: float, k1: float, k2: float, s1: float, s2: float) -> None:
    better = score(refusal_rate=min(r1, r2), kld_nats=min(k1, k2), residual_scaled=min(s1, s2))
    worse = score(refusal_rate=max(r1, r2), kld_nats=max(k1, k2), residual_scaled=max(s1, s2))
    assert 0 <= better <= worse < math.inf


@pytest.mark.parametrize(
    ("refusal", "kld", "residual"),
    [
        (-0.1, 0.0, 0.0),
        (1.1, 0.0, 0.0),
        (0.0, -0.1, 0.0),
        (0.0, 0.0, -0.1),
        (0.0, 0.0, 1.1),
        (math.nan, 0.0, 0.0),
        (0.0, math.nan, 0.0),
    ],
)
def test_values_out_of_range_are_refused(refusal: float, kld: float, residual: float) -> None:
    with pytest.raises(ValueError, match="expected refusal rate"):
        score(refusal_rate=refusal, kld_nats=kld, residual_scaled=residual)


@given(hnp.arrays(np.float64, st.integers(1, 9), elements=st.floats(-1e300, 1e300)))
def test_scaled_values_fill_the_unit_in_order(values: np.ndarray) -> None:
    scaled = scale_to_unit(values)
    assert (scaled.min(), scaled.max()) == ((0, 1) if np.ptp(values) > 0 else (0, 0))
    assert (np.diff(scaled[np.argsort(values)]) >= 0).all()


def test_columns_are_scaled_each_by_its_own() -> None:
    values = np.array([[0.0, 5.0, 7.0], [2.0, 5.0, 3.0], [1.0, 5.0, 4.0]])
    assert scale_to_unit(values).tolist() == [[0, 0, 1], [1, 0, 0], [0.5, 0, 0.25]]
    assert scale_to_unit(np.empty(0)).shape == (0,)


def test_endless_values_cannot_be_scaled() -> None:
    with pytest.raises(ValueError, match="finite"):
        scale_to_unit(np.array([0.0, math.inf]))
