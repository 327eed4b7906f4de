"""Objectives on data that are no data: nan, denormal and huge entries, one dimension, zero and equal columns, bad callables."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from filippov import FilippovError, InvalidInputError, Trajectory, solve
from flows import (
    GradientFlow,
    GreedyFlow,
    LogisticQuadratic,
    NormalizedFlow,
    Objective,
    Quadratic,
    RidgeLogistic,
    Separable,
    SignFlow,
    SmoothMax,
    Symbolic,
)

FLOWS = (SignFlow, GreedyFlow, NormalizedFlow, GradientFlow)
EXTREMES = (5e-324, 1e-310, 1e-154, 1e154, 1e300, 1.7e308)
ROWS = np.array([[1.0, -0.5], [0.3, 1.0], [-0.6, 0.1]])
LABELS = [1.0, -1.0, 1.0]


def corner(n: int, value: float) -> np.ndarray:
    matrix = np.eye(n)
    matrix[0, 0] = value
    return matrix


def rows(n: int, value: float) -> np.ndarray:
    matrix = ROWS[:, :n].copy()
    matrix[0, 0] = value
    return matrix


MAKERS: dict[str, Callable[[int, float], Any]] = {
    "quadratic": lambda n, v: Quadratic(np.eye(n) * v),
    "quadratic, one entry": lambda n, v: Quadratic(corner(n, v), np.ones(n)),
    "quadratic, b": lambda n, v: Quadratic(np.eye(n), np.full(n, v)),
    "logistic, A": lambda n, v: LogisticQuadratic(rows(n, v), 0.3 * np.eye(n)),
    "logistic, Q": lambda n, v: LogisticQuadratic(rows(n, 1.0), v * np.eye(n)),
    "ridge, A": lambda n, v: RidgeLogistic(rows(n, v), LABELS, 0.1),
    "ridge, mu": lambda n, v: RidgeLogistic(rows(n, 1.0), LABELS, v),
    "maximum, A": lambda n, v: SmoothMax(rows(n, v), np.zeros(3), 0.3 * np.eye(n)),
    "maximum, b": lambda n, v: SmoothMax(rows(n, 1.0), [v, 0.0, 0.0], 0.3 * np.eye(n)),
    "maximum, tau": lambda n, v: SmoothMax(rows(n, 1.0), np.zeros(3), 0.3 * np.eye(n), tau=v),
    "power, center": lambda n, v: Separable.power(np.full(n, v), 2),
    "power, weight": lambda n, v: Separable.power(np.zeros(n), 2, np.full(n, v)),
}


def solved(flow: Any, start: Any) -> Trajectory | None:
    """Return the trajectory, its numbers looked at, or None where there is an error of this library that holds the part."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy says what overflows; the library what is wrong
        try:
            path = solve(flow, (0, 3), start, nonunique="least-norm", max_switches=200)
        except InvalidInputError:
            return None
        except FilippovError as error:
            part = error.trajectory
            path = None if part is None else part
            refused = True
        else:
            refused = False
        assert path is not None, "an error in the middle of a run holds the part"
        assert np.isfinite(path.y).all()
        assert np.all(np.diff(path.t) >= 0.0)
    return None if refused else path


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("n", [1, 2])
def test_extreme_data_are_solved_or_refused(make: Callable[[int, float], Any], n: int) -> None:
    for value in EXTREMES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                objective = make(n, value)
            except InvalidInputError:
                assert value > 1e100 or value < 1e-100
                continue
        assert value < 1e100
        for flow in FLOWS:
            try:
                system = flow(objective)
            except InvalidInputError:
                assert value < 1e-100
                continue
            for start in (np.zeros(n), np.linspace(1.0, 2.0, n), np.full(n, 5e-324)):
                path = solved(system, start)
                if path is not None and flow is SignFlow:
                    assert path.certify(30).ok


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_is_not_finite_is_refused(make: Callable[[int, float], Any]) -> None:
    for value in (np.nan, np.inf, -np.inf):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(InvalidInputError, match=r"must be|must have|must hold"):
                make(2, value)


@pytest.mark.parametrize(
    "value", [None, "abc", "1", [], 3.0, [[1j]], [["1"]], [[1, [2]]], {}, np.zeros((0, 0)), [[None]]]
)
def test_matrices_that_are_none(value: Any) -> None:
    for call in (
        lambda: Quadratic(value),
        lambda: LogisticQuadratic(value, [[1.0]]),
        lambda: LogisticQuadratic([[1.0]], value),
        lambda: RidgeLogistic(value, [1.0], 0.1),
        lambda: SmoothMax(value, [0.0], [[1.0]]),
    ):
        with pytest.raises(InvalidInputError, match=r"^[AQ] must"):
            call()


