"""What one seed says about each of the paper's observations (section 7.3, appendix A.2 to A.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from discretizers.compare import Comparison, compare
from discretizers.experiments.claims import (
    ACTIVE,
    CLOSE,
    FIRES,
    FRACTION,
    LONG,
    MOST,
    ROUNDING,
    SLIDING_STEP,
    SLIDING_TIME,
)
from discretizers.experiments.problems import (
    Problem,
    breast_cancer_problem,
    logistic_quadratic,
    ridge_logistic,
    smooth_max,
)
from discretizers.experiments.protocol import BUDGET, iterations_to, run_methods, run_tuned
from discretizers.experiments.verdicts import Observation
from discretizers.iterates import Iterates
from discretizers.projected import OneHitFreeze, TwoHitSliding
from discretizers.run import run
from discretizers.schemes import Scheme, SignGD
from discretizers.steps import Adaptive, Armijo, FaceAware
from discretizers.theory import check_theory
from filippov.arguments import Vector
from filippov.solve import solve
from flows.norm_flow import SignFlow
from flows.objectives import Quadratic

__all__ = ["largest_increase", "observe", "sliding_chatter", "table_2_constants"]


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
    makers: dict[str, Callable[[float], Scheme]] = {
        "SignGD": SignGD,
        "one-hit freeze": OneHitFreeze,
        "two-hit sliding": TwoHitSliding,
    }
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
    """Measure monotonicity, the theorems, and the constants they need."""
    objective, minimizer = problem.objective, problem.minimizer
    plain = run_methods(problem, ("SignGD",))["SignGD"]
    increase = largest_increase(plain)
    yield Observation("monotone", setting, increase, increase <= ROUNDING)
    aware = run_methods(problem, ("SignGD",), step=FaceAware())["SignGD"]
    inertial = run_methods(problem, ("ASGD, restart",))["ASGD, restart"]
    reports = [
        check_theory(iterates, objective, minimizer=minimizer) for iterates in (plain, aware, inertial)
    ]
    failures = sum(not each.holds for report in reports for each in report.inequalities)
    failures += sum(not each.holds for report in reports for each in report.assumptions)
    yield Observation("theory", setting, float(failures), failures == 0)
    if "smooth max" in setting:
        return
    L = table_2_constants(problem)
    least = float(np.linalg.eigvalsh(np.diag(L) - objective.hess(np.zeros(problem.dim)))[0]) / float(L.max())
    yield Observation("constants", setting, least, least >= -ROUNDING)
    bold = _increase_with(L, problem)
    yield Observation("constants-monotone", setting, bold, bold <= ROUNDING)


def _inertia(setting: str, problem: Problem) -> Iterator[Observation]:
    """Measure ASGD, and backtracking, against SignGD with adaptive steps."""
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
    backtracking = run_methods(problem, ("SignGD",), step=Armijo())["SignGD"]
    ratio = _ratio(iterations_to(backtracking, FRACTION), counts[0])
    yield Observation("armijo-faster", setting, ratio, ratio < 1)
    settled = _step_ratio(problem, backtracking)
    yield Observation("armijo-settles", setting, settled, 1 / CLOSE <= settled <= CLOSE)
    increase = largest_increase(free)
    if "smooth max" in setting:
        yield Observation("overshoot", setting, increase, increase > ROUNDING)
    else:
        yield Observation("overshoot-elsewhere", setting, increase, increase <= ROUNDING)
    ends = [float(run_tuned(problem, name)[0].gap[-1]) for name in ("ASGD, restart", "SignGD")]
    yield Observation("asgd-tuned", setting, _ratio(*ends), ends[0] < ends[1])


def _faces(seed: int) -> Iterator[Observation]:
    """Measure the active-face ablation of appendix A.2, for two thresholds of what is active."""
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
    """Compare the projected variants, as in appendix A.3 in its two dimensions."""
    names = ("SignGD", "one-hit freeze", "two-hit sliding")
    for n in (20, 100):
        problem = ridge_logistic(seed, n=n)
        rules = {"row-sum L": Adaptive(), "column-norm L": Adaptive(table_2_constants(problem))}
        for label, rule in rules.items():
            runs = run_methods(problem, names, step=rule)
            setting = f"ridge logistic, n = {n}, {label}"
            # From k = 1: all start at the same point.
            sign, one, two = (iterates.squared_distance[1:] for iterates in runs.values())
            ratios = np.array([one[-1] / sign[-1], two[-1] / sign[-1]])
            furthest = float(ratios[np.argmax(np.abs(np.log(ratios)))])
            yield Observation("very-close", setting, furthest, 1 / CLOSE <= furthest <= CLOSE)
            faster, slower = float(np.mean(one < sign)), float(np.mean(two > sign))
            yield Observation("one-hit-faster", setting, faster, faster >= MOST)
            yield Observation("two-hit-slower", setting, slower, slower >= MOST)
            freezes = float(runs["one-hit freeze"].freezes.mean())
            sparse = _ratio(float(runs["two-hit sliding"].two_hits.mean()), freezes)
            yield Observation("freezes-frequent", setting, freezes, freezes >= 1)
            yield Observation("two-hits-sparse", setting, sparse, sparse < 0.5)


def _sliding(seed: int) -> Iterator[Observation]:
    """Measure chatter in the plane, on both sides of |a| = 1/3."""
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
        yield Observation("two-hit-fires", setting, rate, rate > FIRES)
        yield Observation("one-hit-chatter", setting, one, one < 1)


def _dimension(seed: int) -> Iterator[Observation]:
    counts: dict[int, float] = {}
    for n in (10, 20, 40, 80):
        iterates = run_methods(logistic_quadratic(seed, n=n), ("SignGD",), n_steps=LONG)["SignGD"]
        counts[n] = iterations_to(iterates, FRACTION)
        if n > 10:
            ratio = _ratio(counts[n], counts[10])
            yield Observation("dimension", f"logistic-quadratic, n = {n}", ratio, ratio > 1)


def _increase_with(L: Vector, problem: Problem) -> float:
    """Return the largest increase of adaptive SignGD with these L_i, stopped once f is clearly diverging."""
    objective, (_, f_star) = problem.objective, problem.minimizer
    limit = f_star + 10 * (objective.value(problem.x0) - f_star)
    scheme = SignGD(Adaptive(L))
    iterates = run(
        scheme,
        objective,
        problem.x0,
        BUDGET,
        callback=lambda _, x: objective.value(x) > limit,
        minimizer=problem.minimizer,
    )
    return largest_increase(iterates)


def _step_ratio(problem: Problem, iterates: Iterates) -> float:
    """Return the median of h_k / (||g_k||_1 / sum L_i) over the steps made before the gap is rounding."""
    objective = problem.objective
    total = float(np.sum(objective.coordinate_smoothness))
    made = (iterates.step > 0) & (iterates.gap[:-1] > ROUNDING * iterates.gap[0])
    slopes = np.array([np.sum(np.abs(objective.grad(x))) for x in iterates.y[:, :-1][:, made].T])
    return float(np.median(iterates.step[made] * total / slopes))


def _first_below(iterates: Iterates, size: float) -> float:
    """Return the first step that is decided by at most `size` active components, inf if there is none."""
    reached = np.flatnonzero(iterates.active <= size)
    return float(reached[0]) if reached.size else np.inf


def _ratio(above: float, below: float) -> float:
    """Return above / below; two runs that do not get there are even."""
    if np.isinf(above) and np.isinf(below):
        return 1.0
    return above / below if below > 0 else np.inf if above > 0 else 1.0
