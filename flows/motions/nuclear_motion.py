"""The flow of the nuclear norm, x' in -U1 S V1' on the top singular space of the gradient, S psd of trace 1.

While the largest singular value of the gradient G is simple the velocity is the rank-one matrix -u1 v1'. Where q of them
are tied they stay so: S keeps U1' (dG/dt) V1, symmetrised, a multiple of the identity (theory: (SEL), inside the set of S).
A tie is of codimension q (q + 1)/2 - 1, above 1, and reached in finite time all the same, as is G = 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.errors import NonUniqueError
from filippov.rounding import EPS
from filippov.switching import Mode
from flows.motions.matrix_law import Event, Look, MatrixCandidate, MatrixLaw, MatrixRegime
from flows.norms.spectral_quadratic import Spectraplex, least_quadratic, symmetric_basis

__all__ = ["NuclearLaw", "NuclearRegime", "nuclear_mode", "tie_of_mode"]

EDGE = 1e-7
"""Eigenvalues of S within this of 0 where a guard says that S has reached the edge: they leave the tie together."""

LEAVING = 1e-9
"""Multipliers of zero eigenvalues of S above this share of their terms are positive: these leave the tie at once."""


def nuclear_mode(shape: tuple[int, int], tied: int) -> Mode:
    """Return the mode of a tie: side 0 for each tied singular value, 1 for the others, 1 for a lone top one."""
    sides = np.where(np.arange(min(shape)) < (tied if tied > 1 else 0), 0, 1)
    return Mode(sides, tied * (tied + 1) // 2 - 1)


def tie_of_mode(mode: Mode) -> int:
    """Return the number of singular values tied at the top in a mode."""
    return max(1, int(np.count_nonzero(mode.sides == 0)))


class NuclearRegime(MatrixRegime):
    """A number of tied singular values that stays."""

    def __init__(self, law: NuclearLaw, tied: int, speed: float) -> None:
        self.law, self.tied, self.speed = law, tied, speed
        self.mode = nuclear_mode(law.shape, tied)

    def look(self, x: Vector) -> Look:
        """Return velocity, guards and margin at x."""
        law, q = self.law, self.tied
        u, s, v = law.svd(law.gradient(x))
        margin = float(s[q - 1] - s[q]) if q < s.size else float(s[q - 1])
        if q == 1:
            return Look(-np.outer(u[:, 0], v[:, 0]).ravel(), np.empty(0), margin, self._stretch(s))
        left, right = u[:, :q], v[:, :q]
        S = law.sliding(x, left, right)
        guards = np.array([float(np.linalg.eigvalsh(S)[0])])
        return Look(-(left @ S @ right.T).ravel(), guards, margin, self._stretch(s))

    def _stretch(self, s: Vector) -> float:
        """Return 1 over the size of the derivative of the top singular space, and of its polar factor within a tie."""
        q, tiny = self.tied, 1e-3 * EPS * self.law.size
        top, rest = s[:q, None], s[None, q:]
        total = float(
            np.sum(1.0 / np.maximum(top - rest, tiny) ** 2 + 1.0 / np.maximum(top + rest, tiny) ** 2)
        )
        i, j = np.triu_indices(q, 1)
        total += float(np.sum((2.0 / np.maximum(s[i] + s[j], tiny)) ** 2))
        rows, columns = self.law.shape
        if rows != columns:
            total += float(np.sum(1.0 / np.maximum(top, tiny) ** 2))
        return float(1.0 / np.sqrt((self.speed / self.law.size) ** 2 + self.speed**2 * total))

    def project(self, x: Vector) -> Vector:
        """Return x with the tied singular values equal, by Newton steps within U1 D V1', D of trace 0."""
        law, q = self.law, self.tied
        if q == 1:
            return x
        last, best = np.inf, x
        for _ in range(6):
            u, s, v = law.svd(law.gradient(x))
            off = float(s[0] - s[q - 1])
            if not off < last:
                return best
            best, last = x, off
            if off <= 8.0 * EPS * law.size:
                return x
            left, right = u[:, :q], v[:, :q]
            basis = symmetric_basis(q)
            D = law.bordered(law.tie_hessian(x, left, right), -basis.T @ np.diag(s[:q]).ravel(), 0.0)
            x = x + (left @ (basis @ D).reshape(q, q) @ right.T).ravel()
        return best


