"""What `filippov simulate --ode` does: equations as text, solved by the general engine."""

from __future__ import annotations

import re
from pathlib import Path

from filippov.arguments import as_vector
from filippov.command.simulate import console, keeping_the_part, print_switches, write_files
from filippov.errors import InvalidInputError
from filippov.solve import solve
from filippov.symbolic.from_expressions import SymbolicSystem, from_sympy

__all__ = ["parse_ode", "simulate_ode"]

TIME = "t"
"""The name of the time in the equations."""

_MAX_EQUATIONS = 64

_MAX_LENGTH = 20_000  # characters in all; each right-hand side has the parser's own bounds

_LEFT_SIDE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*'\s*=(.*)", re.DOTALL)


def parse_ode(text: str) -> SymbolicSystem:
    """Read equations such as "x' = v; v' = -x - sign(v - 1) + cos(t)" into a system; nothing is evaluated.

    Parameters
    ----------
    text : str
        Equations separated by semicolons. The names on the left are the states, in this order; t is the time.

    Returns
    -------
    SymbolicSystem

    Raises
    ------
    InvalidInputError
        If an equation cannot be read.
    """
    if len(text) > _MAX_LENGTH:
        raise InvalidInputError(f"ode must have at most {_MAX_LENGTH} characters, got {len(text)}")
    equations = [part for part in text.split(";") if part.strip()]
    if not 1 <= len(equations) <= _MAX_EQUATIONS:
        raise InvalidInputError(f"ode must have 1 to {_MAX_EQUATIONS} equations, got {len(equations)}")
    names, formulas = [], []
    for equation in equations:
        match = _LEFT_SIDE.fullmatch(equation)
        if match is None:
            shown = ascii(" ".join(equation.split())[:60])
            raise InvalidInputError(
                f"ode must have equations of first order like \"x' = v; v' = -x\", got {shown}"
            )
        names.append(match[1])
        formulas.append(match[2])
    try:
        return from_sympy(formulas, names, TIME)
    except InvalidInputError:
        raise
    except (
        TypeError,
        ValueError,
        ArithmeticError,
        NotImplementedError,
        LookupError,
        RecursionError,
    ) as error:
        # Sympy's own words on formulas that are admissible alone: a root that is complex wherever it is looked at.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InvalidInputError(f"ode: sympy cannot work with these equations: {reason}") from None


def simulate_ode(
    text: str,
    x0: list[float] | None,
    t: float | None,
    method: str,
    rtol: float,
    atol: float,
    nonunique: str,
    out: Path,
    *,
    progress: bool = False,
) -> None:
    """Solve equations given as text, print what happened and write it to a folder."""
    system = parse_ode(text)
    if x0 is None:
        raise InvalidInputError(f"x0 must be given: {system.dim} comma-separated numbers")
    if t is None:
        raise InvalidInputError("t must be given: the end time")
    start = as_vector("x0", x0, system.dim)
    console.print(repr(system), markup=False, highlight=False)
    with keeping_the_part(system, out):
        trajectory = solve(
            system,
            (0.0, t),
            start,
            method=method,
            rtol=rtol,
            atol=atol,
            nonunique=nonunique,
            progress=progress,
        )
    write_files(trajectory, system, out)
    print_switches(trajectory, [str(h) for h in system.surface_expressions])
    end = ", ".join(f"{value:.12g}" for value in trajectory.y[:, -1])
    console.print(
        f"State at t = {trajectory.t_end:.12g}: {end}; {len(trajectory.switches)} switches, "
        f"{trajectory.sliding_time:.6g} time units of sliding.",
        highlight=False,
    )
    console.print(f"Wrote trajectory.npz, switches.csv and trajectory.png to {out}.")
