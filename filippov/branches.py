"""All the ways to leave the nonunique points of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from filippov.arguments import Vector, check_count
from filippov.errors import FilippovError, InvalidInputError
from filippov.solve import solve
from filippov.switching import Switch
from filippov.system import System
from filippov.trajectory import Trajectory

__all__ = ["branches"]


def branches(
    system: System,
    t_span: tuple[float, float],
    x0: ArrayLike,
    *,
    max_branches: int = 16,
    **solve_options: Any,
) -> list[Trajectory]:
    """Return one trajectory for each way to leave the nonunique points met on the way.

    Parameters
    ----------
    system, t_span, x0
        As for `solve`.
    max_branches : int
        Stop after this many trajectories; alternatives are explored depth first.
    **solve_options
        Passed to `solve`; `nonunique` is taken by the branching itself.

    Returns
    -------
    list of Trajectory
        A single trajectory where the solution is unique. A branch that fails is returned as far as it came, with status -1
        and its message; if there is no other, its error is raised.
    """
    if "nonunique" in solve_options:
        raise InvalidInputError("nonunique must not be given to branches: it takes every choice in turn")
    check_count("max_branches", max_branches)
    pending: list[tuple[int, ...]] = [()]
    found: list[Trajectory] = []
    while pending and len(found) < max_branches:
        prefix = pending.pop()
        taken: list[int] = []

        def follow(
            switch: Switch,
            velocities: Sequence[Vector],
            prefix: tuple[int, ...] = prefix,
            taken: list[int] = taken,
        ) -> int:
            depth = len(taken)
            choice = prefix[depth] if depth < len(prefix) else 0
            if depth >= len(prefix):
                pending.extend((*taken, other) for other in range(len(velocities) - 1, 0, -1))
            taken.append(choice)
            return choice

        try:
            found.append(solve(system, t_span, x0, nonunique=follow, **solve_options))
        except FilippovError as error:
            # One branch that cannot be followed does not take the others with it.
            if error.trajectory is None or not (found or pending):
                raise
            found.append(error.trajectory)
    return found
