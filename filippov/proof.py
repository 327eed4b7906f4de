"""Proofs about whole trajectories: the statement, and how a system comes to prove it.

A sampled check looks at a trajectory here and there. Where every piece is a straight line and the gradient is affine, a check of
finitely many numbers, each with a bound on its own rounding, covers every time. What is then proved is a *backward error
statement* about the exact integral of the recorded velocities,

    z(t) = x(t0) + integral of v from t0 to t,      which is continuous, and whose velocity is v(t) exactly:

    z'(t) in F(grad f(z(t)) + e(t)) + eta B   for all t but the switching times,    |e_i(t)| <= tolerance,

with F(y) = argmin { <y, v> : ||v|| <= 1 } and B the unit ball of the flow's norm: z is a Filippov solution of a flow whose
gradient is off by at most `tolerance`. The recorded states differ from z by at most `deviation`. Where the flow is contracting,
the statement becomes one about the solution itself; see `Proof.forward`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from filippov.system import System
from filippov.trajectory import Trajectory

__all__ = ["Proof", "prove"]


@dataclass(frozen=True)
class Proof:
    """What a check over whole pieces, with bounds on all rounding, found.

    Attributes
    ----------
    holds : bool
        Whether every condition below was met, within tolerances that are a modest multiple of the rounding of the data.
    method : str
        "rational" (exact arithmetic on the recorded floats) or "interval" (floats with outward-rounded error bounds).
    t_range : (float, float)
        The times covered: from the start to the end of the last piece that was checked and met every condition.
    pieces : int
        How many consecutive pieces, from the start, met every condition.
    total : int
        How many there are.
    tolerance : float
        Proved bound on |e_i|, in units of the gradient; inf if the conditions were not met.
    velocity_error : float
        Proved bound on eta, the distance of the velocity from F relative to the unit ball. Exactly 0 is usual for l_inf; for
        l1 it is the rounding of weights that should sum to one.
    deviation : float
        Proved bound on the difference between a component of the recorded states and of z.
    forward : float or None
        Proved bound on the Euclidean distance, at every time covered, between the recorded states and *the* solution from the
        same start. None where the Hessian could not be verified to be positive definite.
    reason : str
        The first condition that failed, in words; empty if none did.
    """

    holds: bool
    method: str
    t_range: tuple[float, float]
    pieces: int
    total: int
    tolerance: float
    velocity_error: float
    deviation: float
    forward: float | None
    reason: str


@singledispatch
def prove(system: System, trajectory: Trajectory) -> Proof | None:
    """Prove that a trajectory solves its system, if the system's class has registered a way to.

    Parameters
    ----------
    system : System
    trajectory : Trajectory
        With at least one segment.

    Returns
    -------
    Proof or None
        None if there is no proof procedure for such a system: a sampled certificate is then all there is. A proof that was
        tried and failed is not None, and does not hold.
    """
    return None
