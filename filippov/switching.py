"""Modes, and the switches between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filippov.arguments import Vector

__all__ = ["KINDS", "Mode", "Switch", "kind_of_switch"]

KINDS = ("crossing", "sliding-entry", "sliding-exit", "sliding-change", "arrival", "tangency", "nonunique")


@dataclass(frozen=True, eq=False)
class Mode:
    """What a trajectory does between two switches: the side of each surface it is on, 0 where it slides.

    Attributes
    ----------
    sides : (m,) array of int8
        -1 or +1, the side of surface i; 0 while sliding on it.
    codimension : int
        Codimension of the set that the trajectory slides in; 0 off all surfaces.
    resting : bool
        Whether the velocity is zero to the end of time (an equilibrium).
    """

    sides: NDArray[np.int8]
    codimension: int
    resting: bool = False

    def __init__(self, sides: ArrayLike, codimension: int | None = None, resting: bool = False) -> None:
        array = np.array(sides, dtype=np.int8)
        array.flags.writeable = False
        object.__setattr__(self, "sides", array)
        object.__setattr__(
            self, "codimension", array.size - np.count_nonzero(array) if codimension is None else codimension
        )
        object.__setattr__(self, "resting", resting)

    @cached_property
    def sliding(self) -> tuple[int, ...]:
        """The surfaces slid on, ascending."""
        return tuple((self.sides == 0).nonzero()[0].tolist())

    def same_as(self, other: Mode) -> bool:
        """Whether both modes do the same."""
        return self.resting == other.resting and self.sides.tobytes() == other.sides.tobytes()

    def changed(self, other: Mode) -> tuple[int, ...]:
        """Return the surfaces on which the two modes differ, ascending."""
        return tuple((self.sides != other.sides).nonzero()[0].tolist())

    def slides_as(self, other: Mode) -> bool:
        """Whether both modes slide on the same surfaces."""
        return (self.sides == 0).tobytes() == (other.sides == 0).tobytes()


@dataclass(frozen=True, init=False)
class Switch:
    """A change of mode.

    Attributes
    ----------
    t : float
        Time of the switch.
    x : (n,) array
        State at the switch, read-only. Given as a callable without arguments it is derived anew whenever it is asked for, to
        the same bits: a long path in many dimensions need not keep a state for each of its switches.
    kind : str
        "crossing" (some sides change, what is slid on does not: a switching function that changes its sign is an event of the
        mode whether or not the field jumps there), "sliding-entry" (from no sliding to sliding),
        "sliding-exit" (from sliding to none), "sliding-change" (between two sliding modes), "arrival" (an
        equilibrium reached in finite time), "tangency" (a surface is touched and left again on the side it
        came from while the field changes), or "nonunique" (several solutions leave; one was chosen on request).
    surfaces : tuple of int
        The surfaces whose mode changed, ascending.
    codimension : int
        Codimension of the sliding set after the switch.
    """

    t: float
    x: Vector
    kind: str
    surfaces: tuple[int, ...]
    codimension: int

    def __init__(
        self,
        t: float,
        x: Vector | Callable[[], Vector],
        kind: str,
        surfaces: tuple[int, ...],
        codimension: int,
    ) -> None:
        fields = {"t": t, "kind": kind, "surfaces": surfaces, "codimension": codimension}
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if callable(x):
            object.__setattr__(self, "derive_x", x)
        else:
            x.flags.writeable = False
            object.__setattr__(self, "x", x)

    def __getattr__(self, name: str) -> Vector:
        """Derive x where it was given as a callable; Python asks here only for what is not stored."""
        if name != "x" or "derive_x" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        x: Vector = self.__dict__["derive_x"]()
        x.flags.writeable = False
        return x


def kind_of_switch(before: Mode, after: Mode) -> str:
    """Name the change from one mode to another.

    Returns
    -------
    str
        One of `KINDS`, never "tangency" or "nonunique": those two cannot be told from the modes alone.
    """
    if after.resting:
        return "arrival"
    if before.codimension == 0 and after.codimension > 0:
        return "sliding-entry"
    if before.codimension > 0 and after.codimension == 0:
        return "sliding-exit"
    if before.slides_as(after):
        return "crossing"
    return "sliding-change"
