"""Dense output: the polynomial of a step, states put back onto surfaces, and user functions asked at many states at once."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import DOP853
from scipy.linalg import expm

from filippov import FilippovError, InvalidInputError, PiecewiseAffine, PiecewiseSmooth, solve
from filippov.switched import piecewise_affine
from filippov.switched.dense_piece import all_settled, settled
from filippov.switched.regime import Regime
from filippov.switched.stepping import stepper
from filippov.switched.surfaces import Surfaces

EPS = np.finfo(float).eps


class Sliding(Regime):
    """Sliding on all surfaces; only what a projection asks for."""

    def __init__(self, surfaces: Surfaces, codimension: int) -> None:
        self.surfaces = surfaces
        self.mode = type("Mode", (), {"codimension": codimension})()

    def kept(self, values):
        return values

    evaluate = gaps = gap_rates = lambda self, *_: None


def sphere_and_cone(t, x):
    return [x @ x - 1.0 - t, x[0] ** 2 + x[1] ** 2 - x[2] ** 2, np.sin(x[3]) - x[0] * x[1]]


def gradients(t, x):
    return np.array([2.0 * x, [2.0 * x[0], 2.0 * x[1], -2.0 * x[2], 0.0], [-x[1], -x[0], 0.0, np.cos(x[3])]])


@pytest.mark.parametrize("codimension", [1, 2, 3])
@pytest.mark.parametrize("given", [True, False], ids=["jac", "differences"])
def test_states_are_moved_onto_curved_surfaces_the_shortest_way(codimension, given):
    def h(t, x):
        return sphere_and_cone(t, x)[:codimension]

    def jac(t, x):
        return gradients(t, x)[:codimension]

    regime = Sliding(Surfaces("h", h, jac if given else None), codimension)
    rng = np.random.default_rng(codimension)
    near = np.array([0.5, -0.5, 0.7, -0.25])[:, None] + 0.03 * rng.normal(size=(4, 12))
    times = np.linspace(0.0, 0.1, 12)
    far = all_settled(regime, times, all_settled(regime, times, near))  # on the surfaces, from afar
    off = 1e-7 * rng.normal(size=far.shape)
    moved = all_settled(regime, times, far + off)
    for k, t in enumerate(times):
        assert np.max(np.abs(h(t, moved[:, k]))) <= 4.0 * EPS
        one = settled(regime, t, far[:, k] + off[:, k])
        np.testing.assert_allclose(one, moved[:, k], atol=4.0 * EPS)
        # What is left of the displacement is its part along the surfaces.
        J = jac(t, far[:, k])
        along = off[:, k] - np.linalg.pinv(J) @ (J @ off[:, k])
        np.testing.assert_allclose(moved[:, k] - far[:, k], along, atol=1e-12)


def test_gradients_that_nearly_agree_are_told_apart():
    slope = 1e-6
    regime = Sliding(
        Surfaces("h", lambda t, x: [x[0], x[0] + slope * x[1]], lambda t, x: [[1.0, 0.0], [1.0, slope]]), 2
    )
    start = np.array([1e-9, 1e-4])
    assert np.max(np.abs(settled(regime, 0.0, start))) <= 1e-9
    assert np.max(np.abs(all_settled(regime, np.zeros(1), start[:, None]))) <= 1e-9


def test_a_state_on_its_surfaces_stays_the_same_array():
    regime = Sliding(Surfaces("h", lambda t, x: x[:1], lambda t, x: [[1.0, 0.0]]), 1)
    x = np.array([0.0, 0.3])
    assert settled(regime, 0.0, x) is x


def states(count):
    return np.linspace(0.0, 1.0, count), np.random.default_rng(0).normal(size=(2, count))


@pytest.mark.parametrize(
    "h",
    [
        lambda t, x: x[0] - t,
        lambda t, x: [x[0] - t],
        lambda t, x: [Fraction(float(x[0])) - Fraction(float(t))],
        lambda t, x: np.array([x[0] - t], dtype=np.longdouble),
    ],
    ids=["number", "list", "fraction", "longdouble"],
)
def test_switching_functions_at_many_states(h):
    times, points = states(5)
    np.testing.assert_array_equal(Surfaces("h", h).along(times, points), points[:1] - times)


def test_a_function_that_fills_one_array_is_asked_at_many_states():
    buffer = np.empty(2)

    def h(t, x):
        buffer[:] = x - t
        return buffer

    times, points = states(5)
    np.testing.assert_array_equal(Surfaces("h", h).along(times, points), points - times)


def test_jacobians_at_many_states():
    times, points = states(5)
    given = Surfaces("h", lambda t, x: [x[0] * x[1], t], lambda t, x: [[x[1], x[0]], [0, 0]])
    found = given.jacobian_along(times, points)
    assert found.shape == (2, 5, 2)
    np.testing.assert_array_equal(found[0], points[::-1].T)
    np.testing.assert_array_equal(found[1], 0.0)
    differenced = Surfaces("h", lambda t, x: [x[0] * x[1], t]).jacobian_along(times, points)
    np.testing.assert_allclose(differenced, found, atol=1e-9)


def turns_bad(answer):
    """Return a function that answers well at first and then not."""

    def h(t, x):
        return [x[0]] if t < 0.5 else answer(x)

    return h


def changes_x(x):
    x[0] += 1.0
    return [x[0]]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (lambda x: [np.nan], FilippovError, "h is not finite on surface 0 at t = 0.5"),
        (lambda x: [x[0], x[1]], InvalidInputError, r"h must return shape \(1,\)"),
        (lambda x: ["1.0"], InvalidInputError, "h must return real numbers"),
        (lambda x: [x[0] + 1j], InvalidInputError, "h must return real numbers"),
        (lambda x: None, InvalidInputError, "h must return"),
        (changes_x, InvalidInputError, "h must not change x in place"),
    ],
    ids=["nan", "two", "text", "complex", "none", "changes x"],
)
def test_a_function_that_turns_bad_is_named(answer, error, words):
    times, points = states(5)
    with pytest.raises(error, match=words):
        Surfaces("h", turns_bad(answer)).along(times, points)


def test_the_dense_output_of_a_step_is_scipys():
    def field(t, x):
        return np.array([x[1], -np.sin(x[0]) + np.cos(t), x[0] * x[2]])

    start, x = 0.3, np.array([0.2, 1.0, 1.0])
    ours = stepper("DOP853", field, start, x, 5.0, 1e-8, 1e-10, 0.4)
    for size in (0.4, 0.3, 0.1):
        ours.h_abs = size
        peer = DOP853(field, ours.t, ours.y, 5.0, rtol=1e-8, atol=1e-10, first_step=size)
        ours.step()
        peer.step()
        assert ours.t == peer.t
        before, made, scipys = ours.evaluations, ours.interpolant(), peer.dense_output()
        assert ours.evaluations == before + 4  # three stages, and one look at the defect
        times = np.linspace(ours.t_old, ours.t, 23)
        together = made(times)
        np.testing.assert_allclose(together, scipys(times), atol=2e-14)
        np.testing.assert_array_equal(np.stack([made(t) for t in times], axis=1), together)
        np.testing.assert_array_equal(made(times[3:8]), together[:, 3:8])


def test_states_at_given_times_are_those_of_the_path():
    def build():
        return PiecewiseSmooth(
            lambda t, x: [x[0] ** 2 + x[1] ** 2 - 1.0],
            {
                (1,): lambda t, x: [-x[1] - x[0], x[0] - x[1]],
                (-1,): lambda t, x: [-x[1] + x[0], x[0] + x[1]],
            },
            jac=lambda t, x: [[2.0 * x[0], 2.0 * x[1]]],
        )

    times = np.linspace(0.0, 7.0, 301)
    reported = solve(build(), (0.0, 7.0), [1.7, 0.0], t_eval=times).y
    path = solve(build(), (0.0, 7.0), [1.7, 0.0])
    np.testing.assert_allclose(path.sol(times), reported, atol=2.0 * EPS)
    sliding = reported[:, times > path.switches[0].t]
    assert sliding.shape[1] > 200
    assert np.max(np.abs(np.sum(sliding**2, axis=0) - 1.0)) <= 4.0 * EPS


@pytest.mark.parametrize("method", ["DOP853", "RK45", "RK23", "Radau", "BDF", "LSODA"])
def test_affine_steps_are_the_same_whatever_the_method(method):
    system = PiecewiseAffine([[0.0, 1.0], [-1.0, 0.0]], [[0.0], [1.2]], [[0.0, 1.0]], d=[-1.0])
    path = solve(system, (0.0, 10.0), [0.0, 0.5], method=method)
    right = solve(system, (0.0, 10.0), [0.0, 0.5])
    assert len(path.switches) == len(right.switches) >= 2
    np.testing.assert_array_equal(path.y, right.y)


@pytest.mark.parametrize("kept", [True, False], ids=["powers kept", "term by term"])
def test_affine_steps_are_matrix_exponentials(monkeypatch, kept):
    if not kept:
        monkeypatch.setattr(piecewise_affine, "KEPT_SIZE", 0)
    rng = np.random.default_rng(3)
    A = rng.normal(size=(5, 5))
    system = PiecewiseAffine(A, np.zeros((5, 1)), np.eye(1, 5), d=[1e3], b=rng.normal(size=5))
    x0, times = rng.normal(size=5), np.linspace(0.0, 2.0, 41)
    path = solve(system, (0.0, 2.0), x0, t_eval=times)
    augmented = np.zeros((6, 6))
    augmented[:5, :5], augmented[:5, 5] = A, system.b
    exact = np.stack([(expm(t * augmented) @ np.append(x0, 1.0))[:5] for t in times], axis=1)
    np.testing.assert_allclose(path.y, exact, rtol=1e-13, atol=1e-13 * np.max(np.abs(exact)))
    np.testing.assert_array_equal(path.sol(times), path.y)
