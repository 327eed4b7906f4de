"""Stewart's form: regions by the smallest of several indicator functions, convex weights on ties."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector, as_callable, asked
from filippov.errors import FilippovError, InvalidInputError
from filippov.rounding import EPS
from filippov.switched.blending import codimension_one, least_norm
from filippov.switched.regime import Regime, RegimeCandidate, difference_step, fold_weights
from filippov.switched.sliding import Sliding
from filippov.switched.spirals import outward_spiral_of_sectors, spiral_candidate
from filippov.switched.surfaces import Surfaces
from filippov.switched.switched_system import SURFACE_TOLERANCE, SwitchedSystem
from filippov.switched.tied_regions import Tie, ties_that_occur
from filippov.switching import Mode

__all__ = ["Stewart"]

TIE_LIMIT = 10
"""Regions that may meet in one point: all subsets of them are looked at."""

RANK_TOLERANCE = 1e-8
"""Singular values of the indicators' differences below this share of the largest are zero: Jacobians may be by differences."""


class Stewart(SwitchedSystem):
    """A system x' in conv{ f_i(t, x) : i active }, region i being where indicators(t, x)[i] is the smallest.

    Parameters
    ----------
    fields : sequence of callables (t, x) -> (n,)
        One for each region.
    indicators : callable (t, x) -> (r,)
    jac : callable (t, x) -> (r, n), optional
        Jacobian of `indicators`; by central differences if not given, which `jacobian_is_approximate` tells.
    rate : callable (t, x) -> (r,), optional
        Partial derivative of `indicators` in t; by central differences if not given.
    dim : int, optional
        Number of states; else learnt from the first state.

    Notes
    -----
    On a tie the weights theta solve the complementarity problem  0 <= theta, indicators' - mu >= 0, theta (indicators' - mu) = 0,
    sum theta = 1 (Stewart, *Numer. Math.* 58, 1990); all its solutions are looked at, on the ties that occur nearby: opposite
    quadrants tie in the corner only, and a region that is smallest nowhere near does not count. Where more regions meet than
    the codimension asks for (four quadrants in a point of the plane) the weights are a family, and the velocity of
    least norm is taken. A "surface" is a region here: side +1 the active one, -1
    the inactive ones, 0 those tied.

    Raises
    ------
    InvalidTypeError, InvalidInputError
        If something is not callable or has the wrong shape.
    """

    _met: tuple[float, bytes, bytes, list[Tie] | None] | None = None
    _learnt = ("_met",)

    def forget(self) -> None:
        """Forget what the user's functions answered, and what was concluded from it."""
        super().forget()
        self._met = None

    def __init__(
        self, fields: Any, indicators: Any, *, jac: Any = None, rate: Any = None, dim: int | None = None
    ) -> None:
        super().__init__(dim)
        self.fields = [as_callable(f"fields[{i}]", field) for i, field in enumerate(fields)]
        if len(self.fields) < 2:
            raise InvalidInputError(f"fields must hold at least two fields, got {len(self.fields)}")
        self.surfaces = Surfaces("indicators", indicators, jac, rate)

    def _indicators(self, t: float, x: Vector) -> Vector:
        phi = self.surfaces(t, x)
        if phi.size != len(self.fields):
            raise InvalidInputError(f"indicators must return shape ({len(self.fields)},), got {phi.shape}")
        return phi

    def region_field(self, t: float, x: Vector, i: int) -> Vector:
        """Return the field of region i, checked."""
        f = asked(f"fields[{i}]", self.fields[i], t, x)
        if f.shape != x.shape:
            raise InvalidInputError(f"fields[{i}] must return shape {x.shape}, got {f.shape}")
        if not np.isfinite(f).all():
            raise FilippovError(f"fields[{i}] is not finite at t = {t:.6g}, x = {x}")
        return f

    def touching(self, t: float, x: Vector, met: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return the regions that are smallest to rounding, and those in `met`."""
        phi = self._indicators(t, x)
        sizes = self.surfaces.sizes(t, x)
        least = int(np.argmin(phi))
        on = phi - phi[least] <= SURFACE_TOLERANCE * EPS * (sizes + sizes[least])
        on[met] = True
        return on

    def possible_regimes(self, t: float, x: Vector, on: NDArray[np.bool_]) -> list[RegimeCandidate]:
        """Return a regime for each subset of the tied regions that can slide together, and each lone one."""
        tied = np.flatnonzero(on)
        if tied.size > TIE_LIMIT:
            raise InvalidInputError(
                f"indicators: {tied.size} regions meet at t = {t:.6g}, at most {TIE_LIMIT} can"
            )
        ties = self._ties(t, x, tied)
        if ties is None:
            ties = [(m, ()) for count in range(1, tied.size + 1) for m in combinations(tied.tolist(), count)]
        found = []
        for members, hidden in ties:
            for regime in self._regimes_of(t, x, np.array(members, dtype=np.intp)):
                regime.gap_surfaces = np.setdiff1d(regime.gap_surfaces, hidden)
                found.append(RegimeCandidate(regime.evaluate(t, x)[0], regime.mode, regime))
        return found

    def spirals(
        self, t: float, x: Vector, on: NDArray[np.bool_], others: Sequence[RegimeCandidate]
    ) -> list[RegimeCandidate]:
        """Return the solutions that spiral out of a corner around which the fields of all regions turn."""
        tied = self._occurring(t, x, on)
        if tied.size < 3 or not any(other.mode.codimension == 2 for other in others):
            return []
        basis = self.tie_basis(t, x, tied)
        ties = self._ties(t, x, np.flatnonzero(on))
        if basis.shape[1] != 2 or (ties is None and tied.size > 3):
            return []
        pairs = combinations(tied.tolist(), 2) if ties is None else [m for m, _ in ties if len(m) == 2]
        number = {int(region): k for k, region in enumerate(tied)}
        fields = self.limits(t, x, on)
        rates = fields @ self.surfaces.jacobian(t, x)[tied].T + self.surfaces.rate(t, x)[tied]
        velocity = outward_spiral_of_sectors(
            np.vstack([np.zeros(2), basis]),
            (rates[:, 1:] - rates[:, :1]) @ basis,
            fields,
            [(number[i], number[j]) for i, j in pairs],
        )
        if velocity is None:
            return []
        sides = np.full(on.size, -1, dtype=np.int8)
        sides[tied[0]] = 1  # any phase will do
        return [spiral_candidate(velocity, sides, t)]

    def _ties(self, t: float, x: Vector, tied: NDArray[np.intp]) -> list[Tie] | None:
        """Return the sets of tied regions that tie nearby, kept for the last point asked for; None for all subsets."""
        place, which, last = x.tobytes(), tied.tobytes(), self._met
        if last is None or last[:3] != (t, place, which):
            last = self._met = (t, place, which, ties_that_occur(self.surfaces, t, x, tied))
        return last[3]

    def _regimes_of(self, t: float, x: Vector, members: NDArray[np.intp]) -> list[_TiedRegime]:
        """Return the regimes on one tie: more or less than one only where two regions meet in a two-fold."""
        if members.size == 2:
            return self._regimes_of_pair(t, x, members)
        basis = self.tie_basis(t, x, members) if members.size > 1 else None
        if basis is not None and basis.shape[1] < members.size - 1:
            regime = _TiedRegime(self, members, 1.0, basis=basis)
            velocity, slacks = regime.evaluate(t, x)
            return [regime] if slacks[0] >= -1e-9 else []
        regime = _TiedRegime(self, members, 1.0)
        _, slacks = regime.evaluate(t, x)
        if slacks.size and slacks[-1] < 0:
            regime = _TiedRegime(self, members, -1.0)
        return [regime] if slacks.size == 0 or np.all(slacks[:-1] >= -1e-9) else []

    def _regimes_of_pair(self, t: float, x: Vector, pair: NDArray[np.intp]) -> list[_TiedRegime]:
        sliding = self.pair_sliding(t, x, pair, None)
        if not sliding:
            return []
        if sliding[0].turn != 0.0:
            return [_TiedRegime(self, pair, float(np.sign(sliding[0].turn)), sliding[0].weights)]
        minus, plus = (self.region_field(t, x, int(i)) for i in pair)

        def lie(time: float, state: Vector) -> tuple[float, float]:
            gradient, moving = self._pair_gradient(time, state, pair)
            below, above = (float(gradient @ self.region_field(time, state, int(i))) + moving for i in pair)
            return below, above

        regimes = []
        for u in fold_weights(lie, t, x, minus, plus):
            velocity = 0.5 * ((1.0 + u) * plus + (1.0 - u) * minus)
            step = difference_step(x, velocity)
            below, above = lie(t + step, x + step * velocity)
            regimes.append(_TiedRegime(self, pair, -1.0 if below < above else 1.0, np.array([u])))
        return regimes

    def _pair_gradient(self, t: float, x: Vector, pair: NDArray[np.intp]) -> tuple[Vector, float]:
        """Return the derivatives of h = first indicator less second: the second is active where h > 0."""
        J, moving = self.surfaces.jacobian(t, x), self.surfaces.rate(t, x)
        return J[pair[0]] - J[pair[1]], float(moving[pair[0]] - moving[pair[1]])

    def pair_sliding(self, t: float, x: Vector, pair: NDArray[np.intp], near: Vector | None) -> list[Sliding]:
        """Return the sliding on the tie of two regions."""
        first, second = (self.region_field(t, x, int(i)) for i in pair)
        return codimension_one(first, second, *self._pair_gradient(t, x, pair), near)

    def limits(self, t: float, x: Vector, on: NDArray[np.bool_]) -> Matrix:
        """Return the fields of the regions that meet at x, one a row: of those that occur nearby."""
        return np.array([self.region_field(t, x, int(i)) for i in self._occurring(t, x, on)])

    def _occurring(self, t: float, x: Vector, on: NDArray[np.bool_]) -> NDArray[np.intp]:
        tied = np.flatnonzero(on)
        ties = self._ties(t, x, tied)
        return tied if ties is None else np.array([m[0] for m, _ in ties if len(m) == 1], dtype=np.intp)

    def codimension_of(self, t: float, x: Vector, on: NDArray[np.bool_]) -> int:
        """Return the number of independent differences of the tied indicators."""
        return self.tie_basis(t, x, np.flatnonzero(on)).shape[1]

    def tie_basis(self, t: float, x: Vector, members: NDArray[np.intp]) -> Matrix:
        """Return an orthonormal basis of the rates that differences of tied indicators can have, (k - 1, codimension).

        Four quadrants tie in a set of codimension 2, not 3: the differences of their indicators depend on each other.
        """
        J = self.surfaces.jacobian(t, x)[members]
        differences = J[1:] - J[:1]
        if not differences.size:
            return np.empty((0, 0))
        left, values, _ = np.linalg.svd(differences, full_matrices=False)
        return left[:, values > RANK_TOLERANCE * values[0]]

    def members(self, mode: Mode) -> NDArray[np.intp]:
        """Return the regions tied or active."""
        return np.flatnonzero(mode.sides >= 0)

    def switching_functions(self, t: float, x: Vector) -> Vector:
        """Return the pairwise differences of the indicators."""
        phi = self._indicators(t, x)
        return np.array([phi[i] - phi[j] for i, j in combinations(range(phi.size), 2)])

    def _tangent(self, t: float, x: Vector, on: NDArray[np.bool_], candidate: RegimeCandidate) -> bool:
        """Whether the field of some region is tangent to its tie with another."""
        tied = self._occurring(t, x, on)
        J, moving = self.surfaces.jacobian(t, x)[tied], self.surfaces.rate(t, x)[tied]
        rates = self.limits(t, x, on) @ J.T + moving
        differences = [
            rates[k, i] - rates[k, j] for i, j in combinations(range(tied.size), 2) for k in (i, j)
        ]
        return bool(np.any(np.abs(differences) <= 1e-9 * (1.0 + np.max(np.abs(rates)))))

    def surface_values(self, t: float, x: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return the differences of the tied indicators, with the size of their terms."""
        tied = np.flatnonzero(mode.sides == 0)
        if tied.size < 2:
            return np.empty(0), np.empty(0)
        phi, sizes = self._indicators(t, x)[tied], self.surfaces.sizes(t, x)[tied]
        return phi[1:] - phi[0], sizes[1:] + sizes[0]

    def __repr__(self) -> str:
        return f"Stewart({self.dim or 'n'} states, {len(self.fields)} regions)"


class _TiedRegime(Regime):
    """Motion in one region, or along the tie of several."""

    def __init__(
        self,
        system: Stewart,
        members: NDArray[np.intp],
        sense: float,
        weights: Vector | None = None,
        basis: Matrix | None = None,
    ) -> None:
        self.system, self.members, self._sense, self._weights = system, members, sense, weights
        self.surfaces = system.surfaces
        sides = np.full(len(system.fields), -1, dtype=np.int8)
        sides[members] = 1 if members.size == 1 else 0
        self.basis = basis
        self.mode = Mode(sides, members.size - 1 if basis is None else basis.shape[1])
        self.gap_surfaces = np.flatnonzero(sides == -1)

    def evaluate(self, t: float, x: Vector) -> tuple[Vector, Vector]:
        """Return the velocity and, on a tie, the weights and the sense of the sliding."""
        if self._weights is not None:
            pair = self.system.pair_sliding(t, x, self.members, self._weights)[0]
            return pair.velocity, np.append(pair.slacks, self._sense * pair.turn)
        fields = np.array([self.system.region_field(t, x, int(i)) for i in self.members])
        if self.members.size == 1:
            return fields[0], np.empty(0)
        surfaces = self.system.surfaces
        rates = fields @ surfaces.jacobian(t, x)[self.members].T + surfaces.rate(t, x)[self.members]
        if self.basis is not None:
            sliding = least_norm(fields, (rates[:, 1:] - rates[:, :1]) @ self.basis, tracked=True)[0]
            return sliding.velocity, sliding.slacks
        differences = (rates[:, 1:] - rates[:, :1]).T  # of indicator j to indicator 0, under field i
        system = np.vstack([differences, np.ones(self.members.size)])
        weights, *_ = np.linalg.lstsq(system, np.append(np.zeros(self.members.size - 1), 1.0), rcond=1e-13)
        reduced = differences[:, 1:] - differences[:, :1]
        scale = np.maximum(np.max(np.abs(differences), axis=1), np.finfo(float).tiny)
        turn = float(np.linalg.det(reduced / scale[:, None]))
        return weights @ fields, np.append(weights, self._sense * turn)

    def gaps(self, t: float, x: Vector) -> Vector:
        """Return how much larger the other indicators are."""
        phi = self.system._indicators(t, x)
        return phi[self.gap_surfaces] - phi[self.members[0]]

    def gap_rates(self, t: float, x: Vector, v: Vector) -> Vector:
        """Return the rates of the gaps."""
        surfaces = self.system.surfaces
        rates = v @ surfaces.jacobian(t, x).T + surfaces.rate(t, x)
        return np.asarray(rates[..., self.gap_surfaces] - rates[..., self.members[:1]])

    def kept(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the differences of the tied indicators; where they depend on each other, the combinations of the basis."""
        tied = values[self.members]
        differences = tied[1:] - tied[0]
        return differences if self.basis is None else np.tensordot(self.basis.T, differences, 1)
