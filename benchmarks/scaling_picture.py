"""The picture of `scaling.py`: cost of a switch against n, and time against the number of switches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from scaling import Row

__all__ = ["draw"]

# Text as text and no date: small, and the same bytes for the same numbers.
SVG = {"svg.fonttype": "none", "svg.hashsalt": "scaling"}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the rows of condition 1e3, on the left those that were run to arrival, and save the picture."""
    with plt.rc_context({**SVG, "font.size": 9.0}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.2), layout="constrained")
        shown = [row for row in rows if row.condition == 1e3 and row.final == row.final]
        for flow, marker in (("l_inf", "o"), ("l1", "s")):
            own = sorted((row for row in shown if row.flow == flow), key=lambda row: row.n)
            if not own:
                continue
            sizes = [row.n for row in own]
            each = [1e3 * row.seconds / row.switches for row in own]
            left.plot(sizes, each, marker=marker, ms=4, label=f"a switch, {flow.replace('l_inf', 'l∞')}")
        first = sorted({row.n: row for row in shown}.values(), key=lambda row: row.n)
        sizes = [row.n for row in first]
        left.plot(sizes, [1e3 * row.product for row in first], "k--", lw=1, label="a product H v (numpy)")
        limits = [1e3 * row.limit * row.seen.pivots / row.switches for row in first]
        left.plot(sizes, limits, "k:", lw=1, label="the limit, n² a pivot")
        left.set(xscale="log", yscale="log", xlabel="n", ylabel="milliseconds")
        left.legend(frameon=False, fontsize=8)
        for row in sorted(
            (r for r in rows if r.condition == 1e3 and r.flow == "l_inf"), key=lambda row: row.n
        ):
            right.plot(row.seen.clock[1:, 0], row.seen.clock[1:, 1], lw=1.2, label=f"n = {row.n}")
        right.set(xscale="log", yscale="log", xlabel="switches made (l∞)", ylabel="seconds so far")
        right.legend(frameon=False, fontsize=8)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
