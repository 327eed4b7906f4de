"""Projections on faces of weighted l1 balls, against the optimality conditions and against the general projection."""

from __future__ import annotations

import numpy as np
import pytest

from filippov.sets import Hull
from filippov.sets.axis_simplex import nearest_in_axis_simplex, nearest_on_axes
from filippov.sets.hull_quadratic import least_quadratic_in_hull
from filippov.sets.quadratic_form import QuadraticForm


@pytest.mark.parametrize("seed", range(30))
def test_it_is_the_nearest_point(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, k = int(random.integers(1, 9)), 0
    k = int(random.integers(1, n + 1))
    columns = random.permutation(n)[:k]
    corners = random.choice([-1.0, 1.0], k) * 2.0 ** random.integers(-3, 4, k)
    points = np.zeros((k, n))
    points[np.arange(k), columns] = corners
    target = random.normal(size=n) * random.choice([0.1, 1.0, 10.0])
    nearest = Hull(points).project(target)
    # In the simplex: shares are nonnegative and add up to one; nothing else.
    shares = nearest[columns] / corners
    assert np.all(shares >= 0.0)
    assert np.sum(shares) == pytest.approx(1.0, abs=1e-14)
    assert np.count_nonzero(nearest) == np.count_nonzero(nearest[columns])
    # Variational inequality: <target - nearest, corner - nearest> <= 0 for every corner.
    assert np.all((points - nearest) @ (target - nearest) <= 1e-12 * (1.0 + np.abs(target).max()) ** 2 * 64.0)
    offset, _ = least_quadratic_in_hull(points - target, QuadraticForm.of(np.eye(n), n))
    assert np.allclose(nearest, target + offset, rtol=0.0, atol=1e-10 * (1.0 + np.abs(target).max()))


def test_integers_by_hand() -> None:
    # The corners (2, 0) and (0, 1) are on x/2 + y = 1; from (2, 2) the foot is 8/5 of the normal (1/2, 1) away.
    assert np.allclose(nearest_in_axis_simplex(np.array([2.0, 1.0]), np.array([2.0, 2.0])), [1.2, 0.4])
    assert nearest_in_axis_simplex(np.array([1.0, 1.0]), np.array([5.0, 0.0])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "points",
    [
        [[1.0, 1.0]],
        [[1.0, 0.0], [2.0, 0.0]],
        [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]],
        [[1.0, 0.0], [-2.0, 0.0]],
        [[0.0, 0.0], [0.0, 1.0]],
    ],
)
def test_other_hulls_are_not_taken_for_one(points: list[list[float]]) -> None:
    assert nearest_on_axes(np.array(points), np.array([1.0, 2.0])) is None


@pytest.mark.parametrize("seed", range(20))
def test_balls_too(seed: int) -> None:
    random = np.random.default_rng(100 + seed)
    n = int(random.integers(1, 6))
    weights = 2.0 ** random.integers(-2, 3, n)
    points = random.permutation(np.vstack([np.diag(weights), -np.diag(weights)]))
    for size in (0.0, 0.1, 1.0, 10.0):
        target = size * random.normal(size=n)
        nearest = Hull(points).project(target)
        inside = float(np.sum(np.abs(target) / weights))
        assert np.sum(np.abs(nearest) / weights) <= 1.0 + 1e-14
        if inside <= 1.0:
            assert np.array_equal(nearest, target)
        offset, _ = least_quadratic_in_hull(points - target, QuadraticForm.of(np.eye(n), n))
        assert np.allclose(nearest, target + offset, rtol=0.0, atol=1e-10 * (1.0 + size))


@pytest.mark.parametrize("far", [1e17, 1e40, 1e150])
def test_targets_far_away_do_not_drown_the_corners(far: float) -> None:
    assert Hull([[1.0, 0.0]]).project([far, 3.0]).tolist() == [1.0, 0.0]
    # The difference of the two coordinates decides, and there is none.
    assert Hull([[1.0, 0.0], [0.0, 1.0]]).project([far, far]).tolist() == [0.5, 0.5]
    assert Hull([[2.0, 0.0], [0.0, -1.0]]).project([far, 0.0]).tolist() == [2.0, 0.0]
