"""What `filippov report` does."""

from __future__ import annotations

from pathlib import Path

from filippov.command.ode import parse_ode
from filippov.command.sources import flow_of, read_source
from filippov.drawing.report import write_report
from filippov.errors import InvalidInputError
from filippov.system import System
from filippov.trajectory import Trajectory

__all__ = ["report"]


def report(file: Path, out: Path, source: str | None, ode: str | None, norm: str, mu: float) -> None:
    """Read a trajectory and write its page; with a source or equations, also check it against them."""
    if source is not None and ode is not None:
        raise InvalidInputError("source and ode must not both be given")
    trajectory = Trajectory.load(file)
    system: System | None = None
    title = file.name
    if ode is not None:
        system, title = parse_ode(ode), ode
    if source is not None:
        given = read_source(source, trajectory.start[1].tolist(), mu)
        system, title = flow_of(given.objective, norm), f"{source}, {norm} flow"
    print(f"Wrote {write_report(trajectory, out, system, title)}")
