"""What a switch of the sign flow costs on ridge logistic regression: `python benchmarks/ridge_logistic.py`.

f = 1/N sum log(1 + exp(-y_i a_i'x)) + mu/2 ||x||^2 with Gaussian data, labels from a noisy linear rule, a random start. Work
is counted in *gradient equivalents*: two products with the data matrix, as A x and A'r in one gradient; margins that are still
known are not formed again, by the objective either; a Hessian counts as n/2 gradients (its multiply-adds). Factor work (the
kept inverse) is no product with the data; it is counted in multiply-adds, and given in gradients too, by the multiply-adds of
one. Processor seconds: set OMP_NUM_THREADS=1.

What is checked, at times spread over each path: the inclusion, by gradients and Hessian products formed afresh from the state that
the path says: g = 0 and (H v)_i = 0 where it slides, |v_i| = 1 against the sign of g elsewhere, |v_i| <= 1 everywhere.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from marked_tables import MarkedTable, as_run, write_section
from numpy.typing import ArrayLike

from filippov import Trajectory, solve
from filippov.arguments import Matrix, Vector
from filippov.errors import ChatteringError
from filippov.system import Motion
from flows import RidgeLogistic, SignFlow
from flows.motions.curved_motion import CurvedMotion
from flows.motions.iterated_motion import IteratedMotion


class Counted(RidgeLogistic):
    """Ridge logistic loss that counts its products with the data, half a gradient each."""

    def __init__(self, A: Any, y: Vector, mu: float) -> None:
        self.products = self.grads = self.hvps = self.hessians = 0
        super().__init__(A, y, mu)

    @property
    def entries(self) -> int:
        """Stored entries of the data."""
        return int(cast(sp.csr_array, self.A).nnz) if sp.issparse(self.A) else self.A.size

    def _margins(self, x: Vector) -> Vector:
        if self._last[0] != x.tobytes():
            self.products += 1
        return super()._margins(x)

    def grad(self, x: ArrayLike) -> Vector:
        self.grads += 1
        self.products += 1
        return super().grad(x)

    def hvp(self, x: ArrayLike, d: ArrayLike) -> Vector:
        self.hvps += 1
        self.products += 2
        return super().hvp(x, d)

    def third(self, x: ArrayLike, d: ArrayLike) -> Vector:
        self.products += 2
        return super().third(x, d)

    def gradient_error(self, x: ArrayLike) -> Vector:
        self.products += 2
        return super().gradient_error(x)

    def hess(self, x: ArrayLike) -> Matrix:
        self.hessians += 1
        return super().hess(x)


class Watched(SignFlow):
    """A sign flow that shows its motion, certified or not as it is told."""

    used: Motion

    def __init__(self, objective: RidgeLogistic, *, certified: bool) -> None:
        super().__init__(objective)
        self.certified = certified

    def motion(
        self, t: float, x: Vector, t_end: float, rtol: float, atol: float, method: str = "DOP853"
    ) -> Motion:
        family = self.geometry.family  # type: ignore[attr-defined]
        if self.certified:
            beta = self.objective.hessian_variation(self.norm.dual.value)
            self.used = CurvedMotion(self.objective, family, beta, t, x)
        else:
            self.used = IteratedMotion(self.objective, family, t, x)
        return self.used


def problem(n: int, samples: int, density: float, mu: float, seed: int) -> Counted:
    """Return the loss of standardised Gaussian data, sparse if density < 1."""
    rng = np.random.default_rng(seed)
    A: Any
    if density < 1.0:
        A = sp.random_array((samples, n), density=density, rng=rng, data_sampler=rng.standard_normal).tocsr()
        A = sp.csr_array(A / np.sqrt(density))
    else:
        A = rng.standard_normal((samples, n))
    rule = rng.standard_normal(n) / np.sqrt(n)
    y = np.where(A @ rule + 0.5 * rng.standard_normal(samples) > 0, 1.0, -1.0)
    return Counted(A, y, mu)


def run(f: Counted, x0: Vector, switches: int, *, certified: bool) -> tuple[Trajectory, Motion, float]:
    """Return the path to arrival, or over its first switches, its motion, and processor seconds."""
    flow = Watched(f, certified=certified)
    start = time.process_time()
    try:
        path = solve(flow, (0.0, 1e6), x0, max_switches=switches)
    except ChatteringError as stopped:  # max_switches reached
        path = cast(Trajectory, stopped.trajectory)
    return path, flow.used, time.process_time() - start


def violation(path: Trajectory, f: Counted, samples: int = 12) -> float:
    """Return the largest violation of the inclusion at the middle of some pieces, of the size of max |g| there."""
    moving = [segment for segment in path.segments if not segment.mode.resting]
    pieces = [(segment.mode.sides == 0, piece) for segment in moving for piece in segment.pieces]
    worst = 0.0
    for k in np.linspace(0, len(pieces) - 1, samples).astype(int):
        slides, piece = pieces[k]
        t = 0.5 * (piece.t0 + piece.t1)
        x, v = path.sol(t), path.velocity(t)
        g, rate = f.grad(x), f.hvp(x, v)
        size, pace = float(np.max(np.abs(g))), float(np.max(np.abs(rate)))
        held = ~slides
        worst = max(
            worst,
            float(np.max(np.abs(g[slides]), initial=0.0)) / size,
            float(np.max(np.abs(rate[slides]), initial=0.0)) / pace,
            float(np.max(v[held] * g[held], initial=0.0)) / size,
            float(np.max(np.abs(np.abs(v[held]) - 1.0), initial=0.0)),
            float(np.max(np.abs(v))) - 1.0,
        )
    return worst


def row(name: str, f: Counted, x0: Vector, switches: int, *, certified: bool = False) -> list[str]:
    path, motion, seconds = run(f, x0, switches, certified=certified)
    events = max(len(path.switches), 1)
    factor = motion.velocities.inverse.flops if isinstance(motion, IteratedMotion) else float("nan")
    equivalents = f.products / 2 + f.hessians * f.dim / 2
    arrived = path.switches[-1].kind == "arrival"
    last = float(np.max(np.abs(f.grad(motion.x)))) if arrived else float("nan")
    gradients, hvps = f.grads, f.hvps
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    return [
        name,
        f"{events}",
        f"{sum(len(s.pieces) for s in path.segments)}",
        f"{equivalents / events:.2f}",
        f"{gradients / events:.2f} + {hvps / events:.2f}",
        f"{f.hessians}",
        f"{factor / events:.2e}",
        f"{factor / events / (2 * f.entries):.2f}",
        f"{seconds:.1f}",
        f"{path.segments[-1].mode.codimension if not arrived else f.dim}",
        f"{last:.0e}" if arrived else "stopped",
        f"{violation(path, f):.0e}",
        f"{memory / 1e9:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--only", choices=("small", "dense", "sparse", "large"), help="one part of the table")
    parser.add_argument("--start", type=float, default=0.1, help="size of the random start's coordinates")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    arguments = parser.parse_args()
    table = MarkedTable(
        "Sign flow of ridge logistic regression",
        (
            "problem",
            "switches",
            "steps",
            "gradient eq. a switch",
            "gradients + H d a switch",
            "Hessians",
            "factor madds a switch",
            "in gradients",
            "CPU s",
            "sliding at the end",
            "max abs(g) at arrival",
            "violation",
            "peak GB",
        ),
    )
    cases: list[tuple[str, int, int, float, float, int, bool]] = []
    if arguments.only in (None, "small"):
        for n in (50, 100):
            cases.append((f"n={n} N={5 * n} certified", n, 5 * n, 1.0, 1e-2, 10**6, True))
            cases.append((f"n={n} N={5 * n}", n, 5 * n, 1.0, 1e-2, 10**6, False))
    if arguments.only in (None, "dense"):
        n = 200 if arguments.quick else 1000
        cases.append((f"n={n} N={5 * n}", n, 5 * n, 1.0, 1e-2, 10**6, False))
    if arguments.only in (None, "sparse"):
        n, density = (1000, 1e-2) if arguments.quick else (10_000, 1e-3)
        cases.append((f"n={n} N={2 * n} density {density:g}", n, 2 * n, density, 1e-2, 400, False))
    if arguments.only == "large":
        cases.append(("n=10000 N=3000", 10_000, 3000, 1.0, 1e-2, 400, False))
        cases.append(("n=10000 N=20000 density 0.001", 10_000, 20_000, 1e-3, 1e-2, 400, False))
        cases.append(("n=10000 N=20000 density 0.001", 10_000, 20_000, 1e-3, 1e-2, 2000, False))
    for name, n, samples, density, mu, switches, certified in cases:
        f = problem(n, samples, density, mu, seed=0)
        x0 = arguments.start * np.random.default_rng(1).standard_normal(n)
        table.rows.append(row(name, f, x0, switches, certified=certified))
        print(*table.rows[-1], sep="; ", flush=True)
    table.remarks = [
        f"One run of `{as_run()}`. Gradient equivalents: products with the data, half a gradient each. "
        "Factor work touches no data; in gradients: by its multiply-adds. Violation: the largest of the inclusion's at 12 times of "
        "the path, relative to the largest component. Peak memory is that of the process so far, data included."
    ]
    table.print()
    if arguments.write:
        write_section("ridge logistic", table.markdown())


if __name__ == "__main__":
    main()
