"""The problems that `peers.py` gives to every solver: affine relay systems with a reference for their solution.

x' = A x + b + forcing(t) - B u, u_i in Sgn((C x + d)_i), is a form that all of them understand; a sign flow of a quadratic
x'Qx/2 - q'x is A = 0, b = 0, B = I, C = Q, d = -q.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

# The exact references are those of the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "reference"))

from classical_systems import SYSTEMS, forced_stick_slip
from rational_flow import sign_flow
from switched_speed import affine_friction, affine_relays

from filippov import Trajectory, solve
from flows import Quadratic, SignFlow

__all__ = ["REPORTS", "AffineRelay", "RelayProblem", "classical", "example_44", "sign_flow_problem"]

REPORTS = 201
"""Times at which errors are taken, the ends included."""

GRID = 2.0**-20
"""Data of the sign flows are multiples of this, so that the rationals of the exact solution stay short."""

SLOPE = 0.5
"""The slope a in the example of section 4.4: |a| < 1, so solutions slide."""


@dataclass(frozen=True)
class AffineRelay:
    """The system's matrices; A and B are None where they are zero and the identity."""

    A: np.ndarray | None
    b: np.ndarray
    B: np.ndarray | None
    C: np.ndarray
    d: np.ndarray
    forcing: Callable[[float], np.ndarray] | None = None

    def field(self, t: float, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Return x' for given relay values."""
        velocity = self.b - (u if self.B is None else self.B @ u)
        if self.A is not None:
            velocity = velocity + self.A @ x
        return velocity if self.forcing is None else velocity + self.forcing(t)

    def slope(self, gain: np.ndarray) -> np.ndarray:
        """Return the derivative of x' where each relay has the given slope."""
        relays = gain[:, None] * self.C
        sloped = -relays if self.B is None else -self.B @ relays
        return sloped if self.A is None else self.A + sloped

    def dense(self) -> dict[str, np.ndarray]:
        """Return all matrices, zero and identity too; only without forcing."""
        assert self.forcing is None
        n, m = self.C.shape[1], self.C.shape[0]
        A = np.zeros((n, n)) if self.A is None else self.A
        B = np.eye(n, m) if self.B is None else self.B
        return {"A": A, "b": self.b, "B": B, "C": self.C, "d": self.d}


@dataclass(frozen=True)
class RelayProblem:
    """A system, its starts, and its solution.

    Attributes
    ----------
    name : str
    relay, autonomous : AffineRelay
        What integrators get, and the same without forcing (its phase as two more states) for the others.
    starts, autonomous_starts : (k, n) and (k, n') arrays
    t_end : float
    reference : callable (k, times) -> (m, n)
        The solution from start number k.
    source : str
        What the reference is.
    ours : mapping of str to callable (start) -> Trajectory
    own_error : callable or None
        Error of this project's first solver where the reference is that solver itself: against an independent run.
    """

    name: str
    relay: AffineRelay
    autonomous: AffineRelay
    starts: np.ndarray
    autonomous_starts: np.ndarray
    t_end: float
    reference: Callable[[int, np.ndarray], np.ndarray]
    source: str
    ours: Mapping[str, Callable[[np.ndarray], Trajectory]]
    own_error: Callable[[], float] | None = None

    @property
    def times(self) -> np.ndarray:
        """The times at which errors are taken."""
        return np.linspace(0.0, self.t_end, REPORTS)

    @cached_property
    def solutions(self) -> list[np.ndarray]:
        """The solution at those times from each start, (REPORTS, n) each."""
        return [self.reference(k, self.times) for k in range(len(self.starts))]


def random_quadratic(
    n: int, condition: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Q with random eigenvectors and eigenvalues from 1 down to 1/condition, b, and a start."""
    U, _ = np.linalg.qr(rng.standard_normal((n, n)))
    Q = (U * np.geomspace(1.0, 1.0 / condition, n)) @ U.T
    return _rounded((Q + Q.T) / 2), _rounded(rng.standard_normal(n)), _rounded(rng.standard_normal(n))


def dominant_quadratic(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a diagonally dominant Q, b and a start: what slides once slides to the end, and nothing crosses."""
    Q = rng.standard_normal((n, n))
    Q = Q + Q.T
    np.fill_diagonal(Q, 0.0)
    np.fill_diagonal(Q, 1.25 * np.abs(Q).sum(axis=1) + (n == 1))
    Q /= np.abs(Q).max()
    return _rounded(Q), _rounded(rng.standard_normal(n)), _rounded(rng.standard_normal(n))


def _rounded(values: np.ndarray) -> np.ndarray:
    return GRID * np.round(values / GRID)


def sign_flow_problem(family: str, n: int, condition: float, seed: int, exact_up_to: int) -> RelayProblem:
    """Return the sign flow of a quadratic to its arrival; by rationals up to some n, else by our own solver, checked."""
    rng = np.random.default_rng(seed)
    Q, b, x0 = random_quadratic(n, condition, rng) if family == "random" else dominant_quadratic(n, rng)
    flow = SignFlow(Quadratic(Q, b))
    arrival = solve(flow, (0.0, 1e9), x0).arrival_time
    assert arrival is not None  # Q is positive definite
    t_end = 1.02 * arrival
    relay = AffineRelay(None, np.zeros(n), None, Q, -b)

    def run(start: np.ndarray) -> Trajectory:
        return solve(flow, (0.0, t_end), start)

    path = run(x0)
    name = f"{family} quadratic, n = {n}"
    if n <= exact_up_to:
        exact = sign_flow(Q.tolist(), b.tolist(), x0.tolist())

        def rational(k: int, times: np.ndarray) -> np.ndarray:
            return np.array([[float(value) for value in exact.state(float(t))] for t in times])

        return RelayProblem(
            name, relay, relay, x0[None], x0[None], t_end, rational, "exact rationals", {"exact": run}
        )

    def transformed_error() -> float:
        """Return the difference from a run with coordinates permuted and reflected: other pivots, other rounding."""
        order, sign = rng.permutation(n), rng.choice([-1.0, 1.0], n)
        H = (sign[:, None] * Q * sign)[np.ix_(order, order)]
        other = solve(SignFlow(Quadratic(H, (sign * b)[order])), (0.0, t_end), (sign * x0)[order])
        times = np.linspace(0.0, t_end, REPORTS)
        difference = np.asarray(other.sol(times)) - (sign[:, None] * np.asarray(path.sol(times)))[order]
        return float(np.max(np.abs(difference)))

    return RelayProblem(
        name,
        relay,
        relay,
        x0[None],
        x0[None],
        t_end,
        lambda k, times: np.asarray(path.sol(times)).T,
        "this project, checked by a run in permuted and reflected coordinates",
        {"exact": run},
        transformed_error,
    )


def classical(name: str) -> RelayProblem:
    """Return forced stick-slip or the 3-D problem that slides on two surfaces, with closed-form solutions."""
    entry = SYSTEMS[name]
    affine, start = affine_friction() if name == "forced stick-slip" else affine_relays()
    autonomous = AffineRelay(affine.A, affine.b, affine.B, affine.C, affine.d)
    relay = autonomous
    if name == "forced stick-slip":
        A, B, C = np.array([[0.0, 1.0], [-1.0, 0.0]]), np.array([[0.0], [1.2]]), np.array([[0.0, 1.0]])
        relay = AffineRelay(
            A, np.zeros(2), B, C, np.array([-1.0]), lambda t: np.array([0.0, np.cos(0.8 * t)])
        )
    span, build = (0.0, entry.t_end), entry.build
    return RelayProblem(
        name,
        relay,
        autonomous,
        np.array([entry.x0]),
        np.array([start]),
        entry.t_end,
        lambda k, times: np.array([entry.exact(t) for t in times]),
        "closed form, 30 digits",
        {
            "PiecewiseAffine": lambda x0: solve(affine, span, start),
            f"{'PiecewiseSmooth' if build is forced_stick_slip else 'Relay'}, rtol 3e-10": lambda x0: solve(
                build(), span, x0, rtol=3e-10, atol=3e-12
            ),
        },
    )


def example_44(starts: int) -> RelayProblem:
    """Return f = (y - a x)^2/2 + x of section 4.4, from one start or from many over the square."""
    a, t_end = SLOPE, 2.0
    Q, b = np.array([[a * a, -a], [-a, 1.0]]), np.array([-1.0, 0.0])
    flow = SignFlow(Quadratic(Q, b))
    x0 = np.array([[0.3, 0.4]])
    if starts > 1:
        x0 = np.random.default_rng(44).uniform(-1.0, 1.0, (starts, 2))
    relay = AffineRelay(None, np.zeros(2), None, Q, -b)

    def closed_form(k: int, times: np.ndarray) -> np.ndarray:
        x, y = x0[k]
        s = y - a * x
        until = abs(s) / (1.0 - a * np.sign(s))  # s' = a - sign(s)
        fall = np.where(times <= until, -np.sign(s) * times, -np.sign(s) * until - a * (times - until))
        return np.column_stack([x - times, y + fall])

    title = "section 4.4 example" if starts == 1 else f"section 4.4, portrait of {starts}"
    return RelayProblem(
        title,
        relay,
        relay,
        x0,
        x0,
        t_end,
        closed_form,
        "closed form",
        {"exact": lambda start: solve(flow, (0.0, t_end), start)},
    )
