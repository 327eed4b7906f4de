"""The event loop: select, move, switch, for every system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Vector, as_positive, as_span, as_vector, check_count, check_size
from filippov.chattering import Accumulation, ChatteringWatch
from filippov.errors import (
    ChatteringError,
    FilippovError,
    InvalidInputError,
    InvalidTypeError,
    NonUniqueError,
)
from filippov.pieces import LinearPiece, Piece, Segment
from filippov.raised_by import describe_error
from filippov.storing.fingerprint import fingerprint
from filippov.switching import Mode, Switch, kind_of_switch
from filippov.system import Candidate, Motion, System
from filippov.trajectory import Trajectory
from filippov.user_events import UserEvent, as_events

__all__ = ["Chooser", "solve"]

Chooser = Callable[[Switch, Sequence[Vector]], int]


def solve(
    system: System,
    t_span: tuple[float, float],
    x0: ArrayLike,
    *,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    t_eval: ArrayLike | None = None,
    events: Any = None,
    nonunique: str | Chooser = "raise",
    max_switches: int = 100_000,
    progress: bool = False,
    method: str = "DOP853",
    chattering: str = "raise",
) -> Trajectory:
    """Solve the differential inclusion x' in F(t, x) in Filippov's sense.

    Parameters
    ----------
    system : System
        What to solve: a norm flow, a piecewise-smooth system, a relay system, ...
    t_span : (float, float)
        Start and end time, in the order of time.
    x0 : (n,) array_like
        Start. A start on a surface is classified, not counted as a switch, unless it is nonunique.
    rtol, atol : float
        Tolerances of steps that need a numerical integrator. Exact segments do not use them.
    t_eval : (m,) array_like, optional
        Times at which to report; default: the ends of all steps. `Trajectory.sol` answers at any time.
    events : callable or sequence of callables, optional
        User events (t, x) -> float with optional attributes `terminal` and `direction`, as in
        `scipy.integrate.solve_ivp`. They are watched at the ends and at seven inner points of every step.
    nonunique : {"raise", "least-norm"} or callable
        What to do where several solutions leave one point: raise `NonUniqueError`; stay as long as F allows;
        or call ``nonunique(switch, velocities) -> index``. The switch is recorded with kind "nonunique".
    max_switches : int
        Give up with `ChatteringError` after this many switches.
    progress : bool
        Show a progress bar over t.
    method : {"DOP853", "RK45", "RK23", "Radau", "BDF", "LSODA"}
        Which of scipy's integrators carries a general system between switches; exact segments do not use it.
    chattering : {"raise", "accumulate"}
        What to do where infinitely many switches accumulate in finite time (intervals decaying geometrically): raise
        `ChatteringError`, or go on from the extrapolated limit of times and states. The straight piece up to the limit is an
        approximation, and the trajectory's certificate says how good.

    Returns
    -------
    Trajectory

    Raises
    ------
    InvalidInputError
        An argument has the wrong shape or value.
    NonUniqueError
        Several solutions leave a point and `nonunique` is "raise".
    ChatteringError
        Switches accumulate.
    FilippovError
        The run failed on the way. This and the two above hold the part computed in `.trajectory`.

    References
    ----------
    A. F. Filippov, *Differential Equations with Discontinuous Righthand Sides*, 1988, chapter 2.
    """
    if not isinstance(system, System):
        raise InvalidTypeError(f"system must be a filippov System, got {type(system).__name__}")
    t0, t1 = as_span("t_span", t_span)
    start = as_vector("x0", x0, system.dim or None)
    check_size("x0", start)
    check_size("t_span", np.array([t0, t1]))
    rtol, atol = as_positive("rtol", rtol), as_positive("atol", atol)
    check_count("max_switches", max_switches)
    times = None if t_eval is None else _report_times(t_eval, t0, t1)
    watched = as_events(events)
    choose = _as_chooser(nonunique)
    if chattering not in ("raise", "accumulate"):
        raise InvalidInputError(f"chattering must be 'raise' or 'accumulate', got {chattering!r}")

    asked: dict[str, float | str] = {
        "t_end": t1,
        "rtol": rtol,
        "atol": atol,
        "method": str(method),
        "nonunique": nonunique if isinstance(nonunique, str) else f"callable {fingerprint(nonunique)[:16]}",
        "max_switches": int(max_switches),
        "chattering": chattering,
    }
    run = _Run(system, t0, t1, start, watched, times, asked)
    try:
        run.motion = system.motion(t0, start, t1, rtol, atol, method)
        with _Progress(t0, t1, shown=progress) as bar:
            run.loop(choose, max_switches, bar, accumulate=chattering == "accumulate")
    except FilippovError as error:
        error.trajectory = run.finish(-1, str(error))
        raise
    except KeyboardInterrupt as error:
        error.trajectory = run.finish(-1, "interrupted")  # type: ignore[attr-defined]
        raise
    except Exception as error:  # whatever a user's callable raises, the part computed is not lost
        functions = {"events": [event.function for event in watched], "nonunique": nonunique}
        message = describe_error(error, run.t, system=system, **functions)
        raise FilippovError(message, run.finish(-1, message)) from error
    return run.finish(*run.outcome)


class _Run:
    """The record of one integration while it grows."""

    def __init__(
        self,
        system: System,
        t0: float,
        t1: float,
        x0: Vector,
        events: list[UserEvent],
        t_eval: Vector | None,
        options: dict[str, float | str],
    ) -> None:
        self.system, self.t0, self.t1, self.x0 = system, t0, t1, x0
        self.events, self.t_eval, self.options = events, t_eval, options
        self.motion: Motion | None = None
        self.mode: Mode | None = None
        self.pieces: list[Piece] = []
        self.segments: list[Segment] = []
        self.switches: list[Switch] = []
        self.watch = ChatteringWatch()
        self.reported = None if t_eval is None else np.empty((x0.size, t_eval.size))
        self.outcome = (0, "reached the end of t_span")

    @property
    def t(self) -> float:
        return self.t0 if self.motion is None else self.motion.t

    def loop(self, choose: Chooser, max_switches: int, bar: _Progress, *, accumulate: bool) -> None:
        motion = self.motion
        assert motion is not None
        self._switch(motion, choose)
        standstill = 0
        while motion.t < self.t1:
            piece = motion.advance(self.t1)
            if piece is not None:
                self.pieces.append(piece)
                bar.update(motion.t)
                stop = self._watch(piece)
                self._report(piece)
                if stop:
                    return
            if not motion.at_switch:
                continue
            # A mode may end where it began (several surfaces at one time), but not for ever.
            standstill = 0 if piece is not None else standstill + 1
            if len(self.switches) >= max_switches or standstill > 10 + 4 * self.system.dim:
                raise ChatteringError(
                    f"switches accumulate at t = {motion.t:.17g}: {len(self.switches)} switches so far "
                    f"(max_switches = {max_switches})"
                )
            if motion.t < self.t1:
                recorded = len(self.switches)
                self._switch(motion, choose)
                if len(self.switches) > recorded and motion.may_chatter:
                    limit = self.watch.add(self.switches[-1])
                    if limit is not None:
                        self._accumulate(motion, limit, choose, go_on=accumulate)

    def _accumulate(self, motion: Motion, limit: Accumulation, choose: Chooser, *, go_on: bool) -> None:
        """Refuse to follow an accumulation of switches, or go on from its limit."""
        if not go_on:
            raise ChatteringError(
                f"switches accumulate at t = {limit.t:.9g} (ratio {limit.ratio:.4f} a switch, {len(self.switches)} so far, on "
                f"surfaces {list(limit.surfaces)}): chattering='accumulate' goes on from there"
            )
        if limit.t >= self.t1:
            return  # the end comes first: finitely many switches are left
        self._close_segment()
        start = motion.x
        motion.jump(limit.t, limit.x, limit.surfaces)
        rate = (motion.x - start) / (motion.t - self.switches[-1].t)
        self.pieces.append(LinearPiece(self.switches[-1].t, motion.t, start, rate))
        self.watch = ChatteringWatch()
        self._switch(motion, choose)

    def _switch(self, motion: Motion, choose: Chooser) -> None:
        """Select the way on from the present point, record the switch, and enter the new mode."""
        candidates = motion.candidates()
        before = self.mode
        chosen = candidates[0]
        if len(candidates) > 1:
            chosen = self._choose(motion, candidates, choose)
        elif before is not None and not before.same_as(chosen.mode):
            self.switches.append(
                Switch(
                    motion.t,
                    motion.place(),
                    kind_of_switch(before, chosen.mode),
                    before.changed(chosen.mode),
                    chosen.mode.codimension,
                )
            )
        if before is not None and not before.same_as(chosen.mode):
            self._close_segment()
        self.mode = chosen.mode
        motion.enter(chosen)

    def _choose(self, motion: Motion, candidates: Sequence[Candidate], choose: Chooser) -> Candidate:
        velocities = [candidate.velocity for candidate in candidates]
        first = candidates[0].mode if self.mode is None else self.mode
        disputed = sorted({s for candidate in candidates for s in first.changed(candidate.mode)})
        undecided = Switch(motion.t, motion.place(), "nonunique", tuple(disputed), first.codimension)
        index = _longest_stay(candidates) if choose is _stay else choose(undecided, velocities)
        if not isinstance(index, (int, np.integer)) or not 0 <= index < len(candidates):
            raise InvalidInputError(f"nonunique must return an index below {len(candidates)}, got {index!r}")
        chosen = candidates[int(index)]
        self.switches.append(
            Switch(undecided.t, undecided.x, "nonunique", undecided.surfaces, chosen.mode.codimension)
        )
        return chosen

    def _watch(self, piece: Piece) -> bool:
        """Locate user events on a piece; at a terminal one, cut the piece there and report True."""
        if not self.events:
            return False
        hits = sorted((t, i) for i, event in enumerate(self.events) for t in event.roots(piece))
        for t, i in hits:
            event = self.events[i]
            event.record(t, piece)
            if event.exhausted:
                self.outcome = (1, f"terminal event {i} at t = {t:.17g}")
                piece.cut(t)
                return True
        return False

    def _report(self, piece: Piece) -> None:
        """Note the states at the times t_eval on a piece, so that none has to be derived again; a joint is the later one's."""
        if self.reported is None or self.t_eval is None:
            return
        first, last = np.searchsorted(self.t_eval, (piece.t0, piece.t1))
        if piece.t1 >= self.t1 or self.outcome[0] == 1:
            last = np.searchsorted(self.t_eval, piece.t1, side="right")
        if last > first:
            self.reported[:, first:last] = piece.state(self.t_eval[first:last])

    def _close_segment(self) -> None:
        if self.pieces:
            assert self.mode is not None
            self.segments.append(Segment(self.mode, tuple(self.pieces)))
            self.pieces = []

    def finish(self, status: int, message: str) -> Trajectory:
        """Return what has been computed."""
        from filippov import __version__

        self._close_segment()
        motion = self.motion
        if motion is not None and motion.remark:
            message = f"{message}; {motion.remark}"
        return Trajectory(
            segments=self.segments,
            switches=self.switches,
            start=(self.t0, self.x0),
            t_eval=self.t_eval,
            reported=self.reported if status >= 0 else None,
            status=status,
            message=message,
            nfev=0 if motion is None else motion.nfev,
            njev=0 if motion is None else motion.njev,
            certified=False if motion is None else motion.certified,
            t_events=[np.array(event.times) for event in self.events],
            y_events=[
                np.array(event.states).reshape(len(event.times), self.system.dim) for event in self.events
            ],
            system=self.system,
            options=self.options,
            version=__version__,
        )


