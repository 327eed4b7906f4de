"""Polynomials that stand in for guards over a step: their minima and first roots."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from filippov.arguments import Vector
from filippov.rounding import EPS

__all__ = ["first_root", "first_roots", "hermite_root", "lowest_cubic"]


def lowest_cubic(value: Vector, rate: Vector, acceleration: Vector, third: Vector, reach: float) -> Vector:
    """Return the minimum over 0 <= s <= reach of value + rate s + acceleration s^2/2 - third s^3/6, elementwise."""
    lowest = np.minimum(value, cubic(value, rate, acceleration, third, reach))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Inner extremes: rate + acceleration s - third s^2/2 = 0, both roots in their stable form.
        discriminant = np.sqrt(np.maximum(acceleration**2 + 2.0 * third * rate, 0.0))
        scale = acceleration + np.where(acceleration >= 0, discriminant, -discriminant)
        for s in (scale / third, -2.0 * rate / scale):
            at = np.where(np.isfinite(s) & (s > 0) & (s < reach), s, 0.0)
            lowest = np.minimum(lowest, cubic(value, rate, acceleration, third, at))
    return lowest


def cubic(value: Vector, rate: Vector, acceleration: Vector, third: Vector, s: float | Vector) -> Vector:
    result: Vector = value + s * (rate + s * (0.5 * acceleration - s * third / 6.0))
    return result


def first_root(value: Vector, rate: Vector, acceleration: Vector) -> float:
    """Return the first s > 0 at which some value + rate s + acceleration s^2/2 falls to zero, or infinity."""
    return float(np.min(first_roots(value, rate, acceleration), initial=np.inf))


def first_roots(value: Vector, rate: Vector, acceleration: Vector) -> Vector:
    """Return the first s > 0 at which each value + rate s + acceleration s^2/2 falls to zero, or infinity, elementwise."""
    value = np.maximum(value, 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        discriminant = rate**2 - 2.0 * acceleration * value
        root = np.sqrt(np.maximum(discriminant, 0.0))
        bending = np.where(acceleration < 0, (rate + root) / -acceleration, np.inf)
        s = np.where(rate < 0, 2.0 * value / (root - rate), bending)
    roots: Vector = np.where((discriminant >= 0) & (s > 0) & np.isfinite(s), s, np.inf)
    return roots


def hermite_root(g0: float, d0: float, g1: float, d1: float, h: float) -> float:
    """Return a root in (0, h) of the cubic with end values g0 > 0 > g1 and slopes d0, d1; h if g0 <= 0."""
    if g0 <= 0.0:
        return h

    size = max(g0, -g1)

    def value(u: float) -> float:
        values = g0 * (1 + 2 * u) * (1 - u) ** 2 + g1 * u * u * (3 - 2 * u)
        return float(values + h * u * (1 - u) * (d0 * (1 - u) - d1 * u)) / size

    return h * float(brentq(value, 0.0, 1.0, xtol=4.0 * EPS, rtol=8.9e-16, maxiter=1000))
