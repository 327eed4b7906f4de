"""Normalized flows of dense quadratics in closed form: against arithmetic of 30 digits, and what theory says of any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from numpy.polynomial.chebyshev import chebval
from scipy.sparse import csr_array

from filippov import NonUniqueError, Trajectory, branches, solve
from filippov.arguments import Matrix, Vector
from filippov.pieces import LinearPiece
from flows import L2, Lp, NormalizedFlow, NormFlow, Quadratic, Symbolic, Weighted
from flows.motions.normalized_quadratic import NormalizedQuadraticMotion, _speed_series
from flows.motions.smooth_motion import NormalizedMotion

EPS = float(np.finfo(float).eps)


def rotation(n: int, seed: int) -> Matrix:
    return np.asarray(np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0])


def with_spectrum(curvatures: Any, seed: int) -> Matrix:
    U = rotation(len(curvatures), seed)
    Q = (U * np.asarray(curvatures)) @ U.T
    return np.asarray((Q + Q.T) / 2)


class Reference:
    """x(s) and t(s) of the very floats Q, b, x0, in 30 digits."""

    def __init__(self, Q: Matrix, b: Vector, x0: Vector) -> None:
        mp.mp.dps = 30
        self.x0 = mp.matrix(x0.tolist())
        self.rates, self.V = mp.eigsy(mp.matrix(Q.tolist()))
        self.c = self.V.T * (mp.matrix(Q.tolist()) * self.x0 - mp.matrix(b.tolist()))
        self.known = mp.mpf(0), mp.mpf(0)

    def speed(self, s: Any) -> Any:
        return mp.sqrt(sum((c * mp.exp(-r * s)) ** 2 for c, r in zip(self.c, self.rates, strict=True)))

    def time(self, s: Any) -> Any:
        """Return t(s), from the last s that was asked for on."""
        begin, total = self.known
        ends, step = [begin], max(1 / max(abs(r) for r in self.rates), begin / 3)
        while ends[-1] + step < s:
            ends.append(ends[-1] + step)
            step *= 1.4
        total += mp.quad(self.speed, [*ends, mp.mpf(s)], method="gauss-legendre", maxdegree=5)
        self.known = mp.mpf(s), total
        return total

    def velocity(self, s: Any) -> Vector:
        gradient = [c * mp.exp(-r * s) for c, r in zip(self.c, self.rates, strict=True)]
        return np.array([float(-v / self.speed(s)) for v in self.V * mp.matrix(gradient)])

    def state(self, s: Any) -> Vector:
        covered = [c * (mp.expm1(-r * s) / r if r else -s) for c, r in zip(self.c, self.rates, strict=True)]
        return np.array([float(v) for v in self.x0 + self.V * mp.matrix(covered)])


def path_of(Q: Matrix, b: Any, x0: Any, t_end: float, norm: Any = None, **options: Any) -> Trajectory:
    return solve(NormFlow(Quadratic(Q, b), norm or L2()), (0, t_end), x0, **options)


@pytest.mark.parametrize(
    "curvatures",
    [
        (1.0, 1.5),
        (0.01, 1.0),
        (1e-8, 1.0),
        (1.0, 1.0 + 1e-9),
        (0.1, 0.7, 1.0),
        (1e-4, 1e-2, 1.0),
        (1.0, 1e-8, 1e-8),
        (0.0, 1.0),  # falls for ever along a line
        (0.0, 0.3, 1.0),
        (-1.0, 1.0),
        (-0.5, 0.0, 1.0),
        (-1.0, -0.2, -0.1),
    ],
)
def test_states_and_times_to_thirty_digits(curvatures: tuple[float, ...]) -> None:
    n = len(curvatures)
    Q, random = with_spectrum(curvatures, n), np.random.default_rng(n)
    b, x0 = random.standard_normal(n), random.standard_normal(n)
    if min(curvatures) > 0:
        b = Q @ random.standard_normal(n)
    exact = Reference(Q, b, x0)
    # A gradient is known to its rounding, a state to that over the least curvature, where the path goes so far.
    error = 64 * EPS * max(1.0, 1.0 / min(curvatures) if min(curvatures) > 0 else 1.0)
    flow_times = [0.01, 0.3, 1.0, 3.0, 10.0]
    if min(curvatures) > 0:
        flow_times += [
            0.1 / min(curvatures),
            1.0 / min(curvatures),
            5.0 / min(curvatures),
            25.0 / min(curvatures),
        ]
    times = [exact.time(s) for s in flow_times]
    path = path_of(Q, b, x0, float(max(times)) + 1.0)
    for s, t in zip(flow_times, times, strict=True):
        expected = exact.state(s)
        scale = 1.0 + float(np.abs(expected).max()) + float(t)
        np.testing.assert_allclose(path.sol(float(t)), expected, rtol=0, atol=error * scale)
        if max(curvatures) <= 100 * min(abs(c) for c in curvatures):
            # Where e^-25 of the way is left, the rounding of t is 1e-4 of it, and of what is left of the turn.
            np.testing.assert_allclose(path.velocity(float(t)), exact.velocity(s), atol=1e-11)
    if min(curvatures) > 0:
        assert path.arrival_time == pytest.approx(float(exact.time(100.0 / min(curvatures))), abs=4 * error)
        np.testing.assert_allclose(path.sol(path.t_end), exact.state(100.0 / min(curvatures)), atol=4 * error)
    else:
        assert path.switches == []
    certificate = path.certify(200)
    assert certificate.ok, str(certificate)


def test_an_ill_conditioned_path_does_not_jump_onto_its_minimiser() -> None:
    """The minimiser is known to 1e-4 only; the path goes to the very one that it rests at, and at unit speed."""
    for seed in range(4):
        random = np.random.default_rng(seed)
        Q = with_spectrum([1e-12, 1e-3, 1.0], seed)
        path = path_of(Q, Q @ random.standard_normal(3), random.standard_normal(3), 100.0)
        assert [s.kind for s in path.switches] == ["arrival"]
        certificate = path.certify(50)
        assert certificate.consistent
        assert certificate.defect < 1e-8


def test_steps_too_long_for_the_series_are_seen() -> None:
    """sqrt(1 + e^-2s) has its singularities at +- pi i / 2 and no series on [0, 20]; on [0, 2] it has."""
    rates = np.array([0.0, 1.0])
    assert _speed_series(rates, np.ones(2), 20.0) is None
    series = _speed_series(rates, np.ones(2), 2.0)
    assert series is not None
    u = np.linspace(-1, 1, 50)
    np.testing.assert_allclose(chebval(u, series), np.sqrt(1 + np.exp(-2 * (1 + u))), rtol=1e-14)


@pytest.mark.parametrize("n", [1, 4, 60])
@pytest.mark.parametrize("curvature", [3.0, -2.0, 0.0])
def test_with_one_curvature_the_path_is_one_straight_line(n: int, curvature: float) -> None:
    random = np.random.default_rng(n)
    m, x0 = random.standard_normal(n), random.standard_normal(n)
    if curvature:
        U = rotation(n, 1)
        Q = curvature * (U @ U.T)
        Q = (Q + Q.T) / 2
        path, e = path_of(Q, Q @ m, x0, 50.0), x0 - m
    else:
        path, e = path_of(np.zeros((n, n)), -m, x0, 50.0), m
    distance = float(np.linalg.norm(e))
    towards = -np.sign(curvature or 1.0) * e / distance
    assert all(isinstance(piece, LinearPiece) for segment in path.segments for piece in segment.pieces)
    for t in (0.3, 0.9 * distance):
        np.testing.assert_allclose(path.sol(t), x0 + t * towards, atol=1e-14 * (1 + distance))
    if curvature > 0:
        assert path.arrival_time == pytest.approx(distance, rel=1e-14)
        np.testing.assert_allclose(path.sol(50.0), m, atol=1e-14)
    else:
        np.testing.assert_allclose(path.sol(50.0), x0 + 50.0 * towards, atol=1e-12)


def test_flat_directions_do_not_move_and_the_nearest_minimiser_is_reached() -> None:
    for seed in range(8):
        n, random = 6, np.random.default_rng(seed)
        Q = with_spectrum([0.0, 0.0, 0.0, 0.2, 0.7, 1.0], seed)
        x0 = 3 * random.standard_normal(n)
        b = Q @ random.standard_normal(n)
        path = path_of(Q, b, x0, 40.0)
        assert [s.kind for s in path.switches] == ["arrival"]
        nearest = x0 - np.linalg.pinv(Q, rcond=1e-10) @ (Q @ x0 - b)
        np.testing.assert_allclose(path.sol(40.0), nearest, atol=1e-13)
        assert path.certify(100).ok


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_integrating_motion(seed: int) -> None:
    n, random = 5, np.random.default_rng(seed)
    Q = with_spectrum([np.geomspace(0.05, 1, n), np.linspace(-1, 1, n)][seed % 2], seed)
    f, x0 = Quadratic(Q, random.standard_normal(n)), random.standard_normal(n)
    motion = NormalizedMotion(f, 0.0, x0, 1e-10, 1e-13)
    motion.enter(motion.candidates()[0])
    path = solve(NormalizedFlow(f), (0, 6), x0)
    while motion.t < 6.0 and not motion.at_switch:
        motion.advance(6.0)
        np.testing.assert_allclose(path.sol(motion.t), motion.x, atol=3e-8)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_invariances(n: int) -> None:
    """Rotations, multiples of f, dilations, shifts and later starts carry the path along."""
    random = np.random.default_rng(n)
    Q, m, x0 = (
        with_spectrum(np.geomspace(1e-2, 1, n), n),
        random.standard_normal(n),
        random.standard_normal(n),
    )
    path, U = path_of(Q, Q @ m, x0, 60.0), rotation(n, 99)
    turned = U @ Q @ U.T
    turned = (turned + turned.T) / 2
    others = {
        "rotated": (path_of(turned, U @ (Q @ m), U @ x0, 60.0), lambda x: U.T @ x, 1.0),
        "multiple": (path_of(1e6 * Q, 1e6 * (Q @ m), x0, 60.0), lambda x: x, 1.0),
        "dilated": (path_of(Q, 1e-3 * (Q @ m), 1e-3 * x0, 0.06), lambda x: 1e3 * x, 1e-3),
        "shifted": (path_of(Q, Q @ (m + 1), x0 + 1, 60.0), lambda x: x - 1, 1.0),
    }
    assert path.arrival_time is not None
    for name, (other, back, scale) in others.items():
        assert other.arrival_time == pytest.approx(scale * path.arrival_time, rel=1e-12), name
        for t in np.linspace(0, path.arrival_time, 15):
            np.testing.assert_allclose(back(other.sol(scale * t)), path.sol(t), atol=1e-12, err_msg=name)
    for s in (0.1, 0.5 * path.arrival_time, 0.999 * path.arrival_time):
        rest = solve(NormalizedFlow(Quadratic(Q, Q @ m)), (s, 60.0), path.sol(s))
        assert rest.arrival_time == pytest.approx(path.arrival_time, abs=1e-12)
        for t in np.linspace(s, path.arrival_time, 7):
            np.testing.assert_allclose(rest.sol(t), path.sol(t), atol=1e-12)


def test_weighted_balls_are_the_ball_in_other_units() -> None:
    """y = x / w moves in l2 by W Q W; the Lp norm with p = 2 is the same ball."""
    n, random = 4, np.random.default_rng(0)
    w = np.array([0.5, 2.0, 1.0, 3.0])
    Q, x0, b = (
        with_spectrum(np.geomspace(0.05, 1, n), 3),
        random.standard_normal(n),
        random.standard_normal(n),
    )
    plain = path_of(w[:, None] * Q * w, w * b, x0 / w, 60.0)
    for norm in (Weighted(L2(), w), Weighted(Lp(2), w)):
        path = path_of(Q, b, x0, 60.0, norm)
        assert path.arrival_time == pytest.approx(plain.arrival_time, rel=1e-12)
        for t in np.linspace(0, plain.arrival_time, 9):
            np.testing.assert_allclose(path.sol(t), w * plain.sol(t), atol=1e-12)
            assert np.linalg.norm(path.velocity(t) / w) == pytest.approx(
                float(t < path.arrival_time), abs=1e-12
            )
        assert path.certify(100).ok


@pytest.mark.parametrize("seed", range(6))
def test_rounding_does_not_choose_a_way_out_of_a_saddle(seed: int) -> None:
    """On the stable eigenvectors of a rotated Q the path goes into the saddle: then all ways out are offered."""
    U = rotation(4, seed)
    Q = (U * np.array([-1.0, -0.3, 0.5, 1.0])) @ U.T
    Q = (Q + Q.T) / 2
    x0 = U @ np.array([0.0, 0.0, 1.0, -2.0])
    with pytest.raises(NonUniqueError, match="5 solutions") as caught:
        path_of(Q, None, x0, 20.0)
    before = caught.value.trajectory
    assert before is not None
    np.testing.assert_allclose(before.sol(before.t_end), 0.0, atol=1e-14)
    stays = path_of(Q, None, x0, 20.0, nonunique="least-norm")
    np.testing.assert_allclose(stays.sol(20.0), 0.0, atol=1e-14)
    left = 20.0 - before.t_end
    ends = [path.sol(20.0) for path in branches(NormalizedFlow(Quadratic(Q)), (0, 20), x0)]
    expected = [0 * x0, *(sign * left * U[:, k] for k in (0, 1) for sign in (1, -1))]
    for end in expected:
        assert min(float(np.abs(end - found).max()) for found in ends) < 1e-9
    assert len(ends) == 5


def test_a_saddle_is_passed_where_the_start_says_so() -> None:
    """x(s) = (e^-s, 1e-7 e^s): no closer to 0 than sqrt(2e-7), and away along the second axis."""
    Q = np.diag([1.0, -1.0])
    path = path_of(Q, None, [1.0, 1e-7], 5.0)
    exact = Reference(Q, np.zeros(2), np.array([1.0, 1e-7]))
    for s in (1.0, 8.0, 16.0, 17.0):
        np.testing.assert_allclose(path.sol(float(exact.time(s))), exact.state(s), atol=1e-14)
    assert path.switches == []


@pytest.mark.parametrize(
    ("size", "length"), [(1e-90, 1.0), (1e90, 1.0), (1.0, 1e-90), (1.0, 1e90), (1e60, 1e-90), (1e-60, 1e90)]
)
def test_any_units(size: float, length: float) -> None:
    Q, x0 = with_spectrum([0.1, 0.5, 1.0], 0), np.array([1.0, 2.0, -1.0])
    usual = path_of(Q, None, x0, 10.0)
    path = path_of(size * Q, None, length * x0, 10.0 * length)
    assert path.arrival_time == pytest.approx(length * usual.arrival_time, rel=1e-13)
    np.testing.assert_allclose(path.sol(length) / length, usual.sol(1.0), atol=1e-13)
    np.testing.assert_array_equal(path.sol(10.0 * length), 0.0)


def test_stored_reported_and_cut_paths_are_the_path(tmp_path: Path) -> None:
    n, random = 4, np.random.default_rng(5)
    flow = NormalizedFlow(
        Quadratic(with_spectrum([1e-3, 0.1, 0.5, 1.0], 5), random.standard_normal(n) * 1e-3)
    )
    x0 = random.standard_normal(n)
    path = solve(flow, (0, 40), x0)
    path.save(tmp_path / "path.npz")
    stored = Trajectory.load(tmp_path / "path.npz", flow)
    t = np.linspace(0, 40, 101)
    np.testing.assert_allclose(stored.sol(t), path.sol(t), atol=1e-12)
    inside = t[t < path.arrival_time]
    np.testing.assert_allclose(stored.velocity(inside), path.velocity(inside), atol=1e-9)
    assert stored.certify(200).ok
    np.testing.assert_array_equal(solve(flow, (0, 40), x0, t_eval=t).y, path.sol(t))
    middle = 0.5 * path.arrival_time

    def half_way(t: float, x: Vector) -> float:
        return float(np.linalg.norm(x - path.sol(middle)) - 1e-3)

    half_way.terminal = 1  # type: ignore[attr-defined]
    half_way.direction = -1  # type: ignore[attr-defined]
    cut = solve(flow, (0, 40), x0, events=half_way)
    assert cut.status == 1
    assert cut.t_end == pytest.approx(middle - 1e-3, abs=1e-6)
    np.testing.assert_allclose(cut.sol(cut.t_end), path.sol(cut.t_end), atol=1e-14)
    short = solve(flow, (0, middle), x0)
    np.testing.assert_allclose(short.sol(middle), path.sol(middle), atol=1e-13)


def test_a_path_that_becomes_straight_for_ever_is_stored(tmp_path: Path) -> None:
    flow = NormalizedFlow(Quadratic(np.diag([0.0, 1.0]), [1.0, 0.0]))
    path = solve(flow, (0, 1e4), [0.0, 3.0])
    path.save(tmp_path / "path.npz")
    t = np.linspace(0, 60, 301)
    np.testing.assert_allclose(
        np.asarray(Trajectory.load(tmp_path / "path.npz").sol(t))[1], np.asarray(path.sol(t))[1], atol=1e-13
    )


def test_which_flows_are_in_closed_form() -> None:
    def kind(objective: Any, norm: Any) -> type:
        return type(NormFlow(objective, norm).motion(0.0, np.ones(2), 1.0, 1e-8, 1e-10))

    formula = Symbolic("(x - 1)**2 + x*y + y**2", ["x", "y"])
    for norm in (L2(), Lp(2), Weighted(L2(), [1.0, 2.0])):
        assert kind(Quadratic(np.eye(2)), norm) is NormalizedQuadraticMotion
        assert kind(formula, norm) is NormalizedQuadraticMotion
    assert kind(Quadratic(csr_array(np.eye(2))), L2()) is NormalizedMotion
    assert kind(Symbolic("x**4 + y**2", ["x", "y"]), L2()) is NormalizedMotion
    assert kind(Quadratic(np.eye(2)), Lp(1.5)) is not NormalizedQuadraticMotion


@pytest.mark.parametrize("t", [1e4, 1e8, 1e12, 1e15])
def test_what_dies_out_beside_a_constant_slope_does_not_grow_with_time(t: float) -> None:
    """x1 moves for ever at unit speed, x2 = exp(-s) is gone: rounding times all the time left would bring it back."""
    path = path_of(np.diag([0.0, 1.0]), np.array([1.0, 0.0]), np.array([1.0, 1.0]), t)
    assert abs(float(path.y[1, -1])) < 1e-14
    assert path.certify(20).ok