class _Progress:
    """A bar over t, or nothing."""

    def __init__(self, t0: float, t1: float, *, shown: bool) -> None:
        self.t0, self.t1, self.bar = t0, t1, None
        if shown:
            from tqdm import tqdm

            self.bar = tqdm(total=t1 - t0, unit="t", bar_format="{l_bar}{bar}| t = {n:.4g}/{total:.4g}")

    def __enter__(self) -> _Progress:
        return self

    def update(self, t: float) -> None:
        if self.bar is not None:
            self.bar.update(t - self.t0 - self.bar.n)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


def _report_times(t_eval: ArrayLike, t0: float, t1: float) -> Vector:
    times = as_vector("t_eval", t_eval)
    if times[0] < t0 or times[-1] > t1 or np.any(np.diff(times) <= 0):
        raise InvalidInputError(f"t_eval must increase and lie within t_span = ({t0:g}, {t1:g})")
    return times


def _as_chooser(nonunique: str | Chooser) -> Chooser:
    if callable(nonunique):
        return nonunique
    if nonunique == "raise":
        return _refuse
    if nonunique == "least-norm":
        return _stay
    raise InvalidInputError(f"nonunique must be 'raise', 'least-norm' or a callable, got {nonunique!r}")


def _refuse(switch: Switch, velocities: Sequence[Vector]) -> int:
    listed = "; ".join(np.array2string(v, precision=4, threshold=8) for v in velocities[:4])
    more = "" if len(velocities) <= 4 else "; ..."
    raise NonUniqueError(
        f"{len(velocities)} solutions leave the point reached at t = {switch.t:.17g}, with velocities {listed}{more}: "
        "say which to take with nonunique=, or use branches()"
    )


def _stay(switch: Switch, velocities: Sequence[Vector]) -> int:
    """Stand for "least-norm", which looks at the modes too: see `_longest_stay`."""
    return int(np.argmin([np.linalg.norm(v) for v in velocities]))


def _longest_stay(candidates: Sequence[Candidate]) -> int:
    """Return the candidate of least velocity; among equals (a two-fold) the one that slides on most surfaces."""
    norms = np.array([np.linalg.norm(candidate.velocity) for candidate in candidates])
    least = np.flatnonzero(norms <= norms.min() + 1e-9 * (1.0 + norms.min()))
    return max((int(i) for i in least), key=lambda i: candidates[i].mode.codimension)
