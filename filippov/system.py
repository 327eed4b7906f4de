"""What the engine asks of a system, and of the motion that carries one trajectory of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from numpy.typing import ArrayLike

from filippov.arguments import Vector
from filippov.pieces import Piece
from filippov.sets import ConvexSet
from filippov.switching import Mode

__all__ = ["Candidate", "Classification", "Motion", "System"]


@dataclass(frozen=True)
class Classification:
    """What kind of point x is for the system.

    Attributes
    ----------
    kind : str
        "smooth" (F is one value), "crossing" (solutions pass through), "sliding" (attracting: they stay),
        "repelling" (they may stay, but leave on both sides), "tangency" (the sliding condition holds with
        equality), "equilibrium" (0 is the selected velocity), or "nonunique" (several solutions leave).
    codimension : int
        Codimension of the switching set through x; 0 at smooth points.
    surfaces : tuple of int
        The surfaces that x is on.
    velocity : (n,) array
        The velocity of the solution; of the one that stays longest where several leave.
    velocities : tuple of (n,) arrays
        All velocities with which solutions leave x.
    """

    kind: str
    codimension: int
    surfaces: tuple[int, ...]
    velocity: Vector
    velocities: tuple[Vector, ...] = field(repr=False, default=())


@dataclass(frozen=True)
class Candidate:
    """One way to go on from a point: a velocity and the mode that it starts.

    Attributes
    ----------
    velocity : (n,) array
    mode : Mode
    """

    velocity: Vector
    mode: Mode


class Motion(ABC):
    """Carries one trajectory: knows where it is, in which mode, and how far that mode is valid.

    The event loop calls `candidates`, `enter`, `advance`, `advance`, ... and `candidates` again when
    `at_switch` says that a guard of the mode has failed. A motion holds all the state of one run, so that the system
    itself stays immutable.

    Attributes
    ----------
    t : float
    x : (n,) array
    at_switch : bool
        Whether the last `advance` ended because the mode ends here.
    certified : bool
        False once a step has been accepted on a safeguard rather than on a bound.
    may_chatter : bool
        Whether switches can accumulate; then `jump` is there to go past the accumulation.
    nfev, njev : int
        Evaluations of the field or gradient, and of its derivative, so far.
    remark : str
        What it could not make sure of so far; the trajectory's message says it.
    """

    t: float
    x: Vector
    at_switch: bool = False
    certified: bool = True
    may_chatter: bool = False
    nfev: int = 0
    njev: int = 0

    @abstractmethod
    def candidates(self) -> Sequence[Candidate]:
        """Return every way in which a solution can leave the present point; more than one is nonuniqueness."""

    @property
    def remark(self) -> str:
        """Return what the motion could not make sure of so far, in one line."""
        return ""

    def place(self) -> Vector | Callable[[], Vector]:
        """Return x for the record of a switch: a copy, or a callable that derives it whenever it is asked for."""
        return self.x.copy()

    @abstractmethod
    def enter(self, candidate: Candidate) -> None:
        """Take up the mode of one of the candidates just returned."""

    @abstractmethod
    def advance(self, t_bound: float) -> Piece | None:
        """Move within the mode, at most to t_bound; None if the mode ends at once."""

    def jump(self, t: float, x: Vector, surfaces: tuple[int, ...]) -> None:
        """Go to the limit of accumulating switches, on the surfaces involved; only where `may_chatter`."""
        raise NotImplementedError(f"{type(self).__name__} has no accumulations of switches")


class System(ABC):
    """A differential inclusion x' in F(t, x) with F convex-valued, smooth off its switching surfaces.

    Attributes
    ----------
    dim : int
        Number of states n.
    """

    dim: int

    @abstractmethod
    def filippov_set(self, x: ArrayLike, t: float = 0.0) -> ConvexSet:
        """Return the Filippov set at x."""

    @abstractmethod
    def classify(self, x: ArrayLike, t: float = 0.0) -> Classification:
        """Say what kind of point x is."""

    @abstractmethod
    def switching_functions(self, t: float, x: Vector) -> Vector:
        """Return the smooth functions whose zero sets are the switching surfaces, (m,).

        A surface may switch nothing on part of its zero set (the field is the same on both sides there). Values are nan
        where the system is not defined.
        """

    @abstractmethod
    def field(self, t: float, x: Vector) -> Vector:
        """Return the velocity at a point off all surfaces, (n,); nan where the system is not defined."""

    @abstractmethod
    def motion(
        self, t: float, x: Vector, t_end: float, rtol: float, atol: float, method: str = "DOP853"
    ) -> Motion:
        """Return a fresh motion at (t, x) that will be asked to go no further than t_end."""

    @abstractmethod
    def inclusion_distance(self, t: float, x: Vector, velocity: Vector, mode: Mode) -> float:
        """Return the Euclidean distance of a velocity from F(t, x), the surfaces of `mode` taken as exactly reached."""

    def selector_distance(self, t: float, x: Vector, velocity: Vector, mode: Mode) -> float | None:
        """Return the distance of a velocity from the Filippov set where that is smaller than the F solved; else None."""
        return None

    @abstractmethod
    def surface_values(self, t: float, x: Vector, mode: Mode) -> tuple[Vector, Vector]:
        """Return (values, scales) of the functions that vanish while sliding in `mode`, each (k,).

        A scale is the size of the terms that cancel in its value, so that eps times it is rounding.
        """
