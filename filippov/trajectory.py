"""The result of `solve`: a path, its switches, and the evidence that comes with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.errors import InvalidInputError
from filippov.pieces import Segment, evaluate
from filippov.switching import Switch

if TYPE_CHECKING:
    from filippov.certificate import Certificate
    from filippov.system import System

__all__ = ["Trajectory"]


class Trajectory:
    """A Filippov solution from t_span[0] as far as it was computed.

    Attributes
    ----------
    t : (m,) array
        Reported times: `t_eval`, or the ends of all steps.
    y : (n, m) array
        States at those times, in columns.
    segments : list of Segment
        One for each mode between two switches, in order.
    switches : list of Switch
    status : int
        0 the end of t_span was reached, 1 a terminal event occurred, -1 the run failed.
    message : str
    nfev, njev : int
        Evaluations of the field or gradient, and of its derivative.
    certified : bool
        Whether every step is known from a bound to hold no unseen pair of switches; False when a step rested on
        sampling instead (an objective that does not bound its third derivatives, a Runge-Kutta step).
    t_events, y_events : list of arrays
        Times (k,) and states (k, n) of each user event, as in solve_ivp.
    system : System or None
        What was solved; None after `load` until it is given.
    options : dict
        What `solve` was asked for, by name, and `t_end`, the end of t_span.
    version : str or None
        The version of this library that computed it; None for a stored one that does not say.
    """

    def __init__(
        self,
        *,
        segments: Sequence[Segment],
        switches: Sequence[Switch],
        start: tuple[float, Vector],
        t_eval: Vector | None = None,
        reported: Matrix | None = None,
        status: int = 0,
        message: str = "",
        nfev: int = 0,
        njev: int = 0,
        certified: bool = True,
        t_events: Sequence[Vector] = (),
        y_events: Sequence[Matrix] = (),
        system: System | None = None,
        options: Mapping[str, float | str] | None = None,
        version: str | None = None,
        digest: str | None = None,
    ) -> None:
        self.segments = list(segments)
        self.switches = list(switches)
        self.start = start
        self.status, self.message = status, message
        self.nfev, self.njev, self.certified = nfev, njev, certified
        self.t_events, self.y_events = list(t_events), list(y_events)
        self.system = system
        self.options = dict(options or {})
        self.version, self._stored_digest = version, digest
        self._pieces = [piece for segment in self.segments for piece in segment.pieces]
        if t_eval is None:
            self.t: Vector = np.array([start[0], *(piece.t1 for piece in self._pieces)])
        else:
            self.t = t_eval[t_eval <= self.t_end]
            if reported is not None:
                self.y = reported[:, : self.t.size]

    @property
    def t_end(self) -> float:
        """The time reached."""
        return self._pieces[-1].t1 if self._pieces else self.start[0]

    @property
    def dim(self) -> int:
        """Number of states n."""
        return self.start[1].size

    @property
    def success(self) -> bool:
        """Whether the end of t_span or a terminal event was reached."""
        return self.status >= 0

    @property
    def sliding_time(self) -> float:
        """Total time spent sliding; rest after an arrival is not counted."""
        return sum(s.duration for s in self.segments if s.codimension > 0 and not s.mode.resting)

    @property
    def arrival_time(self) -> float | None:
        """Time at which an equilibrium was reached, or None."""
        return next((segment.t0 for segment in self.segments if segment.mode.resting), None)

    @cached_property
    def y(self) -> Matrix:
        """States at `t`, (n, m)."""
        return np.asarray(self.sol(self.t)).reshape(self.dim, self.t.size)

    def sol(self, t: float | Vector) -> Vector | Matrix:
        """Return the state x(t), (n,), or (n, m) for m times; exact on exact segments.

        Raises
        ------
        InvalidInputError
            If a time lies outside the computed span.
        """
        return self._evaluate(t, velocity=False)

    def velocity(self, t: float | Vector) -> Vector | Matrix:
        """Return the selected velocity at t, (n,) or (n, m); at a switch, the one after it.

        Raises
        ------
        InvalidInputError
            If a time lies outside the computed span.
        """
        return self._evaluate(t, velocity=True)

    def _evaluate(self, t: float | Vector, *, velocity: bool) -> Vector | Matrix:
        times = np.asarray(t, dtype=np.float64)
        if times.ndim > 1:
            raise InvalidInputError(f"t must be a number or a vector, got shape {times.shape}")
        inside = (times >= self.start[0]) & (times <= self.t_end)
        if not np.all(inside):
            stray = float(np.atleast_1d(times)[~np.atleast_1d(inside)][0])
            raise InvalidInputError(f"t must lie within [{self.start[0]:g}, {self.t_end:g}], got {stray:g}")
        if times.ndim == 1 and times.size == 0:
            return np.empty((self.dim, 0))
        if not self._pieces:
            if velocity:
                raise InvalidInputError("the trajectory is empty: it has no velocity")
            return self.start[1] if times.ndim == 0 else np.repeat(self.start[1][:, None], times.size, axis=1)
        return evaluate(self._pieces, times, velocity=velocity)

    def mode_at(self, t: float) -> Segment:
        """Return the segment that t lies in; at a switch, the one after it."""
        starts = np.array([segment.t0 for segment in self.segments])
        return self.segments[max(0, int(np.searchsorted(starts, t, side="right")) - 1)]

    @cached_property
    def digest(self) -> str | None:
        """SHA-256 fingerprint of what was solved: system, start, t_span and options; None where the system is not known.

        It is stored with the trajectory, and a loaded one has the digest that was stored. See
        `filippov.storing.fingerprint` for what counts. Equal digests mean equal input, and on one machine equal bits.
        """
        if self._stored_digest is not None or self.system is None:
            return self._stored_digest
        return self._digest_with(self.system)

    def agrees_with(self, system: System | None) -> bool | None:
        """Return whether this is the system that it was computed from, by the digest; None where one of them is not known."""
        if system is None or self.digest is None:
            return None
        return self._digest_with(system) == self.digest

    def _digest_with(self, system: System) -> str:
        from filippov.storing.fingerprint import fingerprint

        return fingerprint(system, self.start[0], self.start[1], self.options)

    def certify(self, samples: int = 1000, system: System | None = None) -> Certificate:
        """Check the trajectory against the inclusion it claims to solve.

        Parameters
        ----------
        samples : int
            Number of sample times, spread evenly over time and into every segment.
        system : System, optional
            Needed only for a loaded trajectory.

        Returns
        -------
        Certificate

        Raises
        ------
        InvalidInputError
            If no system is known or nothing was computed.
        """
        from filippov.certificate import certify

        return certify(self, samples, system)

    def plot(self, ax: Any = None) -> Any:
        """Draw the coordinates against time, sliding shaded and switches marked; return the axes."""
        from filippov.drawing.plotting import plot_trajectory

        return plot_trajectory(self, ax)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the trajectory to an .npz file (no pickle); see `filippov.storing.storage`."""
        from filippov.storing.storage import save_trajectory

        save_trajectory(self, path)

    @staticmethod
    def load(path: str | PathLike[str], system: System | None = None) -> Trajectory:
        """Read a trajectory written by `save`.

        Parameters
        ----------
        path : path
        system : System, optional
            The system it solves, wanted by `certify`. If the digest of its input says that it was computed from
            another one, there is an `OtherInputWarning`.

        Raises
        ------
        InvalidInputError
            If the file is not a trajectory.
        """
        from filippov.storing.storage import load_trajectory

        return load_trajectory(path, system)

    def _summary(self) -> list[tuple[str, str]]:
        kinds: dict[str, int] = {}
        for switch in self.switches:
            kinds[switch.kind] = kinds.get(switch.kind, 0) + 1
        counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
        rows = [
            ("time", f"{self.start[0]:g} to {self.t_end:.6g}"),
            ("states", str(self.dim)),
            ("status", f"{self.status}: {self.message}"),
            ("switches", counted),
            ("sliding time", f"{self.sliding_time:.6g}"),
        ]
        if self.arrival_time is not None:
            rows.append(("arrival", f"t = {self.arrival_time:.12g}"))
        rows.append(("evaluations", f"nfev {self.nfev}, njev {self.njev}"))
        rows.append(("no missed switch", "certified" if self.certified else "sampled, not certified"))
        return rows

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self._summary())
        return "\n".join(["Trajectory", *(f"  {name:<{width}}  {text}" for name, text in self._summary())])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in self._summary()
        )
        return f"<table><caption>Trajectory</caption>{rows}</table>"
