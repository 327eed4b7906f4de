"""What can go wrong, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filippov.trajectory import Trajectory

__all__ = [
    "ChatteringError",
    "FilippovError",
    "InvalidInputError",
    "InvalidTypeError",
    "NonUniqueError",
    "OtherInputWarning",
]


class FilippovError(Exception):
    """Base of every error this library raises on purpose.

    Attributes
    ----------
    trajectory : Trajectory or None
        The part of the solution computed before the error, where there is one.
    """

    def __init__(self, message: str, trajectory: Trajectory | None = None) -> None:
        super().__init__(message)
        self.trajectory = trajectory


class InvalidInputError(FilippovError, ValueError):
    """An argument has the wrong shape or value; the message names it."""


class InvalidTypeError(InvalidInputError, TypeError):
    """An argument has the wrong type (say, not callable); the message names it."""


class NonUniqueError(FilippovError):
    """The Filippov solution branches here and nobody said which branch to take."""


class ChatteringError(FilippovError):
    """Switches accumulate: more of them than can be carried out in the time that is left."""


class OtherInputWarning(UserWarning):
    """A stored trajectory is read together with a system that it was not computed from."""
