"""Sliding on two and more surfaces: the three selections against closed forms, and relays with nonsymmetric matrices."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import mpmath as mp
import numpy as np
import pytest
from classical_systems import SYSTEMS
from numpy.typing import NDArray
from rational_algebra import rational_matrix, rational_vector, solve_linear

from filippov import PiecewiseSmooth, Relay, Stewart, solve

Vector = NDArray[np.float64]

PATTERNS = list(product((-1, 1), repeat=2))
# Normal rates that all point inwards, and a third rate that is no affine function of the signs.
INWARD = {(-1, -1): (3, 2), (-1, 1): (2, -1), (1, -1): (-1, 3), (1, 1): (-2, -4)}
THIRD = {(-1, -1): 0, (-1, 1): 1, (1, -1): -2, (1, 1): 5}
SELECTIONS = ("multilinear", "moments", "hull-least-norm")


def corner(rates: dict[tuple[int, ...], tuple[float, ...]], selection: str) -> PiecewiseSmooth:
    """Return a system with constant fields in the 2^k orthants of the first k coordinates."""
    k = len(next(iter(rates)))
    fields = {s: (lambda t, x, v=v: np.array(v, dtype=float)) for s, v in rates.items()}
    return PiecewiseSmooth(
        lambda t, x: x[:k], fields, jac=lambda t, x: np.eye(k, x.size), selection=selection
    )


def full(third: dict[tuple[int, ...], int]) -> dict[tuple[int, ...], tuple[float, ...]]:
    return {s: (*INWARD[s], third[s]) for s in PATTERNS}


def velocity(selection: str, third: dict[tuple[int, ...], int]) -> Vector:
    found = corner(full(third), selection).classify(np.zeros(3))
    assert (found.kind, found.codimension) in {("sliding", 2), ("equilibrium", 2)}
    np.testing.assert_allclose(found.velocity[:2], 0.0, atol=1e-13)
    return found.velocity


def test_multilinear_solves_the_two_bilinear_equations() -> None:
    def balance(a: float, b: float) -> list[float]:
        w = {s: (a if s[0] > 0 else 1 - a) * (b if s[1] > 0 else 1 - b) for s in PATTERNS}
        return [sum(w[s] * INWARD[s][i] for s in PATTERNS) for i in (0, 1)]

    a, b = mp.findroot(balance, (0.5, 0.5))
    expected = sum((a if s[0] > 0 else 1 - a) * (b if s[1] > 0 else 1 - b) * THIRD[s] for s in PATTERNS)
    assert velocity("multilinear", THIRD)[2] == pytest.approx(float(expected), abs=1e-13)


def test_moments_solve_their_linear_system() -> None:
    rates = np.array([INWARD[s] for s in PATTERNS], dtype=float)
    signs = np.array([s[0] * s[1] for s in PATTERNS])
    system = np.vstack([rates.T, signs * np.linalg.norm(rates, axis=1), np.ones(4)])
    weights = np.linalg.solve(system, [0, 0, 0, 1])
    assert np.all(weights > 0)
    assert velocity("moments", THIRD)[2] == pytest.approx(weights @ [THIRD[s] for s in PATTERNS], abs=1e-13)


def family(third: dict[tuple[int, ...], int]) -> tuple[Fraction, Fraction]:
    """Return the exact range of the third rate over all convex weights tangent to both surfaces."""
    ends = []
    for left_out in range(4):  # vertices of the segment of weights: one of the four is zero
        kept = [s for i, s in enumerate(PATTERNS) if i != left_out]
        rows = [[INWARD[s][0] for s in kept], [INWARD[s][1] for s in kept], [1, 1, 1]]
        weights = solve_linear(rational_matrix(rows), rational_vector([0, 0, 1]))
        if all(w >= 0 for w in weights):
            ends.append(sum(w * third[s] for w, s in zip(weights, kept, strict=True)))
    return Fraction(min(ends)), Fraction(max(ends))


@pytest.mark.parametrize("shift", [-4, -1, 0, 1, 4])
def test_hull_least_norm_is_the_nearest_point_of_the_family(shift: int) -> None:
    third = {s: value + shift for s, value in THIRD.items()}
    low, high = family(third)
    nearest = min(max(Fraction(0), low), high)
    assert velocity("hull-least-norm", third)[2] == pytest.approx(float(nearest), abs=1e-9)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_every_selection_lies_in_the_family(selection: str) -> None:
    low, high = family(THIRD)
    assert float(low) - 1e-9 <= velocity(selection, THIRD)[2] <= float(high) + 1e-9
    assert low < high


def test_selections_differ_where_the_family_is_more_than_a_point() -> None:
    found = [velocity(selection, THIRD)[2] for selection in SELECTIONS]
    assert min(abs(a - b) for i, a in enumerate(found) for b in found[:i]) > 1e-3


def test_selections_agree_where_the_family_is_a_point() -> None:
    """A third rate that is an affine function of the two normal rates leaves nothing to choose."""
    third = {s: 2 * INWARD[s][0] - 3 * INWARD[s][1] + 1 for s in PATTERNS}
    for selection in SELECTIONS:
        assert velocity(selection, third)[2] == pytest.approx(1.0, abs=1e-9)


def test_selections_agree_for_one_surface() -> None:
    for selection in SELECTIONS:
        found = corner({(1,): (-1, 4), (-1,): (3, 0)}, selection).classify(np.zeros(2))
        assert found.velocity == pytest.approx([0.0, 3.0])


@pytest.mark.parametrize("seed", range(5))
def test_multilinear_on_three_surfaces_is_the_relay_where_affine(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gain = np.eye(4, 3) + 0.25 * rng.uniform(-1, 1, (4, 3))
    drift = 0.4 * rng.uniform(-1, 1, 4)
    rates = {s: tuple(drift - gain @ np.array(s)) for s in product((-1, 1), repeat=3)}
    relay = Relay(lambda t, x: drift, lambda t, x: gain, lambda t, x: x[:3], jac=lambda t, x: np.eye(3, 4))
    a, b = corner(rates, "multilinear").classify(np.zeros(4)), relay.classify(np.zeros(4))
    assert a.codimension == b.codimension == 3
    u = np.linalg.solve(gain[:3], drift[:3])
    np.testing.assert_allclose(b.velocity, drift - gain @ u, atol=1e-13)
    np.testing.assert_allclose(a.velocity, b.velocity, atol=1e-12)


@pytest.mark.parametrize("flips", list(product((-1, 1), repeat=2)))
@pytest.mark.parametrize("selection", SELECTIONS)
def test_flipping_a_switching_function_changes_nothing(selection: str, flips: tuple[int, int]) -> None:
    """h_i and -h_i name the same surface."""
    signs = np.array(flips)
    fields = {
        (s[0] * flips[0], s[1] * flips[1]): (lambda t, x, v=v: np.array(v, dtype=float))
        for s, v in full(THIRD).items()
    }
    flipped = PiecewiseSmooth(lambda t, x: signs * x[:2], fields, selection=selection)
    assert flipped.classify(np.zeros(3)).velocity == pytest.approx(velocity(selection, THIRD), abs=1e-9)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_path_into_and_out_of_codimension_two(selection: str) -> None:
    """A drift that grows with time pushes x1 off at the time at which no convex weights balance any more."""
    rates = full(THIRD)
    fields = {s: (lambda t, x, v=v: np.array([v[0] + t, v[1], v[2]])) for s, v in rates.items()}
    system = PiecewiseSmooth(lambda t, x: x[:2], fields, jac=lambda t, x: np.eye(2, 3), selection=selection)
    path = solve(system, (0.0, 4.0), [0.1, 0.1, 0.0], rtol=1e-10, atol=1e-12)
    assert path.segments[1].codimension >= 1
    assert max(s.codimension for s in path.segments) == 2
    assert path.segments[-1].codimension < 2
    assert path.certify(100).ok
    if selection != "moments":  # the moments' weights may leave [0, 1] before the hull stops enclosing zero
        # On x1 > 0, x2 = 0 the shares of (1, -1), (1, 1) are 4/7, 3/7: x1' = -10/7 + t.
        assert path.switches[-1].t == pytest.approx(10 / 7, abs=1e-7)


def test_relay_with_nonsymmetric_matrix_is_exact() -> None:
    """M = (dh/dx) B with oblique surfaces, against rational arithmetic."""
    gain, normals = [[2, 1], [-1, 3], [1, 1]], [[1, 1, 0], [0, 2, -1]]
    drift = [1, 0, 2]
    M = [[sum(n[k] * gain[k][j] for k in range(3)) for j in range(2)] for n in normals]
    c = [sum(n[k] * drift[k] for k in range(3)) for n in normals]
    u = solve_linear(rational_matrix(M), rational_vector(c))
    assert all(abs(value) < 1 for value in u)
    assert M[0][1] != M[1][0]
    expected = [drift[k] - sum(gain[k][j] * u[j] for j in range(2)) for k in range(3)]
    J = np.array(normals, dtype=float)
    relay = Relay(
        lambda t, x: np.array(drift, dtype=float),
        lambda t, x: np.array(gain, dtype=float),
        lambda t, x: J @ x,
    )
    found = relay.classify(np.zeros(3))
    assert (found.kind, found.codimension) == ("sliding", 2)
    np.testing.assert_allclose(found.velocity, [float(v) for v in expected], atol=1e-9)


def test_spiral_into_codimension_two_slides_on() -> None:
    """Infinitely many crossings until t = 0.2, then x3' = 1 on both surfaces."""
    gain = np.array([[1.0, -3.0], [3.0, 1.0], [0.0, 0.0]])
    relay = Relay(lambda t, x: np.array([0.0, 0.0, 1.0]), lambda t, x: gain, lambda t, x: x[:2])
    path = solve(relay, (0.0, 1.0), [0.3, 0.1, 0.0], chattering="accumulate")
    last = path.segments[-1]
    assert (last.codimension, last.sliding) == (2, (0, 1))
    assert last.t0 == pytest.approx(0.2, abs=1e-6)
    np.testing.assert_allclose(path.y[:, -1], [0.0, 0.0, 1.0], atol=1e-9)


