"""What a matrix norm's flow brings to its motion: regimes of the singular values, and the work they cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError
from filippov.rounding import EPS
from filippov.switching import Mode
from filippov.system import Candidate

if TYPE_CHECKING:
    from flows.objectives import SmoothObjective

__all__ = ["Event", "ImplicitStep", "Look", "MatrixCandidate", "MatrixLaw", "MatrixRegime"]


@dataclass(frozen=True)
class Look:
    """What a regime says at one point.

    Attributes
    ----------
    velocity : (n,) array
    guards : (k,) array
        Smooth functions that stay nonnegative while the regime is valid.
    margin : float
        Distance from the loss of smoothness, in units of the gradient; infinite if there is none.
    stretch : float
        dt/ds, of the order of margin over the speed of the gradient.
    """

    velocity: Vector
    guards: Vector
    margin: float
    stretch: float


class MatrixRegime(ABC):
    """One mode: a rank, or a number of tied singular values, that stays."""

    mode: Mode

    @abstractmethod
    def look(self, x: Vector) -> Look:
        """Return velocity, guards and margin at x."""

    @abstractmethod
    def project(self, x: Vector) -> Vector:
        """Return x moved onto the set that the regime slides in."""


@dataclass(frozen=True)
class Event:
    """Where a regime ended.

    Attributes
    ----------
    count : int
        How many singular values are nonzero (spectral) or tied at the top (nuclear), all tolerances applied.
    released : bool
        Whether the regime ended since its sliding velocity reached the edge of the face.
    """

    count: int
    released: bool = False


ImplicitStep = Callable[[Vector, float], tuple[Vector, Vector] | None]


@dataclass(frozen=True)
class MatrixCandidate(Candidate):
    """A candidate with its regime, and the implicit Euler step that leaves the switching set if it must be left.

    Attributes
    ----------
    regime : MatrixRegime or None
        None at rest.
    leaving : callable or None
        (x, h) -> (x after h, velocity there), or None if h is too long for its iteration.
    reach : float
        By how much the gradient can change while the spaces that are not left stay smooth; for the first implicit step.
    """

    regime: MatrixRegime | None
    leaving: ImplicitStep | None = None
    reach: float = 0.0


class MatrixLaw(ABC):
    """The flow of one norm for one objective: finds regimes, and counts the singular value decompositions.

    Attributes
    ----------
    objective : SmoothObjective
    shape : (int, int)
    size : float
        Size of the gradient at the start, or of the terms that cancel in it if it is zero: what `rank_tol` is relative to.
    zero : float
        Singular values (spectral) or differences of them (nuclear) up to this count as zero.
    n_svd, svd_time : int, float
        Decompositions so far, and the seconds they took.
    """

    def __init__(
        self, objective: SmoothObjective, shape: tuple[int, int], rank_tol: float, x: Vector
    ) -> None:
        self.objective, self.shape = objective, shape
        self.n_svd, self.svd_time, self.nfev, self.njev = 0, 0.0, 0, 0
        error = float(np.linalg.norm(objective.gradient_error(x)))
        self.size = max(float(np.linalg.norm(self.gradient(x), 2)), error / EPS * 1e-8, np.finfo(float).tiny)
        self.zero = max(rank_tol * self.size, error)

    def gradient(self, x: Vector) -> Matrix:
        """Return the gradient folded, (m, n)."""
        self.nfev += 1
        g = self.objective.grad(x)
        if not np.all(np.isfinite(g)):
            raise FilippovError(f"grad is not finite at x = {np.array2string(x, threshold=6)}")
        return g.reshape(self.shape)

    def svd(self, G: Matrix, *, full: bool = False) -> tuple[Matrix, Vector, Matrix]:
        """Return (U, s, V) of a matrix, counted and timed."""
        start = perf_counter()
        u, s, vt = np.linalg.svd(G, full_matrices=full)
        self.svd_time += perf_counter() - start
        self.n_svd += 1
        return u, s, vt.T

    def times_hessian(self, x: Vector, D: Matrix) -> Matrix:
        """Return Hess f(x) applied to a matrix, folded."""
        self.njev += 1
        return np.asarray(self.objective.hvp(x, D.ravel())).reshape(self.shape)

    def reduced_hessian(self, x: Vector, left: Matrix, right: Matrix) -> Matrix:
        """Return the Hessian on the matrices left W right', (kl, kl), W row by row."""
        (m, n), k, l = self.shape, left.shape[1], right.shape[1]  # noqa: E741
        self.njev += 1
        H = self.objective.hess(x).reshape(m * n * m, n)
        columns = (H @ right).reshape(m * n, m, l).transpose(0, 2, 1) @ left  # (mn, l, k)
        rows = columns.transpose(0, 2, 1).reshape(m, n, k * l)
        half = np.tensordot(left, rows, axes=(0, 0))  # (k, n, kl)
        block = np.einsum("nb,knc->kbc", right, half, optimize=True).reshape(k * l, k * l)
        return np.asarray((block + block.T) / 2.0)

    @staticmethod
    def solve_reduced(K: Matrix, right_side: Vector) -> Vector:
        """Return K^-1 right_side by Cholesky's factor, least-norm where K is singular to its rounding."""
        try:
            factor, lower = cho_factor(K)
        except LinAlgError:
            pivots = np.zeros(1)
        else:
            pivots = np.diag(factor)
        if float(np.min(pivots)) <= 1e-6 * float(
            np.max(pivots)
        ):  # their squares bound the condition from below
            return np.asarray(np.linalg.lstsq(K, right_side, rcond=1e-13)[0])
        return np.asarray(cho_solve((factor, lower), right_side))

    @abstractmethod
    def start(self, x: Vector) -> Event:
        """Return the rank, or tie, of the gradient at x."""

    @abstractmethod
    def landed(self, x: Vector, regime: MatrixRegime) -> Event:
        """Return the rank, or tie, where a margin of the regime has vanished."""

    @abstractmethod
    def crossed(self, x: Vector, regime: MatrixRegime) -> Event:
        """Return the rank, or tie, where a guard of the regime has vanished."""

    @abstractmethod
    def candidates(self, x: Vector, event: Event) -> Sequence[MatrixCandidate]:
        """Return every way to go on."""
