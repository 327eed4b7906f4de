"""Whether the record of a trajectory agrees with itself, exactly: times, modes, switches, kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby, product

import numpy as np
from numpy.typing import NDArray

from filippov.switching import Mode, Switch, kind_of_switch
from filippov.trajectory import Trajectory

__all__ = ["record_faults"]

SEARCH_LIMIT = 4096
"""Intermediate modes tried when several switches share one time; more are not met outside constructed cases."""


def record_faults(trajectory: Trajectory, is_mode: Callable[[Mode], bool]) -> Iterator[tuple[float, str]]:
    """Yield what in a record contradicts the rest of it, as (time, words).

    What is required: the first piece begins at the start and the last reaches the end of t_span, where it is known, or an event;
    every piece has positive length and begins where, to the bit, the one before ended; modes of consecutive segments differ; the
    switches are in the order of time, each is at the bit the time of a change of mode, every change has one, and kind, surfaces
    and codimension are those of the two modes. Where several switches share one time there must be modes in between that fit them
    all, and none may change back and forth what the one before has changed. Only a "nonunique" switch may leave the mode as it
    is, and only such a one may stand at the start.

    Parameters
    ----------
    trajectory : Trajectory
        With at least one segment.
    is_mode : callable
        Mode -> whether the system can be in it at all.
    """
    yield from _time_faults(trajectory)
    segments = trajectory.segments
    for before, after in zip(segments, segments[1:], strict=False):
        if before.mode.same_as(after.mode):
            yield after.t0, "two consecutive segments have the same mode"
    groups = {t: list(group) for t, group in groupby(trajectory.switches, key=lambda switch: switch.t)}
    changes = {
        after.t0: (before.mode, after.mode) for before, after in zip(segments, segments[1:], strict=False)
    }
    reached, options = trajectory.t_end, trajectory.options
    if trajectory.status == 0 and reached != options.get("t_end", reached):
        yield reached, "the end of t_span was not reached"
    if trajectory.status == 1 and not any(
        times.size and times[-1] == reached for times in trajectory.t_events
    ):
        yield reached, "no event stands at the end"
    for t in changes.keys() - groups.keys():
        yield t, "the mode changes without a switch"
    for t, group in groups.items():
        if t in changes:
            mode, next_mode = changes[t]
            if not _fits(mode, tuple(group), next_mode, is_mode):
                kinds = ", ".join(switch.kind for switch in group)
                yield t, f"the switch ({kinds}) does not fit the modes before and after it"
        elif not all(switch.kind == "nonunique" for switch in group):
            yield t, "there is a switch, but the mode does not change"
        elif group[-1].codimension != trajectory.mode_at(t).codimension:
            yield t, "the codimension of a switch is not that of the mode after it"


def _time_faults(trajectory: Trajectory) -> Iterator[tuple[float, str]]:
    reached = trajectory.start[0]
    for segment in trajectory.segments:
        for piece in segment.pieces:
            if piece.t0 != reached:
                yield reached, "the next piece does not begin where the one before ends"
            if not piece.t1 > piece.t0:
                yield piece.t0, "a piece does not run forward in time"
            reached = piece.t1
    times = [switch.t for switch in trajectory.switches]
    for earlier, later in zip(times, times[1:], strict=False):
        if not earlier <= later:
            yield later, "the switches are not in the order of time"


def _fits(before: Mode, group: tuple[Switch, ...], after: Mode, is_mode: Callable[[Mode], bool]) -> bool:
    """Whether there are modes between `before` and `after` that all switches of one time fit."""
    switch, *others = group
    if any(not 0 <= surface < before.sides.size for surface in switch.surfaces):
        return False
    if not others:
        return _is_step(before, switch, after)
    if set(switch.surfaces) == set(others[0].surfaces):
        return False
    return any(
        is_mode(between)
        and _is_step(before, switch, between)
        and _fits(between, tuple(others), after, is_mode)
        for between in _modes_between(before, group, after)
    )


def _is_step(before: Mode, switch: Switch, after: Mode) -> bool:
    if switch.codimension != after.codimension:
        return False
    changed = before.changed(after)
    if switch.kind == "nonunique":
        return set(changed) <= set(switch.surfaces)
    return changed == tuple(switch.surfaces) and switch.kind == kind_of_switch(before, after)


def _modes_between(before: Mode, group: tuple[Switch, ...], after: Mode) -> Iterator[Mode]:
    """Yield the modes that the first switch of a group can lead to, if the others are to lead to `after`."""
    later = {surface for switch in group[1:] for surface in switch.surfaces}
    choices: list[list[int]] = []
    for surface in group[0].surfaces:
        others = [side for side in (-1, 0, 1) if side != before.sides[surface]]
        choices.append(others if surface in later else [int(after.sides[surface])])
    if np.prod([float(len(options)) for options in choices]) > SEARCH_LIMIT:
        return
    sides: NDArray[np.int8] = before.sides.copy()
    for pattern in product(*choices):
        sides[list(group[0].surfaces)] = pattern
        yield Mode(sides, group[0].codimension)
