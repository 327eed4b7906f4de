"""One face of the top-k ball as a mode: which coordinates move at full speed, which share the rest, which stand still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Indices, Matrix, Vector
from filippov.switching import Mode
from flows.faces.face import LEVEL, Face

__all__ = ["TopKFace", "TopKPlace"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TopKPlace:
    """Where the components of y = weight * g stand against the k-th largest |y_i|, the level.

    Attributes
    ----------
    above : (n,) array of bool
        |y_i| larger than the level: full speed.
    undecided : (n,) array of bool
        |y_i| at the level where more than one choice of k coordinates fits; all that is not above where the level is zero.
    signs : (n,) array
        Sign of y_i above and on a tie; elsewhere of no meaning.
    zero : bool
        Whether the level is zero.
    """

    above: Mask
    undecided: Mask
    signs: Vector
    zero: bool

    def left(self, k: int) -> int:
        """Return how many coordinates' full speed is left for the undecided."""
        return k - int(np.count_nonzero(self.above))


class TopKMode(Mode):
    """A mode with sides of g_i = 0, then of the ties: what is slid on is the ties' components up to one common sign."""

    def slides_as(self, other: Mode) -> bool:
        """Whether both modes keep the same components zero and the same ones equal: y_1 = y_2 is not y_1 = -y_2."""
        if not super().slides_as(other):
            return False
        n = self.sides.size // 2
        turned = (self.sides[:n] * other.sides[:n])[self.sides[n:] == 0]
        return bool(np.all(turned == turned[:1]))


