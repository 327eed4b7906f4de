"""How far a path that is derived again has been followed: moved by one thread at a time, and left out of pickles."""

from __future__ import annotations

from threading import RLock
from types import TracebackType
from typing import Generic, TypeVar

__all__ = ["Cursor"]

Place = TypeVar("Place")


class Cursor(Generic[Place]):
    """A place that all readers of a path share, so that going on from it costs no second way there.

    Within ``with cursor:`` no other thread has it. A copy, or what comes out of a pickle, is nowhere yet.
    """

    __slots__ = ("_lock", "_place")

    def __init__(self) -> None:
        self._lock = RLock()
        self._place: Place | None = None

    def __enter__(self) -> None:
        """Wait until no other thread has it."""
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it to other threads."""
        self._lock.release()

    def take(self) -> Place | None:
        """Return the place and forget it: should what follows be interrupted, it is no longer what it was."""
        place, self._place = self._place, None
        return place

    def put(self, place: Place) -> None:
        """Say where the path has been followed to."""
        self._place = place

    def __reduce__(self) -> tuple[type[Cursor[Place]], tuple[()]]:
        """Leave place and lock out."""
        return type(self), ()
