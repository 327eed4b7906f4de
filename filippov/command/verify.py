"""What `filippov verify` does: run schemes at several step sizes against the exact solution of their flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from discretizers import (
    BallProximal,
    GreedyCD,
    InertialSignGD,
    NormalizedGD,
    OneHitFreeze,
    Scheme,
    SignGD,
    TwoHitSliding,
    Verification,
)
from discretizers import verify as verify_scheme
from discretizers.reporting import Report, Rows, number
from filippov.command.sources import NORMS, default_end, flow_of, read_source
from filippov.drawing.plotting import LINE_COLOURS
from filippov.errors import FilippovError, InvalidInputError
from filippov.solve import solve
from filippov.storing.whole_files import replacing
from flows import L1, L2, LInf

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SCHEMES", "SchemeReport", "verify"]

SCHEMES: Mapping[str, Mapping[str, Callable[[float], Scheme]]] = MappingProxyType(
    {
        "linf": {
            "sign": SignGD,
            "one-hit": OneHitFreeze,
            "two-hit": TwoHitSliding,
            "proximal": lambda h: BallProximal(h, LInf()),
            "inertial": lambda h: InertialSignGD(h),
            "inertial-free": lambda h: InertialSignGD(h, restart=False),
        },
        "l1": {"greedy": GreedyCD, "proximal": lambda h: BallProximal(h, L1())},
        "l2": {"normalized": NormalizedGD, "proximal": lambda h: BallProximal(h, L2())},
    }
)
"""Schemes by name under each constraint. The inertial ones follow their flow at 1 / (1 - beta) times its speed."""

MARKERS = ("o", "s", "^", "D", "v", "x")
"""Errors often coincide: open markers of different shapes stay visible on top of each other."""

DEFAULT_DIVISIONS = (50, 79, 127, 199, 317, 503)
"""Default steps: the time span over these. Without common factors, so that no event falls on a node of several."""


@dataclass(frozen=True, eq=False, repr=False)
class SchemeReport(Report):
    """Several schemes verified against one flow.

    Attributes
    ----------
    flow : str
    x0 : list of float
    t_span : (float, float)
    verifications : dict of str to Verification
    failed : dict of str to str
        Schemes that could not be run, and why.
    """

    flow: str
    x0: list[float]
    t_span: tuple[float, float]
    verifications: dict[str, Verification]
    failed: dict[str, str]

    def rows(self) -> Rows:
        """Return one row for each scheme and step size; the order stands in the scheme's first."""
        rows = []
        for name, found in self.verifications.items():
            low, high = found.order_band
            order = "rounding" if np.isnan(found.order) else f"{found.order:.2f}"
            if np.isfinite(low):
                order += f" ± {(high - low) / 2:.2f}"
            for k, (h, comparison) in enumerate(zip(found.steps, found.comparisons, strict=True)):
                chatter = max(comparison.chatter.values(), default=np.nan)
                rows.append(
                    (
                        *((name, order) if k == 0 else ("", "")),
                        number(h),
                        number(comparison.sup_error),
                        number(comparison.terminal_error),
                        number(chatter),
                        "-" if np.isnan(comparison.mode_share) else f"{comparison.mode_share:.1%}",
                    )
                )
        header = ("scheme", "order", "h", "sup error", "terminal", "chatter", "in mode")
        notes = ["order ± half its 95 % band; chatter: largest |h_i| while the exact solution slides"]
        notes += [f"{name} failed: {reason}" for name, reason in self.failed.items()]
        return Rows(f"{self.flow} to t = {self.t_span[1]:.6g}", header, rows, notes)

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the trajectory as plain values."""
        return {
            "flow": self.flow,
            "x0": self.x0,
            "t_span": self.t_span,
            "schemes": {name: found.as_dict() for name, found in self.verifications.items()},
            "failed": self.failed,
        }

    def figure(self) -> Figure:
        """Draw the errors, and where the exact solution slides the chatter, against the step size."""
        import matplotlib.pyplot as plt

        chatter = {
            name: np.array([max(c.chatter.values(), default=np.nan) for c in found.comparisons])
            for name, found in self.verifications.items()
        }
        panels = 2 if any(np.any(values > 0) for values in chatter.values()) else 1
        figure, grid = plt.subplots(
            1, panels, figsize=(5.4 * panels, 4.4), layout="constrained", squeeze=False
        )
        for k, (name, found) in enumerate(self.verifications.items()):
            style = {"color": LINE_COLOURS[k % len(LINE_COLOURS)], "marker": MARKERS[k % len(MARKERS)]}
            label = f"{name}: order {found.order:.2f}" if np.isfinite(found.order_band[0]) else name
            at = np.argsort(found.steps)
            # Below the floor there is rounding only; a logarithmic axis has no zero.
            errors = np.maximum(found.errors, found.floor)
            grid[0, 0].loglog(found.steps[at], errors[at], label=label, fillstyle="none", **style)
            if panels == 2:
                shown = np.where(chatter[name] > found.floor, chatter[name], np.nan)
                grid[0, 1].loglog(found.steps[at], shown[at], fillstyle="none", **style)
        for axes in grid[0]:
            axes.set_xticks(found.steps, [f"{h:.3g}" for h in found.steps], minor=False)
            axes.set_xticks([], minor=True)
        grid[0, 0].set(xlabel="step $h$", ylabel="sup error", title="distance from the exact solution")
        grid[0, 0].legend()
        if panels == 2:
            grid[0, 1].set(xlabel="step $h$", ylabel="largest $|h_i|$", title="chatter around sliding arcs")
        return figure


def verify(
    source: str,
    schemes: Sequence[str] | None,
    steps: list[float] | None,
    norm: str,
    x0: list[float] | None,
    t: float | None,
    mu: float,
    out: Path,
) -> None:
    """Verify schemes on one flow, print the table and write verify.json and verify.png."""
    import matplotlib.pyplot as plt

    if norm not in NORMS:
        raise InvalidInputError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    makers = _chosen(schemes, norm)
    given = read_source(source, x0, mu)
    flow = flow_of(given.objective, norm)
    if t is None:
        # The way to the minimiser, or what there is of it: a long rest would tell nothing.
        whole = solve(flow, (0.0, default_end(given.objective, given.start)), given.start)
        arrival = whole.arrival_time
        if arrival is None or arrival == 0.0:
            raise InvalidInputError("t must be given, because the solution does not arrive at a minimiser")
        t = arrival
    sizes = [t / count for count in DEFAULT_DIVISIONS] if steps is None else steps

    verifications: dict[str, Verification] = {}
    failed: dict[str, str] = {}
    for name, make in makers.items():
        try:
            verifications[name] = verify_scheme(make, flow, given.start, (0.0, t), sizes)
        except InvalidInputError:
            raise
        except FilippovError as error:
            failed[name] = str(error)
    if not verifications:
        raise FilippovError(f"no scheme could be verified: {next(iter(failed.values()))}")
    report = SchemeReport(repr(flow), given.start.tolist(), (0.0, t), verifications, failed)
    out.mkdir(parents=True, exist_ok=True)
    report.to_json(out / "verify.json")
    figure = report.figure()
    with replacing(out / "verify.png") as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)
    console = Console()
    console.print(report.rich_table())
    console.print(f"Wrote verify.json and verify.png to {out}.")


def _chosen(names: Sequence[str] | None, norm: str) -> dict[str, Callable[[float], Scheme]]:
    """Return the schemes asked for; by default all that converge to the flow."""
    known = SCHEMES[norm]
    if names is None:
        return {name: make for name, make in known.items() if not name.startswith("inertial")}
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise InvalidInputError(
            f"schemes must be among {', '.join(known)} for --norm {norm}, got {(wrong or [''])[0]!r}"
        )
    return {name: known[name] for name in names}
