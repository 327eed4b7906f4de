"""Nonnegative least squares: the optimality conditions, and a problem that scipy answers wrongly in silence."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.optimize
from numpy.testing import assert_allclose

from filippov.programs.nonnegative import nonnegative_least_squares
from filippov.programs.tableau import SelectionError
from filippov.selection import selections
from filippov.sets import Hull
from flows.norms.top_k_sets import TopKBall


def _corners():
    """The vertices of the top-2 ball in four coordinates, with a fifth, constant one put in; their order is part of the case."""
    corners = np.zeros((24, 5))
    corners[:, 3], corners[:, [0, 1, 2, 4]] = 1.0, TopKBall(4, 2).vertices()
    return corners


SIZES = np.array([0.40358582, 0.92169618, 0.59269037, 0.33140906, 0.89985865])
"""About the diagonal on which scipy 1.17.1's `nnls` was seen to be wrong (which hangs on its last digits)."""


def _by_enumeration(A, b):
    """The best of the least-squares solutions on all supports that are nonnegative."""
    best = np.zeros(A.shape[1])
    for size in range(1, min(A.shape) + 1):
        for support in map(list, combinations(range(A.shape[1]), size)):
            x = np.zeros(A.shape[1])
            x[support] = np.linalg.lstsq(A[:, support], b, rcond=None)[0]
            if x.min() >= 0 and np.linalg.norm(A @ x - b) < np.linalg.norm(A @ best - b):
                best = x
    return best


@pytest.mark.parametrize("seed", range(20))
def test_against_enumeration(seed):
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(4, 6)), rng.normal(size=4)
    assert_allclose(A @ nonnegative_least_squares(A, b), A @ _by_enumeration(A, b), atol=1e-12)


def test_any_wrong_answer_is_seen(monkeypatch):
    """Whatever `nnls` says, the answer is right, or an error where no method finds one."""
    rng = np.random.default_rng(1)
    A, b = rng.normal(size=(4, 6)), rng.normal(size=4)
    right = A @ nonnegative_least_squares(A, b)
    for wrong in (np.full(6, 0.1), np.zeros(6), np.full(6, np.nan), -np.ones(6)):
        with monkeypatch.context() as patch:
            patch.setattr(scipy.optimize, "nnls", lambda *_, wrong=wrong, **__: (wrong, 0.0))
            assert_allclose(A @ nonnegative_least_squares(A, b), right, atol=1e-12)
            patch.setattr(
                scipy.optimize,
                "lsq_linear",
                lambda *_, wrong=wrong, **__: scipy.optimize.OptimizeResult(x=wrong),
            )
            with pytest.raises(SelectionError, match="optimality conditions"):
                nonnegative_least_squares(A, b)


def test_hull_when_scipy_is_wrong(monkeypatch):
    """The least |v|^2 is at the constant coordinate alone; with the support that a wrong answer gives it was an error."""
    monkeypatch.setattr(scipy.optimize, "nnls", lambda A, *_, **__: (np.eye(A.shape[1])[0], 0.0))
    v = Hull(_corners()).minimize_quadratic(np.diag(SIZES))
    assert_allclose(v, [0, 0, 0, 1, 0], atol=1e-12)


def test_selection_of_least_norm_when_scipy_is_wrong(monkeypatch):
    """Of all v with v_1 + v_2 = 0.8 at most 0.3 in the first, (0.3, 0.5) is the smallest; unguarded it would be clipped."""
    K, c = np.ones((2, 2)), -0.8 * np.ones(2)
    monkeypatch.setattr(scipy.optimize, "nnls", lambda A, *_, **__: (np.full(A.shape[1], 0.5), 0.0))
    (selection,) = selections(K, c, np.array([-1.0, -1.0]), np.array([0.3, 1.0]))
    assert_allclose(selection.v, [0.3, 0.5], atol=1e-12)
