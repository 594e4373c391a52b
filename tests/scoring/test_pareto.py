"""The frontier: domination against a pairwise loop, volumes against cells, inclusion and exclusion, closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jaxtyping import TypeCheckError

from saber.scoring.pareto import Goal, hypervolume, hypervolume_shares, pareto_mask

# Few levels, so that ties and duplicates are common; 4 is the reference and 5 lies beyond it.
LEVELS = 4


def grid_points(n_objectives: int, max_points: int = 8) -> st.SearchStrategy[np.ndarray]:
    shape = st.tuples(st.integers(0, max_points), st.just(n_objectives))
    return shape.flatmap(lambda s: hnp.arrays(np.float64, s, elements=st.integers(0, 5).map(float)))


EITHER = st.sampled_from([2, 3]).flatmap(grid_points)
MINIMIZE: dict[int, list[Goal]] = {m: ["minimize"] * m for m in (1, 2, 3, 4)}


def reference(values: np.ndarray) -> np.ndarray:
    return np.full(values.shape[1], float(LEVELS))


def dominates(a: list[float], b: list[float], goals: list[Goal]) -> bool:
    gains = [(y - x) if goal == "minimize" else (x - y) for x, y, goal in zip(a, b, goals, strict=True)]
    return min(gains) >= 0 and max(gains) > 0


def covered_cells(values: np.ndarray) -> int:
    """Volume by counting unit cells, exact on the grid."""
    cells = itertools.product(range(LEVELS), repeat=values.shape[1])
    return sum(any((point <= np.array(cell)).all() for point in values) for cell in cells)


def volume_between_values(values: np.ndarray) -> float:
    """Volume up to 1 by the cells of the grid that the points' own coordinates make: exact, whatever they are."""
    edges = [np.append(np.sort(column), 1.0) for column in values.T]
    volume = 0.0
    for corner in itertools.product(*(range(len(axis) - 1) for axis in edges)):
        low = np.array([axis[i] for axis, i in zip(edges, corner, strict=True)])
        if (values <= low).all(axis=1).any():
            volume += math.prod(float(axis[i + 1] - axis[i]) for axis, i in zip(edges, corner, strict=True))
    return volume


# Domination


@given(st.integers(1, 4).flatmap(grid_points), st.data())
def test_mask_equals_a_pairwise_loop_with_ties(values: np.ndarray, data: st.DataObject) -> None:
    m = values.shape[1]
    either: list[Goal] = ["minimize", "maximize"]
    goals = data.draw(st.lists(st.sampled_from(either), min_size=m, max_size=m))
    points = values.tolist()
    wanted = [not any(dominates(other, point, goals) for other in points) for point in points]
    assert pareto_mask(values, goals).tolist() == wanted


def test_copies_of_a_front_point_are_all_kept() -> None:
    values = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert pareto_mask(values, MINIMIZE[2]).tolist() == [True, True, True, False]
    assert pareto_mask(values, ["minimize", "maximize"]).tolist() == [True, False, True, False]


def test_mask_refuses_nan_and_wrong_directions() -> None:
    with pytest.raises(ValueError, match="NaN"):
        pareto_mask(np.array([[0.0, math.nan]]), MINIMIZE[2])
    with pytest.raises(ValueError, match="expected 2"):
        pareto_mask(np.zeros((1, 2)), MINIMIZE[3])
    with pytest.raises((ValueError, TypeCheckError), match="smallest"):
        pareto_mask(np.zeros((1, 2)), ["minimize", "smallest"])  # type: ignore[list-item]


def test_infinite_drift_is_dominated_like_any_other() -> None:
    values = np.array([[0.0, math.inf], [0.0, 1.0], [1.0, 0.0]])
    assert pareto_mask(values, MINIMIZE[2]).tolist() == [False, True, True]


# Hypervolume


@given(EITHER)
def test_volume_equals_the_cells_it_covers(values: np.ndarray) -> None:
    assert hypervolume(values, reference(values)) == covered_cells(values)


