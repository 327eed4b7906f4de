"""What a switch of the sign flow costs on ridge logistic regression: `python benchmarks/ridge_logistic.py`.

f = 1/N sum log(1 + exp(-y_i a_i'x)) + mu/2 ||x||^2 with Gaussian data, labels from a noisy linear rule, a random start. Work
is counted in *gradient equivalents*: two products with the data matrix, as A x and A'r in one gradient; margins that are still
known are not formed again, by the objective either; a Hessian counts as n/2 gradients (its multiply-adds). Factor work (the
kept inverse) is no product with the data; it is counted in multiply-adds, and given in gradients too, by the multiply-adds of
one. Processor seconds: set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table

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


def row(name: str, f: Counted, x0: Vector, switches: int, *, certified: bool = False) -> list[str]:
    path, motion, seconds = run(f, x0, switches, certified=certified)
    events = max(len(path.switches), 1)
    factor = motion.velocities.inverse.flops if isinstance(motion, IteratedMotion) else float("nan")
    equivalents = f.products / 2 + f.hessians * f.dim / 2
    arrived = path.switches[-1].kind == "arrival"
    last = float(np.max(np.abs(f.grad(motion.x)))) if arrived else float("nan")
    return [
        name,
        f"{events}",
        f"{sum(len(s.pieces) for s in path.segments)}",
        f"{equivalents / events:.2f}",
        f"{f.grads / events:.2f} + {f.hvps / events:.2f}",
        f"{f.hessians}",
        f"{factor / events:.2e}",
        f"{factor / events / (2 * f.entries):.2f}",
        f"{seconds:.1f}",
        f"{last:.0e}" if arrived else "stopped",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--only", choices=("small", "dense", "sparse"), help="one part of the table")
    parser.add_argument("--start", type=float, default=0.1, help="size of the random start's coordinates")
    arguments = parser.parse_args()
    table = Table(title="Sign flow of ridge logistic regression")
    for column in (
        "problem",
        "switches",
        "steps",
        "gradient eq. / switch",
        "gradients + H d / switch",
        "Hessians",
        "factor madds / switch",
        "in gradients",
        "CPU s",
        "|g| at arrival",
    ):
        table.add_column(column, justify="right")
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
    for name, n, samples, density, mu, switches, certified in cases:
        f = problem(n, samples, density, mu, seed=0)
        x0 = arguments.start * np.random.default_rng(1).standard_normal(n)
        table.add_row(*row(name, f, x0, switches, certified=certified))
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
