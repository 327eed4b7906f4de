"""Kinds of cases about discrete schemes: what theory promises of each, computed here from the iterates alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from random_problems import QuadraticProblem, box_or_diamond, definite, problem, singular
from sources import Source, choose, require

from discretizers import (
    Adaptive,
    BallProximal,
    FaceAware,
    GreedyCD,
    InertialSignGD,
    Iterates,
    OneHitFreeze,
    SignGD,
    TwoHitSliding,
    check_theory,
    run,
)
from filippov import solve
from filippov.arguments import Vector
from flows import L1, LInf, NormFlow, Quadratic

__all__ = ["SCHEME_KINDS"]

STEPS = 40


def values(case: QuadraticProblem, iterates: Iterates) -> tuple[Vector, Vector, float]:
    """Return f and g at the iterates from Q and b, and the rounding error of f."""
    x = iterates.y
    g = np.stack([case.Q @ column - case.b for column in x.T], axis=1)  # the bits of `grad`: a zero is a zero
    terms = (
        0.5 * np.abs(x.T @ case.Q @ x).max()
        + np.abs(case.b @ x).max()
        + float(np.abs(case.Q).sum()) * np.abs(x).max() ** 2
    )
    return 0.5 * np.einsum("it,ij,jt->t", x, case.Q, x) - case.b @ x, g, 1e-14 * float(terms)


def decrease(source: Source) -> None:
    """(5.4): f falls by ||g||_1^2 / (2 sum L_i) at least; face-aware with L_S; the inertial scheme from its trial point."""
    case = problem(source, definite if source.integer(0, 1) else singular, 1, 6)
    objective = Quadratic(case.Q, case.b)
    L = np.abs(case.Q).sum(axis=1)  # diag(L) - Q is diagonally dominant
    if not L.any():
        return
    rule = choose(source, ["adaptive", "face-aware", "inertial"])
    scheme = {
        "adaptive": SignGD(Adaptive()),
        "face-aware": SignGD(FaceAware()),
        "inertial": InertialSignGD(Adaptive()),
    }
    iterates = run(scheme[rule], objective, case.x0, STEPS)
    f, g, rounding = values(case, iterates)
    for k in range(f.size - 1):
        if rule == "inertial":
            require(f[k + 1] <= f[k] + rounding, f"f rises by {f[k + 1] - f[k]:.3g} in step {k}")
            continue
        total = L.sum() if rule == "adaptive" else L[g[:, k] != 0].sum()
        if total == 0.0:
            continue
        promised = float(np.abs(g[:, k]).sum()) ** 2 / (2.0 * total)
        require(
            f[k + 1] <= f[k] - promised + rounding,
            f"{rule} step {k}: f falls by {f[k] - f[k + 1]:.6g} < {promised:.6g}",
        )
    report = check_theory(iterates, objective)
    require(report.ok, f"check_theory denies what holds:\n{report}")


def ties(source: Source) -> None:
    """(4.6): a blend of tied coordinates decreases f by its bound, and its weights are a point of the simplex."""
    case = problem(source, definite, 1, 6)
    h = choose(source, [1 / 8, 1 / 64, 1.0])
    iterates = run(
        GreedyCD(h, ties=choose(source, ["vertex", "equal", "tangent"])),
        Quadratic(case.Q, case.b),
        case.x0,
        STEPS,
    )
    f, g, rounding = values(case, iterates)
    L = np.abs(case.Q).sum(axis=1)
    for k in range(f.size - 1):
        top = float(np.abs(g[:, k]).max())
        moved = iterates.y[:, k] - iterates.y[:, k + 1]
        if not moved.any():
            require(top <= 1e-9, f"stands still in step {k} at |g| = {top:.3g}")
            continue
        share = moved * np.sign(g[:, k]) / h
        loose = 1e-9 * (1.0 + float(np.abs(iterates.y).max()) / h)
        require(abs(share.sum() - 1.0) <= loose, f"weights sum to {share.sum()!r} in step {k}")
        require(bool(np.all(share >= -loose)), f"a weight is {share.min():.3g} in step {k}")
        off = np.abs(np.abs(g[:, k]) - top) > 1e-9 * (1.0 + top)
        require(not np.any(np.abs(share[off]) > loose), f"step {k} moves a coordinate that is not tied")
        bound = f[k] - h * top + 0.5 * h * h * float(L @ share**2)
        require(f[k + 1] <= bound + rounding, f"f is {f[k + 1] - bound:.3g} above its bound after step {k}")


def explicit_error(source: Source) -> None:
    """Explicit Euler of the flow: ||x_k - x(k h)||_Q <= M sqrt(2 t h), M the speed in that metric.

    Between grid times the derivative of half the squared distance is <v_k - v, x_k + s v_k - x>_Q, of which monotonicity leaves
    s <v_k - v, v_k>_Q <= 2 s M^2.
    """
    case = problem(source, definite, 1, 5)
    h = choose(source, [1 / 8, 1 / 32, 1 / 128])
    norm = choose(source, [LInf(), L1()])
    scheme = (
        SignGD(h)
        if isinstance(norm, LInf)
        else GreedyCD(h, ties=choose(source, ["vertex", "equal", "tangent"]))
    )
    speed = np.abs(case.Q).sum() if isinstance(norm, LInf) else np.abs(case.Q).max()
    iterates = run(scheme, Quadratic(case.Q, case.b), case.x0, STEPS)
    path = solve(NormFlow(Quadratic(case.Q, case.b), norm), (0.0, STEPS * h), case.x0)
    for k, x in enumerate(iterates.y.T):
        d = x - path.sol(k * h)
        bound = np.sqrt(2.0 * speed * k * h * h)
        require(
            np.sqrt(max(d @ case.Q @ d, 0.0)) <= bound + 1e-9,
            f"{np.sqrt(d @ case.Q @ d):.3g} > {bound:.3g} at step {k}",
        )


def implicit_error(source: Source) -> None:
    """Implicit Euler, the ball-proximal step: ||x_k - x(k h)||_Q <= h ||v_0||_Q / sqrt(2), and f never rises.

    Nochetto, Savare and Verdi, *Comm. Pure Appl. Math.* 53 (2000), for gradient flows of convex functions: here ||.||_* in the
    metric of the inverse of Q.
    """
    case = problem(source, definite, 1, 5)
    norm, _ = box_or_diamond(source, case.n)
    h = choose(source, [1 / 2, 1 / 8, 1 / 32])
    path = solve(NormFlow(Quadratic(case.Q, case.b), norm), (0.0, STEPS * h), case.x0)
    iterates = run(BallProximal(h, norm), Quadratic(case.Q, case.b), case.x0, STEPS)
    v = path.velocity(0.0)
    bound = h * float(np.sqrt(max(v @ case.Q @ v, 0.0))) / np.sqrt(2.0)
    for k, x in enumerate(iterates.y.T):
        d = x - path.sol(k * h)
        off = float(np.sqrt(max(d @ case.Q @ d, 0.0)))
        require(off <= bound * (1.0 + 1e-9) + 1e-7, f"{off:.6g} > {bound:.6g} at step {k}, norm {norm!r}")
    f, _, rounding = values(case, iterates)
    require(bool(np.all(np.diff(f) <= rounding)), "f rises")


def sign_changes(source: Source) -> None:
    """The two projected schemes against their definitions (section 4.5), replayed here from the iterates."""
    case = problem(source, definite, 1, 5)
    h = choose(source, [1 / 8, 1 / 32, 1 / 2])
    objective = Quadratic(case.Q, case.b)
    if source.integer(0, 1):
        iterates = run(OneHitFreeze(h), objective, case.x0, STEPS)
        for x, after in zip(iterates.y.T[:-1], iterates.y.T[1:], strict=True):
            g = case.Q @ x - case.b
            trial = x - h * np.sign(g)
            flipped = np.sign(case.Q @ trial - case.b) * np.sign(g) < 0
            changed = np.sign(case.Q @ trial - case.b) != np.sign(g)
            # A sign that turns zero counts as a change or not: only flips must be undone, only changes may be.
            undone = (after == x) & (trial != x)
            require(bool(np.all(undone[flipped])), "a flip is not undone")
            require(not np.any(undone & ~changed), "a component is undone that does not change its sign")
            kept = ~undone
            require(
                bool(np.array_equal(after[kept], trial[kept])),
                "a component is neither undone nor the trial's",
            )
        return
    iterates = run(TwoHitSliding(h), objective, case.x0, STEPS)
    x, g = iterates.y, case.Q @ iterates.y - case.b[:, None]
    for k in range(2, STEPS):
        for i in range(case.n):
            p0, p1, p2 = g[i, k - 2 : k + 1]
            if min(abs(p0), abs(p1), abs(p2)) < 1e-9 * (1.0 + float(np.abs(g).max())):
                continue  # the sign of a rounding error
            step = (x[i, k] - x[i, k + 1]) / h
            mu = np.sign(p2)
            if p0 * p1 < 0 and p1 * p2 < 0:
                inside = (3.0 * p2 - p0) / (p0 - 2.0 * p1 + p2) * np.sign(p0)
                if abs(abs(inside) - 1.0) < 1e-9:
                    continue
                mu = inside if abs(inside) < 1.0 else mu
            require(
                abs(step - mu) <= 1e-7 * (1.0 + abs(x[i, k])) / min(h, 1.0), f"mu = {step!r}, by (4.3) {mu!r}"
            )


SCHEME_KINDS: dict[str, Callable[[Source], None]] = {
    "decrease: adaptive, face-aware, inertial": decrease,
    "blends on ties, bound (4.6)": ties,
    "explicit Euler against the flow": explicit_error,
    "BallProximal against the flow": implicit_error,
    "one-hit and two-hit by definition": sign_changes,
}