class NuclearLaw(MatrixLaw):
    """The regimes of the nuclear norm's flow."""

    def tie_hessian(self, x: Vector, left: Matrix, right: Matrix) -> Matrix:
        """Return the Hessian on the matrices left S right', S symmetric, in the coordinates of `symmetric_basis`."""
        basis = symmetric_basis(left.shape[1])
        return np.asarray(basis.T @ self.reduced_hessian(x, left, right) @ basis)

    def bordered(self, K: Matrix, right_side: Vector, trace: float) -> Vector:
        """Return d with K d = right_side up to a multiple of the identity, and the given trace."""
        size = round((np.sqrt(8 * K.shape[0] + 1) - 1) / 2)
        identity = symmetric_basis(size).T @ np.eye(size).ravel()
        scale = max(float(np.max(np.abs(K))), np.finfo(float).tiny)
        system = np.block([[K, scale * identity[:, None]], [scale * identity[None, :], np.zeros((1, 1))]])
        solution = np.linalg.lstsq(system, np.append(right_side, scale * trace), rcond=1e-13)[0]
        return np.asarray(solution[:-1])

    def sliding(self, x: Vector, left: Matrix, right: Matrix) -> Matrix:
        """Return the S of trace 1 that keeps the tie (definite or not)."""
        q = left.shape[1]
        K = self.tie_hessian(x, left, right)
        self._check(K, q)
        return np.asarray((symmetric_basis(q) @ self.bordered(K, np.zeros(K.shape[0]), 1.0)).reshape(q, q))

    def _check(self, K: Matrix, q: int) -> None:
        if self.objective.convex:
            return
        identity = symmetric_basis(q).T @ np.eye(q).ravel() / np.sqrt(q)
        kept = np.linalg.svd(identity[:, None])[0][:, 1:]
        least = float(np.linalg.eigvalsh(kept.T @ K @ kept)[0])
        if least < -1e-10 * float(np.linalg.norm(K, 2)):
            raise NonUniqueError(
                f"the Hessian is not positive semidefinite on the differences within a tie of {q} singular values (least "
                f"eigenvalue {least:.3g}): keeping the tie and leaving it are both solutions there"
            )

    def start(self, x: Vector) -> Event:
        """Return the number of tied singular values; 0 where the gradient is zero."""
        return Event(self._tied(x))

    def landed(self, x: Vector, regime: MatrixRegime) -> Event:
        """Return the tie with at least one more; 0 where the level itself is zero."""
        assert isinstance(regime, NuclearRegime)
        if regime.tied == min(self.shape):
            return Event(0)
        tied = self._tied(x)
        return Event(tied if tied == 0 else max(tied, regime.tied + 1))

    def crossed(self, x: Vector, regime: MatrixRegime) -> Event:
        """Return the tie, whose S has reached the edge."""
        assert isinstance(regime, NuclearRegime)
        return Event(regime.tied, released=True)

    def _tied(self, x: Vector) -> int:
        s = self.svd(self.gradient(x))[1]
        return 0 if s[0] <= self.zero else int(np.count_nonzero(s >= s[0] - self.zero))

    def _regime(self, x: Vector, velocity: Matrix, tied: int) -> NuclearRegime:
        speed = float(np.linalg.norm(self.times_hessian(x, velocity)))
        return NuclearRegime(self, tied, max(speed, 1e-12 * self.size))

    def candidates(self, x: Vector, event: Event) -> Sequence[MatrixCandidate]:
        """Return the way to go on.

        Raises
        ------
        NonUniqueError
            Where the Hessian is indefinite on a tie, or at G = 0.
        """
        q, full = event.count, min(self.shape)
        if q == 0:
            self._check_rest(x)
            return [MatrixCandidate(np.zeros(x.size), Mode(np.zeros(full), x.size, resting=True), None)]
        u, s, v = self.svd(self.gradient(x))
        left, right = u[:, :q], v[:, :q]
        if q == 1:
            return [self._candidate(x, -np.outer(left, right), 1)]
        K, basis = self.tie_hessian(x, left, right), symmetric_basis(q)
        self._check(K, q)
        w, _ = least_quadratic(K, np.zeros(K.shape[0]), Spectraplex(q))
        S = (basis @ w).reshape(q, q)
        velocity = -left @ S @ right.T
        if event.released:
            kept = int(np.count_nonzero(np.linalg.eigvalsh(S) > EDGE))
        else:
            # K S = c I + Z, Z psd and complementary to S: where Z is positive the singular values fall behind the tie.
            force = (basis @ (K @ w)).reshape(q, q)
            fall = np.linalg.eigvalsh(force - np.sum(force * S) * np.eye(q))
            kept = q - int(np.count_nonzero(fall > LEAVING * float(np.linalg.norm(K, 2))))
        if kept == q:
            return [self._candidate(x, velocity, q)]
        regime = self._regime(x, velocity, kept)
        reach = float(s[q - 1] - s[q]) if q < full else float(s[q - 1])
        return [
            MatrixCandidate(
                velocity.ravel(), regime.mode, regime, lambda y, h: self._implicit_step(y, h, q), reach
            )
        ]

    def _candidate(self, x: Vector, velocity: Matrix, tied: int) -> MatrixCandidate:
        regime = self._regime(x, velocity, tied)
        return MatrixCandidate(velocity.ravel(), regime.mode, regime)

    def _check_rest(self, x: Vector) -> None:
        if self.objective.convex:
            return
        values = np.linalg.eigvalsh(self.objective.hess(x))
        if values[0] < -1e-10 * float(np.max(np.abs(values))):
            raise NonUniqueError(
                f"the gradient is zero and the Hessian indefinite (least eigenvalue {values[0]:.3g}): resting and leaving are "
                "both solutions"
            )

    def _implicit_step(self, x: Vector, h: float, tied: int) -> tuple[Vector, Vector] | None:
        """Return the implicit Euler step of length h and its velocity, near a point with a larger tie.

        With the frames of G at the end of the step the tied block there is B - h K S, of which S is to be exposed:
        S = argmin h <S, K S>/2 - <B, S> over the psd matrices of trace 1. The frames follow by iteration;
        None if that does not converge.
        """
        velocity, basis = np.zeros(x.size), symmetric_basis(tied)
        last = np.inf
        for _ in range(30):
            y = x + h * velocity
            G = self.gradient(y)
            u, _, v = self.svd(G)
            left, right = u[:, :tied], v[:, :tied]
            block = left.T @ (G + self.times_hessian(y, (x - y).reshape(self.shape))) @ right
            level = block - np.trace(block) / tied * np.eye(
                tied
            )  # a multiple of the identity exposes nothing
            S, _ = least_quadratic(
                self.tie_hessian(y, left, right), -(basis.T @ level.ravel()) / h, Spectraplex(tied)
            )
            new = -(left @ (basis @ S).reshape(tied, tied) @ right.T).ravel()
            change = float(np.max(np.abs(new - velocity)))
            velocity = new
            # In the state the last digit is enough: the velocity is a quotient by h.
            moved, unit = h * change, EPS * float(np.max(np.abs(x)))
            if moved <= unit or change <= 16.0 * EPS or (moved <= 64.0 * unit and not change < last):
                return x + h * velocity, velocity
            last = change
        return None
