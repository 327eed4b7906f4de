"""One self-contained HTML page about a trajectory: pictures, switches, certificate, options; opens without network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from filippov.arguments import Vector
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.storing.whole_files import replacing
from filippov.system import System
from filippov.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["report_html", "write_report"]

DPI = 144
SHOWN_STATES = 6
"""Coordinates of a switch that the table shows; the file holds them all."""

STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --quiet: #5b6570; --line: #d8dee4; --slide: #009e73; --warn: #b34700; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff; margin: 0 auto; padding: 2rem 1.5rem;
       max-width: 64rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p.lead { color: var(--quiet); margin: 0 0 1.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { position: sticky; top: 0; background: #fff; } tbody th { font-weight: 500; color: var(--quiet); }
td.number { font-family: ui-monospace, monospace; font-size: .88em; white-space: nowrap; }
.scroll { max-height: 28rem; overflow: auto; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; }
figcaption { color: var(--quiet); font-size: .92em; }
.ok { color: var(--slide); font-weight: 600; } .bad { color: var(--warn); font-weight: 600; }
@media print { .scroll { max-height: none; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""


def report_html(trajectory: Trajectory, system: System | None = None, title: str = "Trajectory") -> str:
    """Return the page as text.

    Parameters
    ----------
    trajectory : Trajectory
    system : System, optional
        What it solves; default: what the trajectory knows. Without it there is no certificate, no picture of the
        surfaces and no phase portrait, and the page says so.
    title : str
        Heading of the page.

    Returns
    -------
    str
        A whole HTML document that refers to nothing outside itself.

    Raises
    ------
    InvalidTypeError
        If `trajectory` or `system` is something else.
    InvalidInputError
        If the trajectory is empty, or the system has another number of states.
    """
    if not isinstance(trajectory, Trajectory):
        raise InvalidTypeError(f"trajectory must be a filippov Trajectory, got {type(trajectory).__name__}")
    known = trajectory.system if system is None else system
    if known is not None and not isinstance(known, System):
        raise InvalidTypeError(f"system must be a filippov System, got {type(known).__name__}")
    if known is not None and known.dim != trajectory.dim:
        raise InvalidInputError(f"system must have {trajectory.dim} states, got {known.dim}")
    if not trajectory.segments:
        raise InvalidInputError("trajectory must have segments to report, got an empty one")
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(_in_words(trajectory))}</p>',
        _two_columns(_facts(trajectory, known)),
        "<h2>Certificate</h2>",
        _certificate(trajectory, known),
        "<h2>Pictures</h2>",
        *_figures(trajectory, known),
        f"<h2>Switches ({len(trajectory.switches)})</h2>",
        _switches(trajectory),
    ]
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def write_report(
    trajectory: Trajectory, path: str | PathLike[str], system: System | None = None, title: str = "Trajectory"
) -> Path:
    """Write `report_html` to a file, making its folder, and return the path."""
    page = report_html(trajectory, system, title)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def _in_words(trajectory: Trajectory) -> str:
    count = len(trajectory.switches)
    switches = "no switch" if count == 0 else "one switch" if count == 1 else f"{count} switches"
    start, arrival = trajectory.start[0], trajectory.arrival_time
    rest = "" if arrival is None else f", at rest from t = {arrival:.10g}"
    states = "one state" if trajectory.dim == 1 else f"{trajectory.dim} states"
    return f"{states}, t = {start:g} to {trajectory.t_end:.6g}: {switches}{rest}."


def _facts(trajectory: Trajectory, system: System | None) -> list[tuple[str, str]]:
    arrival = trajectory.arrival_time
    end = np.asarray(trajectory.sol(trajectory.t_end))
    rows = [
        ("system", "not given" if system is None else repr(system)),
        ("start", f"t = {trajectory.start[0]:.17g}, x = {_numbers(trajectory.start[1])}"),
        ("end", f"t = {trajectory.t_end:.17g}, x = {_numbers(end)}"),
        ("status", f"{trajectory.status}: {trajectory.message}"),
        ("arrival", "none" if arrival is None else f"t = {arrival:.17g}"),
        ("sliding time", f"{trajectory.sliding_time:.10g}"),
        ("evaluations", f"field or gradient {trajectory.nfev}, derivative {trajectory.njev}"),
    ]
    rows += [
        (name, value if isinstance(value, str) else f"{value:g}")
        for name, value in trajectory.options.items()
    ]
    return rows


def _certificate(trajectory: Trajectory, system: System | None) -> str:
    if system is None:
        return "<p>Not checked: the file of a trajectory does not hold the system, and none was given.</p>"
    found = trajectory.certify(system=system)
    word, name = ("holds", "ok") if found.ok else ("does not hold", "bad")
    rows = [
        ("velocity in F", f"distance at most {found.inclusion:.3g}, worst at t = {found.worst_t:.6g}"),
        ("on its surfaces", f"|h| at most {found.drift:.3g}"),
        ("states integrate the velocity", f"defect at most {found.defect:.3g}"),
        ("record of modes and switches", "consistent" if found.consistent else "not consistent"),
        (
            "missed switches",
            "excluded by a bound" if found.gaps_certified else "looked for, not excluded by a bound",
        ),
        ("samples", str(found.samples)),
    ]
    if found.selector is not None:
        rows.insert(
            1, ("velocity in the selector's own, smaller F", f"distance at most {found.selector:.3g}")
        )
    return f'<p>The certificate <span class="{name}">{word}</span>.</p>{_two_columns(rows)}'


def _figures(trajectory: Trajectory, system: System | None) -> Iterable[str]:
    """Draw what fits the trajectory; every figure is closed again."""
    from filippov.drawing.plotting import mode_ribbon, plot_trajectory, trajectory_figure

    def axes_figure(axes: Axes) -> Figure:
        figure = axes.get_figure(root=True)
        assert figure is not None
        return figure

    time_series = "Sliding is shaded, switches are marked by kind, an arrival is the dotted line."
    if system is None:
        yield _figure(axes_figure(plot_trajectory(trajectory)), f"Coordinates against time. {time_series}")
    else:
        caption = f"Coordinates, switching functions and velocities. {time_series}"
        yield _figure(trajectory_figure(trajectory, system), caption)
    if trajectory.segments[0].mode.sides.size:
        caption = "Side of each surface against time; green is sliding."
        yield _figure(axes_figure(mode_ribbon(trajectory)), caption)
    if trajectory.dim == 2 and system is not None:
        caption = "The trajectory in the phase plane, with the switching curves at its start time."
        yield _figure(axes_figure(_phase_plane(trajectory, system)), caption)
    if trajectory.dim == 3:
        from filippov.drawing.plotting_3d import plot_trajectory_3d

        caption = "The trajectory in space; sliding parts are thick" + (
            "." if system is None else ", switching surfaces translucent."
        )
        yield _figure(axes_figure(plot_trajectory_3d(trajectory, system)), caption)


def _phase_plane(trajectory: Trajectory, system: System) -> Axes:
    """Draw the portrait around a planar trajectory, and this trajectory on it."""
    from filippov.drawing.plotting import curve_samples, ink
    from filippov.portrait import portrait

    states = np.asarray(trajectory.sol(curve_samples(trajectory)))
    low, high = states.min(axis=1), states.max(axis=1)
    margin = 0.15 * max(float(np.max(high - low)), 1e-6 * (1.0 + float(np.max(np.abs(states)))))
    limits = [(float(a - margin), float(b + margin)) for a, b in zip(low, high, strict=True)]
    axes = portrait(system, limits[0], limits[1], starts=0, t=trajectory.start[0]).ax
    axes.plot(*states, color=ink(axes), linewidth=1.8, label="trajectory", zorder=3.0)
    axes.plot(*states[:, 0], "o", color=ink(axes), label="start", zorder=3.2)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.01), borderaxespad=0.0, frameon=False, fontsize="small"
    )
    return axes


def _figure(figure: Figure, caption: str) -> str:
    """Return the figure as an element that holds its picture, and close it."""
    import matplotlib.pyplot as plt

    picture = io.BytesIO()
    # No metadata: the same trajectory gives the same page.
    figure.savefig(
        picture, format="png", dpi=DPI, metadata={"Software": None}, bbox_inches="tight", facecolor="white"
    )
    plt.close(figure)
    data = base64.b64encode(picture.getvalue()).decode("ascii")
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _switches(trajectory: Trajectory) -> str:
    if not trajectory.switches:
        return "<p>None.</p>"
    rows = [
        (
            str(k),
            f"{s.t:.17g}",
            s.kind,
            ", ".join(str(i) for i in s.surfaces),
            str(s.codimension),
            _numbers(s.x),
        )
        for k, s in enumerate(trajectory.switches, start=1)
    ]
    return (
        f'<div class="scroll">{_table(("", "t", "kind", "surfaces", "codimension after", "x"), rows)}</div>'
    )


def _numbers(x: Vector) -> str:
    shown = ", ".join(f"{value:.10g}" for value in x[:SHOWN_STATES])
    return f"({shown}, ... {x.size} in all)" if x.size > SHOWN_STATES else f"({shown})"


def _two_columns(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f'<tr><th scope="row">{escape(a)}</th><td>{escape(b)}</td></tr>' for a, b in rows)
    return f"<table><tbody>{cells}</tbody></table>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        "<tr>" + "".join(f'<td class="number">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
