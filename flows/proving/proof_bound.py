"""From a backward error to a distance from the solution, where the flow is contracting."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cholesky

from filippov.arguments import Matrix, Vector
from flows.proving.proof_enclosures import INFLATION, UNIT, Bounds
from flows.proving.proof_faces import Demand

__all__ = ["Variation", "eigenvalue_below"]


def eigenvalue_below(Q: Matrix, estimate: float) -> float | None:
    """Return a positive number proved to lie below every eigenvalue of a symmetric matrix; None if none was found.

    If floating-point Cholesky of A - c I runs to its end, c >= gamma / (1 - gamma) tr A, gamma = (n + 1) u / (1 - (n + 1) u),
    then A is positive definite (S. M. Rump, Verification of positive definiteness, BIT 46, 2006). Here A = Q - mu I.

    Parameters
    ----------
    Q : (n, n) array
    estimate : float
        The least eigenvalue as computed.
    """
    n = Q.shape[0]
    gamma = (n + 1) * UNIT / (1.0 - 2.0 * (n + 1) * UNIT)
    shift = INFLATION * gamma / (1.0 - gamma) * float(np.trace(np.abs(Q)))
    for share in (0.999, 0.9, 0.5):
        mu = share * (estimate - shift)
        if not mu > 0.0:
            return None
        lowered = Q.copy()
        np.fill_diagonal(lowered, np.nextafter(np.nextafter(np.diag(Q) - mu, -np.inf) - shift, -np.inf))
        try:
            cholesky(lowered, check_finite=False)
        except LinAlgError:
            continue
        return mu
    return None


class Variation:
    """Sums up the error e_z of the gradient along the path, and its total variation, both in the Euclidean norm.

    e_z = e + Q (x - z) on each piece, with e from a `Demand` and x - z, constant on each piece, the sum of the jumps so far.

    Notes
    -----
    Let Q >= mu I and let x be the solution from the start of z. With delta = Q^-1 e_z and p = z + delta the velocity z' is in
    F(grad f(p)) + r, and F is monotone decreasing along grad f, so d/dt ||p - x||_Q <= ||delta'||_Q + ||r||_Q between jumps of
    delta and a jump of delta adds its size. As ||delta||_Q <= ||e_z||_2 / sqrt(mu),

        sqrt(mu) ||z - x||_2 <= ||z - x||_Q <= (||e_z(t0)|| + Var e_z + ||e_z(t)||) / sqrt(mu) + (t - t0) ||r||_Q.
    """

    def __init__(self, dim: int) -> None:
        self._low = self._high = np.zeros(dim)
        self._state_low = self._state_high = np.zeros(dim)
        self._before = 0.0
        self.first: float | None = None
        self.total = 0.0
        self.largest = 0.0
        self.largest_component = 0.0
        self.deviation = 0.0
        self.distance = 0.0

    def add(self, demand: Demand, jump: Bounds, gradient_jump: Bounds) -> None:
        """Go on along a block of pieces; jumps are those at the start of each."""
        n, m = jump.low.shape
        up = 1.0 + 8.0 * (n + m) * UNIT  # rounding of the sums below, relative to terms of one sign
        shift = _accumulated(gradient_jump, self._low, self._high)
        offset = _accumulated(jump, self._state_low, self._state_high)
        shifted, both = shift.size, demand.first + demand.last
        starts, ends = (np.linalg.norm(e, axis=0) for e in (demand.first, demand.last))
        within = np.linalg.norm(np.where(demand.affine, both, 0.0), axis=0)
        within = within + np.sum(np.where(demand.affine, 0.0, both), axis=0)
        before = np.concatenate([[self._before], ends[:-1]])
        at_joints = before + starts + np.linalg.norm(gradient_jump.size, axis=0)
        moved = np.linalg.norm(shifted, axis=0)
        if self.first is None:
            self.first = up * float(starts[0] + moved[0])
            at_joints[0] = 0.0
        self.total += up * float(np.sum(within) + np.sum(at_joints))
        self.largest = max(self.largest, up * float(np.max(np.maximum(starts, ends) + moved)))
        worst = np.maximum(demand.first, demand.last) + shifted
        self.largest_component = max(self.largest_component, (1.0 + 4.0 * UNIT) * float(np.max(worst)))
        self.deviation = max(self.deviation, float(np.max(offset.size)))
        self.distance = max(self.distance, up * float(np.max(np.linalg.norm(offset.size, axis=0))))
        self._before = float(ends[-1])
        self._low, self._high = shift.low[:, -1], shift.high[:, -1]
        self._state_low, self._state_high = offset.low[:, -1], offset.high[:, -1]

    def forward(self, mu: float, norm: float, duration: float, residual: float) -> float:
        """Return the bound on ||x_recorded - x||_2.

        Parameters
        ----------
        mu : float
            Below the least eigenvalue of Q.
        norm : float
            Above the largest.
        duration : float
        residual : float
            Bound on the Euclidean norm of r, the part of the velocity outside F.
        """
        assert self.first is not None
        errors = self.first + self.total + self.largest
        return float(INFLATION * (errors / mu + duration * residual * np.sqrt(norm / mu) + self.distance))


def _accumulated(steps: Bounds, low: Vector, high: Vector) -> Bounds:
    """Return bounds on running sums, from bounds on the steps and on where the sums begin."""
    m = steps.low.shape[1]
    lows, highs = low[:, None] + np.cumsum(steps.low, axis=1), high[:, None] + np.cumsum(steps.high, axis=1)
    rounding = (
        2.0
        * (m + 1)
        * UNIT
        * (np.maximum(np.abs(low), np.abs(high))[:, None] + np.cumsum(steps.size, axis=1))
    )
    inexact = rounding > 0.0
    return Bounds(
        np.where(inexact, np.nextafter(lows - rounding, -np.inf), lows),
        np.where(inexact, np.nextafter(highs + rounding, np.inf), highs),
    )
