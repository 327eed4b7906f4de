"""Limits of fields near a point, against Filippov sets known in closed form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from filippov.regularization import filippov_regularization
from filippov.sets import Hull

Gradient = Callable[[np.ndarray], np.ndarray]


def vertex_set(hull: Hull) -> set[tuple[float, ...]]:
    return {tuple(v) for v in np.round(hull.vertices(), 9) + 0.0}


def sign_field(gradient: Gradient) -> Gradient:
    return lambda x: -np.sign(gradient(x))


def greedy_field(gradient: Gradient) -> Gradient:
    def field(x: np.ndarray) -> np.ndarray:
        g = gradient(x)
        i = np.argmax(np.abs(g))
        return -np.sign(g[i]) * np.eye(g.size)[i]

    return field


class TestInvalidInput:
    def test_field(self) -> None:
        with pytest.raises(InvalidTypeError, match="field must be callable, got int"):
            filippov_regularization(3, [0])
        with pytest.raises(InvalidInputError, match=r"field\(x\) must have shape \(2,\), got shape \(3,\)"):
            filippov_regularization(lambda x: np.zeros(3), [0, 0])
        with pytest.raises(InvalidInputError, match=r"field\(x\) must be finite, got nan"):
            filippov_regularization(lambda x: np.array([np.nan, 0]), [0, 0])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"radius": -1}, "radius must be a positive finite number, got -1"),
            ({"tol": 0}, "tol must be a positive finite number, got 0"),
            ({"samples": 0}, "samples must be at least 1, got 0"),
            ({"levels": 3}, "levels must be at least 4, got 3"),
        ],
    )
    def test_options(self, options: dict[str, float], message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            filippov_regularization(lambda x: -x, [1.0], **options)

    def test_point(self) -> None:
        with pytest.raises(InvalidInputError, match="x must be finite"):
            filippov_regularization(lambda x: x, [np.nan])


class TestSmoothFields:
    def test_the_limit_is_the_value(self) -> None:
        x = np.array([0.3, 1.0])
        hull = filippov_regularization(lambda p: np.array([np.sin(3 * p[0]), np.exp(p[1]) * p[0]]), x)
        np.testing.assert_allclose(hull.points, [[np.sin(0.9), np.e * 0.3]], rtol=1e-10)

    def test_an_equilibrium(self) -> None:
        hull = filippov_regularization(lambda p: -p, np.zeros(3))
        np.testing.assert_allclose(hull.points, np.zeros((1, 3)), atol=1e-16)

    def test_value_at_the_point_itself_plays_no_part(self) -> None:
        hull = filippov_regularization(
            lambda p: np.array([9.0, 9.0]) if not np.any(p) else -np.cos(p), [0, 0]
        )
        np.testing.assert_allclose(hull.points, [[-1, -1]], rtol=1e-10)

    def test_values_on_null_sets_play_no_part(self) -> None:
        # coordinate lines carry another value: random points do not see them
        hull = filippov_regularization(
            lambda p: np.array([7.0, 7.0]) if np.any(p == 0) else np.ones(2), [0, 0]
        )
        np.testing.assert_array_equal(hull.points, [[1, 1]])


class TestTheory:
    """The examples of section 4.2's remark and of the theory notes."""

    def test_rank_one_sign_field_is_a_segment(self) -> None:
        field = sign_field(lambda x: (x[0] + 2 * x[1]) * np.array([1, 2]))
        assert vertex_set(filippov_regularization(field, [2, -1])) == {(-1, -1), (1, 1)}

    def test_rank_one_greedy_selector_never_takes_the_first_index(self) -> None:
        field = greedy_field(lambda x: (x[0] + 2 * x[1]) * np.array([1, 2]))
        assert vertex_set(filippov_regularization(field, [2, -1])) == {(0, -1), (0, 1)}

    def test_cubic_in_one_dimension_has_one_limit(self) -> None:
        assert vertex_set(filippov_regularization(sign_field(lambda x: x**2), [0])) == {(-1,)}

    def test_greedy_selector_of_a_cubic_and_of_a_quartic(self) -> None:
        cubic = greedy_field(lambda x: np.array([1 + 3 * x[0] ** 2, 1]))
        quartic = greedy_field(lambda x: np.array([1 + 4 * x[0] ** 3, 1]))
        assert vertex_set(filippov_regularization(cubic, [0, 0.3])) == {(-1, 0)}
        assert vertex_set(filippov_regularization(quartic, [0, 0.3])) == {(-1, 0), (0, -1)}

    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_nonsingular_hessian_gives_the_whole_box(self, n: int) -> None:
        A = np.random.default_rng(n).standard_normal((n, n)) + 4 * np.eye(n)
        hull = filippov_regularization(sign_field(lambda x: A @ (x - 1)), np.ones(n), samples=1000)
        assert len(vertex_set(hull)) == 2**n

    def test_paper_section_4_4(self) -> None:
        # f = (y - a x)^2 / 2 + x: v = (-1, -sign(y - a x))
        field = sign_field(lambda x: np.array([1 - 0.5 * (x[1] - 0.5 * x[0]), x[1] - 0.5 * x[0]]))
        assert vertex_set(filippov_regularization(field, [0, 0])) == {(-1, -1), (-1, 1)}


