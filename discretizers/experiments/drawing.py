"""The two panels that most of the paper's figures have, and the table beside them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from discretizers.experiments.protocol import iterations_to
from discretizers.iterates import Iterates
from filippov.drawing.plotting import LINE_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["convergence_figure", "draw_curves", "print_runs", "print_table", "show_if_asked"]

DASHES = ("-", "--", ":")


def convergence_figure(runs: Mapping[str, Iterates], title: str) -> Figure:
    """Draw the gap and the squared distance of several runs against the iteration, side by side."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained", sharex=True)
    draw_curves(axes[0], {name: iterates.gap for name, iterates in runs.items()}, "$f(x_k) - f^*$")
    draw_curves(
        axes[1], {name: iterates.squared_distance for name, iterates in runs.items()}, r"$\|x_k - x^*\|_2^2$"
    )
    axes[0].legend(fontsize="small")
    figure.suptitle(title)
    return figure


def draw_curves(axes: Axes, curves: Mapping[str, np.ndarray], label: str) -> None:
    """Draw sequences against k on a logarithmic axis; what is below rounding is left out."""
    largest = max(float(np.max(values)) for values in curves.values())
    # What lies below carries no digit: f and x are known to eps of their size.
    floor = 1e-14 * largest
    for i, (name, values) in enumerate(curves.items()):
        shown = np.where(values > floor, values, np.nan)
        style = DASHES[i // len(LINE_COLOURS) % len(DASHES)]
        axes.semilogy(shown, style, color=LINE_COLOURS[i % len(LINE_COLOURS)], label=name, linewidth=1.6)
    axes.set(xlabel="iteration $k$", ylabel=label)
    axes.spines[["top", "right"]].set_visible(False)


def print_table(title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table; numbers come as text."""
    table = Table(*header, title=title)
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        # A file or pipe has no width to keep to.
        console = Console(width=console.measure(table, options=console.options.update_width(1000)).maximum)
    console.print(table)


def print_runs(title: str, runs: Mapping[str, Iterates], fraction: float = 1e-3) -> None:
    """Print what the curves show: iterations to a fraction of the gap, the ends, increases, restarts."""
    rows = [
        (
            name,
            f"{iterations_to(iterates, fraction):.0f}",
            f"{iterates.gap[-1]:.2e}",
            f"{iterates.squared_distance[-1]:.2e}",
            f"{max(float(np.max(np.diff(iterates.f))), 0.0):.1e}",
            str(int(iterates.restarts.sum())),
        )
        for name, iterates in runs.items()
    ]
    header = ("method", f"iterations to {fraction:g} gap", "last gap", "last distance^2")
    print_table(title, (*header, "largest increase of f", "restarts"), rows)


def show_if_asked() -> None:
    """Open the figures in windows if the script was started with --show; the gallery's last line."""
    if "--show" in sys.argv[1:]:
        import matplotlib.pyplot as plt

        plt.show()
