"""Norm flows as systems: faces, Filippov sets, kinds of points, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from filippov import FilippovError, InvalidInputError, solve
from flows import (
    L2,
    GradientFlow,
    GreedyFlow,
    LInf,
    NormalizedFlow,
    NormFlow,
    Objective,
    Quadratic,
    SignFlow,
    Symbolic,
    Weighted,
)

ALL = pytest.mark.parametrize("flow", [SignFlow, GreedyFlow, NormalizedFlow, GradientFlow])


def corners(convex_set: Any) -> list[list[float]]:
    return sorted([round(float(a), 12) + 0.0 for a in v] for v in convex_set.vertices())


def test_faces_of_the_box_and_the_diamond() -> None:
    f = Quadratic(np.eye(2))
    assert corners(SignFlow(f).face([1.0, -2.0])) == [[-1, 1]]
    assert corners(SignFlow(f).face([0.0, -2.0])) == [[-1, 1], [1, 1]]
    assert corners(SignFlow(f).face([0.0, 0.0])) == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    assert corners(GreedyFlow(f).face([1.0, -2.0])) == [[0, 1]]
    assert corners(GreedyFlow(f).face([2.0, -2.0])) == [[-1, 0], [0, 1]]
    assert corners(GreedyFlow(f).face([0.0, 0.0])) == [[-1, 0], [0, -1], [0, 1], [1, 0]]
    ball = NormalizedFlow(f).face([0.0, 0.0])
    assert ball.support(np.array([0.6, 0.8])) == pytest.approx(1.0)
    np.testing.assert_allclose(NormalizedFlow(f).face([3.0, 4.0]).project(np.zeros(2)), [-0.6, -0.8])


def test_the_filippov_set_is_smaller_where_the_hessian_is_singular() -> None:
    f = Quadratic([[1.0, 2.0], [2.0, 4.0]])  # (x1 + 2 x2)^2 / 2
    assert corners(GreedyFlow(f).filippov_set([0.0, 0.0])) == [[0, -1], [0, 1]]
    assert corners(SignFlow(f).filippov_set([0.0, 0.0])) == [[-1, -1], [1, 1]]
    assert len(corners(SignFlow(f).face([0.0, 0.0]))) == 4
    assert len(corners(GreedyFlow(f).face([0.0, 0.0]))) == 4


@pytest.mark.parametrize(
    ("flow", "text", "variables", "x", "expected"),
    [
        (GreedyFlow, "x + y + x**3", ["x", "y"], [0.0, 0.0], [[-1, 0]]),
        (GreedyFlow, "x + y + x**4", ["x", "y"], [0.0, 0.0], [[-1, 0], [0, -1]]),
        (SignFlow, "x**3/3", ["x"], [0.0], [[-1]]),
        (SignFlow, "x**4", ["x"], [0.0], [[-1], [1]]),
    ],
)
def test_higher_order_decides_where_the_hessian_vanishes(
    flow: Any, text: str, variables: list[str], x: list[float], expected: list[list[float]]
) -> None:
    assert corners(flow(Symbolic(text, variables)).filippov_set(x)) == expected


def test_with_a_regular_hessian_both_sets_coincide() -> None:
    f = Quadratic([[2.0, 0.5], [0.5, 1.0]])
    for flow in (SignFlow(f), GreedyFlow(f)):
        assert corners(flow.filippov_set([0.0, 0.0])) == corners(flow.face([0.0, 0.0]))


def test_open_ties_depend_on_the_tie_break() -> None:
    flow = GreedyFlow(Quadratic([[1.0, 1.0], [1.0, 1.0]]))
    assert corners(flow.filippov_set([1.0, 1.0], ties="first")) == [[-1, 0]]
    assert corners(flow.filippov_set([1.0, 1.0], ties="last")) == [[0, -1]]
    assert corners(flow.filippov_set([1.0, 1.0], ties="set")) == [[-1, 0], [0, -1]]


@pytest.mark.parametrize(
    ("Q", "b", "x", "kind", "codimension"),
    [
        (np.eye(2), [0, 0], [1.0, 2.0], "smooth", 0),
        (np.eye(2), [0, 0], [0.0, 2.0], "sliding", 1),
        (np.eye(2), [0, 0], [0.0, 0.0], "equilibrium", 2),
        ([[9, 4], [4, 2]], [0, 0], [2.0, -4.0], "crossing", 1),
        ([[4, 2], [2, 2]], [0, 0], [2.0, -2.0], "tangency", 1),
        ([[1, 0], [0, -1]], [0, 0], [1.0, 0.0], "repelling", 1),
    ],
)
def test_kinds_of_points(Q: Any, b: Any, x: list[float], kind: str, codimension: int) -> None:
    found = SignFlow(Quadratic(Q, b)).classify(x)
    assert (found.kind, found.codimension) == (kind, codimension)
    if kind == "repelling":
        assert sorted(v[1] for v in found.velocities) == [-1, 0, 1]
        assert found.velocity[1] == 0.0


def test_kinds_of_points_for_the_other_flows() -> None:
    f = Quadratic(np.eye(2))
    assert GreedyFlow(f).classify([1.0, 2.0]).kind == "smooth"
    tie = GreedyFlow(f).classify([2.0, -2.0])
    assert (tie.kind, tie.codimension, tie.surfaces) == ("sliding", 1, (0, 1))
    np.testing.assert_allclose(tie.velocity, [-0.5, 0.5])
    assert NormalizedFlow(f).classify([1.0, 0.0]).kind == "smooth"
    assert NormalizedFlow(f).classify([0.0, 0.0]).kind == "equilibrium"
    assert NormalizedFlow(Quadratic(np.diag([1.0, -1.0]))).classify([0.0, 0.0]).kind == "nonunique"
    assert GradientFlow(f).classify([0.0, 0.0]).kind == "equilibrium"


@ALL
def test_points_are_checked(flow: Any) -> None:
    system = flow(Quadratic(np.eye(2)))
    for call in (system.filippov_set, system.classify, system.gradient):
        for x in ([1.0], [1.0, np.nan], "ab", [[1.0, 2.0]]):
            with pytest.raises(InvalidInputError, match="x must be"):
                call(x)
    broken = flow(Objective(lambda x: 0.0, lambda x: np.full(2, np.nan), lambda x: np.eye(2), dim=2))
    with pytest.raises(FilippovError, match="grad is not finite"):
        broken.classify([0.0, 0.0])


@ALL
def test_objectives_are_checked(flow: Any) -> None:
    with pytest.raises(InvalidInputError, match="objective"):
        flow(lambda x: x)


def test_what_has_no_flow_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="Q must be symmetric"):
        Quadratic([[1.0, 2.0], [0.0, 1.0]])
    with pytest.raises(InvalidInputError, match="norm"):
        NormFlow(Quadratic(np.eye(2)), "linf")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="norm must have 2 weights"):
        NormFlow(Quadratic(np.eye(2)), Weighted(LInf(), [1.0, 2.0, 3.0]))


@ALL
def test_field_is_the_velocity_off_the_surfaces(flow: Any) -> None:
    system = flow(Quadratic([[2.0, 0.3], [0.3, 1.0]]))
    x = np.array([1.0, -0.4])
    path = solve(system, (0, 0.1), x)
    np.testing.assert_allclose(system.field(0.0, x), path.velocity(0.0), atol=1e-12)
    np.testing.assert_allclose(system.classify(x).velocity, path.velocity(0.0), atol=1e-12)


def test_names() -> None:
    f = Quadratic(np.eye(2))
    assert repr(SignFlow(f)).startswith("SignFlow(")
    assert repr(NormFlow(f, L2())).startswith("NormFlow(")
