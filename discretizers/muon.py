"""Muon: momentum and the polar factor of the gradient, exact or by five Newton-Schulz iterations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from discretizers.schemes import Move, Scheme, State
from discretizers.steepest import check_dimension, selected_point
from discretizers.steps import SmoothFunction, Step, as_tolerance
from filippov.arguments import Matrix, Vector, as_matrix, check_count
from filippov.errors import InvalidInputError
from flows.norms import Spectral

__all__ = ["Muon", "MuonState", "newton_schulz"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of s -> a s + b s^3 + c s^5 (Jordan et al. 2024). The slope a at 0 is large, so that small singular values rise
fast; 1 is not a fixed point: singular values end in about [0.68, 1.2], not at 1, however many the iterations, and five of
them raise a small one 485-fold at most. Measured in benchmarks/newton_schulz.py."""


def newton_schulz(matrix: ArrayLike, iterations: int = 5) -> Matrix:
    """Return the approximate polar factor of a matrix by Muon's quintic iteration; 0 for 0.

    X <- a X + b (X X') X + c (X X')^2 X from X = G / ||G||_F: each singular value runs through a polynomial, the
    singular vectors stay. In double precision; practice uses bfloat16.

    Parameters
    ----------
    matrix : (m, n) array_like
    iterations : int
        Published: 5.

    Returns
    -------
    ndarray of shape (m, n)

    References
    ----------
    K. Jordan, Y. Jin, V. Boza, J. You, F. Cesista, L. Newhouse, J. Bernstein, "Muon: An optimizer for hidden layers
    in neural networks" (2024), https://kellerjordan.github.io/posts/muon/.
    """
    G = as_matrix("matrix", matrix)
    check_count("iterations", iterations)
    # By the largest entry first: the squares of a tiny or huge one would be lost.
    largest = float(np.max(np.abs(G)))
    if largest == 0.0:
        return G
    scaled = G / largest
    tall = G.shape[0] > G.shape[1]  # the smaller of the two Gram matrices
    X: Matrix = (scaled.T if tall else scaled) / np.linalg.norm(scaled)
    a, b, c = COEFFICIENTS
    for _ in range(iterations):
        gram = X @ X.T
        X = a * X + (b * gram + c * (gram @ gram)) @ X
    return np.ascontiguousarray(X.T) if tall else X


@dataclass(frozen=True)
class MuonState(State):
    """A state with the momentum buffer, zero at the start."""

    buffer: Vector


class Muon(Scheme):
    """Muon: B <- momentum B + G; X+ = X - h polar(B), or polar(G + momentum B) with Nesterov's variant.

    Without momentum and with the exact polar factor it is the Euler step of the spectral-norm flow,
    `SteepestDescent(Spectral(shape), step)`, bit for bit. No weight decay and no rescaling by the shape: h is the
    time step of the flow.

    Parameters
    ----------
    step : float or StepRule
        A rule is asked along the direction actually taken; where momentum points uphill, `Adaptive` and
        `FaceAware` give 0 and only the buffer changes.
    shape : (int, int)
        Rows and columns of X; x holds it row by row.
    polar : {"exact", "newton-schulz"}
        By a singular value decomposition (U1 V1' over the nonzero singular values, nothing in the lost
        directions), or by `newton_schulz`.
    momentum : float
        In [0, 1); practice: 0.95. The flow speaks of momentum 0 only.
    nesterov : bool
        As in practice, True; without momentum it makes no difference.
    iterations : int
        Of Newton-Schulz; published: 5.

    Raises
    ------
    InvalidInputError
        A bad argument, or at the start of a run a shape that does not fold the objective's coordinates.

    References
    ----------
    As for `newton_schulz`; there B = momentum B + (1 - momentum) G, the same direction.
    """

    def __init__(
        self,
        step: Step,
        shape: tuple[int, int],
        polar: str = "exact",
        momentum: float = 0.0,
        *,
        nesterov: bool = True,
        iterations: int = 5,
    ) -> None:
        super().__init__(step)
        self.norm = Spectral(shape)
        if polar not in ("exact", "newton-schulz"):
            raise InvalidInputError(f'polar must be "exact" or "newton-schulz", got {polar!r}')
        self.polar = polar
        self.momentum = as_tolerance("momentum", momentum)
        if self.momentum >= 1:
            raise InvalidInputError(f"momentum must lie in [0, 1), got {momentum:g}")
        self.nesterov = bool(nesterov)
        check_count("iterations", iterations)
        self.iterations = int(iterations)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of X."""
        return self.norm.shape

    def __repr__(self) -> str:
        kind = f"{self.polar}" if self.polar == "exact" else f"{self.polar} {self.iterations}"
        beta = f", momentum={self.momentum:g}{' nesterov' if self.nesterov else ''}" if self.momentum else ""
        return f"Muon({self.rule!r}, {self.shape}, {kind}{beta})"

    def settings(self) -> dict[str, Any]:
        """Return the settings with those of the polar factor and the momentum."""
        names = ("polar", "momentum", "nesterov", "iterations")
        return {
            **super().settings(),
            "shape": list(self.shape),
            **{name: getattr(self, name) for name in names},
        }

    def start(self, objective: SmoothFunction, x0: Vector) -> MuonState:
        """Return a state without momentum."""
        check_dimension("shape", self.norm, objective.dim)
        first = State.at(objective, x0)
        return MuonState(first.x, first.f, first.g, np.zeros_like(first.g))

    def step(self, objective: SmoothFunction, state: State) -> Move:
        """Return the move along the polar factor."""
        assert isinstance(state, MuonState)
        buffer = self.momentum * state.buffer + state.g
        v = self.direction(state.g + self.momentum * buffer if self.nesterov and self.momentum else buffer)
        h = self.rule.size(objective, state.x, state.f, state.g, v)
        after = State.at(objective, state.x + h * v)
        return Move(MuonState(after.x, after.f, after.g, buffer), h, state.g)

    def direction(self, update: Vector) -> Vector:
        """Return minus the polar factor of the update, shape (n,); 0 for 0."""
        if not np.any(update):
            return np.zeros_like(update)
        if self.polar == "exact":
            return selected_point(self.norm.face(update))
        return -newton_schulz(update.reshape(self.shape), self.iterations).ravel()