class TopKFace(Face):
    """A face of { |u_i| <= 1, sum |u_i| <= k }, v = weight * u.

    The mode has 2 n sides: surface i is g_i = 0, surface n + i is where weight_i |g_i| is the k-th largest. `members` has n + 1
    entries: what is undecided, and last whether the level is zero.

    Parameters
    ----------
    weights : (n,) array
    k : int
    place : TopKPlace
    lean : (n,) array
        At level zero, the sign with which u_i counts in sum |u_i|; 0 where u_i stays zero.
    """

    def __init__(self, weights: Vector, k: int, place: TopKPlace, lean: Vector) -> None:
        self.weights, self.place = weights, place
        above, undecided = place.above, place.undecided
        below = ~above & ~undecided
        self.members = np.append(undecided, place.zero)
        self._free = np.flatnonzero(undecided)
        self._left = place.left(k)
        value = np.where(below, 1.0, -place.signs)
        if place.zero:
            value[undecided] = 0.0
        rank = np.where(above, 1, np.where(below, -1, 1 if place.zero else 0))
        codimension = self._free.size if place.zero else max(self._free.size - 1, 0)
        resting = bool(place.zero and np.all(undecided))
        self.mode = TopKMode(np.concatenate([value, rank]), codimension, resting)
        self._full = -place.signs * weights * above
        # How v_i changes with u_i (at level zero) or with the share of speed of a tied coordinate.
        self._steps = weights[self._free] * (1.0 if place.zero else -place.signs[self._free])
        # At level zero the sum of speeds is a bound of its own where more coordinates are free than it allows at full speed.
        self._shared = place.zero and self._free.size > self._left
        self._lean = lean[self._free]
        self._set_gaps(np.flatnonzero(above), np.flatnonzero(below))

    def _set_gaps(self, above: Indices, below: Indices) -> None:
        """Set the gaps p y_i + r y_j + e level as arrays of i, p, j, r, e, with what each decides when it closes."""
        signs, n = self.place.signs[above], self.weights.size
        inside, outside = np.zeros(above.size), np.ones(below.size)
        if self.place.zero:  # above: |y_i|
            self._set(above, signs, above, inside, inside, (above, above))
        elif self._free.size:  # above: |y_i| - level; below: level + y_j, level - y_j; the level itself
            i = np.concatenate([above, below, below, self._free[:1]])
            p = np.concatenate([signs, outside, -outside, [0.0]])
            e = np.concatenate([inside - 1.0, outside, outside, [1.0]])
            j = i.copy()
            # If nothing is above, the whole gradient vanishes with the level.
            i[-1], j[-1] = (self._free[0], n) if above.size else (LEVEL, LEVEL)
            self._set(np.maximum(i, 0), p, np.maximum(i, 0), np.zeros(i.size), e, (i, j))
        else:  # above against below: |y_i| + y_j, |y_i| - y_j; and |y_i| itself, with which all below vanish too
            i, j = (np.tile(index.ravel(), 2) for index in np.meshgrid(above, below, indexing="ij"))
            r = np.repeat([1.0, -1.0], i.size // 2)
            alone = above.size == 1 and below.size > 0
            first = np.where(alone, LEVEL, above).astype(np.intp)
            last = np.where(alone, LEVEL, n).astype(np.intp) + np.zeros(above.size, dtype=np.intp)
            self._set(
                np.concatenate([i, above]),
                np.concatenate([self.place.signs[i], signs]),
                np.concatenate([j, above]),
                np.concatenate([r, inside]),
                np.zeros(i.size + above.size),
                (np.concatenate([i, first]), np.concatenate([j, last])),
            )

    def _set(
        self, i: Indices, p: Vector, j: Indices, r: Vector, e: Vector, reach: tuple[Indices, ...]
    ) -> None:
        self._i, self._p, self._j, self._r, self._e = i, p, j, r, e
        self.gap_surfaces = np.column_stack(reach).astype(np.intp)

    @property
    def moving(self) -> Mask:
        """The coordinates that share what speed is left."""
        return self.place.undecided

    def fixed_velocity(self) -> Vector:
        """Return -weight sign(g_i) above the level, zero elsewhere."""
        return self._full.copy()

    def _level(self, y: Vector) -> float:
        return float(np.mean(self.place.signs[self._free] * y[self._free])) if np.any(self._e) else 0.0

    def gaps(self, g: Vector) -> Vector:
        """Return what stays nonnegative: |y_i| above less the level, the level less |y_j| below, and the level."""
        y = self.weights * g
        return np.asarray(self._p * y[self._i] + self._r * y[self._j] + self._e * self._level(y))

    def _bounds(self, sizes: Vector, level: float) -> Vector:
        """Return the triangle inequality's bounds on the gaps from sizes of the components of y."""
        parts = np.abs(self._p) * sizes[self._i] + np.abs(self._r) * sizes[self._j]
        return np.asarray(parts + np.abs(self._e) * level)

    def gap_sizes(self, hessian: Matrix) -> Vector:
        """Return a bound by the triangle inequality on the functional of each gap."""
        sizes = self.weights * np.sqrt(np.maximum(np.diagonal(hessian), 0.0))
        return self._bounds(sizes, float(np.mean(sizes[self._free])) if self._free.size else 0.0)

    def gap_errors(self, error: Vector) -> Vector:
        """Return the rounding error of each gap."""
        errors = self.weights * error
        return self._bounds(errors, float(np.max(errors[self._free], initial=0.0)))

    def slacks(self, v: Vector) -> Vector:
        """Return the shares and one less the shares; at level zero 1 - |u_i|, what is left of the sum, and |u_i| in it."""
        u = v[self._free] / self._steps
        if not self.place.zero:
            return np.concatenate([u, 1.0 - u])
        bounds = np.concatenate([1.0 - u, 1.0 + u])
        if not self._shared:
            return bounds
        counted = self._lean != 0.0
        return np.concatenate([bounds, [self._left - self._lean @ u], (self._lean * u)[counted]])

    def slack_rates(self, a: Vector) -> Vector:
        """Return the rates of the slacks."""
        rates = a[self._free] / self._steps
        if not self.place.zero:
            return np.concatenate([rates, -rates])
        bounds = np.concatenate([-rates, rates])
        if not self._shared:
            return bounds
        counted = self._lean != 0.0
        return np.concatenate([bounds, [-self._lean @ rates], (self._lean * rates)[counted]])

    def slack_directions(self) -> Matrix:
        """Return the functionals of the slacks in reduced coordinates."""
        if not self.place.zero:
            basis = self._differences()
            return np.vstack([basis, -basis])
        eye = np.eye(self._free.size)
        if not self._shared:
            return np.vstack([-eye, eye])
        signed = self._lean[:, None] * eye
        return np.vstack([-eye, eye, -self._lean[None, :], signed[self._lean != 0.0]])

    def _differences(self) -> Matrix:
        """Return how shares on the tie change in reduced coordinates: speed is taken from the first."""
        k = self._free.size
        return np.vstack([-np.ones((1, k - 1)), np.eye(k - 1)]) if k else np.zeros((0, 0))

    def reduce(self, r: Vector) -> Vector:
        """Return r in the free directions: differences to the first tied coordinate, or the components at level zero."""
        values: Vector = self._steps * r[self._free]
        return values if self.place.zero or not values.size else values[1:] - values[0]

    def reduce_error(self, error: Vector) -> Vector:
        """Return the error of r in the free directions."""
        values = np.abs(self._steps) * error[self._free]
        return values if self.place.zero or not values.size else values[1:] + values[0]

    def reduce_matrix(self, hessian: Matrix) -> Matrix:
        """Return the Hessian on the free directions."""
        block = self._steps[:, None] * hessian[np.ix_(self._free, self._free)] * self._steps
        if self.place.zero:
            return np.asarray(block)
        basis = self._differences()
        return np.asarray(basis.T @ block @ basis)

    def expand(self, z: Vector) -> Vector:
        """Return the displacement with reduced coordinates z."""
        d = np.zeros(self.weights.size)
        d[self._free] = self._steps * (z if self.place.zero else self._differences() @ z)
        return d

    def surface_values(self, g: Vector) -> Vector:
        """Return g at level zero, else weight |g| less its mean over the tie."""
        if self.place.zero:
            return g[self._free]
        y = (self.place.signs * self.weights * g)[self._free]
        return y - np.mean(y) if y.size else y
