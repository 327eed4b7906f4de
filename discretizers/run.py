"""The loop that runs a scheme."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from discretizers.iterates import Iterates
from discretizers.schemes import Move, Scheme, State
from discretizers.steps import SmoothFunction, as_tolerance
from filippov.arguments import Vector, as_callable, as_vector
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError

__all__ = ["run"]


def run(
    scheme: Scheme,
    objective: SmoothFunction,
    x0: ArrayLike,
    n_steps: int,
    *,
    tol: float | None = None,
    callback: Callable[[int, Vector], object] | None = None,
    progress: bool = False,
    minimizer: tuple[ArrayLike, float] | None = None,
    active_tol: float = 0.0,
) -> Iterates:
    """Make up to `n_steps` steps of a scheme.

    Parameters
    ----------
    scheme : Scheme
        For example ``SignGD(0.01)`` or ``SignGD(Adaptive())``.
    objective : Objective
        An objective of `flows`, or anything with value, grad, dim (and hess, coordinate_smoothness where
        the scheme or its step rule asks for them).
    x0 : array_like of shape (n,)
        The first point.
    n_steps : int
        The most steps to make, 0 or more.
    tol : float, optional
        Stop as soon as ||grad f(x_k)||_inf <= tol.
    callback : callable, optional
        Called as callback(k, x_k) after each step, k = 1, 2, ...; a true result stops the run. x_k is
        read-only.
    progress : bool
        Show a progress bar.
    minimizer : (x*, f*), optional
        As ``objective.minimize()`` returns it; the history then holds the gap and the distance.
    active_tol : float
        Components with |g_i| <= active_tol do not count as active in the history. The steps do not
        depend on it.

    Returns
    -------
    Iterates
        Status 0 all steps made, 1 tol reached, 2 stopped by the callback, 3 interrupted from the keyboard
        (what was computed is kept), -1 a step could not be made, or the objective or its gradient ceased
        to be finite (the last finite point is the last).

    Raises
    ------
    InvalidInputError
        A bad argument, or an objective that is not finite at x0.
    FilippovError
        The very first step cannot be made, as when an implicit step's inner solver fails. Later failures are
        a status, so that no iterate is lost.
    """
    if not isinstance(scheme, Scheme):
        raise InvalidTypeError(f"scheme must be a Scheme, got {type(scheme).__name__}")
    missing = [name for name in ("value", "grad", "dim") if not hasattr(objective, name)]
    if missing:
        raise InvalidTypeError(f"objective must have {', '.join(missing)}, got {type(objective).__name__}")
    if isinstance(n_steps, bool) or not isinstance(n_steps, int | np.integer):
        raise InvalidTypeError(f"n_steps must be an integer, got {type(n_steps).__name__}")
    if n_steps < 0:
        raise InvalidInputError(f"n_steps must be at least 0, got {n_steps}")
    limit = -1.0 if tol is None else as_tolerance("tol", tol)
    if callback is not None:
        as_callable("callback", callback)
    history = _History(objective, minimizer, as_tolerance("active_tol", active_tol), scheme)
    state = scheme.start(objective, as_vector("x0", x0, objective.dim))
    if not _finite(state):
        raise InvalidInputError(f"objective must be finite with its gradient at x0, got f = {state.f}")

    states, moves = [state], list[Move]()
    status, message = 0, f"all {n_steps} steps made"
    state.x.flags.writeable = False
    try:
        for k in tqdm(range(1, n_steps + 1), desc=repr(scheme), disable=not progress):
            if np.max(np.abs(state.g)) <= limit:
                break
            try:
                move = scheme.step(objective, state)
            except FilippovError as error:
                if not moves:
                    raise
                status, message = -1, f"step {k} could not be made: {error}"
                break
            if not _finite(move.state):
                status, message = (
                    -1,
                    f"f or its gradient is not finite after step {k}; the step may be too long",
                )
                break
            state = move.state
            state.x.flags.writeable = False
            states.append(state)
            moves.append(move)
            if callback is not None and callback(k, state.x):
                status, message = 2, f"stopped by the callback after step {k}"
                break
    except KeyboardInterrupt:
        # Appending both lists is not atomic: an interrupt between the two leaves one state too many.
        del states[len(moves) + 1 :]
        status, message = 3, f"interrupted after step {len(moves)}"
    if status == 0 and np.max(np.abs(states[-1].g)) <= limit:
        status, message = 1, f"||grad f||_inf <= {limit:g} after step {len(moves)}"
    return history.collect(states, moves, status, message)


def _finite(state: State) -> bool:
    return bool(np.isfinite(state.f) and np.all(np.isfinite(state.g)) and np.all(np.isfinite(state.x)))


class _History:
    """What is recorded of a run, apart from its states and moves."""

    def __init__(
        self,
        objective: SmoothFunction,
        minimizer: tuple[ArrayLike, float] | None,
        active_tol: float,
        scheme: Scheme,
    ) -> None:
        self.x_star, self.f_star = np.full(objective.dim, np.nan), np.nan
        if minimizer is not None:
            if not isinstance(minimizer, tuple | list) or len(minimizer) != 2:
                raise InvalidTypeError(f"minimizer must be a pair (x*, f*), got {minimizer!r}")
            self.x_star = as_vector("minimizer[0]", minimizer[0], objective.dim)
            self.f_star = float(as_vector("minimizer[1]", [minimizer[1]])[0])
        self.active_tol = active_tol
        self.L = _known_smoothness(objective, scheme)
        self.scheme = scheme

    def collect(self, states: list[State], moves: list[Move], status: int, message: str) -> Iterates:
        """Return the record of the run."""
        n, N = states[0].x.size, len(moves)
        step = np.array([move.h for move in moves], dtype=np.float64)
        signs = np.sign(np.stack([state.g for state in states], axis=1))
        used = np.array([move.used for move in moves]).reshape(N, n)
        active = np.abs(used) > self.active_tol
        y = np.stack([state.x for state in states], axis=1)
        f = np.array([state.f for state in states])
        return Iterates(
            t=np.concatenate([[0.0], np.cumsum(step)]),
            y=y,
            f=f,
            gap=f - self.f_star,
            squared_distance=np.sum((y - self.x_star[:, None]) ** 2, axis=0),
            step=step,
            active=np.count_nonzero(active, axis=1).astype(np.int64),
            active_smoothness=np.where(active, self.L, 0.0).sum(axis=1) if N else np.empty(0),
            flips=np.count_nonzero(signs[:, :-1] * signs[:, 1:] == -1, axis=0).astype(np.int64),
            freezes=np.array([move.frozen for move in moves], dtype=np.int64),
            two_hits=np.array([move.tracked for move in moves], dtype=np.int64),
            restarts=np.array([move.restart for move in moves], dtype=np.bool_),
            status=status,
            message=message,
            scheme=repr(self.scheme),
            settings=self.scheme.settings(),
        )


def _known_smoothness(objective: SmoothFunction, scheme: Scheme) -> Vector:
    """Return the step rule's L, or else the objective's; nan where neither is known."""
    given = scheme.settings()["rule"].get("L")
    if given is not None:
        return np.array(given)
    try:
        return objective.coordinate_smoothness
    except (InvalidInputError, AttributeError):
        return np.full(objective.dim, np.nan)