@pytest.mark.parametrize(
    "value", [None, "abc", "1", [], 3.0, [1j], ["1"], [1, [2]], {}, [None], [[1.0]], [1.0, 2.0]]
)
def test_vectors_that_are_none(value: Any) -> None:
    for call in (
        lambda: Quadratic([[1.0]], "x" if value is None else value),
        lambda: RidgeLogistic([[1.0]], value, 0.1),
        lambda: SmoothMax([[1.0]], value, [[1.0]]),
        lambda: Separable.power([0.0], 2, "x" if value is None else value),
    ):
        with pytest.raises(InvalidInputError, match=r"^(b|y|weights) must"):
            call()


@pytest.mark.parametrize("value", [None, "0.1", "x", 1j, [0.1, 0.2], -1.0, np.nan])
def test_numbers_that_are_none(value: Any) -> None:
    for name, call in {
        "mu": lambda: RidgeLogistic([[1.0]], [1.0], value),
        "tau": lambda: SmoothMax([[1.0]], [0.0], [[1.0]], tau=value),
        "p": lambda: Separable.power([0.0], value),
    }.items():
        with pytest.raises(InvalidInputError, match=f"^{name} must"):
            call()


def test_huge_starts_are_refused_by_name() -> None:
    for flow in FLOWS:
        with pytest.raises(InvalidInputError, match="x0 must be at most"):
            solve(flow(Quadratic([[1.0]])), (0, 1), [1e200])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(FilippovError, match="grad has terms of"):
                solve(flow(Symbolic("x**4")), (0, 1), [1e40])
            with pytest.raises(FilippovError, match="grad is not finite"):
                solve(flow(Symbolic("exp(x)")), (0, 1), [1e10])


def test_minimisers_beyond_double_precision_are_refused() -> None:
    for objective in (Quadratic([[1e-300]], [1e50]), Quadratic(np.diag([5e-324, 1.0]), [1.0, 1.0])):
        with pytest.raises(FilippovError, match="beyond double precision|unbounded below"):
            objective.minimize()


SINGULAR = {
    "all zero": Quadratic(np.zeros((3, 3))),
    "linear": Quadratic(np.zeros((3, 3)), [1.0, 0.0, -2.0]),
    "all equal": Quadratic(np.ones((3, 3)), np.ones(3)),
    "zero row": Quadratic(np.diag([1.0, 2.0, 0.0])),
    "equal rows": RidgeLogistic(np.ones((4, 3)), [1.0, -1.0, 1.0, 1.0], 0.1),
    "zero columns": RidgeLogistic(
        np.column_stack([np.zeros(4), np.arange(4.0), np.zeros(4)]), [1.0, -1.0, 1.0, 1.0], 0.1
    ),
    "no data": RidgeLogistic(np.zeros((4, 3)), [1.0, -1.0, 1.0, 1.0], 0.0),
    "equal pieces": SmoothMax(np.ones((4, 3)), np.zeros(4), np.zeros((3, 3))),
    "zero pieces": SmoothMax(np.zeros((2, 3)), np.zeros(2), np.eye(3)),
    "one piece": SmoothMax(np.array([[1.0, -2.0, 0.0]]), np.zeros(1), np.zeros((3, 3))),
}


@pytest.mark.parametrize("objective", SINGULAR.values(), ids=SINGULAR)
@pytest.mark.parametrize("flow", FLOWS)
def test_zero_and_equal_rows_and_columns(objective: Any, flow: Any) -> None:
    system = flow(objective)
    for start in (np.zeros(3), np.array([1.0, -1.0, 2.0])):
        path = solve(system, (0, 2), start, nonunique="least-norm")
        assert path.certify(40).ok
        values = [objective.value(x) for x in np.asarray(path.sol(np.linspace(0, 2, 21))).T]
        assert np.all(np.diff(values) <= 1e-12)  # steepest descent never rises
        assert system.classify(start).velocity.shape == (3,)


# -- callables --------------------------------------------------------------------------------------------------------

Q = np.array([[2.0, 0.5], [0.5, 1.0]])


def objective(**given: Any) -> Objective:
    fun = given.get("fun", lambda x: 0.5 * x @ Q @ x)
    return Objective(fun, given.get("grad", lambda x: Q @ x), given.get("hess", lambda x: Q), dim=2)


def separable(**given: Any) -> Separable:
    return Separable(
        given.get("value", lambda x: x**2),
        given.get("grad", lambda x: 2 * x),
        given.get("hess", lambda x: 2 + 0 * x),
        dim=2,
    )


