"""`filippov simulate | portrait | verify | gallery | report | certify`: arguments in, tables and files out."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from filippov.command.certify import certify
from filippov.errors import FilippovError, InvalidInputError

__all__ = ["app", "main"]

app = typer.Typer(
    name="filippov",
    help="Differential inclusions in Filippov's sense: exact norm-constrained flows, sliding and crossing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Out = Annotated[Path, typer.Option("--out", help="Folder for the files written.")]
NormName = Annotated[str, typer.Option("--norm", help="Constraint: linf, l1, l2, or none for gradient flow.")]
Policy = Annotated[
    str, typer.Option("--nonunique", help="Where solutions branch: raise, or least-norm (stay).")
]
Numbers = Annotated[str | None, typer.Option(help="Comma-separated numbers.")]


@app.command()
def simulate(
    source: Annotated[
        str | None, typer.Argument(help="An expression such as '(y - 0.5*x)**2/2 + x', or a data set name.")
    ] = None,
    norm: NormName = "linf",
    x0: Numbers = None,
    t: Annotated[float | None, typer.Option("--t", help="End time; default: well past the arrival.")] = None,
    mu: Annotated[float, typer.Option("--mu", help="Ridge of a data set's logistic regression.")] = 1e-2,
    nonunique: Policy = "raise",
    out: Out = Path("out"),
    progress: Annotated[bool, typer.Option("--progress", help="Show a progress bar.")] = False,
    ode: Annotated[
        str | None,
        typer.Option(help="Instead of a flow: equations such as \"x' = v; v' = -x - sign(v - 1) + cos(t)\"."),
    ] = None,
    method: Annotated[str, typer.Option(help="With --ode: the integrator, one of solve_ivp's.")] = "DOP853",
    rtol: Annotated[float, typer.Option(help="With --ode: relative tolerance.")] = 1e-8,
    atol: Annotated[float, typer.Option(help="With --ode: absolute tolerance.")] = 1e-10,
) -> None:
    """Solve x' in -d||.||_*(grad f(x)) exactly; print switches, certificate and arrival; write three files.

    The files are trajectory.npz, switches.csv and trajectory.png. With no arguments: the example of the paper's section
    4.4, sliding (a = 0.5) against crossing (a = 2), side by side. With --ode: equations with sign, Heaviside, abs, max,
    min or Piecewise in Filippov's sense; the names on the left are the states, in the order of --x0; t is the time.
    """
    start = None if x0 is None else _numbers("x0", x0)
    if ode is not None:
        from filippov.command.ode import simulate_ode

        if source is not None:
            raise InvalidInputError(f"source must not be given together with --ode, got {source!r}")
        simulate_ode(ode, start, t, method, rtol, atol, nonunique, out, progress=progress)
        return
    from filippov.command import simulate as work

    if source is None:
        work.section_4_4(out)
    else:
        work.simulate(source, norm, start, t, mu, nonunique, out, progress=progress)


@app.command()
def portrait(
    expression: Annotated[str, typer.Argument(help="An expression in two variables.")],
    norm: NormName = "linf",
    xlim: Annotated[str, typer.Option(help="Two comma-separated numbers.")] = "-2,2",
    ylim: Annotated[str, typer.Option(help="Two comma-separated numbers.")] = "-2,2",
    starts: Annotated[int, typer.Option(help="Number of trajectories.")] = 12,
    out: Out = Path("out"),
) -> None:
    """Draw the phase portrait of a planar flow to portrait.png."""
    from filippov.command import simulate as work

    work.draw_portrait(expression, norm, _numbers("xlim", xlim), _numbers("ylim", ylim), starts, out)


@app.command()
def verify(
    source: Annotated[str, typer.Argument(help="An expression, or a data set name.")],
    schemes: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: sign, one-hit, two-hit, proximal, inertial, inertial-free (linf); "
            "greedy, proximal (l1); normalized, proximal (l2). Default: all that converge to the flow."
        ),
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="Comma-separated step sizes; default: six from t/50 to t/503.")
    ] = None,
    norm: Annotated[str, typer.Option("--norm", help="Constraint: linf, l1 or l2.")] = "linf",
    x0: Numbers = None,
    t: Annotated[float | None, typer.Option("--t", help="End time; default: the arrival.")] = None,
    mu: Annotated[float, typer.Option("--mu", help="Ridge of a data set's logistic regression.")] = 1e-2,
    out: Out = Path("out"),
) -> None:
    """Run discrete schemes against the exact solution: observed order, errors, chatter; write verify.json and .png."""
    from filippov.command import verify as work

    names = None if schemes is None else [name.strip() for name in schemes.split(",")]
    sizes = None if steps is None else _numbers("steps", steps)
    work.verify(source, names, sizes, norm, None if x0 is None else _numbers("x0", x0), t, mu, out)


@app.command()
def gallery(
    name: Annotated[str | None, typer.Argument(help="A script's name, or how it begins.")] = None,
    out: Out = Path("out"),
    show: Annotated[bool, typer.Option("--show", help="Also open the figures in windows.")] = False,
) -> None:
    """Redo a figure or table of the paper and save its pictures; without a name, list them all."""
    from filippov.command import gallery as work

    if name is None:
        work.list_scripts()
    else:
        work.run_script(name, out, show=show)


@app.command()
def report(
    file: Annotated[
        Path, typer.Argument(help="A trajectory.npz that `filippov simulate` or Trajectory.save wrote.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The page written.")] = Path("report.html"),
    source: Annotated[
        str | None,
        typer.Option(help="What it solves, an expression or a data set; without it there is no certificate."),
    ] = None,
    ode: Annotated[
        str | None, typer.Option("--ode", help="What it solves, as equations: \"x' = v; v' = -x - sign(v)\".")
    ] = None,
    norm: NormName = "linf",
    mu: Annotated[float, typer.Option("--mu", help="Ridge of a data set's logistic regression.")] = 1e-2,
) -> None:
    """Write one HTML page about a stored trajectory: pictures, switches, certificate; it opens without network."""
    from filippov.command import report as work

    work.report(file, out, source, ode, norm, mu)


app.command()(certify)


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInputError(f"{name} must be comma-separated numbers, got {text!r}") from None


def main(arguments: list[str] | None = None) -> None:
    """Run the command; an error of this library or of a file becomes one line on standard error and exit code 1."""
    # A batch system's end of time is an interruption too: the part computed is written.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(args=arguments)
    except (FilippovError, OSError) as error:
        print(f"filippov: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, before)
