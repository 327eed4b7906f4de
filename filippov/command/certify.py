"""`filippov certify`: what a stored trajectory is worth, proved or sampled, as a table and an exit status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filippov.errors import InvalidInputError

if TYPE_CHECKING:
    from filippov.system import System
    from filippov.trajectory import Trajectory

__all__ = ["certify"]


def certify(
    file: Annotated[
        Path, typer.Argument(help="A trajectory.npz that `filippov simulate` or Trajectory.save wrote.")
    ],
    system: Annotated[
        str | None,
        typer.Option("--system", "--source", help="What it solves: an expression or a data set name."),
    ] = None,
    ode: Annotated[
        str | None, typer.Option("--ode", help="What it solves, as equations: \"x' = v; v' = -x - sign(v)\".")
    ] = None,
    norm: Annotated[str, typer.Option("--norm", help="Constraint: linf, l1, l2, or none.")] = "linf",
    mu: Annotated[float, typer.Option("--mu", help="Ridge of a data set's logistic regression.")] = 1e-2,
    samples: Annotated[int, typer.Option("--samples", help="Number of sample times.")] = 1000,
    resolve: Annotated[
        bool, typer.Option("--resolve", help="Also solve again with tolerances 100 times narrower.")
    ] = False,
) -> None:
    """Check a stored trajectory against the system it should solve; exit status 1 if it does not.

    An l_inf or l1 flow of a quadratic is proved, over whole pieces, in exact rational or outward-rounded interval arithmetic;
    anything else is looked at by samples.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from filippov.certificate import certify as check
    from filippov.trajectory import Trajectory

    trajectory = Trajectory.load(file)
    known = _system(trajectory, system, ode, norm, mu)
    certificate = check(trajectory, samples, known, resolve=resolve)
    verdict = "ok" if certificate.ok else "NOT ok"
    how = f"proved ({certificate.method})" if certificate.proved else "the proof failed"
    if certificate.proof is None:
        how = "sampled"
    table = Table("what", "finding", title=f"Certificate: {verdict}, {how}")
    for name, text in certificate.rows():
        table.add_row(escape(name), escape(text))
    console = Console()
    console.print(escape(repr(known)), highlight=False)
    console.print(table)
    if not trajectory.success:
        console.print(escape(f"The run failed: {trajectory.message}"), highlight=False)
    if not certificate.ok:
        raise typer.Exit(1)


def _system(trajectory: Trajectory, source: str | None, ode: str | None, norm: str, mu: float) -> System:
    """Return the system that the command line names."""
    if (source is None) == (ode is None):
        raise InvalidInputError(
            "system must be given by one of --system and --ode: a file does not hold what it solves"
        )
    if ode is not None:
        from filippov.command.ode import parse_ode

        return parse_ode(ode)
    from filippov.command.sources import flow_of, read_source

    assert source is not None
    return flow_of(read_source(source, trajectory.start[1].tolist(), mu).objective, norm)
