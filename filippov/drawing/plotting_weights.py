"""How a sliding velocity is made up: the equivalent control u_i in [-1, 1] of each surface slid on, against time."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from filippov.arguments import Matrix, Vector
from filippov.drawing.plotting import COLOURS, LINE_COLOURS
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.switched.sign_patterns import SignPatternSystem
from filippov.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_weights", "sliding_weights"]

SAMPLES = 50
"""Times in a segment."""

MOST_SURFACES = 6
"""Of 2^k regions that meet the fields are looked at."""

UNEXPLAINED = 1e-6
"""Largest part of the velocity, relative to the fields, that the u_i may leave over."""


def sliding_weights(trajectory: Trajectory, system: SignPatternSystem | None = None) -> tuple[Vector, Matrix]:
    """Return u(t) with v = sum over regions s of prod_i (1 + s_i u_i)/2 f_s, where the fields are affine in the signs.

    u_i = +1 or -1 is the side of a surface that is not slid on; on one surface u is Filippov's weight,
    v = (1 + u)/2 f_+ + (1 - u)/2 f_-. Where u reaches 1 in size, sliding ends.

    Parameters
    ----------
    trajectory : Trajectory
    system : PiecewiseSmooth or Relay, optional
        Default: what the trajectory knows.

    Returns
    -------
    t : (k,) array
        Fifty times in each segment, both ends included.
    u : (m, k) array
        nan where the velocity is not made up like that: fields that are not affine in the signs on codimension two and
        more, or more than six surfaces.

    Raises
    ------
    InvalidTypeError, InvalidInputError
        If an argument is not what is named above.
    """
    if not isinstance(trajectory, Trajectory):
        raise InvalidTypeError(f"trajectory must be a filippov Trajectory, got {type(trajectory).__name__}")
    known = trajectory.system if system is None else system
    if not isinstance(known, SignPatternSystem):
        raise InvalidTypeError(f"system must be PiecewiseSmooth or Relay, got {type(known).__name__}")
    if not trajectory.segments:
        raise InvalidInputError("trajectory must have segments, got an empty one")
    times, columns = [], []
    for segment in trajectory.segments:
        inner = np.linspace(segment.t0, segment.t1, SAMPLES)
        states, velocities = np.asarray(segment.state(inner)), np.asarray(segment.velocity(inner))
        for t, x, v in zip(inner, states.T, velocities.T, strict=True):
            times.append(float(t))
            columns.append(_weights(known, float(t), x, v, segment.mode.sides))
    return np.array(times), np.array(columns).T


def _weights(system: SignPatternSystem, t: float, x: Vector, v: Vector, sides: NDArray[np.int8]) -> Vector:
    u = sides.astype(np.float64)
    free = np.flatnonzero(sides == 0)
    if free.size == 0:
        return u
    u[free] = np.nan
    if free.size > MOST_SURFACES:
        return u
    signs = np.array(list(product((-1, 1), repeat=free.size)), dtype=np.int8)
    pattern = sides.copy()
    rows = []
    for each in signs:
        pattern[free] = each
        rows.append(system.pattern_field(t, x, pattern))
    fields = np.array(rows)
    # The part of the fields that is affine in the signs: the columns of `signs` are orthogonal.
    mean, slopes = fields.mean(axis=0), signs.T @ fields / len(signs)
    size = float(np.max(np.abs(fields)))
    affine = np.max(np.abs(mean + signs @ slopes - fields)) <= UNEXPLAINED * size
    found = np.linalg.lstsq(slopes.T, v - mean, rcond=None)[0]
    if affine and np.max(np.abs(mean + found @ slopes - v)) <= UNEXPLAINED * size:
        u[free] = found
    return u


def plot_weights(
    trajectory: Trajectory, system: SignPatternSystem | None = None, ax: Axes | None = None
) -> Axes:
    """Draw `sliding_weights` against time.

    Parameters
    ----------
    trajectory : Trajectory
    system : PiecewiseSmooth or Relay, optional
        Default: what the trajectory knows.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib Axes
    """
    times, weights = sliding_weights(trajectory, system)
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(7.0, 3.2), layout="constrained")[1]
    for bound in (-1.0, 1.0):
        ax.axhline(bound, color=COLOURS["neutral"], linewidth=0.8, linestyle=":", zorder=0.6)
    for i, line in enumerate(weights):
        ax.plot(times, line, color=LINE_COLOURS[i % len(LINE_COLOURS)], label=f"$u_{{{i + 1}}}$")
    ax.set(xlabel="time $t$", ylabel="$u_i(t)$", ylim=(-1.15, 1.15), xlim=(times[0], times[-1]))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.02), borderaxespad=0.0, frameon=False, fontsize="small"
    )
    return ax
