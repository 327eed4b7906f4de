"""Trajectories as they come from other processes: packed in chunks, and unpacked when they are asked for."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from filippov.storing.storage import unpack_trajectory
from filippov.system import System
from filippov.trajectory import Trajectory

__all__ = ["Packed", "PackedPaths"]

Packed = dict[str, NDArray[Any]]
"""The arrays of `filippov.storing.storage.pack_trajectory`; none for a start without a trajectory."""


class PackedPaths(Sequence["Trajectory | None"]):
    """The trajectories of many starts, in order; None where there is none.

    Taking thousands of small trajectories out of their parcels costs one process as much as solving for some of them, and many
    other processes wait for it meanwhile: so it is done at the first look at each.

    Parameters
    ----------
    systems : sequence of k System
    chunks : mapping of range to bytes
        Which starts a parcel holds, and the parcel: the pickled list of their `Packed`, from our own worker processes.
    """

    def __init__(self, systems: Sequence[System], chunks: Mapping[range, bytes]) -> None:
        self._systems = systems
        self._parcels = {chunk.start: parcel for chunk, parcel in chunks.items()}
        self._first: dict[int, int] = {i: chunk.start for chunk in chunks for i in chunk}
        self._opened: dict[int, list[Packed]] = {}
        self._paths: dict[int, Trajectory | None] = {}

    def __len__(self) -> int:
        return len(self._systems)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        if i not in self._paths:
            self._paths[i] = self._unpacked(i)
        return self._paths[i]

    def _unpacked(self, i: int) -> Trajectory | None:
        first = self._first.get(i)
        if first is None:
            return None
        parcel = self._parcels.get(first)
        if parcel is not None:  # in an order that other threads may look at
            self._opened.setdefault(first, pickle.loads(parcel))
            self._parcels.pop(first, None)
        arrays = self._opened[first][i - first]
        return unpack_trajectory(arrays, self._systems[i]) if "header" in arrays else None
