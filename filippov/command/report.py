"""What `filippov report` does."""

from __future__ import annotations

from pathlib import Path

from filippov.command.sources import flow_of, read_source
from filippov.report import write_report
from filippov.trajectory import Trajectory

__all__ = ["report"]


def report(file: Path, out: Path, source: str | None, norm: str, mu: float) -> None:
    """Read a trajectory and write its page; with a source, also check it against that flow."""
    trajectory = Trajectory.load(file)
    system = None
    if source is not None:
        given = read_source(source, trajectory.start[1].tolist(), mu)
        system = flow_of(given.objective, norm)
    title = file.name if source is None else f"{source}, {norm} flow"
    print(f"Wrote {write_report(trajectory, out, system, title)}")
