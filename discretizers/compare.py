"""Iterates of a scheme beside the exact trajectory that they approximate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import trapezoid
from scipy.spatial import cKDTree

from discretizers.iterates import Iterates
from discretizers.modes import ModeTest
from discretizers.reporting import Report, Rows, number
from filippov.arguments import Matrix, Vector
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.pieces import LinearPiece, Segment
from filippov.system import System
from filippov.trajectory import Trajectory
from flows.norm_flow import NormFlow
from flows.norms import Group

__all__ = ["Comparison", "SlidingArc", "compare"]

ORBIT_SAMPLES = 1000
"""Points of each orbit, about, from which distances to the other are taken."""


@dataclass(frozen=True)
class SlidingArc:
    """How a scheme chatters around one sliding arc of the exact trajectory.

    Attributes
    ----------
    surfaces : tuple of int
        The surfaces slid on.
    t0, t1 : float
        Its times, cut to the common time axis.
    largest, rms, settled : dict of int to float
        For each surface the largest |h_i|, the root mean square over time, and the largest in the second
        half of the arc, of the function that vanishes on the surface (g_i; for l1 the deviation of |g_i|
        from the mean of the tie), at the iterates. `settled` leaves out the transient at the entry.
    zigzag : float
        Amplitude in the states: the largest of ||v_k - v_{k-1}||_inf min(h_k, h_{k-1}) / 4 over the pairs
        of steps inside the second half, v_k the velocity of step k. A zigzag of amplitude a about a
        straight line gives a; a straight line gives 0.
    """

    surfaces: tuple[int, ...]
    t0: float
    t1: float
    largest: dict[int, float]
    rms: dict[int, float]
    settled: dict[int, float]
    zigzag: float


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Report):
    """What `compare` found.

    Attributes
    ----------
    scheme : str
    t0, t1 : float
        The common time axis.
    steps : int
        Steps of the scheme that begin on it.
    sup_error : float
        Largest max-norm distance between the trajectory and the iterates, joined by straight lines: over
        the nodes t_k and their midpoints, the times of switches, the ends of exact pieces and the
        midpoints between all of these. Where the trajectory is piecewise linear (norm flows of
        quadratics) that is the supremum.
    sup_t : float
        Where it is found.
    terminal_error : float
        The distance at t1.
    arcs : tuple of SlidingArc
        One for each sliding arc on the common axis that holds an iterate; rest is not sliding.
    rest_amplitude : float
        Largest max-norm distance of the iterates from the equilibrium once the exact trajectory rests there;
        nan if it does not.
    mode_share : float
        Share of time in [0, 1] on which the iterate that a step starts from is in the exact trajectory's mode
        (`discretizers.modes`); nan for systems other than l_inf, l1 (weighted or not) and l2 flows.
    hausdorff : float
        Hausdorff distance (Euclidean) between the two orbits over the common axis, time forgotten.
    hausdorff_resolution : float
        How finely the orbits were sampled for it: half the largest distance between neighbouring samples.
    t, error : ndarray
        The nodes on the common axis and the max-norm distances there.
    """

    scheme: str
    t0: float
    t1: float
    steps: int
    sup_error: float
    sup_t: float
    terminal_error: float
    arcs: tuple[SlidingArc, ...]
    rest_amplitude: float
    mode_share: float
    hausdorff: float
    hausdorff_resolution: float
    t: Vector
    error: Vector

    @property
    def chatter(self) -> dict[int, float]:
        """For each surface slid on, the largest |h_i| at iterates while the exact trajectory slides on it."""
        return self._worst("largest")

    @property
    def settled_chatter(self) -> dict[int, float]:
        """As `chatter`, over the second half of each sliding arc only."""
        return self._worst("settled")

    @property
    def zigzag(self) -> float:
        """The largest amplitude in the states over all sliding arcs; nan without sliding."""
        return max((arc.zigzag for arc in self.arcs), default=np.nan)

    def _worst(self, name: str) -> dict[int, float]:
        worst: dict[int, float] = {}
        for arc in self.arcs:
            for surface, value in getattr(arc, name).items():
                worst[surface] = max(value, worst.get(surface, 0.0))
        return dict(sorted(worst.items()))

    def rows(self) -> Rows:
        """Return names and values."""
        settled = self.settled_chatter
        chatter = [
            (f"chatter, surface {i}", f"{number(value)} ({number(settled[i])} settled)")
            for i, value in self.chatter.items()
        ]
        return Rows(
            f"Comparison of {self.scheme} with the exact trajectory",
            (),
            [
                ("time", f"{self.t0:g} to {self.t1:.6g}, {self.steps} steps"),
                ("sup error", f"{number(self.sup_error)} at t = {self.sup_t:.6g}"),
                ("terminal error", number(self.terminal_error)),
                *chatter,
                ("zigzag in the states", number(self.zigzag)),
                ("amplitude at rest", number(self.rest_amplitude)),
                ("time in the right mode", "-" if np.isnan(self.mode_share) else f"{self.mode_share:.1%}"),
                (
                    "Hausdorff distance",
                    f"{number(self.hausdorff)} (resolution {self.hausdorff_resolution:.1g})",
                ),
            ],
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        names = [
            *("scheme", "t0", "t1", "steps", "sup_error", "sup_t", "terminal_error"),
            *("chatter", "settled_chatter", "zigzag", "rest_amplitude", "mode_share"),
            *("hausdorff", "hausdorff_resolution"),
        ]
        arcs = [vars(arc) for arc in self.arcs]
        return {
            **{name: getattr(self, name) for name in names},
            "arcs": arcs,
            "t": self.t.tolist(),
            "error": self.error.tolist(),
        }

    def plot(self, ax: Any = None) -> Any:
        """Draw the distance at the nodes against time, sliding arcs shaded; return the axes."""
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        for k, arc in enumerate(self.arcs):
            ax.axvspan(arc.t0, arc.t1, color="0.9", lw=0, label=None if k else "exact trajectory slides")
        shown = self.error > 0  # a logarithmic axis has no zero
        ax.semilogy(self.t[shown], self.error[shown], label=self.scheme)
        ax.set(xlabel="t", ylabel="max-norm distance from the exact trajectory")
        ax.legend()
        return ax


def compare(trajectory: Trajectory, iterates: Iterates) -> Comparison:
    """Measure how far the iterates of a scheme are from an exact trajectory.

    The iterates' times count from the trajectory's start; the common time axis ends where the shorter of the
    two does.

    Parameters
    ----------
    trajectory : Trajectory
        From `filippov.solve`. One that was loaded needs its `.system` for `chatter` and `mode_share`.
    iterates : Iterates
        From `run`.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInputError
        If the dimensions differ, or one of the two has no length.
    """
    if not isinstance(trajectory, Trajectory):
        raise InvalidTypeError(f"trajectory must be a Trajectory, got {type(trajectory).__name__}")
    if not isinstance(iterates, Iterates):
        raise InvalidTypeError(f"iterates must be Iterates, got {type(iterates).__name__}")
    if iterates.y.shape[0] != trajectory.dim:
        raise InvalidInputError(f"iterates must have {trajectory.dim} states, got {iterates.y.shape[0]}")
    start = trajectory.start[0]
    end = min(start + float(iterates.t[-1]), trajectory.t_end)
    if not end > start:
        raise InvalidInputError("trajectory and iterates must both have some length in time")

    path = _Path(start + iterates.t, iterates.y, end)
    times = _axis(trajectory, path, end)
    distances = np.max(np.abs(np.asarray(trajectory.sol(times)) - path.at(times)), axis=0)
    worst = int(np.argmax(distances))
    error = np.max(np.abs(np.asarray(trajectory.sol(path.t)) - path.y), axis=0)
    hausdorff, resolution = _hausdorff(_orbit(trajectory, end), np.column_stack([path.y, path.at(end)]))
    return Comparison(
        scheme=iterates.scheme,
        t0=start,
        t1=end,
        steps=int(np.count_nonzero(path.t < end)),
        sup_error=float(distances[worst]),
        sup_t=float(times[worst]),
        terminal_error=float(distances[-1]),
        arcs=tuple(_arcs(trajectory, path)),
        rest_amplitude=_rest_amplitude(trajectory, path),
        mode_share=_mode_share(trajectory, path),
        hausdorff=hausdorff,
        hausdorff_resolution=resolution,
        t=path.t,
        error=error,
    )


class _Path:
    """The iterates joined by straight lines, zero steps left out; `t`, `y` are those on the common axis."""

    def __init__(self, t: Vector, y: Matrix, end: float) -> None:
        moving = np.concatenate([[True], np.diff(t) > 0])
        self.all_t, self.all_y = t[moving], y[:, moving]
        self.t, self.y = self.all_t[self.all_t <= end], self.all_y[:, self.all_t <= end]
        self.end = end
        self.h = np.diff(self.all_t)

    def at(self, t: Vector | float) -> Matrix:
        """Return the states at times t."""
        return np.array([np.interp(t, self.all_t, row) for row in self.all_y])

    def velocities(self) -> Matrix:
        """Return the velocity of each step, (n, number of steps)."""
        velocities: Matrix = np.diff(self.all_y, axis=1) / self.h
        return velocities


def _axis(trajectory: Trajectory, path: _Path, end: float) -> Vector:
    """Return the times at which distances are taken, ascending, the end last."""
    ends = [piece.t1 for segment in trajectory.segments for piece in segment.pieces]
    nodes = np.unique(np.concatenate([path.t, ends, [switch.t for switch in trajectory.switches], [end]]))
    nodes = nodes[nodes <= end]
    middles = [(t[:-1] + t[1:]) / 2 for t in (path.t, nodes)]
    return np.unique(np.concatenate([nodes, *middles]))


def _sliding(trajectory: Trajectory, end: float) -> Iterator[tuple[Segment, float, float]]:
    for segment in trajectory.segments:
        if segment.codimension > 0 and not segment.mode.resting and segment.t0 < end:
            yield segment, segment.t0, min(segment.t1, end)


def _arcs(trajectory: Trajectory, path: _Path) -> Iterator[SlidingArc]:
    """Yield the chatter around each sliding arc that holds an iterate."""
    system = trajectory.system
    if system is None:
        return
    for segment, t0, t1 in _sliding(trajectory, path.end):
        inside = np.flatnonzero((path.t >= t0) & (path.t <= t1))
        if inside.size == 0:
            continue
        t = path.t[inside]
        values = (system.surface_values(float(path.t[k]), path.y[:, k], segment.mode)[0] for k in inside)
        sizes = _sizes(system, segment, np.array(list(values)))
        late = sizes[t >= (t0 + t1) / 2]
        mean = np.sqrt(trapezoid(sizes**2, t, axis=0) / (t[-1] - t[0])) if t.size > 1 else sizes[0]
        yield SlidingArc(
            surfaces=segment.sliding,
            t0=t0,
            t1=t1,
            largest=_by_surface(segment, sizes.max(axis=0)),
            rms=_by_surface(segment, mean),
            settled=_by_surface(segment, late.max(axis=0) if late.size else np.full(sizes.shape[1], np.nan)),
            zigzag=_zigzag(path, (t0 + t1) / 2, t1),
        )


def _sizes(system: System, segment: Segment, values: Matrix) -> Matrix:
    """Return how far each surface is from vanishing, one a column: |h_i|, or ||g_k||_2 for the group k of `Group`."""
    if not isinstance(system, NormFlow) or not isinstance(system.norm, Group):
        return np.abs(values)
    ends = np.cumsum([system.norm.groups[k].size for k in segment.sliding])[:-1]
    return np.column_stack([np.linalg.norm(part, axis=1) for part in np.split(values, ends, axis=1)])


def _by_surface(segment: Segment, values: Vector) -> dict[int, float]:
    return {surface: float(value) for surface, value in zip(segment.sliding, values, strict=True)}


def _zigzag(path: _Path, t0: float, t1: float) -> float:
    turns = np.max(np.abs(np.diff(path.velocities(), axis=1)), axis=0, initial=0.0)
    sizes = turns * np.minimum(path.h[:-1], path.h[1:]) / 4
    inside = (path.all_t[:-2] >= t0) & (path.all_t[2:] <= t1)
    return float(np.max(sizes[inside])) if np.any(inside) else np.nan


def _rest_amplitude(trajectory: Trajectory, path: _Path) -> float:
    arrival = trajectory.arrival_time
    if arrival is None or not np.any(path.t >= arrival):
        return np.nan
    rest = np.asarray(trajectory.sol(path.end))
    return float(np.max(np.abs(path.y[:, path.t >= arrival] - rest[:, None])))


def _mode_share(trajectory: Trajectory, path: _Path) -> float:
    """Return the share of time in the right mode."""
    system = trajectory.system
    if not isinstance(system, NormFlow) or not ModeTest.knows(system.norm):
        return np.nan
    test = ModeTest(system)
    right = total = 0.0
    steps = np.flatnonzero(path.t < path.end)
    # At a switch `velocity` and `mode_at` answer for what comes after it, as the step does.
    velocities = np.asarray(trajectory.velocity(path.t[steps]))
    for k, velocity in zip(steps, velocities.T, strict=True):
        length = min(path.all_t[k + 1], path.end) - path.t[k]
        mode = trajectory.mode_at(float(path.t[k])).mode
        total += length
        right += length * test.agrees(path.y[:, k], float(path.h[k]), mode, velocity)
    return float(right / total)


def _orbit(trajectory: Trajectory, end: float) -> Matrix:
    """Return points of the exact orbit, straight between them (or nearly so on curved pieces), (n, m)."""
    start = trajectory.start[0]
    times = [start]
    for segment in trajectory.segments:
        for piece in segment.pieces:
            share = 0.0 if isinstance(piece, LinearPiece) else (piece.t1 - piece.t0) / (end - start)
            times.extend(np.linspace(piece.t0, piece.t1, 2 + int(share * ORBIT_SAMPLES))[1:])
    kept = np.unique(np.append(np.minimum(times, end), end))
    return np.asarray(trajectory.sol(kept))


def _hausdorff(one: Matrix, two: Matrix) -> tuple[float, float]:
    """Return the Hausdorff distance between two polylines (n, m), and how fine their samples are.

    Points of one are projected on the two lines that meet at the nearest sample of the other.
    """
    a, b = _resampled(one), _resampled(two)
    spacing = max(float(np.max(np.linalg.norm(np.diff(p, axis=0), axis=1), initial=0.0)) for p in (a, b))
    return max(_one_sided(a, b), _one_sided(b, a)), spacing / 2


def _resampled(line: Matrix) -> Matrix:
    """Return about ORBIT_SAMPLES points of a polyline (n, m), corners among them, one a row."""
    corners = line.T
    lengths = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    total = float(np.sum(lengths))
    if total == 0:
        return corners[:1]
    counts = np.ceil(lengths * (ORBIT_SAMPLES / total)).astype(int)
    # Corners k, k + fractions: position along the polyline counted in corners.
    parts = [k + np.arange(count) / count for k, count in enumerate(counts) if count]
    position = np.append(np.concatenate(parts), len(lengths))
    return np.column_stack([np.interp(position, np.arange(len(corners)), column) for column in corners.T])


def _one_sided(points: Matrix, line: Matrix) -> float:
    """Return the largest distance of the points (rows) from the polyline through the rows of `line`."""
    distances, nearest = cKDTree(line).query(points)
    for offset in (-1, 0):
        k = np.clip(nearest + offset, 0, max(len(line) - 2, 0))
        if len(line) < 2:
            break
        edge, way = line[k + 1] - line[k], points - line[k]
        squared = np.sum(edge**2, axis=1)
        s = np.clip(np.sum(way * edge, axis=1) / np.where(squared > 0, squared, 1.0), 0, 1)
        distances = np.minimum(distances, np.linalg.norm(way - s[:, None] * edge, axis=1))
    return float(np.max(distances))
