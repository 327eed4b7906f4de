"""The flows in l_p and in weighted l_2: closed forms, invariances, and what holds for every norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad

from filippov import InvalidInputError, solve
from filippov.arguments import Matrix, Vector
from filippov.programs.tableau import SelectionError
from flows import L2, LInf, LogisticQuadratic, Lp, NormalizedFlow, NormFlow, Quadratic, Weighted
from flows.motions.dual_collocation import duality_map

TIGHT = {"rtol": 1e-12, "atol": 1e-13}


def definite(n: int, seed: int) -> Matrix:
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    Q = (basis * np.geomspace(0.05, 1, n)) @ basis.T
    return (Q + Q.T) / 2


class Identity:
    """f = |x - m|^2 / 2, e = x - m: |e_i|^(2-q) falls at the same rate 2 - q in u for all i, and dt/du = ||e||_q^(q-1)."""

    def __init__(self, p: float, e0: Vector) -> None:
        self.q, self.e0 = p / (p - 1), e0

    def sizes(self, u: float) -> Vector:
        left = np.abs(self.e0) ** (2 - self.q) - (2 - self.q) * u
        return np.maximum(left, 0.0) ** (1 / (2 - self.q))

    def speed(self, u: float) -> float:
        e = self.sizes(u)
        return float(np.sum(e**self.q) ** ((self.q - 1) / self.q))

    def time(self, u: float) -> float:
        """Integrate, in parts between the times at which components come to zero."""
        ends = [0.0, *sorted(a for a in self.extinctions() if a < u), u]
        return sum(
            quad(self.speed, a, b, epsabs=1e-14, epsrel=1e-13, limit=400)[0]
            for a, b in zip(ends, ends[1:], strict=False)
        )

    def extinctions(self) -> list[float]:
        return list(np.abs(self.e0) ** (2 - self.q) / (2 - self.q)) if self.q < 2 else []


@pytest.mark.parametrize("p", [1.3, 1.7, 2.5, 5.0])
def test_closed_form_of_a_distance(p: float) -> None:
    e0, m = np.array([1.3, -0.4, 2.1]), np.array([0.5, -1.0, 0.25])
    exact = Identity(p, e0)
    path = solve(NormFlow(Quadratic(np.eye(3), m), Lp(p)), (0, 20), m + e0, **TIGHT)
    for u in np.linspace(0.1, 0.95 * max(exact.extinctions(), default=2.0), 9):
        e = np.asarray(path.sol(exact.time(float(u)))) - m
        np.testing.assert_allclose(e, np.sign(e0) * exact.sizes(float(u)), rtol=0, atol=1e-10)
    assert [s.kind for s in path.switches] == ["arrival"]
    if exact.q < 2:  # the components come to zero one after the other, the last one is the arrival
        assert path.arrival_time == pytest.approx(exact.time(max(exact.extinctions())), abs=1e-10)
        for u in exact.extinctions():
            late = np.asarray(path.sol(exact.time(u) + 1e-9)) - m
            assert np.all(np.abs(late[np.isclose(exact.extinctions(), u)]) <= 1e-13)
    np.testing.assert_allclose(path.sol(20.0), m, rtol=0, atol=1e-14)
    assert path.certify(100).ok


@pytest.mark.parametrize("p", [1.5, 2.0, 3.0, pytest.param(10.0, marks=pytest.mark.slow)])
def test_unit_speed_descent_arrival_and_certificate(p: float) -> None:
    rng = np.random.default_rng(1)
    norm, Q, target = Lp(p), definite(3, 2), rng.standard_normal(3)
    f, x0 = Quadratic(Q, Q @ target), 2 * rng.standard_normal(3)
    path = solve(NormFlow(f, norm), (0, 100), x0)
    assert path.arrival_time is not None
    assert path.arrival_time >= norm.value(x0 - target)
    np.testing.assert_allclose(path.sol(100.0), target, rtol=0, atol=1e-12)
    times = np.linspace(0, 0.99 * path.arrival_time, 30)
    for t, v in zip(times, np.asarray(path.velocity(times)).T, strict=True):
        g = f.grad(path.sol(t))
        assert norm.value(v) == pytest.approx(1, abs=1e-12)
        assert g @ v == pytest.approx(-norm.dual.value(g), rel=1e-9)  # d/dt f
    certificate = path.certify(150)
    assert certificate.ok
    assert certificate.inclusion <= 1e-8


def test_p_two_is_the_normalized_flow() -> None:
    f = LogisticQuadratic(np.random.default_rng(2).standard_normal((6, 3)), 0.3 * np.eye(3))
    start, t = [1.0, -2.0, 1.5], np.linspace(0, 4, 50)
    one, two = (solve(flow, (0, 4), start, **TIGHT) for flow in (NormFlow(f, Lp(2)), NormalizedFlow(f)))
    np.testing.assert_allclose(one.sol(t), two.sol(t), rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", [L2(), Lp(1.5), Lp(3)], ids=repr)
def test_weights_are_a_change_of_coordinates(norm: Any) -> None:
    """In x = w z the flow of f in the weighted ball is that of f(w z) in the plain one."""
    w, Q = np.array([0.5, 2.0, 1.0]), definite(3, 3)
    b, x0, t = np.array([0.3, -0.2, 0.1]), np.array([2.0, 1.0, -1.5]), np.linspace(0, 30, 40)
    path = solve(NormFlow(Quadratic(Q, b), Weighted(norm, w)), (0, 30), x0, **TIGHT)
    scaled = solve(NormFlow(Quadratic(w[:, None] * Q * w, w * b), norm), (0, 30), x0 / w, **TIGHT)
    assert path.arrival_time == pytest.approx(scaled.arrival_time, abs=1e-9)
    np.testing.assert_allclose(path.sol(t), w[:, None] * scaled.sol(t), rtol=0, atol=1e-8)
    assert path.certify(60).ok


def test_permuted_and_reflected_problems() -> None:
    Q, x0 = definite(3, 4), np.array([2.0, -1.0, 0.5])
    order, signs, t = np.array([2, 0, 1]), np.array([1.0, -1.0, -1.0]), np.linspace(0, 10, 30)
    turned = (signs[:, None] * Q * signs)[np.ix_(order, order)]
    for p in (1.5, 3.0):
        path = solve(NormFlow(Quadratic(Q), Lp(p)), (0, 10), x0, **TIGHT)
        other = solve(NormFlow(Quadratic(turned), Lp(p)), (0, 10), (signs * x0)[order], **TIGHT)
        np.testing.assert_allclose(other.sol(t), (signs[:, None] * path.sol(t))[order], rtol=0, atol=1e-9)


def test_large_p_is_nearly_the_sign_flow() -> None:
    Q, x0, t = definite(3, 5), np.array([2.0, -1.0, 0.5]), np.linspace(0, 3, 60)
    sign = solve(NormFlow(Quadratic(Q), LInf()), (0, 3), x0).sol(t)
    apart = [
        float(np.abs(solve(NormFlow(Quadratic(Q), Lp(p)), (0, 3), x0).sol(t) - sign).max())
        for p in (8.0, 32.0)
    ]
    assert apart[1] < 0.4 * apart[0]  # |v| is between 1 and n^(1/p) of it: first order in 1/p
    assert apart[1] < 0.1


def test_collocation_agrees_with_the_explicit_pair() -> None:
    """Just above and just below p = 2 two different integrators are at work; the flow is continuous in p."""
    f = LogisticQuadratic(np.random.default_rng(5).standard_normal((6, 3)), 0.3 * np.eye(3))
    t, step = np.linspace(0, 2, 30), 1e-4
    low, high = (
        solve(NormFlow(f, Lp(2 + s)), (0, 2), [1.0, -2.0, 1.5], **TIGHT).sol(t) for s in (-step, step)
    )
    middle = solve(NormFlow(f, Lp(2)), (0, 2), [1.0, -2.0, 1.5], **TIGHT).sol(t)
    assert np.abs(high - low).max() > 1e-6  # the comparison can tell
    np.testing.assert_allclose((low + high) / 2, middle, rtol=0, atol=1e-7)


def test_duality_maps_are_inverse() -> None:
    for p in (1.2, 2.0, 5.0):
        for scale in (1e-200, 1.0, 1e200):
            y = scale * np.array([3.0, 0.0, -1e-3, 0.5])
            z, size = duality_map(y, p / (p - 1))
            back, length = duality_map(z, p)
            np.testing.assert_allclose(back, y, rtol=1e-12)
            assert size == pytest.approx(length, rel=1e-13)
            assert y @ (z / scale) == pytest.approx(size * (size / scale), rel=1e-13)


def test_points_and_saddles() -> None:
    flow = NormFlow(Quadratic(np.eye(2)), Lp(3))
    assert flow.classify([1.0, 2.0]).kind == "smooth"
    assert flow.classify([0.0, 0.0]).kind == "equilibrium"
    assert flow.filippov_set([0.0, 0.0]).support([1.0, 1.0]) == pytest.approx(
        Lp(1.5).value([1, 1]), rel=1e-12
    )
    np.testing.assert_allclose(flow.field(0.0, np.array([1.0, 0.0])), [-1.0, 0.0])
    with pytest.raises(SelectionError, match="the ways to leave in l_3 are not known"):
        NormFlow(Quadratic(np.diag([1.0, -1.0])), Lp(3)).classify([0.0, 0.0])
    with pytest.raises(InvalidInputError, match="norm must have 2 weights, got 3"):
        NormFlow(Quadratic(np.eye(2)), Weighted(Lp(3), [1.0, 1.0, 1.0]))