def test_stewart_quadrants_meet_in_codimension_two_not_three() -> None:
    """Four regions tie at the corner; their indicators have two independent differences."""
    fields = [lambda t, x, s=s: np.array([0.2 - s[0], 0.1 - s[1], 0.5]) for s in PATTERNS]
    stewart = Stewart(fields, lambda t, x: [-(s[0] * x[0] + s[1] * x[1]) for s in PATTERNS])
    found = stewart.classify(np.zeros(3))
    assert (found.kind, found.codimension, found.surfaces) == ("sliding", 2, (0, 1, 2, 3))
    np.testing.assert_allclose(found.velocity, [0.0, 0.0, 0.5], atol=1e-9)


def test_gene_network_takes_the_product_of_the_shares() -> None:
    """x3 -> 4 a b on the corner, a and b the shares of x1 > 1 and x2 > 1; other selections rest elsewhere."""
    entry = SYSTEMS["gene network"]
    path = solve(entry.build(), (0.0, entry.t_end), entry.x0, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(path.y[:, -1], entry.exact(entry.t_end), atol=1e-10)


def test_a_root_of_one_sliding_equation_alone_is_no_sliding():
    """With u_1 = -1 the second equation holds for no u_2: no convex combination of these fields stays on both surfaces."""
    fields = {(1, 1): [0, -0.5, 1], (1, -1): [-2, 0, -1], (-1, 1): [-2, 0, 0], (-1, -1): [-2, 0, 0]}
    system = PiecewiseSmooth(
        lambda t, x: x[:2],
        {key: (lambda t, x, f=f: np.array(f, dtype=float)) for key, f in fields.items()},
        jac=lambda t, x: np.eye(2, 3),
    )
    path = solve(system, (0.0, 3.0), [0.25, 1.0, -0.75])
    assert path.y[0, -1] == pytest.approx(-1.75, abs=1e-9)


@pytest.mark.parametrize("given", [True, False])
def test_a_bound_reached_on_a_surface_and_kept(given: bool) -> None:
    """Constant fields; while x slides on the second surface its weight is 1 exactly, with differenced gradients to 1e-10."""
    B = np.array([[1.0, 1.0], [2.0, 1.0], [0.0, 2.0], [1.0, -1.0], [0.0, -2.0]])
    C = np.array([[2.0, -1.0, 0.0, 1.0, 0.0], [0.0, 2.0, -1.0, 0.0, -1.0]])
    system = Relay(
        lambda t, x: np.array([0.0, 1.0, 1.0, 0.0, -1.0]),
        lambda t, x: B,
        lambda t, x: C @ x + [1.0, 0.0],
        jac=(lambda t, x: C) if given else None,
    )
    path = solve(system, (0.0, 3.0), [2.0, 0.0, -2.0, 2.0, -2.0])
    assert [(s.kind, s.surfaces) for s in path.switches] == [("sliding-entry", (1,))]
    np.testing.assert_allclose(path.y[:, -1], [0.0, -2.0, 3.0, -2.0, -7.0], atol=1e-8)
