"""Single changes of the polyline's motion, found by mutation: what it carries from vertex to vertex is what it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from filippov import solve
from filippov.errors import FilippovError
from filippov.programs import tableau
from flows import GreedyFlow, Quadratic, SignFlow
from flows.motions.linear_motion import LinearMotion

FLOWS = pytest.mark.parametrize("flow", [SignFlow, GreedyFlow])


def quadratic(n: int, seed: int) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    U, _ = np.linalg.qr(random.standard_normal((n, n)))
    Q = (U * np.geomspace(1.0, 0.02, n)) @ U.T
    return (Q + Q.T) / 2.0, random.standard_normal(n), random.standard_normal(n)


def moving(flow: Any, H: Any, b: Any, x0: Any, t0: float, t1: float) -> LinearMotion:
    motion = flow(Quadratic(H, b)).motion(t0, x0, t1, 1e-8, 1e-10)
    assert isinstance(motion, LinearMotion)
    return motion


@FLOWS
@pytest.mark.parametrize("held", [False, True])
def test_a_motion_carries_what_it_stands_for(flow: Any, held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each vertex the gradient and its rate are those of x and v, and x is on its surfaces, to the rounding of one switch."""
    if held:
        monkeypatch.setattr(tableau, "HELD_FROM", 1)
        monkeypatch.setattr(tableau, "HELD", 6)
    n, t0, t1 = 40, 3.0, 3000.0
    H, b, x0 = quadratic(n, 2)
    motion = moving(flow, H, b, x0, t0, t1)
    rounding = 1e-14 * np.abs(x0).max()
    drift = (30.0 if held else 1.0) * rounding  # between refinements g and x are carried along
    vertices = 0
    while motion.t < t1:
        (candidate,) = motion.candidates()
        motion.enter(candidate)
        t, x, v, face = motion.t, motion.x, motion.v, motion.face
        assert face is not None
        g = H @ x - b
        np.testing.assert_allclose(motion.g, g, rtol=0, atol=drift)
        np.testing.assert_allclose(motion.rate, H @ v, rtol=0, atol=1e-12)
        if flow is SignFlow:
            assert np.abs(v).max() <= 1.0 + 1e-14
            assert np.abs(g[face.members]).max(initial=0.0) <= drift
        elif not face.mode.resting:
            assert np.abs(v).sum() == pytest.approx(1.0, abs=1e-12)
            assert np.ptp(np.abs(g[face.members])) <= drift
            assert np.abs(g).max() <= np.abs(g[face.members]).max() + drift
        piece = motion.advance(t1)
        assert piece is not None
        assert (piece.t0, piece.t1) == (t, motion.t)
        np.testing.assert_array_equal(piece.v, v if not held else piece.v)
        np.testing.assert_allclose(motion.x, x + (motion.t - t) * piece.v, rtol=0, atol=drift)
        if motion.at_switch:
            vertices += 1
            assert motion.on.any()
    assert vertices > 25
    assert motion.face is not None
    assert motion.face.mode.resting
    np.testing.assert_allclose(motion.x, np.linalg.solve(H, b), rtol=0, atol=1e-12)


@FLOWS
def test_a_motion_stopped_on_its_way_is_where_the_time_says(flow: Any) -> None:
    H, b, x0 = quadratic(5, 4)
    whole = moving(flow, H, b, x0, 1.0, 9.0)
    parts = moving(flow, H, b, x0, 1.0, 9.0)
    (candidate,) = whole.candidates()
    whole.enter(candidate)
    parts.enter(parts.candidates()[0])
    whole.advance(9.0)
    assert whole.at_switch
    for share in (0.25, 0.75):
        t = 1.0 + share * (whole.t - 1.0)
        piece = parts.advance(t)
        assert not parts.at_switch
        assert piece is not None
        assert parts.t == piece.t1 == t
        np.testing.assert_allclose(parts.x, x0 + (t - 1.0) * candidate.velocity, rtol=0, atol=1e-15)
        np.testing.assert_allclose(parts.g, H @ parts.x - b, rtol=0, atol=1e-15)
    parts.advance(9.0)
    assert parts.at_switch
    assert parts.t == pytest.approx(whole.t, abs=1e-14)
    np.testing.assert_array_equal(parts.on, whole.on)


def test_a_state_far_from_its_surface_is_refused() -> None:
    """A correction is rounding times the condition; one of more than 1e-5 of the state says that digits are lost."""
    H, b = np.diag([1.0, 2.0]), np.zeros(2)
    for off, refused in ((1e-7, False), (1e-4, True), (-1e-4, True)):
        motion = moving(SignFlow, H, b, np.array([1.0, 0.0]), 0.0, 9.0)
        (candidate,) = motion.candidates()
        motion.x = np.array([1.0, off])
        motion.g = H @ motion.x
        if refused:
            with pytest.raises(FilippovError, match="too ill-conditioned"):
                motion.enter(candidate)
        else:
            motion.enter(candidate)
            np.testing.assert_allclose(motion.x, [1.0, 0.0], atol=1e-15)
            np.testing.assert_allclose(motion.g, [1.0, 0.0], atol=1e-15)


def test_a_run_that_fails_before_it_starts_has_certified_nothing() -> None:
    class Unable(SignFlow):
        def motion(self, *args: Any, **options: Any) -> Any:
            raise FilippovError("not today")

    with pytest.raises(FilippovError, match="not today") as caught:
        solve(Unable(Quadratic(np.eye(2))), (0.0, 1.0), [1.0, 2.0])
    path = caught.value.trajectory
    assert path is not None
    assert not path.certified
    assert (path.nfev, path.njev, path.status) == (0, 0, -1)
    np.testing.assert_array_equal(path.y, [[1.0], [2.0]])
