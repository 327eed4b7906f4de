"""What `filippov simulate` and `filippov portrait` do."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from filippov.command.sources import default_end, flow_of, read_source
from filippov.errors import FilippovError, InvalidInputError
from filippov.solve import solve
from filippov.storing.whole_files import replacing
from filippov.trajectory import Trajectory
from flows import SignFlow, SmoothObjective, Symbolic

if TYPE_CHECKING:
    from filippov.system import System

__all__ = [
    "draw_portrait",
    "flow_of",
    "keeping_the_part",
    "print_switches",
    "section_4_4",
    "simulate",
    "write_files",
]

SHOWN = 40
"""Rows of the switch table on the screen; the file has them all."""

INTERRUPTED = 130
"""The exit code of an interrupted command, as a shell reports it."""

console = Console()


def simulate(
    source: str,
    norm: str,
    x0: list[float] | None,
    t: float | None,
    mu: float,
    nonunique: str,
    out: Path,
    *,
    progress: bool = False,
) -> None:
    """Solve one flow, print what happened and write it to a folder."""
    given = read_source(source, x0, mu)
    objective, start = given.objective, given.start
    system = flow_of(objective, norm)
    end = default_end(objective, start) if t is None else t
    with keeping_the_part(system, out):
        trajectory = solve(system, (0.0, end), start, nonunique=nonunique, progress=progress)
    write_files(trajectory, system, out)
    console.print(repr(system))
    _report(trajectory, objective)
    console.print(f"Wrote trajectory.npz, switches.csv and trajectory.png to {out}.")


@contextmanager
def keeping_the_part(system: System, out: Path) -> Iterator[None]:
    """Write the part of a trajectory that was computed when `solve` fails or is interrupted, and say where it is."""
    try:
        yield
    except (FilippovError, KeyboardInterrupt) as error:
        part: Trajectory | None = getattr(error, "trajectory", None)
        interrupted = isinstance(error, KeyboardInterrupt)
        if part is not None and part.segments:
            write_files(part, system, out)
            console.print(f"The part computed, to t = {part.t_end:.6g}, is in {out}.")
        elif interrupted:
            console.print("Nothing was computed yet.")
        if interrupted:
            print("filippov: interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        raise


def section_4_4(out: Path) -> None:
    """Run the paper's example f = (y - a x)^2/2 + x for a = 0.5 (sliding) and a = 2 (crossing)."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.6), layout="constrained")
    for a, axis in zip(("0.5", "2"), axes, strict=True):
        objective = Symbolic(f"(y - {a}*x)**2/2 + x", ["x", "y"])
        system = SignFlow(objective)
        trajectory = solve(system, (0.0, 0.8), [0.3, -0.6])
        console.rule(f"f = (y - {a} x)^2/2 + x, from (0.3, -0.6)")
        _report(trajectory, objective)
        write_files(trajectory, system, out / f"a={a}")
        _draw_path(axis, trajectory, float(a))
    path = out / "section-4.4.png"
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)
    console.print(f"Wrote {path}, and the files of each run to {out}/a=0.5 and {out}/a=2.")


def draw_portrait(
    expression: str, norm: str, xlim: list[float], ylim: list[float], starts: int, out: Path
) -> None:
    """Draw a portrait to a file."""
    import matplotlib.pyplot as plt

    from filippov.portrait import portrait

    objective = Symbolic(expression)
    if objective.dim != 2:
        raise InvalidInputError(f"expression must have two variables, got {objective.dim}")
    for name, limits in (("xlim", xlim), ("ylim", ylim)):
        if len(limits) != 2:
            raise InvalidInputError(f"{name} must be two numbers, got {len(limits)}")
    drawn = portrait(flow_of(objective, norm), (xlim[0], xlim[1]), (ylim[0], ylim[1]), starts=starts)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "portrait.png"
    with replacing(path) as temporary:
        plt.figure(drawn.ax.get_figure(root=True)).savefig(temporary, dpi=150)
    plt.close("all")
    console.print(
        f"Wrote {path}: {len(drawn.curves)} switching curves, {len(drawn.points)} special points, "
        f"{len(drawn.trajectories)} trajectories, {drawn.failures} of them not unique or failed."
    )


def _report(trajectory: Trajectory, objective: SmoothObjective) -> None:
    names = [f"df/d{v}" for v in objective.variables] if isinstance(objective, Symbolic) else None
    print_switches(trajectory, names)
    arrival = trajectory.arrival_time
    value = objective.value(np.asarray(trajectory.sol(trajectory.t_end)))
    where = "no arrival" if arrival is None else f"Arrival at t = {arrival:.12g}"
    console.print(
        f"{where}; f = {value:.15g} at the end, {len(trajectory.switches)} switches.", highlight=False
    )


def print_switches(trajectory: Trajectory, names: list[str] | None) -> None:
    """Print the table of switches, surfaces by name where there are names, and the certificate."""
    table = Table("t", "kind", "surfaces", "codimension", title="Switches")
    for switch in trajectory.switches[:SHOWN]:
        surfaces = ", ".join(str(i) if names is None else names[i] for i in switch.surfaces)
        table.add_row(f"{switch.t:.12g}", switch.kind, surfaces, str(switch.codimension))
    if trajectory.switches:
        console.print(table)
        if len(trajectory.switches) > SHOWN:
            console.print(f"... and {len(trajectory.switches) - SHOWN} more, all in switches.csv")
    else:
        console.print("No switches.")
    console.print(str(trajectory.certify()), highlight=False)


def write_files(trajectory: Trajectory, system: System, out: Path) -> None:
    """Write trajectory.npz, switches.csv and trajectory.png to a folder."""
    import matplotlib.pyplot as plt

    from filippov.drawing.plotting import trajectory_figure

    out.mkdir(parents=True, exist_ok=True)
    trajectory.save(out / "trajectory.npz")
    with replacing(out / "switches.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["t", "kind", "surfaces", "codimension", *(f"x{i}" for i in range(trajectory.dim))])
        for s in trajectory.switches:
            surfaces = " ".join(str(i) for i in s.surfaces)
            writer.writerow([repr(s.t), s.kind, surfaces, s.codimension, *(repr(float(v)) for v in s.x)])
    figure = trajectory_figure(trajectory, system)
    with replacing(out / "trajectory.png") as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)


def _draw_path(axis: object, trajectory: Trajectory, a: float) -> None:
    """Draw one of the two trajectories of section 4.4 over its switching line y = a x."""
    from matplotlib.axes import Axes

    assert isinstance(axis, Axes)
    x = np.linspace(-0.6, 0.45, 2)
    sliding = trajectory.sliding_time > 0
    axis.plot(x, a * x, color="0.5", linestyle="-" if sliding else "--", label="y = a x, where df/dy = 0")
    axis.plot(*trajectory.y, color="#0072B2", linewidth=2, label="exact trajectory")
    axis.plot(*trajectory.y[:, 0], "o", color="#0072B2")
    for switch in trajectory.switches:
        axis.plot(*switch.x, "s", color="#D55E00", label=f"{switch.kind} at t = {switch.t:.3g}")
    axis.set(title=f"a = {a:g}: {'slides' if sliding else 'crosses'}", xlabel="x", ylabel="y")
    axis.legend()
