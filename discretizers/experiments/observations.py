"""What one seed says about each of the paper's observations (section 7.3, appendix A.2 to A.4)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from discretizers.compare import Comparison, compare
from discretizers.experiments.problems import (
    Problem,
    breast_cancer_problem,
    logistic_quadratic,
    ridge_logistic,
    smooth_max,
)
from discretizers.experiments.protocol import BUDGET, iterations_to, run_methods, run_tuned
from discretizers.experiments.verdicts import Claim, Observation
from discretizers.iterates import Iterates
from discretizers.projected import OneHitFreeze, TwoHitSliding
from discretizers.run import run
from discretizers.schemes import SignGD
from discretizers.steps import Adaptive, FaceAware
from discretizers.theory import check_theory
from filippov.arguments import Vector
from filippov.solve import solve
from flows.norm_flow import SignFlow
from flows.objectives import Quadratic

__all__ = ["CLAIMS", "largest_increase", "observe", "sliding_chatter", "table_2_constants"]

LONG = 2000
"""Steps of the runs whose iterations are counted: adaptive SignGD needs over 1500 on the hardest problem."""

FRACTION = 1e-3
"""Iterations are counted until the gap has fallen to this share of the first."""

ACTIVE = (1e-2, 1e-4)
"""|g_i| above this counts as active (the paper: 10^-k, k lost, so two of them)."""

ROUNDING = 1e-12
"""An increase of f by less, relative to the first gap, is rounding: f carries about N eps of its size."""

CLOSE = 2.0
"""Two final squared distances within this factor count as "very close"."""

MOST = 0.9
"""A curve is "consistently" below another if it is at this share of the iterates."""

SLIDING_STEP = 0.01
SLIDING_TIME = 3.0

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "monotone",
        "Adaptive SignGD decreases f monotonically",
        "section 7.3",
        "the largest increase of f over one step, relative to the first gap",
        f"it is at most {ROUNDING:g}, which is rounding",
    ),
    Claim(
        "theory",
        "The inequalities of sections 5 and 6 hold along the runs (SignGD adaptive and face-aware, ASGD with restart)",
        "sections 5, 6",
        "how many inequalities or assumptions `check_theory` finds violated, L_i by row sums",
        "none is",
    ),
    Claim(
        "constants",
        "L_i = ||a_i||^2/4 + Q_ii (columns a_i, Table 2) make the coordinate-wise bound (5.2) true",
        "Table 2, Assumption 1.2",
        "least eigenvalue of diag(L) - Hess f(0), relative to max L_i",
        "it is at least zero, up to rounding",
    ),
    Claim(
        "constants-monotone",
        "Adaptive SignGD is monotone also with those column-norm L_i",
        "section 7.3, Table 2",
        "the largest increase of f over one step, relative to the first gap",
        f"it is at most {ROUNDING:g}",
    ),
    Claim(
        "asgd-adaptive",
        "ASGD with restart needs fewer iterations than SignGD, adaptive steps",
        "section 7.3",
        f"iterations to {FRACTION:g} of the first gap, ASGD over SignGD",
        "the ratio is below 1",
    ),
    Claim(
        "asgd-tuned",
        "ASGD with restart ends at a smaller gap than SignGD, constant steps tuned on validation data",
        "section 7.3, A.4",
        "gap after 500 steps, ASGD over SignGD",
        "the ratio is below 1",
    ),
    Claim(
        "overshoot",
        "Without restart, ASGD overshoots on smooth max",
        "section 7.3",
        "the largest increase of f over one step, relative to the first gap",
        f"it is above {ROUNDING:g}",
    ),
    Claim(
        "overshoot-elsewhere",
        "Without restart, ASGD does not overshoot on the other objectives",
        "section 7.3 names smooth max only",
        "the largest increase of f over one step, relative to the first gap",
        f"it is at most {ROUNDING:g}",
    ),
    Claim(
        "no-restart-faster",
        "Without restart, ASGD still needs fewer iterations than SignGD, adaptive steps",
        "section 7.3",
        f"iterations to {FRACTION:g} of the first gap, ASGD without restart over SignGD",
        "the ratio is below 1",
    ),
    Claim(
        "restart-helps",
        "The restart saves iterations of ASGD",
        "here",
        f"iterations to {FRACTION:g} of the first gap, with restart over without",
        "the ratio is below 1",
    ),
    Claim(
        "collapse",
        "The active-face size stays near its maximum, then collapses rapidly",
        "A.2, Fig. 6",
        f"share of the iterations to |S| <= n/10 spent at |S| <= 9 n/10, in runs that get there in {LONG} steps",
        "it is below one half",
    ),
    Claim(
        "collapse-earlier",
        "ASGD with restart reaches small active faces earlier than SignGD",
        "section 7.3, A.2",
        f"iterations to |S| <= n/2, ASGD over SignGD, where one of them gets there in {LONG} steps",
        "the ratio is below 1",
    ),
    Claim(
        "face-step",
        "Small active faces enlarge the face-aware step ||g||_1 / L_S, S = { g_i not 0 }",
        "section 7.3, A.2",
        f"share of {LONG} adaptive SignGD steps with L_S below sum L_i",
        "there is such a step",
    ),
    Claim(
        "very-close",
        "SignGD and its two projected variants are very close",
        "A.3, Fig. 7-8",
        "final squared distance of a variant over SignGD's, the one further from 1",
        f"it is within a factor {CLOSE:g}",
    ),
    Claim(
        "one-hit-faster",
        "One-hit freeze is consistently faster than SignGD",
        "A.3",
        "share of the iterates at which its distance to x* is the smaller",
        f"it is at least {MOST:g}",
    ),
    Claim(
        "two-hit-slower",
        "Two-hit sliding is slower than SignGD throughout",
        "A.3",
        "share of the iterates at which its distance to x* is the larger",
        f"it is at least {MOST:g}",
    ),
    Claim(
        "freezes-frequent",
        "Freezes of one-hit are frequent",
        "A.3, Fig. 9-10",
        "components frozen in a step, mean",
        "it is at least 1",
    ),
    Claim(
        "two-hits-sparse",
        "Two-hit events are much sparser than freezes",
        "A.3, Fig. 9-10",
        "two-hit events over freezes",
        "the ratio is below 1/2",
    ),
    Claim(
        "two-hit-chatter",
        "Two-hit has no smoothing advantage: it chatters no less than SignGD around a sliding surface",
        "A.3; here for n = 2",
        f"largest |g_y| in the second half of the sliding arc, two-hit over SignGD, h = {SLIDING_STEP:g}",
        "the ratio is at least 0.99",
    ),
    Claim(
        "two-hit-fires",
        "The two-hit track keeps firing while the exact solution slides",
        "here: after a track step has put g_y on zero, (4.3) gives mu = 3 alpha / beta = 3 a",
        "two-hit events a step, second half of the run",
        "it is above 0.05",
    ),
    Claim(
        "one-hit-chatter",
        "One-hit freeze chatters less than SignGD around a sliding surface",
        "here, n = 2",
        f"largest |g_y| in the second half of the sliding arc, one-hit over SignGD, h = {SLIDING_STEP:g}",
        "the ratio is below 1",
    ),
    Claim(
        "dimension",
        "Iterations of adaptive SignGD grow with the dimension",
        "section 7.3 (implied, not swept there)",
        f"iterations to {FRACTION:g} of the first gap over those at n = 10, same seed",
        "the ratio is above 1",
    ),
)
"""The paper's observations and this project's, in the order of the results page."""


def observe(seed: int) -> list[Observation]:
    """Return every observation of one seed, about two seconds of work for each of the problems."""
    found: list[Observation] = []
    for setting, problem in _problems(seed):
        found += _descent(setting, problem)
        found += _inertia(setting, problem)
    found += _faces(seed)
    found += _projected(seed)
    found += _sliding(seed)
    found += _dimension(seed)
    return found


def largest_increase(iterates: Iterates) -> float:
    """Return max f(x_{k+1}) - f(x_k) over f(x_0) - f*, 0 for a monotone run."""
    return max(float(np.max(np.diff(iterates.f))), 0.0) / float(iterates.gap[0])


def table_2_constants(problem: Problem) -> Vector:
    """Return bounds of the diagonal of the Hessian, L_i = max_x H_ii: c ||a_i||^2 / 4 + Q_ii.

    They bound the i-th partial derivative along e_i, as Table 2 does; that is less than (5.2) asks. Only
    for the logistic objectives, whose Hessian is largest at the origin.
    """
    result: Vector = np.diag(problem.objective.hess(np.zeros(problem.dim))).copy()
    return result


def sliding_chatter(slope: float, offset: float) -> dict[str, tuple[Comparison, Iterates]]:
    """Run SignGD and both variants on (y - a x)^2/2 + x until 3 time units after it starts to slide.

    Parameters
    ----------
    slope : float
        a in (-1, 1): the exact solution slides along y = a x, at the velocity (-1, -a).
    offset : float
        y - a x at the start, x = 0.3; not zero.
    """
    objective = Quadratic([[slope**2, -slope], [-slope, 1.0]], [-1.0, 0.0])
    start = np.array([0.3, 0.3 * slope + offset])
    # s = y - a x obeys s' = a - sign(s): the sliding begins at |s| / (1 - a sign s).
    entry = abs(offset) / (1.0 - slope * np.sign(offset))
    trajectory = solve(SignFlow(objective), (0.0, entry + SLIDING_TIME), start)
    steps = int(np.ceil((entry + SLIDING_TIME) / SLIDING_STEP))
    makers = {"SignGD": SignGD, "one-hit freeze": OneHitFreeze, "two-hit sliding": TwoHitSliding}
    runs = {name: run(make(SLIDING_STEP), objective, start, steps) for name, make in makers.items()}
    return {name: (compare(trajectory, iterates), iterates) for name, iterates in runs.items()}


def _problems(seed: int) -> Iterator[tuple[str, Problem]]:
    for condition in (10.0, 100.0):
        yield f"logistic-quadratic, kappa {condition:g}", logistic_quadratic(seed, condition=condition)
    for condition in (10.0, 100.0, 1000.0):
        yield f"smooth max, kappa {condition:g}", smooth_max(seed, condition=condition)
    yield "ridge logistic", ridge_logistic(seed)
    yield "breast cancer", breast_cancer_problem(seed)


def _descent(setting: str, problem: Problem) -> Iterator[Observation]:
    """Monotonicity, the theorems, and the constants they need."""
    objective, minimizer = problem.objective, problem.minimizer
    plain = run_methods(problem, ("SignGD",))["SignGD"]
    increase = largest_increase(plain)
    yield Observation("monotone", setting, increase, increase <= ROUNDING)
    aware = run_methods(problem, ("SignGD",), step=FaceAware())["SignGD"]
    inertial = run_methods(problem, ("ASGD, restart",))["ASGD, restart"]
    reports = [check_theory(iterates, objective, minimizer=minimizer) for iterates in (plain, aware, inertial)]
    failures = sum(
        not each.holds for report in reports for each in (*report.inequalities, *report.assumptions)
    )
    yield Observation("theory", setting, float(failures), failures == 0)
    if "smooth max" in setting:
        return
    L = table_2_constants(problem)
    least = float(np.linalg.eigvalsh(np.diag(L) - objective.hess(np.zeros(problem.dim)))[0]) / float(L.max())
    yield Observation("constants", setting, least, least >= -ROUNDING)
    bold = largest_increase(run_methods(problem, ("SignGD",), step=Adaptive(L))["SignGD"])
    yield Observation("constants-monotone", setting, bold, bold <= ROUNDING)


def _inertia(setting: str, problem: Problem) -> Iterator[Observation]:
    """ASGD against SignGD, and the active face of both."""
    runs = run_methods(problem, n_steps=LONG)
    sign, restart, free = (runs[name] for name in ("SignGD", "ASGD, restart", "ASGD, no restart"))
    counts = [iterations_to(iterates, FRACTION) for iterates in (sign, restart, free)]
    for claim, above, below in (
        ("asgd-adaptive", 1, 0),
        ("no-restart-faster", 2, 0),
        ("restart-helps", 1, 2),
    ):
        ratio = _ratio(counts[above], counts[below])
        yield Observation(claim, setting, ratio, ratio < 1)
    increase = largest_increase(free)
    if "smooth max" in setting:
        yield Observation("overshoot", setting, increase, increase > ROUNDING)
    else:
        yield Observation("overshoot-elsewhere", setting, increase, increase <= ROUNDING)
    ends = [float(run_tuned(problem, name)[0].gap[-1]) for name in ("ASGD, restart", "SignGD")]
    yield Observation("asgd-tuned", setting, _ratio(*ends), ends[0] < ends[1])


def _faces(seed: int) -> Iterator[Observation]:
    """The active-face ablation of appendix A.2, for two thresholds of what is active."""
    for condition in (10.0, 100.0):
        problem = logistic_quadratic(seed, condition=condition)
        n = problem.dim
        for tol in ACTIVE:
            setting = f"logistic-quadratic, kappa {condition:g}, active above {tol:g}"
            runs = run_methods(problem, ("SignGD", "ASGD, restart"), n_steps=LONG, active_tol=tol)
            for name, iterates in runs.items():
                full, small = (_first_below(iterates, share * n) for share in (0.9, 0.1))
                if np.isfinite(small):
                    decline = 1 - full / small if small > 0 else 0.0
                    yield Observation("collapse", f"{setting}, {name}", decline, decline < 0.5)
            sign, inertial = (_first_below(iterates, n / 2) for iterates in runs.values())
            if np.isfinite(min(sign, inertial)):
                ratio = _ratio(inertial, sign)
                yield Observation("collapse-earlier", setting, ratio, ratio < 1)
        exact = run_methods(problem, ("SignGD",), n_steps=LONG)["SignGD"]
        share = float(np.mean((exact.active < n) & (exact.active > 0)))
        yield Observation("face-step", f"logistic-quadratic, kappa {condition:g}", share, share > 0)


def _projected(seed: int) -> Iterator[Observation]:
    """The comparison of appendix A.3 in its two dimensions."""
    for n in (20, 100):
        problem = ridge_logistic(seed, n=n)
        runs = run_methods(problem, ("SignGD", "one-hit freeze", "two-hit sliding"), n_steps=LONG)
        for steps in (BUDGET, LONG):
            setting = f"ridge logistic, n = {n}, {steps} steps"
            sign, one, two = (iterates.squared_distance[1 : steps + 1] for iterates in runs.values())
            ratios = np.array([one[-1] / sign[-1], two[-1] / sign[-1]])
            furthest = float(ratios[np.argmax(np.abs(np.log(ratios)))])
            yield Observation("very-close", setting, furthest, 1 / CLOSE <= furthest <= CLOSE)
            faster, slower = float(np.mean(one < sign)), float(np.mean(two > sign))
            yield Observation("one-hit-faster", setting, faster, faster >= MOST)
            yield Observation("two-hit-slower", setting, slower, slower >= MOST)
            freezes = float(runs["one-hit freeze"].freezes[:steps].mean())
            sparse = _ratio(float(runs["two-hit sliding"].two_hits[:steps].mean()), freezes)
            yield Observation("freezes-frequent", setting, freezes, freezes >= 1)
            yield Observation("two-hits-sparse", setting, sparse, sparse < 0.5)


def _sliding(seed: int) -> Iterator[Observation]:
    """Chatter in the plane, on both sides of |a| = 1/3."""
    rng = np.random.default_rng(seed)
    for setting, low, high in (("|a| < 1/3", 0.0, 1 / 3), ("1/3 < |a| < 0.95", 1 / 3, 0.95)):
        slope = rng.uniform(low, high) * rng.choice([-1.0, 1.0])
        offset = rng.uniform(0.1, 0.8) * rng.choice([-1.0, 1.0])
        found = sliding_chatter(slope, offset)
        amplitude = {name: comparison.settled_chatter[1] for name, (comparison, _) in found.items()}
        two = amplitude["two-hit sliding"] / amplitude["SignGD"]
        one = amplitude["one-hit freeze"] / amplitude["SignGD"]
        events = found["two-hit sliding"][1].two_hits
        rate = float(events[events.size // 2 :].mean())
        yield Observation("two-hit-chatter", setting, two, two >= 0.99)
        yield Observation("two-hit-fires", setting, rate, rate > 0.05)
        yield Observation("one-hit-chatter", setting, one, one < 1)


def _dimension(seed: int) -> Iterator[Observation]:
    counts: dict[int, float] = {}
    for n in (10, 20, 40, 80):
        iterates = run_methods(logistic_quadratic(seed, n=n), ("SignGD",), n_steps=LONG)["SignGD"]
        counts[n] = iterations_to(iterates, FRACTION)
        if n > 10:
            ratio = _ratio(counts[n], counts[10])
            yield Observation("dimension", f"logistic-quadratic, n = {n}", ratio, ratio > 1)


def _first_below(iterates: Iterates, size: float) -> float:
    """Return the first step that is decided by at most `size` active components, inf if there is none."""
    reached = np.flatnonzero(iterates.active <= size)
    return float(reached[0]) if reached.size else np.inf


def _ratio(above: float, below: float) -> float:
    """Return above / below; two runs that do not get there are even."""
    if np.isinf(above) and np.isinf(below):
        return 1.0
    return above / below if below > 0 else np.inf if above > 0 else 1.0

