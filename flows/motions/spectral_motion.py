"""The flow of the spectral norm, x' in -(U1 V1' + U2 W V2'), ||W||_2 <= 1: the continuous limit of Muon.

Off the switching set the field is minus the polar factor of the gradient G. While G keeps a rank r below full, its corank
block stays zero to first order, U2' (dG/dt) V2 = 0: a linear equation for W (theory: (SEL), inside the ball). A square
matrix that loses one rank does so on a surface, where its *signed* least singular value, the sign being that of det G,
is a smooth switching function; every other loss of rank is an extinction, of codimension above 1, reached in finite time
all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.errors import NonUniqueError
from filippov.rounding import EPS
from filippov.switching import Mode
from flows.motions.matrix_law import Event, Look, MatrixCandidate, MatrixLaw, MatrixRegime
from flows.norms.spectral_quadratic import SpectralBall, least_quadratic

__all__ = ["SpectralLaw", "SpectralRegime", "oriented_values", "rank_of_mode", "spectral_mode"]

EDGE = 1e-7
"""Singular values of W within this of 1 where a guard says that ||W|| has reached 1: they leave together."""

LEAVING = 1e-9
"""Multipliers of singular values of W above this share of their terms are positive: these leave zero at once."""


def spectral_mode(shape: tuple[int, int], rank: int, orientation: int) -> Mode:
    """Return the mode of a rank: side 0 for each zero singular value, the sign of det G for the last of a square G."""
    least = min(shape)
    sides = np.where(np.arange(least) < rank, 1, 0)
    if shape[0] == shape[1] and rank == least:
        sides[-1] = orientation
    return Mode(sides, (shape[0] - rank) * (shape[1] - rank))


def rank_of_mode(mode: Mode) -> int:
    """Return the number of singular values that are not zero in a mode."""
    return int(np.count_nonzero(mode.sides))


def oriented_values(u: Matrix, s: Vector, v: Matrix, orientation: int) -> tuple[float, Vector]:
    """Return the sign of the last pair in the polar factor of the given determinant, and s with it on its last value."""
    sign = float(orientation) * float(np.sign(np.linalg.det(u) * np.linalg.det(v)))
    signed = s.copy()
    signed[-1] *= sign
    return sign, signed


class SpectralRegime(MatrixRegime):
    """A rank that stays; for a square matrix of full rank with the sign of its determinant."""

    def __init__(self, law: SpectralLaw, rank: int, orientation: int, speed: float) -> None:
        self.law, self.rank, self.orientation, self.speed = law, rank, orientation, speed
        self.mode = spectral_mode(law.shape, rank, orientation)
        self._signed = law.shape[0] == law.shape[1] == rank

    def look(self, x: Vector) -> Look:
        """Return velocity, guards and margin at x."""
        law, r = self.law, self.rank
        G = law.gradient(x)
        if r < min(law.shape):
            u, s, v = law.svd(G, full=True)
            center, _, W = law.sliding(x, u, v, r)
            guards = np.array([1.0 - np.linalg.norm(W, 2)])
            velocity = -(center + u[:, r:] @ W @ v[:, r:].T)
            return Look(velocity.ravel(), guards, float(s[r - 1]), self._stretch(s[:r], alone=True))
        u, s, v = law.svd(G)
        if not self._signed:
            return Look(-(u @ v.T).ravel(), np.empty(0), float(s[-1]), self._stretch(s, alone=True))
        sign, signed = oriented_values(u, s, v, self.orientation)
        ends = np.ones(r)
        ends[-1] = sign
        margin = float(signed[-2] + signed[-1]) if r > 1 else np.inf
        return Look(
            -((u * ends) @ v.T).ravel(), signed[-1:] / law.size, margin, self._stretch(signed, alone=False)
        )

    def _stretch(self, s: Vector, *, alone: bool) -> float:
        """Return 1 over the norm of the derivative of the velocity: 2/(s_i + s_j) for pairs, 1/s_i against zeros."""
        i, j = np.triu_indices(s.size, 1)
        tiny = 1e-3 * EPS * self.law.size
        total = float(np.sum((2.0 / np.maximum(s[i] + s[j], tiny)) ** 2))
        if alone:
            total += float(np.sum(1.0 / np.maximum(s, tiny) ** 2))
        return float(1.0 / np.sqrt((self.speed / self.law.size) ** 2 + self.speed**2 * total))

    def project(self, x: Vector) -> Vector:
        """Return x with the corank block of G zero, by Newton steps within U2 Z V2'."""
        law, r = self.law, self.rank
        if r == min(law.shape):
            return x
        last, best = np.inf, x
        for _ in range(6):
            G = law.gradient(x)
            u, s, v = law.svd(G, full=True)
            off = float(s[r])
            if not off < last:
                return best
            best, last = x, off
            if off <= 8.0 * EPS * law.size:
                return x
            left, right = u[:, r:], v[:, r:]
            K = law.reduced_hessian(x, left, right)
            Z = law.solve_reduced(K, -(left.T @ G @ right).ravel())
            x = x + (left @ Z.reshape(left.shape[1], -1) @ right.T).ravel()
        return best


