"""What must be true of a straight piece for its velocity to lie in a face of the ball: least perturbations of the gradient.

For a mode and bounds on the gradient y at both ends of a piece, an error e(t) is constructed for which v is in F(y(t) + e(t)) all
along the piece, affine in t or the positive part of an affine function in each component. So its size is largest at an end, and
its variation is bounded by its sizes at both ends.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.switching import Mode
from flows.norms import L1, LInf, Norm, Weighted
from flows.proving.proof_enclosures import UNIT, Bounds

__all__ = ["Ball", "Demand", "Pieces", "ball_of"]


@dataclass(frozen=True)
class Pieces:
    """What m straight pieces do.

    Attributes
    ----------
    first, last : Bounds
        On the gradient at the two ends, (n, m).
    rate : Bounds
        On its rate, (n, m).
    v : (n, m) array
        Velocities.
    sides : (n, m) array of int8
    resting : (m,) array of bool
        The modes.
    """

    first: Bounds
    last: Bounds
    rate: Bounds
    v: Matrix
    sides: NDArray[np.int8]
    resting: NDArray[np.bool_]


@dataclass(frozen=True)
class Demand:
    """What m pieces ask for.

    Attributes
    ----------
    first, last : (n, m) arrays
        Bounds on |e| at the two ends.
    affine : (n, m) array of bool
        Components of e that are affine in t; the others are positive parts.
    drift : (n, m) array
        Bounds on the rates at which the functions that should stay zero move, divided by the dual speed that makes them rates of
        gradient components.
    velocity_error : (m,) array
        Bounds on the distance of v from F(y + e), relative to the unit ball.
    fits : (m,) array of bool
        Whether the mode is one of this ball and the velocity has exactly the components that the mode fixes.
    """

    first: Matrix
    last: Matrix
    affine: NDArray[np.bool_]
    drift: Matrix
    velocity_error: Vector
    fits: NDArray[np.bool_]


class Ball(ABC):
    """A polyhedral unit ball whose faces are the modes of a flow.

    Parameters
    ----------
    weights : (n,) array
        Largest speed of each coordinate.
    """

    def __init__(self, weights: Vector) -> None:
        self.weights = weights

    @abstractmethod
    def demand(self, pieces: Pieces) -> Demand:
        """Return what the pieces ask for."""

    @abstractmethod
    def members(self, sides: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return which coordinates have a velocity that their mode does not fix: (n, m)."""

    @abstractmethod
    def compared(self, size: Vector, sides: NDArray[np.int8]) -> Matrix:
        """Return the size of the terms that cancel in a condition on each component, from that of the components: (n, m)."""

    @abstractmethod
    def is_mode(self, mode: Mode) -> bool:
        """Whether codimension and rest of a mode follow from its sides."""

    @abstractmethod
    def euclidean_size(self) -> float:
        """Return a bound on the Euclidean norm over the unit ball."""