class TestPiecewiseSmooth:
    def test_limits_of_curved_fields_are_extrapolated(self) -> None:
        def field(p: np.ndarray) -> np.ndarray:
            return np.array([np.cos(p[1]), p[1] ** 2 if p[0] > 0.25 * p[1] ** 2 - 0.25 else -np.exp(p[0])])

        hull = filippov_regularization(field, [0, 1])
        expected = [[np.cos(1), -1], [np.cos(1), 1]]
        np.testing.assert_allclose(sorted(hull.vertices().tolist()), expected, rtol=1e-8)

    def test_thin_regions_between_tangent_surfaces(self) -> None:
        # -sign of (y, y - x^2): (-1, 1) where 0 < y < x^2, a vanishing share of the circle
        field = sign_field(lambda p: np.array([p[1], p[1] - p[0] ** 2]))
        assert vertex_set(filippov_regularization(field, [0, 0])) == {(-1, -1), (1, 1), (-1, 1)}
        shifted = sign_field(lambda p: np.array([p[1] - 1, p[1] - 1 - (p[0] - 3) ** 2]))
        assert vertex_set(filippov_regularization(shifted, [3, 1])) == {(-1, -1), (1, 1), (-1, 1)}

    def test_rounding_on_a_surface_is_not_a_region(self) -> None:
        # x1 + 2 x2 is exactly zero on a band of rounding errors: the value there is no limit
        def field(p: np.ndarray) -> np.ndarray:
            s = p[0] + 2 * p[1]
            return np.array([5.0, 0]) if s == 0 else np.sign(s) * np.ones(2)

        assert vertex_set(filippov_regularization(field, [2, -1])) == {(-1, -1), (1, 1)}

    @pytest.mark.parametrize("seed", range(3))
    def test_a_surface_thickened_by_rounding_is_not_a_region(self, seed: int) -> None:
        # as a field would have it that loses some 50 units in the last place where its terms cancel
        def field(p: np.ndarray) -> np.ndarray:
            s = p[0] + 2 * p[1]
            return np.array([5.0, 0]) if abs(s) < 2e-14 else np.sign(s) * np.ones(2)

        assert vertex_set(filippov_regularization(field, [2, -1], seed=seed)) == {(-1, -1), (1, 1)}

    def test_a_surface_away_from_the_point_is_not_seen(self) -> None:
        field = sign_field(lambda p: p - 1e-3)
        assert vertex_set(filippov_regularization(field, [0, 0])) == {(1, 1)}
        assert vertex_set(filippov_regularization(field, [0, 0], radius=1e-4)) == {(1, 1)}

    def test_infinitely_many_limits_are_approximated_from_inside(self) -> None:
        hull = filippov_regularization(lambda p: -p / np.linalg.norm(p), [0, 0], samples=300)
        assert hull.magnitude <= 1
        for angle in np.linspace(0, 2 * np.pi, 17):
            assert 0.999 < hull.support([np.cos(angle), np.sin(angle)]) <= 1 + 1e-12


class TestProperties:
    def test_deterministic(self) -> None:
        field = sign_field(lambda p: np.array([p[0] + p[1], p[0] - p[1] ** 2]))
        first, second = (filippov_regularization(field, [0, 0], seed=4) for _ in range(2))
        np.testing.assert_array_equal(first.points, second.points)

    def test_scaling_of_the_field(self) -> None:
        field = sign_field(lambda p: np.array([p[0], p[0] + p[1]]))
        small = filippov_regularization(lambda p: 1e-12 * field(p), [0, 0])
        np.testing.assert_allclose(
            sorted((1e12 * small.vertices()).tolist()),
            sorted(filippov_regularization(field, [0, 0]).vertices().tolist()),
        )

    def test_no_limit_is_an_error(self) -> None:
        with pytest.raises(FilippovError, match="no limit along 2 of 2 directions"):
            filippov_regularization(lambda p: np.sin(1 / p), [0])