class SpectralLaw(MatrixLaw):
    """The regimes of the spectral norm's flow."""

    def sliding(self, x: Vector, u: Matrix, v: Matrix, r: int) -> tuple[Matrix, Vector, Matrix]:
        """Return U1 V1', its curvature in the corank block, and the W that keeps that block zero (unbounded)."""
        center = u[:, :r] @ v[:, :r].T
        pull, negligible = self._pull(x, u, v, r)
        shape = (u.shape[1] - r, v.shape[1] - r)
        if negligible and self.objective.convex:
            return center, pull, np.zeros(shape)
        K = self.reduced_hessian(x, u[:, r:], v[:, r:])
        self._check(K)
        W = self.solve_reduced(K, -pull) if not negligible else np.zeros(pull.size)
        return center, pull, W.reshape(shape)

    def _pull(self, x: Vector, u: Matrix, v: Matrix, r: int) -> tuple[Vector, bool]:
        """Return U2' H[U1 V1'] V2, and whether it is zero to the rounding of its terms."""
        curved = self.times_hessian(x, u[:, :r] @ v[:, :r].T)
        pull = (u[:, r:].T @ curved @ v[:, r:]).ravel()
        size = float(np.linalg.norm(curved))
        return pull, bool(np.max(np.abs(pull), initial=0.0) <= 64.0 * EPS * size)

    def _check(self, K: Matrix) -> None:
        # In one dimension all ways to go on are known and offered where the surface is reached, see `_on_surface`.
        if self.objective.convex or K.size == 1:
            return
        least = float(np.linalg.eigvalsh(K)[0])
        if least < -1e-10 * float(np.linalg.norm(K, 2)):
            raise NonUniqueError(
                f"the Hessian is not positive semidefinite on the null space of the gradient (least eigenvalue {least:.3g}, "
                f"dimension {K.shape[0]}): keeping the rank and leaving it are both solutions there"
            )

    def start(self, x: Vector) -> Event:
        """Return the rank of the gradient."""
        return Event(self._rank(x))

    def landed(self, x: Vector, regime: MatrixRegime) -> Event:
        """Return the rank where the least singular value, or for a square matrix the sum of the two least, is zero."""
        assert isinstance(regime, SpectralRegime)
        lost = 2 if regime._signed else 1
        return Event(min(regime.rank - lost, self._rank(x)))

    def crossed(self, x: Vector, regime: MatrixRegime) -> Event:
        """Return the rank where the signed singular value is zero, or the sliding one where W has reached the edge."""
        assert isinstance(regime, SpectralRegime)
        if regime.rank < min(self.shape):
            return Event(regime.rank, released=True)
        return Event(min(regime.rank - 1, self._rank(x)))

    def _rank(self, x: Vector) -> int:
        return int(np.count_nonzero(self.svd(self.gradient(x))[1] > self.zero))

    def _regime(self, x: Vector, velocity: Matrix, rank: int, orientation: int) -> SpectralRegime:
        speed = float(np.linalg.norm(self.times_hessian(x, velocity)))
        return SpectralRegime(self, rank, orientation, max(speed, 1e-12 * self.size))

    def candidates(self, x: Vector, event: Event) -> Sequence[MatrixCandidate]:
        """Return the way to go on; three where a corank-1 surface repels.

        Raises
        ------
        NonUniqueError
            Where the Hessian is indefinite on a corank block of more than one entry.
        """
        r, full = event.count, min(self.shape)
        u, s, v = self.svd(self.gradient(x), full=True)
        if r == full:
            orientation = int(np.sign(np.linalg.det(u) * np.linalg.det(v))) if self._square else 1
            return [self._smooth(x, -(u[:, :full] @ v[:, :full].T), orientation)]
        pull, negligible = self._pull(x, u, v, r)
        K = self.reduced_hessian(x, u[:, r:], v[:, r:])
        center, shape = u[:, :r] @ v[:, :r].T, (u.shape[1] - r, v.shape[1] - r)
        if shape == (1, 1):
            return self._on_surface(x, u, v, float(K[0, 0]), float(pull[0]), event.released)
        self._check(K)
        if r == 0:
            return [MatrixCandidate(np.zeros(x.size), Mode(np.zeros(full), x.size, resting=True), None)]
        W, multiplier = np.zeros(pull.size), np.zeros(pull.size)
        if not negligible:
            W, multiplier = least_quadratic(K, pull, SpectralBall(shape))
        omega = np.linalg.svd(W.reshape(shape))[1]
        if event.released:
            more = int(np.count_nonzero(omega >= 1.0 - EDGE))
        else:
            size = float(np.linalg.norm(K, 2) + np.linalg.norm(pull))
            pushed = np.linalg.svd(multiplier.reshape(shape))[1]
            more = int(np.count_nonzero(pushed > LEAVING * size))
        velocity = -(center + u[:, r:] @ W.reshape(shape) @ v[:, r:].T)
        if more == 0:
            regime = self._regime(x, velocity, r, 1)
            return [MatrixCandidate(velocity.ravel(), regime.mode, regime)]
        orientation = 1
        if self._square and r + more == full:
            orientation = int(np.sign(np.linalg.det(-velocity)))
        regime = self._regime(x, velocity, r + more, orientation)
        reach = float(s[r - 1]) if r else self.size
        return [
            MatrixCandidate(
                velocity.ravel(), regime.mode, regime, lambda y, h: self._implicit_step(y, h, r), reach
            )
        ]

    @property
    def _square(self) -> bool:
        return self.shape[0] == self.shape[1]

    def _smooth(self, x: Vector, velocity: Matrix, orientation: int) -> MatrixCandidate:
        regime = self._regime(x, velocity, min(self.shape), orientation)
        return MatrixCandidate(velocity.ravel(), regime.mode, regime)

    def _on_surface(
        self, x: Vector, u: Matrix, v: Matrix, a: float, b: float, released: bool
    ) -> list[MatrixCandidate]:
        """Return the ways to go on where one singular value of a square G is zero: w = -b/a, +1, -1 as they hold."""
        r = u.shape[0] - 1
        center = u[:, :r] @ v[:, :r].T
        least = np.outer(u[:, -1], v[:, -1])
        turn = int(np.sign(np.linalg.det(u) * np.linalg.det(v)))

        def leaves(w: int) -> MatrixCandidate:
            return self._smooth(x, -(center + w * least), w * turn)

        def stays(w: float) -> MatrixCandidate:
            velocity = -(center + w * least)
            if r == 0:
                return MatrixCandidate(np.zeros(x.size), Mode([0], 1, resting=True), None)
            regime = self._regime(x, velocity, r, 1)
            return MatrixCandidate(velocity.ravel(), regime.mode, regime)

        if released:
            return [leaves(-1 if b > 0.0 else 1)]
        if abs(b) > abs(a):
            return [leaves(-1 if b > 0.0 else 1)]
        if a > 0.0 or a == b == 0.0:
            return [stays(-b / a if a > 0.0 else 0.0)]
        return [stays(-b / a), leaves(1), leaves(-1)]

    def _implicit_step(self, x: Vector, h: float, rank: int) -> tuple[Vector, Vector] | None:
        """Return the implicit Euler step of length h and its velocity, near a point where G has a lower rank.

        With the frames of G at the end of the step, the corank block there is B - h K W, of which W is to be the polar
        factor: W = argmin h <W, K W>/2 - <B, W> over the unit ball. The frames follow by iteration;
        None if that does not converge.
        """
        velocity = np.zeros(x.size)
        last = np.inf
        for _ in range(30):
            y = x + h * velocity
            G = self.gradient(y)
            u, _, v = self.svd(G, full=True)
            left, right = u[:, rank:], v[:, rank:]
            center = u[:, :rank] @ v[:, :rank].T
            back = x - y - h * center.ravel()
            block = left.T @ (G + self.times_hessian(y, back.reshape(self.shape))) @ right
            K = self.reduced_hessian(y, left, right)
            W, _ = least_quadratic(K, -block.ravel() / h, SpectralBall(block.shape))
            new = -(center + left @ W.reshape(block.shape) @ right.T).ravel()
            change = float(np.max(np.abs(new - velocity)))
            velocity = new
            # In the state the last digit is enough: the velocity is a quotient by h.
            moved, unit = h * change, EPS * float(np.max(np.abs(x)))
            if moved <= unit or change <= 16.0 * EPS or (moved <= 64.0 * unit and not change < last):
                return x + h * velocity, velocity
            last = change
        return None