class BoxBall(Ball):
    """{ |v_i| <= w_i }: sides[i] = +-1 where v_i = +-w_i, 0 where g_i = 0 is kept."""

    def demand(self, pieces: Pieces) -> Demand:
        """Ask e_i = -y_i where the mode slides, and that y_i have the sign opposite to v_i elsewhere.

        A piece at rest asks for y = 0 and v = 0.
        """
        w, v, sides = self.weights[:, None], pieces.v, pieces.sides
        slides = sides == 0
        fixed = np.all(np.where(slides, 0.0, v) == sides * w, axis=0)
        still = np.all(v == 0.0, axis=0)
        excess: Matrix = np.where(slides, np.maximum(np.abs(v) - w, 0.0) / w, 0.0)
        return Demand(
            np.where(slides, pieces.first.size, _wrong_side(pieces.first, sides)),
            np.where(slides, pieces.last.size, _wrong_side(pieces.last, sides)),
            slides,
            np.where(slides, pieces.rate.size, 0.0),
            (1.0 + 4.0 * UNIT) * np.max(excess, axis=0, initial=0.0),
            fixed & (~pieces.resting | still),
        )

    def members(self, sides: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return the coordinates that slide."""
        return sides == 0

    def compared(self, size: Vector, sides: NDArray[np.int8]) -> Matrix:
        """Return the size itself: each component is compared with zero."""
        return np.repeat(size[:, None], sides.shape[1], axis=1)

    def is_mode(self, mode: Mode) -> bool:
        """Whether the codimension counts the sliding coordinates, and the mode rests where all slide."""
        slides = mode.sides == 0
        return mode.codimension == int(np.sum(slides)) and mode.resting == bool(np.all(slides))

    def euclidean_size(self) -> float:
        """Return ||w||_2, rounded up."""
        return float(np.linalg.norm(self.weights)) * (1.0 + 4.0 * self.weights.size * UNIT)


class CrossPolytope(Ball):
    """{ sum |v_i| / w_i <= 1 }: sides[i] = 0 on a tie of w_i |g_i|, 1 for a lone leader, -1 for the rest."""

    def demand(self, pieces: Pieces) -> Demand:
        """Ask s_i w_i (y + e)_i = c on the tie and w_j |y + e|_j <= c elsewhere, with c(t) the mean level of the tie, at least 0.

        The sign s_i is that of -v_i, and where v_i is zero that of the gradient. A piece at rest asks for y = 0 and v = 0.
        """
        first, last, v, sides, resting = pieces.first, pieces.last, pieces.v, pieces.sides, pieces.resting
        n, w = v.shape[0], self.weights[:, None]
        tied = self.members(sides)
        lone = np.sum(sides == 1, axis=0)
        fits = np.where(np.any(sides == 0, axis=0), lone == 0, lone == 1)
        fits &= np.all(tied | (v == 0.0), axis=0) & (~resting | np.all(v == 0.0, axis=0))

        weight = np.abs(v) / w
        tiny = 16.0 * n * UNIT
        signs = np.where(weight > tiny, -np.sign(v), np.sign(first.low + first.high + last.low + last.high))
        share = np.where(tied, -signs * v / w, 0.0)
        missing = np.abs(np.sum(share, axis=0) - 1.0) + 2.0 * np.sum(np.maximum(-share, 0.0), axis=0)
        velocity_error = np.where(resting, 0.0, missing + 4.0 * n * UNIT)  # the sum's own rounding

        scaled = [_stretched(bounds, w) for bounds in (first, last)]
        levels = [_level(y, signs, tied) for y in scaled]
        raised = np.maximum(0.0, -np.minimum(*levels))  # the same at both ends: c stays affine
        sizes = []
        for y, level in zip(scaled, levels, strict=True):
            c = np.where(resting, 0.0, level + raised)
            target = signs * c
            on_tie = np.maximum(np.abs(y.low - target), np.abs(y.high - target))
            above = np.maximum(np.maximum(y.high, -y.low) - c, 0.0)
            sizes.append((1.0 + 8.0 * UNIT) * np.where(tied, on_tie, above) / w)
        rates = _stretched(pieces.rate, w)
        mean = _level(rates, signs, tied)
        drift = np.maximum(np.abs(rates.low - signs * mean), np.abs(rates.high - signs * mean)) / w
        return Demand(sizes[0], sizes[1], tied, np.where(tied & ~resting, drift, 0.0), velocity_error, fits)

    def members(self, sides: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return the tied coordinates, or the lone leader."""
        slides = sides == 0
        return slides | (~np.any(slides, axis=0) & (sides == 1))

    def compared(self, size: Vector, sides: NDArray[np.int8]) -> Matrix:
        """Return the size and that of the level, which each component is compared with."""
        level = np.max(np.where(self.members(sides), (self.weights * size)[:, None], 0.0), axis=0)
        return size[:, None] + level / self.weights[:, None]

    def is_mode(self, mode: Mode) -> bool:
        """Whether the codimension is one less than the number of tied coordinates, and all of them at rest."""
        tied = int(np.sum(mode.sides == 0))
        if mode.resting:
            return mode.codimension == tied == mode.sides.size
        return tied != 1 and mode.codimension == max(tied - 1, 0)

    def euclidean_size(self) -> float:
        """Return max w_i."""
        return float(np.max(self.weights))


def ball_of(norm: Norm, dim: int) -> Ball | None:
    """Return the ball of an l_inf or l1 norm, weighted or not; None for other norms."""
    base, weights = (norm.norm, norm.w) if isinstance(norm, Weighted) else (norm, np.ones(dim))
    if isinstance(base, LInf):
        return BoxBall(weights)
    return CrossPolytope(weights) if isinstance(base, L1) else None


def _wrong_side(g: Bounds, sides: NDArray[np.int8]) -> Matrix:
    """Return how far g_i may be on the same side as v_i, where it must not be."""
    return np.maximum(np.where(sides > 0, g.high, -g.low), 0.0)


def _stretched(bounds: Bounds, w: Vector | Matrix) -> Bounds:
    """Return bounds on w times the numbers bounded, rounded outward."""
    return Bounds(np.nextafter(w * bounds.low, -np.inf), np.nextafter(w * bounds.high, np.inf))


def _level(y: Bounds, signs: Matrix, tied: NDArray[np.bool_]) -> Vector:
    """Return a level near the mean of s_i y_i over the tie: any number would do, the mean asks for little."""
    middle = signs * (0.5 * y.low + 0.5 * y.high)
    count = np.maximum(np.sum(tied, axis=0), 1)
    level: Vector = np.sum(np.where(tied, middle, 0.0), axis=0) / count
    return level
