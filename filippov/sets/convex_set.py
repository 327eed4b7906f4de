"""The interface of a compact convex set, and the algorithms that need nothing but its support points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Matrix, Vector, as_vector
from filippov.errors import FilippovError, InvalidInputError
from filippov.rounding import EPS
from filippov.sets.hull_quadratic import least_quadratic_in_hull
from filippov.sets.quadratic_form import QuadraticForm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ConvexSet"]

# Iteration limits of the generic methods; each ends by a convergence test and raises if that test is not met.
MAX_SUPPORT_POINTS = 2000
MAX_GRADIENT_STEPS = 200_000
# For a singular H: weights e of |v|^2 relative to H, falling by a ratio, and the change of the extrapolated
# minimiser (relative to the magnitude) at which they stop. The path in e is analytic near 0 for polytopes, so
# few are needed.
TIE_START = 1e-2
TIE_RATIO = 4.0
TIE_LEVELS = 12
TIE_TOLERANCE = 1e-10


class ConvexSet(ABC):
    """A nonempty compact convex set C in R^n.

    A subclass gives `dim`, `support_point` and `translate`; everything else follows from these, and a
    subclass overrides what it can do exactly or faster.
    """

    @property
    @abstractmethod
    def dim(self) -> int:
        """Dimension n of the space the set lies in."""

    @abstractmethod
    def support_point(self, d: ArrayLike) -> Vector:
        """Return a point of C, shape (n,), at which <d, v> is largest."""

    @abstractmethod
    def translate(self, shift: ArrayLike) -> ConvexSet:
        """Return the set { v + shift : v in C }."""

    def support(self, d: ArrayLike) -> float:
        """Return the support function max { <d, v> : v in C }.

        Parameters
        ----------
        d : (n,) array_like
            Direction, of any length.
        """
        direction = as_vector("d", d, self.dim)
        return float(direction @ self.support_point(direction))

    @property
    def magnitude(self) -> float:
        """Largest absolute coordinate of any point of C: the unit of the tolerance of `contains`."""
        basis = np.eye(self.dim)
        return max(max(abs(self.support(e)), abs(self.support(-e))) for e in basis)

    @property
    def is_point(self) -> bool:
        """Whether C is a single point, exactly."""
        basis = np.eye(self.dim)
        return all(np.array_equal(self.support_point(e), self.support_point(-e)) for e in basis)

    def project(self, p: ArrayLike) -> Vector:
        """Return the point of C nearest to p in the Euclidean norm, shape (n,).

        Generic algorithm (Wolfe 1976, in its fully corrective form): keep a list of support points, take the
        point of their hull nearest to p, add the support point in the direction left over, until that
        direction gains nothing. Finite and exact for polytopes; for curved sets it converges, to about the
        square root of the machine precision.

        Raises
        ------
        FilippovError
            If it has not converged within `MAX_SUPPORT_POINTS` steps.
        """
        target = as_vector("p", p, self.dim)
        points = self.support_point(target)[None, :]
        form = QuadraticForm.of(np.eye(self.dim), self.dim)
        for _ in range(MAX_SUPPORT_POINTS):
            nearest, weights = least_quadratic_in_hull(points - target, form)
            candidate = self.support_point(-nearest)
            gap = float(nearest @ (nearest + target - candidate))
            scale = max(float(np.max(np.abs(points - target))), self.magnitude)
            # |nearest - exact|^2 <= gap, and the gap is a difference of numbers of size scale^2.
            if gap <= 8.0 * self.dim * EPS * scale**2 or np.any(np.all(points == candidate, axis=1)):
                return np.asarray(nearest + target)
            points = np.vstack([points[weights > 0.0], candidate])
        raise FilippovError(f"projection on {self!r} did not converge: duality gap {gap:.3g}")

    def distance(self, p: ArrayLike) -> float:
        """Return the Euclidean distance from p to C (zero inside)."""
        target = as_vector("p", p, self.dim)
        return float(np.linalg.norm(target - self.project(target)))

    def contains(self, p: ArrayLike, tol: float = 1e-12) -> bool:
        """Return whether p lies in C, up to a distance of `tol * magnitude`.

        Parameters
        ----------
        p : (n,) array_like
        tol : float
            Relative to `magnitude`, the largest absolute coordinate of C, since that is what rounding is
            relative to. For C = {0} only the exact point is contained.
        """
        if not tol >= 0.0:
            raise InvalidInputError(f"tol must be nonnegative, got {tol}")
        return self.distance(p) <= tol * self.magnitude

    def vertices(self) -> Matrix:
        """Return the extreme points in rows, shape (k, n), where there are finitely many.

        Raises
        ------
        InvalidInputError
            If the set is not a polytope.
        """
        raise InvalidInputError(f"{self!r} has no finite list of vertices")

    def minimize_quadratic(self, H: ArrayLike) -> Vector:
        """Return argmin { v'Hv : v in C }, the least-norm one if there are several (theory: (SEL)).

        Parameters
        ----------
        H : (n, n) array_like
            Symmetric positive semidefinite.

        Returns
        -------
        (n,) ndarray
            The minimiser; when H is singular, the minimiser of least Euclidean norm.

        Raises
        ------
        InvalidInputError
            If H is indefinite: the message gives its least eigenvalue. Minimising v'Hv is meaningless there.
        FilippovError
            If an iteration has not converged.

        Notes
        -----
        Generic algorithm: accelerated projected gradients with restarts (O'Donoghue and Candes 2015) to the
        fixed point. When H is singular, the same for H + e I with e falling, extrapolated to e = 0: the limit
        is the minimiser of least norm. It needs only `project`; boxes, hulls and balls override it by finite,
        exact methods, which is advisable for every set on which accuracy matters.
        """
        form = QuadraticForm.of(H, self.dim)
        origin = self.project(np.zeros(self.dim))
        if not np.any(origin) or form.norm == 0.0:
            return origin
        if form.singular:
            return self._least_norm_limit(form, origin)
        return self._projected_gradient(form, origin)

    def _projected_gradient(self, form: QuadraticForm, start: Vector) -> Vector:
        gradient = form.matrix / form.norm
        unit = self.magnitude
        current, ahead, momentum = start, start, 1.0
        least, stalled = np.inf, 0
        for _ in range(MAX_GRADIENT_STEPS):
            following = self.project(ahead - gradient @ ahead)
            residual = float(np.max(np.abs(following - ahead)))
            least, stalled = (residual, 0) if residual < least else (least, stalled + 1)
            # The fixed-point residual reaches a few eps of the set's magnitude, or stalls just above it.
            if residual <= 2.0 * EPS * unit or (residual <= 64.0 * EPS * unit and stalled > 50):
                return following
            step = following - current
            if float((ahead - following) @ step) > 0.0:
                current, ahead, momentum = following, following, 1.0
                continue
            grown = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
            current, ahead, momentum = following, following + (momentum - 1.0) / grown * step, grown
        raise FilippovError(f"projected gradients on {self!r} did not converge: residual {residual:.3g}")

    def _least_norm_limit(self, form: QuadraticForm, start: Vector) -> Vector:
        identity = form.norm * np.eye(self.dim)
        unit = self.magnitude
        column: list[Vector] = []
        current = start
        change = np.inf
        for level in range(TIE_LEVELS):
            tie = TIE_START * TIE_RATIO**-level
            current = self._projected_gradient(
                QuadraticForm.of(form.matrix + tie * identity, self.dim), current
            )
            # Neville's scheme at 0 for the nodes tie_k; the last entry uses all of them.
            extrapolated = [current]
            for k, before in enumerate(column, start=1):
                extrapolated.append(extrapolated[-1] + (extrapolated[-1] - before) / (TIE_RATIO**k - 1.0))
            if level >= 2:
                change = float(np.max(np.abs(extrapolated[-1] - column[-1])))
                if change <= TIE_TOLERANCE * unit:
                    return self.project(extrapolated[-1])
            column = extrapolated
        raise FilippovError(f"least-norm minimiser on {self!r} did not converge: last change {change:.3g}")

    def _outline(self) -> Matrix:
        """Return points around the boundary of a planar set, in order, shape (k, 2)."""
        angles = np.linspace(0.0, 2.0 * np.pi, 361)
        return np.array([self.support_point([np.cos(angle), np.sin(angle)]) for angle in angles])

    def plot(self, ax: Axes | None = None, velocity: ArrayLike | None = None) -> Axes:
        """Draw a planar set, and an arrow for the element of it that was selected.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure if not given.
        velocity : (2,) array_like, optional
            Drawn as an arrow from the origin.

        Returns
        -------
        matplotlib Axes
        """
        if self.dim != 2:
            raise InvalidInputError(f"only sets in the plane can be drawn, got dimension {self.dim}")
        import matplotlib.pyplot as plt

        axes = plt.subplots()[1] if ax is None else ax
        outline = self._outline()
        axes.fill(outline[:, 0], outline[:, 1], alpha=0.25, color="C0", linewidth=0.0)
        closed = np.vstack([outline, outline[:1]])
        axes.plot(closed[:, 0], closed[:, 1], color="C0", marker="o" if len(outline) < 100 else None)
        if velocity is not None:
            arrow = as_vector("velocity", velocity, 2)
            axes.annotate("", tuple(arrow), (0.0, 0.0), arrowprops={"arrowstyle": "->", "color": "C3"})
            axes.plot(*arrow, color="C3", marker=".")
        axes.set_aspect("equal", adjustable="datalim")
        return axes