MISDEEDS: dict[str, Callable[[Any], Any]] = {
    "raises": lambda v: 1 / 0,
    "None": lambda v: None,
    "text": lambda v: "abc",
    "texts": lambda v: ["1"] * np.size(v),
    "complex": lambda v: v + 1j,
    "nan": lambda v: v * np.nan,
    "short": lambda v: np.ravel(v)[:-1],
    "column": lambda v: v[..., None],
    "dictionary": lambda v: {},
    "ragged": lambda v: [1, [2]],
}


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("misdeed", MISDEEDS)
@pytest.mark.parametrize(
    ("make", "name", "good"),
    [
        (objective, "grad", lambda x: Q @ x),
        (objective, "hess", lambda x: Q),
        (separable, "grad", lambda x: 2 * x),
        (separable, "hess", lambda x: 2 + 0 * x),
    ],
)
def test_callables_that_misbehave_are_named_and_the_part_is_kept(
    make: Callable[..., Any], name: str, good: Any, misdeed: str, flow: Any
) -> None:
    bad = MISDEEDS[misdeed]
    for since in (-1.0, 0.9):  # from the start, and once the first coordinate has come down to 0.9

        def function(x: Any, since: float = since) -> Any:
            value = good(x)
            return bad(value) if since < 0 or x[0] < since else value

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                path = solve(flow(make(**{name: function})), (0, 3), [1.0, -2.0])
            except FilippovError as error:
                refusal: FilippovError | None = error
            else:
                refusal = None
        if refusal is None:
            # A Hessian that this flow asks for only where it does no harm.
            assert name == "hess"
            assert flow in (GradientFlow, NormalizedFlow)
            expected = solve(flow(make()), (0, 3), [1.0, -2.0])
            np.testing.assert_allclose(path.sol(1.0), expected.sol(1.0), atol=1e-6)
            continue
        assert "\n" not in str(refusal)
        # A Hessian of nan is met in the middle of linear algebra, which says so without its name.
        assert name in str(refusal) or misdeed == "nan", str(refusal)
        assert refusal.trajectory is not None
        assert np.isfinite(refusal.trajectory.y).all()


@pytest.mark.parametrize("flow", FLOWS)
def test_a_changed_point_is_refused_and_a_shared_array_is_no_harm(flow: Any) -> None:
    def changing(x: Any) -> Any:
        value = Q @ x
        x *= 2.0
        return value

    with pytest.raises(InvalidInputError, match="grad must not change x in place"):
        solve(flow(objective(grad=changing)), (0, 1), [1.0, -2.0])
    buffer = np.zeros(2)

    def sharing(x: Any) -> Any:
        buffer[:] = Q @ x
        return buffer

    expected = solve(flow(objective()), (0, 1), [1.0, -2.0])
    np.testing.assert_array_equal(solve(flow(objective(grad=sharing)), (0, 1), [1.0, -2.0]).y, expected.y)


def test_a_formula_outside_its_domain_is_an_error_with_the_part() -> None:
    with pytest.raises(FilippovError, match="grad is not finite|not real"):
        solve(SignFlow(Symbolic("sqrt(x) + y**2")), (0, 1), [-1.0, 1.0])
    assert not np.isfinite(Symbolic("sqrt(x)").hess([-1.0])).any()
    with pytest.raises(FilippovError) as caught:
        solve(SignFlow(Symbolic("log(x) + y**2")), (0, 3), [1.0, 0.0])
    assert caught.value.trajectory is not None
    assert caught.value.trajectory.t_end == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "(x+y+z+u+v+w)**200",
        "(x+1)**1000*(y+1)**1000",
        "*".join(f"(x - {i})" for i in range(320)),
        "*".join(f"sin({i}*x + y)" for i in range(70)),
        "max(" + ",".join(f"x{i}" for i in range(17)) + ")",
        "1/(1/(1/(1/(x+1)+1)+1)+1)",
        "sqrt(1+" * 9 + "x" + ")" * 9,
    ],
)
def test_formulas_that_would_fill_the_memory_are_refused_or_bounded(text: str) -> None:
    try:
        found: Symbolic | str = Symbolic(text)
    except InvalidInputError as error:
        found = str(error)
    if isinstance(found, Symbolic):
        assert found.quadratic is None
        assert np.shape(found.hess(np.full(found.dim, 0.1))) == (found.dim, found.dim)
    else:
        assert "too large" in found or "at most 16 arguments" in found


def test_quadratic_formulas_are_still_recognised_in_any_form() -> None:
    for text, hessian in {
        "(x + y)**2 - (x - y)**2": [[0, 4], [4, 0]],
        "(x**2 - y**2)*(1/3) + 1e8*x": [[2 / 3, 0], [0, -2 / 3]],
        "1e-8*(x + 1e4*y)**2 + 3*y": [[2e-8, 2e-4], [2e-4, 2.0]],
        "log(exp(x)) + (y - x)**2": [[2, -2], [-2, 2]],
    }.items():
        found = Symbolic(text).quadratic
        assert found is not None, text
        np.testing.assert_allclose(found.Q, hessian, rtol=1e-14)
    for text in ("x**3 + y", "x**2 + 1e-6*x**3", "exp(1e-4*x) + x**2"):
        assert Symbolic(text).quadratic is None
