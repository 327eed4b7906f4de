"""Fields that are defined on their own side of a surface only, roots above all: followed to the surface, along it and across."""

from __future__ import annotations

import numpy as np
import pytest

from filippov import ChatteringError, FilippovError, PiecewiseSmooth, from_sympy, solve


@pytest.mark.parametrize("power", ["1/2", "1/3", "2/3"])
def test_a_root_of_the_distance_reaches_its_surface_in_finite_time(power: str) -> None:
    """x' = -(x^p + 1/10) from 1: the time is an integral, and x rests at 0 from then on."""
    p = {"1/2": 0.5, "1/3": 1.0 / 3.0, "2/3": 2.0 / 3.0}[power]
    u = (np.arange(400_000) + 0.5) / 400_000
    time = np.mean(4.0 * u**3 / (u ** (4.0 * p) + 0.1))  # x = u^4
    path = solve(from_sympy([f"-sign(x)*(Abs(x)**({power}) + 0.1)"], ["x"]), (0.0, 4.0), [1.0])
    assert [s.kind for s in path.switches] == ["arrival"]
    assert path.switches[0].t == pytest.approx(time, abs=1e-7)


def test_roots_on_both_sides_are_slid_between() -> None:
    """x' = sqrt(-x) + 1 below and -sqrt(x) - y above slide on x = 0 with u = (1 - y)/(1 + y) until y = 0, and rise then."""
    system = from_sympy(["Piecewise((-sqrt(x) - y, x > 0), (sqrt(-x) + 1, True))", "-1"], ["x", "y"])
    path = solve(system, (0.0, 2.0), [-0.25, 1.0])
    entry = 2.0 * (0.5 - np.log(1.5))  # the time of x' = sqrt(-x) + 1 from -1/4
    assert [s.kind for s in path.switches] == ["sliding-entry", "sliding-exit"]
    assert path.switches[0].t == pytest.approx(entry, abs=1e-8)
    assert path.switches[1].t == pytest.approx(1.0, abs=1e-8)
    assert path.y[0, -1] > 0.1


@pytest.mark.parametrize(("a", "b"), [(1.5, 1.1), (1.8, 1.1), (1.0, 2.0)])
def test_super_twisting_arrives(a: float, b: float) -> None:
    """x' = -a sqrt|x| sgn x + y, y' = -b sgn x: y at the crossings, and the times between, shrink by one ratio."""
    read = from_sympy([f"-{a}*sqrt(Abs(x))*sign(x) + y", f"-{b}*sign(x)"], ["x", "y"])
    given = PiecewiseSmooth(
        lambda t, x: x[:1],
        {s: (lambda t, x, s=s: np.array([-a * s * np.sqrt(abs(x[0])) + x[1], -b * s])) for s in (1, -1)},
    )
    with pytest.raises(ChatteringError):
        solve(read, (0.0, 20.0), [1.0, 0.5])
    for system in (read, given):
        path = solve(system, (0.0, 20.0), [1.0, 0.5], chattering="accumulate", rtol=1e-10, atol=1e-12)
        times = np.array([s.t for s in path.switches])
        heights = np.array([s.x[1] for s in path.switches])
        ratio = -heights[1] / heights[0]
        np.testing.assert_allclose(-heights[2:4] / heights[1:3], ratio, rtol=1e-5)
        assert path.switches[-1].kind == "arrival"
        limit = times[0] + (times[1] - times[0]) / (1.0 - ratio)
        assert path.arrival_time == pytest.approx(limit, abs=1e-6)
        np.testing.assert_allclose(path.y[:, -1], 0.0, atol=1e-12)


@pytest.mark.parametrize("rtol", [1e-8, 1e-10])
def test_super_twisting_without_turns_arrives_too(rtol: float) -> None:
    """With a^2 >= 8 b the origin is reached along sqrt|x|, after one crossing."""
    system = from_sympy(["-2*sqrt(Abs(x))*sign(x) + y", "-0.5*sign(x)"], ["x", "y"])
    path = solve(system, (0.0, 20.0), [1.0, 0.5], rtol=rtol, atol=1e-2 * rtol)
    assert path.switches[0].kind == "crossing"
    assert path.switches[-1].kind == "arrival"
    # From (0, -y0) on x is 4 b^2 times the square of y: y = -y0 + b s reaches 0 at s = y0/b.
    height = -path.switches[0].x[1]
    assert path.switches[-1].t - path.switches[0].t == pytest.approx(2.0 * height, abs=1e-7)


def test_a_field_that_is_not_defined_where_it_is_needed_is_still_named() -> None:
    with pytest.raises(FilippovError, match=r"rhs .* is not real and finite at t = .*domain error"):
        solve(from_sympy(["-sign(y) - 1", "sqrt(x)"], ["x", "y"]), (0.0, 4.0), [1.0, 1.0])
