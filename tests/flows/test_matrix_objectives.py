"""Objectives of matrices against sympy, exact fractions, finite differences and their own closed-form minimisers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy
from numpy.typing import NDArray

from filippov import solve
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from flows import L1, LinearNetwork, LInf, MatrixLeastSquares, MatrixSensing, NormFlow, Quadratic, SignFlow
from flows.objectives import SmoothObjective

Array = NDArray[np.float64]
RNG = np.random.default_rng(11)
A, B = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 2))
SENSORS, Y = RNG.standard_normal((7, 2, 3)), RNG.standard_normal(7)
INPUTS, TARGETS = RNG.standard_normal((2, 5)), RNG.standard_normal((3, 5))


def _floats(M: Array) -> sympy.Matrix:
    return sympy.Matrix(M.shape[0], M.shape[1], [sympy.Float(float(v), 30) for v in M.ravel()])


def _squares(M: sympy.Matrix) -> sympy.Expr:
    return sum(entry**2 for entry in M) / 2


def _equation(x: list[sympy.Symbol]) -> sympy.Expr:
    return _squares(_floats(A) * sympy.Matrix(3, 2, x) - _floats(B))


def _sensing(x: list[sympy.Symbol]) -> sympy.Expr:
    readings = [sum(a * s for a, s in zip(_floats(sensor), x, strict=True)) for sensor in SENSORS]
    return sum((r - sympy.Float(float(v), 30)) ** 2 for r, v in zip(readings, Y, strict=True)) / 2


def _network(x: list[sympy.Symbol]) -> sympy.Expr:
    W1, W2 = sympy.Matrix(2, 2, x[:4]), sympy.Matrix(3, 2, x[4:])
    return _squares(W2 * W1 * _floats(INPUTS) - _floats(TARGETS))


CASES = {
    "equation": (MatrixLeastSquares(A, B), _equation),
    "sensing": (MatrixSensing(SENSORS, Y), _sensing),
    "network": (LinearNetwork(INPUTS, TARGETS, 2), _network),
}


@pytest.mark.parametrize("name", CASES)
def test_all_derivatives_agree_with_sympy_in_thirty_digits(name: str) -> None:
    f, formula = CASES[name]
    symbols = list(sympy.symbols(f"x:{f.dim}", real=True))
    expression = formula(symbols)
    x, d = RNG.standard_normal((2, f.dim))
    at = {s: sympy.Float(float(v), 30) for s, v in zip(symbols, x, strict=True)}
    gradient = [expression.diff(s) for s in symbols]
    hessian = [[g.diff(s) for s in symbols] for g in gradient]
    slope = [sum(h * float(v) for h, v in zip(row, d, strict=True)) for row in hessian]
    third = [sum(s.diff(t) * float(v) for t, v in zip(symbols, d, strict=True)) for s in slope]

    def numbers(entries: list[sympy.Expr]) -> Array:
        return np.array([float(sympy.sympify(entry).evalf(30, subs=at)) for entry in entries])

    assert f.value(x) == pytest.approx(float(expression.evalf(30, subs=at)), rel=1e-14)
    exact = numbers(gradient)
    np.testing.assert_allclose(f.grad(x), exact, rtol=1e-13, atol=1e-13)
    # What `gradient_error` promises, and not a thousand times too much.
    assert np.all(np.abs(f.grad(x) - exact) <= f.gradient_error(x))
    assert np.all(f.gradient_error(x) < 1e-12)
    H = np.array([numbers(row) for row in hessian])
    np.testing.assert_allclose(f.hess(x), H, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(f.hess(x), f.hess(x).T)
    np.testing.assert_allclose(f.hvp(x, d), H @ d, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(f.third(x, d), numbers(third), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_gradient_and_hessian_agree_with_differences(name: str) -> None:
    f: SmoothObjective = CASES[name][0]
    x, h = RNG.standard_normal(f.dim), 1e-5
    basis = h * np.eye(f.dim)
    slopes = [(f.value(x + e) - f.value(x - e)) / (2 * h) for e in basis]
    np.testing.assert_allclose(f.grad(x), slopes, rtol=1e-7, atol=1e-7)
    rows = [(f.grad(x + e) - f.grad(x - e)) / (2 * h) for e in basis]
    np.testing.assert_allclose(f.hess(x), rows, rtol=1e-7, atol=1e-7)


def test_matrices_are_folded_row_by_row_in_exact_arithmetic() -> None:
    f = MatrixLeastSquares([[1, 2], [3, 4]], [[1, 0, 2], [0, 1, 3]])
    x = [Fraction(k) for k in (1, 2, 3, 4, 5, 6)]
    residual = [1 + 8 - 1, 2 + 10 - 0, 3 + 12 - 2, 3 + 16 - 0, 6 + 20 - 1, 9 + 24 - 3]
    assert f.value(np.array(x, dtype=float)) == sum(r * r for r in residual) / 2
    assert np.array_equal(f.residual(range(1, 7)).ravel(), residual)
    gradient = [residual[j] * 1 + residual[3 + j] * 3 for j in range(3)]
    gradient += [residual[j] * 2 + residual[3 + j] * 4 for j in range(3)]
    assert np.array_equal(f.grad(range(1, 7)), gradient)
    assert np.array_equal(f.matrix(range(1, 7)), [[1, 2, 3], [4, 5, 6]])


def test_an_equation_is_sensing_with_the_rows_of_its_data() -> None:
    # (A X)_rj = <A_r e_j', X>.
    sensors = [np.outer(A[r], np.eye(2)[j]) for r in range(4) for j in range(2)]
    f, g = MatrixLeastSquares(A, B), MatrixSensing(sensors, B.ravel())
    x = RNG.standard_normal(6)
    assert g.value(x) == pytest.approx(f.value(x), rel=1e-14)
    np.testing.assert_allclose(g.Q, f.Q, atol=1e-14)
    np.testing.assert_allclose(g.b, f.b, atol=1e-14)
    assert g.strong_convexity == pytest.approx(f.strong_convexity, rel=1e-12)
    assert f.strong_convexity == pytest.approx(np.linalg.svd(A)[1][-1] ** 2, rel=1e-12)
    np.testing.assert_allclose(f.coordinate_smoothness, Quadratic(f.Q).coordinate_smoothness)
    np.testing.assert_allclose(f.gradient_error(x), Quadratic(f.Q, f.b).gradient_error(x), rtol=0.2)


@pytest.mark.parametrize("norm", [LInf(), L1()], ids=repr)
def test_flows_are_those_of_the_quadratic(norm: LInf | L1) -> None:
    f = MatrixLeastSquares(A, B)
    x0 = 2 * np.ones(6)
    path = solve(NormFlow(f, norm), (0, 50), x0)
    plain = solve(NormFlow(Quadratic(np.kron(A.T @ A, np.eye(2)), (A.T @ B).ravel()), norm), (0, 50), x0)
    assert path.arrival_time == pytest.approx(plain.arrival_time, abs=1e-12)
    assert len(path.switches) == len(plain.switches) > 2
    exact = np.linalg.lstsq(A, B, rcond=None)[0].ravel()
    np.testing.assert_allclose(path.y[:, -1], exact, atol=1e-12)
    assert path.certify().ok


def test_a_diagonal_equation_flows_entry_by_entry() -> None:
    # Separable: the sign flow arrives at max |x0 - m|.
    scale = np.array([0.5, 1, 3])
    f = MatrixLeastSquares(np.diag(scale), scale[:, None] * np.arange(6.0).reshape(3, 2))
    path = solve(SignFlow(f), (0, 10), np.full(6, 7.5))
    assert path.arrival_time == pytest.approx(7.5, abs=1e-14)


@pytest.mark.parametrize("start", [None, np.linspace(-3, 3, 6)], ids=["origin", "elsewhere"])
def test_the_nearest_of_many_minimisers(start: Array | None) -> None:
    at = np.zeros(6) if start is None else start
    flat = MatrixLeastSquares(A[:2], B[:2])  # two equations for three rows of X
    few = MatrixSensing(SENSORS[:4], Y[:4])
    for f, M in ((flat, np.kron(A[:2], np.eye(2))), (few, SENSORS[:4].reshape(4, 6))):
        x, value = f.minimize(start)
        assert value < 1e-28
        assert f.convex is True
        assert f.strong_convexity == 0.0
        # Nearest: the way there is orthogonal to the kernel.
        kernel = np.linalg.svd(M)[2][4:]
        np.testing.assert_allclose(kernel @ (x - at), 0, atol=1e-14)


def test_the_minimum_of_an_ill_conditioned_equation_keeps_its_digits() -> None:
    # Of condition 1e6, so that Q has 1e12: half the digits would go with the normal equations.
    U, V = (np.linalg.qr(RNG.standard_normal((4, 4)))[0] for _ in range(2))
    M, solution = (U * np.geomspace(1, 1e-6, 4)) @ V.T, RNG.standard_normal((4, 2))
    x, value = MatrixLeastSquares(M, M @ solution).minimize()
    np.testing.assert_allclose(x, solution.ravel(), atol=1e-9)
    assert value < 1e-30


@pytest.mark.parametrize("hidden", [1, 2, 4])
def test_a_network_reaches_the_best_approximation_of_its_rank(hidden: int) -> None:
    f = LinearNetwork(INPUTS, TARGETS, hidden)
    x, value = f.minimize()
    assert np.all(np.abs(f.grad(x)) <= 1e-13)
    assert np.linalg.eigvalsh(f.hess(x))[0] >= -1e-12
    # Eckart and Young: what the regression leaves, and what rank loses of the fitted values.
    fitted = TARGETS @ np.linalg.pinv(INPUTS) @ INPUTS
    lost = np.linalg.svd(fitted)[1][hidden:]
    assert value == pytest.approx((np.sum((TARGETS - fitted) ** 2) + np.sum(lost**2)) / 2, rel=1e-13)
    W1, W2 = f.layers(x)
    np.testing.assert_allclose(W1 @ W1.T, W2.T @ W2, atol=1e-13)  # balanced
    for seed in range(3):  # every local minimum is global
        found = f.minimize(np.random.default_rng(seed).standard_normal(f.dim))[1]
        assert found == pytest.approx(value, rel=1e-9)


def test_a_network_is_not_convex_and_its_origin_is_a_saddle() -> None:
    f = LinearNetwork(INPUTS, TARGETS, 2)
    assert np.linalg.eigvalsh(f.hess(np.zeros(f.dim)))[0] < -0.1
    assert f.convex is None
    assert f.strong_convexity is None
    assert f.hessian_variation(np.linalg.norm) is None
    with pytest.raises(FilippovError, match="not a minimiser"):
        f.minimize(np.zeros(f.dim))
    with pytest.raises(InvalidInputError, match="coordinate_smoothness"):
        _ = f.coordinate_smoothness
    x = RNG.standard_normal(f.dim)
    T = np.array([[2.0, 1.0], [0.5, 1.5]])
    W1, W2 = f.layers(x)
    same = np.concatenate([(T @ W1).ravel(), (W2 @ np.linalg.inv(T)).ravel()])
    assert f.value(same) == pytest.approx(f.value(x), rel=1e-13)
    assert f.groups == (list(range(4)), list(range(4, 10)))


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidInputError, match=r"B must have 4 rows, as A, got shape \(3, 2\)"):
        MatrixLeastSquares(A, B[:3])
    with pytest.raises(InvalidInputError, match="A must be finite"):
        MatrixLeastSquares([[np.nan]], [[1.0]])
    with pytest.raises(InvalidInputError, match=r"sensors must have shape \(N, m, n\)"):
        MatrixSensing(SENSORS[0], Y)
    with pytest.raises(InvalidTypeError, match="sensors must be matrices of one shape"):
        MatrixSensing([[[1.0]], [[1.0, 2.0]]], [1, 2])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="sensors must be finite, got inf at index"):
        MatrixSensing([[[1.0, np.inf]]], [1])
    with pytest.raises(InvalidInputError, match=r"y must be a vector of shape \(7,\)"):
        MatrixSensing(SENSORS, Y[:3])
    with pytest.raises(InvalidInputError, match="Y must have 5 columns"):
        LinearNetwork(INPUTS, TARGETS[:, :4], 2)
    with pytest.raises(InvalidInputError, match="hidden must be at least 1, got 0"):
        LinearNetwork(INPUTS, TARGETS, 0)
    with pytest.raises(InvalidInputError, match=r"x must have shape \(6,\)"):
        MatrixLeastSquares(A, B).value([1, 2])