@pytest.mark.parametrize("m", [2, 3])
def test_volume_equals_the_cells_between_the_values_of_a_random_cloud(m: int) -> None:
    values = np.random.default_rng(m).uniform(size=(12, m))
    assert hypervolume(values, np.ones(m)) == pytest.approx(volume_between_values(values), rel=1e-9)


@given(EITHER.filter(len), st.data())
def test_volume_equals_inclusion_and_exclusion_in_any_order(values: np.ndarray, data: st.DataObject) -> None:
    shuffled = values[data.draw(st.permutations(range(len(values))))]
    inclusion_exclusion = sum(
        (-1) ** (size + 1) * np.prod(np.clip(LEVELS - np.max(chosen, axis=0), 0.0, None))
        for size in range(1, len(shuffled) + 1)
        for chosen in itertools.combinations(shuffled, size)
    )
    assert hypervolume(shuffled, reference(values)) == pytest.approx(float(inclusion_exclusion))


def test_closed_forms() -> None:
    assert hypervolume(np.array([[0.25, 0.5]]), np.ones(2)) == 0.75 * 0.5
    assert hypervolume(np.array([[0.0, 0.5, 0.75]]), np.ones(3)) == 0.125
    n = 100  # the staircase of n points on x + y = 1
    x = np.arange(1, n) / n
    assert hypervolume(np.stack([x, 1 - x], axis=1), np.ones(2)) == pytest.approx((1 - 1 / n) / 2)


@given(EITHER, st.lists(st.floats(0.1, 9), min_size=3, max_size=3))
def test_the_volume_scales_with_each_axis(values: np.ndarray, scales: list[float]) -> None:
    scale = np.array(scales[: values.shape[1]])
    volume = hypervolume(values, reference(values))
    assert hypervolume(values * scale, reference(values) * scale) == pytest.approx(volume * scale.prod())


def test_points_at_or_beyond_the_reference_add_nothing() -> None:
    outside = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, -5.0], [-5.0, math.inf]])
    assert hypervolume(outside, np.ones(2)) == 0
    assert hypervolume(np.vstack([outside, [[0.5, 0.5]]]), np.ones(2)) == 0.25


@pytest.mark.parametrize("m", [1, 4])
def test_other_numbers_of_objectives_are_refused(m: int) -> None:
    with pytest.raises(ValueError, match="2 or 3 objectives"):
        hypervolume(np.zeros((1, m)), np.ones(m))


@pytest.mark.parametrize(
    ("point", "corner"),
    [([0, math.nan], [1, 1]), ([0, -math.inf], [1, 1]), ([0, 0], [1, math.inf]), ([0, 0], [1, 1, 1])],
)
def test_endless_volumes_are_refused(point: list[float], corner: list[float]) -> None:
    with pytest.raises((ValueError, TypeCheckError), match=r"(?i)expected"):
        hypervolume(np.array([point], dtype=float), np.array(corner, dtype=float))


@given(EITHER)
def test_shares_are_what_the_front_loses(values: np.ndarray) -> None:
    shares = hypervolume_shares(values, reference(values))
    total = covered_cells(values)
    on_front = pareto_mask(values, MINIMIZE[values.shape[1]])
    losses = np.zeros(len(values))
    for i in np.flatnonzero(on_front):
        without = on_front & (np.arange(len(values)) != i)
        losses[i] = total - covered_cells(values[without])
    np.testing.assert_allclose(shares, losses / max(total, 1))
    assert ((shares >= 0) & (shares <= 1)).all()


@given(hnp.arrays(np.float64, (7, 3), elements=st.floats(0, 1)))
def test_dominated_and_repeated_points_have_exactly_no_share(values: np.ndarray) -> None:
    values = np.vstack([values, values[:1]])
    shares = hypervolume_shares(values, np.ones(3))
    assert (shares[~pareto_mask(values, MINIMIZE[3])] == 0).all()
    assert shares[0] == shares[-1] == 0
    assert ((shares >= 0) & (shares <= 1)).all()


def test_shares_without_volume() -> None:
    assert hypervolume_shares(np.ones((3, 2)), np.ones(2)).tolist() == [0, 0, 0]
    assert hypervolume_shares(np.empty((0, 2)), np.ones(2)).shape == (0,)
