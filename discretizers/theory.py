"""The paper's inequalities (section 5, section 6, equation (4.6)) checked on a run, iterate by iterate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from discretizers.assumptions import Assumption, smoothness_assumption, strong_convexity_assumption
from discretizers.iterates import Iterates
from discretizers.reporting import Report, Rows, number
from filippov.arguments import Matrix, Vector, as_vector
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.rounding import EPS
from flows.objectives.objective import SmoothObjective

__all__ = ["Inequality", "TheoryReport", "check_theory"]

SIGN_STEPS = ("SignGD", "NormalizedGD")
"""Schemes along -d||g||_* with ||g||_* >= ||g||_2, which is what the rate of Theorem 5.4 uses."""

ROUNDINGS = 16.0
"""Roundings in a bound or a value of f beyond those of its terms: a generous count of its last operations."""


@dataclass(frozen=True, eq=False)
class Inequality:
    """One inequality of the paper along a run.

    Attributes
    ----------
    name : str
    statement : str
        The inequality.
    margin : ndarray of shape (m,)
        Right side minus left side, at every iterate (m = N + 1) or every step (m = N).
    tolerance : ndarray of shape (m,)
        What rounding can take from the margin, from the sizes of the terms that were added up.
    holds : bool
        Whether margin >= -tolerance everywhere.
    worst : int
        Where margin + tolerance is smallest.
    """

    name: str
    statement: str
    margin: Vector
    tolerance: Vector

    @property
    def holds(self) -> bool:
        """Whether the inequality holds everywhere, up to rounding."""
        return bool(np.all(self.margin >= -self.tolerance))

    @property
    def worst(self) -> int:
        """The iterate, or step, at which the inequality holds by least or fails by most."""
        return int(np.argmin(self.margin + self.tolerance))


@dataclass(frozen=True, eq=False, repr=False)
class TheoryReport(Report):
    """What `check_theory` found.

    Attributes
    ----------
    scheme : str
    inequalities : tuple of Inequality
        Those that say something about this scheme and step rule.
    assumptions : tuple of Assumption
        What they rest on.
    skipped : dict of str to str
        The other inequalities, each with the reason why it does not apply.
    ok : bool
        Whether all inequalities and all assumptions hold.
    """

    scheme: str
    inequalities: tuple[Inequality, ...]
    assumptions: tuple[Assumption, ...]
    skipped: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether all inequalities hold, and all assumptions as far as they were tested."""
        return all(each.holds for each in self.inequalities) and all(each.holds for each in self.assumptions)

    def __getitem__(self, name: str) -> Inequality:
        """Return an inequality by its name."""
        for each in self.inequalities:
            if each.name == name:
                return each
        reason = self.skipped.get(name, f"the names are {[each.name for each in self.inequalities]}")
        raise KeyError(f"{name}: {reason}")

    def rows(self) -> Rows:
        """Return one row for each inequality, the assumptions below."""
        rows = []
        for each in self.inequalities:
            k = each.worst
            margin, slack = float(each.margin[k]), float(each.tolerance[k])
            verdict = "holds" if each.holds else "FAILS"
            rows.append((each.name, each.statement, verdict, f"{margin:.3g}", number(slack), str(k)))
        notes = [f"assumption: {each}" for each in self.assumptions]
        notes += [f"not checked: {name}: {reason}" for name, reason in self.skipped.items()]
        header = ("inequality", "statement", "", "worst margin", "rounding", "at k")
        verdict = "all hold" if self.ok else "NOT all hold"
        return Rows(f"Theory checked on {self.scheme}: {verdict}", header, rows, notes)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "scheme": self.scheme,
            "ok": self.ok,
            "inequalities": [
                {
                    "name": each.name,
                    "statement": each.statement,
                    "holds": each.holds,
                    "worst": each.worst,
                    "margin": each.margin.tolist(),
                    "tolerance": each.tolerance.tolist(),
                }
                for each in self.inequalities
            ],
            "assumptions": [vars(each) for each in self.assumptions],
            "skipped": dict(self.skipped),
        }


def check_theory(
    iterates: Iterates,
    objective: SmoothObjective,
    *,
    L: ArrayLike | None = None,
    minimizer: tuple[ArrayLike, float] | None = None,
) -> TheoryReport:
    """Check every inequality of sections 5 and 6 that says something about a run.

    Which ones do depends on the scheme and the step rule, which the iterates know (`Iterates.settings`):

    - the model (5.2), f(x+) <= f(x) + <g, d> + sum L_i d_i^2 / 2 with d = x+ - x: every scheme;
    - sufficient decrease (5.4): explicit schemes with `Adaptive` steps, for SignGD as printed, for others
      with their own dual norm, ||g||_*^2 / (2 sum L_i);
    - the face-aware refinement, L_S in place of sum L_i: the same with `FaceAware` steps;
    - Theorem 5.4, f_k - f* <= (1 - mu / sum L_i)^k (f_0 - f*), for FaceAware the product of the 1 - mu / L_S:
      SignGD, NormalizedGD and InertialSignGD with restarts, under these two rules;
    - Theorem 5.4's second statement, mu ||x_k - x*||^2 / 2 <= f_k - f*, and Lemma 5.1, ||g||_1^2 >=
      ||g||_2^2 >= 2 mu (f - f*): strongly convex f, every scheme;
    - the tie-step bound (4.6): GreedyCD;
    - the inertial descent bound of section 6: InertialSignGD under the two rules.

    Parameters
    ----------
    iterates : Iterates
    objective : SmoothObjective
        What the run minimised.
    L : (n,) array_like, optional
        The L_i of the bounds; default: the step rule's, or else the objective's.
    minimizer : (x*, f*), optional
        Default: ``objective.minimize()``, where f is known to be strongly convex.

    Returns
    -------
    TheoryReport

    Raises
    ------
    InvalidInputError
        If the iterates are not a run on this objective.
    """
    if not isinstance(iterates, Iterates):
        raise InvalidTypeError(f"iterates must be Iterates, got {type(iterates).__name__}")
    if not isinstance(objective, SmoothObjective):
        raise InvalidTypeError(f"objective must be one of flows.objectives, got {type(objective).__name__}")
    if iterates.y.shape[0] != objective.dim:
        raise InvalidInputError(f"iterates must have {objective.dim} states, got {iterates.y.shape[0]}")
    record = _Record(iterates, objective, L, minimizer)
    if not abs(objective.value(iterates.y[:, 0]) - iterates.f[0]) <= record.error[0]:
        raise InvalidInputError(
            "iterates must be a run on this objective, but f differs at their first point"
        )
    found: list[Inequality] = []
    skipped: dict[str, str] = {}
    for name, check in _CHECKS.items():
        outcome = check(record)
        if isinstance(outcome, str):
            skipped[name] = outcome
        else:
            statement, margin, tolerance = outcome
            found.append(Inequality(name, statement, margin, tolerance))
    return TheoryReport(iterates.scheme, tuple(found), tuple(record.assumptions()), skipped)


class _Record:
    """A run with everything the inequalities ask for, evaluated once."""

    def __init__(
        self,
        iterates: Iterates,
        objective: SmoothObjective,
        L: ArrayLike | None,
        minimizer: tuple[ArrayLike, float] | None,
    ) -> None:
        self.iterates, self.objective = iterates, objective
        self.scheme: str = iterates.settings["scheme"]
        self.rule: dict[str, Any] = iterates.settings["rule"]
        self.x, self.f, self.h = iterates.y, iterates.f, iterates.step
        self.d = np.diff(self.x, axis=1)
        self.g = np.column_stack([objective.grad(x) for x in self.x.T])
        self.error = self.value_error(self.x, self.f, self.g)
        self.L = self._smoothness(L)
        mu = objective.strong_convexity
        self.mu = mu if mu is not None and mu > 0 else None
        self.x_star: Vector | None = None
        if self.mu is not None:
            x_star, f_star = objective.minimize() if minimizer is None else minimizer
            self.x_star, self.f_star = as_vector("minimizer[0]", x_star, objective.dim), float(f_star)
            g_star = objective.grad(self.x_star)
            at_star = self.value_error(self.x_star[:, None], np.array([self.f_star]), g_star[:, None])
            # f(x) is above the true minimum by at most ||g||^2 / (2 mu).
            self.star_error = float(at_star[0]) + float(g_star @ g_star) / (2 * self.mu)

    def value_error(self, x: Matrix, f: Vector, g: Matrix) -> Vector:
        """Return the size of rounding in f at points (columns): of its terms, of its sum, of x itself."""
        error_g = np.column_stack([self.objective.gradient_error(point) for point in x.T])
        size = np.abs(x)
        errors: Vector = np.sum((error_g + EPS * np.abs(g)) * size, axis=0) + ROUNDINGS * EPS * np.abs(f)
        return errors

    def _smoothness(self, L: ArrayLike | None) -> Vector | None:
        given = self.rule.get("L") if L is None else L
        if given is not None:
            return as_vector("L", given, self.objective.dim)
        try:
            return self.objective.coordinate_smoothness
        except InvalidInputError:
            return None

    @property
    def points(self) -> tuple[Matrix, Vector, Matrix]:
        """Where each step starts: x, f, g; the extrapolated points for inertia, columns k = 0 .. N - 1."""
        if self.scheme != "InertialSignGD":
            return self.x[:, :-1], self.f[:-1], self.g[:, :-1]
        before = np.column_stack([self.x[:, :1], self.x[:, :-2]]) if self.h.size else self.x[:, :0]
        momentum = self.iterates.settings["beta"] * (self.x[:, :-1] - before)
        y = np.where(self.iterates.restarts, self.x[:, :-1], self.x[:, :-1] + momentum)
        f = np.array([self.objective.value(point) for point in y.T])
        return y, f, np.array([self.objective.grad(point) for point in y.T]).reshape(-1, self.objective.dim).T

    def dual(self, g: Matrix) -> Vector:
        """Return ||g||_* in the scheme's norm, columnwise."""
        order = {"NormalizedGD": 2, "GreedyCD": np.inf}.get(self.scheme, 1)
        return np.asarray(np.linalg.norm(g, order, axis=0))

    def total(self, g: Matrix, d: Matrix) -> Vector:
        """Return what stands for sum L_i in the bound of the step rule: (N,)."""
        assert self.L is not None
        L = self.L[:, None]
        if self.rule["rule"] == "Adaptive":
            return np.full(self.h.size, float(np.sum(L)))
        # Face-aware: sum_S L_i v_i^2, which is L_S for signs.
        if self.scheme in ("NormalizedGD", "GreedyCD"):
            safe = np.where(self.h > 0, self.h, 1.0)
            curvature: Vector = np.sum(L * (d / safe) ** 2, axis=0)
            return curvature
        on_face: Vector = np.sum(np.where(np.abs(g) > self.rule["tol"], L, 0.0), axis=0)
        return on_face

    def assumptions(self) -> list[Assumption]:
        """Return what the checked inequalities rest on."""
        found = []
        if self.L is not None:
            found.append(smoothness_assumption(self.objective, self.L, self.x))
        if self.mu is not None:
            found.append(strong_convexity_assumption(self.objective, self.mu, self.x))
        if "tol" in self.rule:
            width = float(self.rule["tol"])
            found.append(Assumption(f"S holds every nonzero g_i (tol = {width:g})", width == 0, proven=True))
        if self.scheme == "GreedyCD" and self.iterates.settings["ties"] != "vertex":
            width = float(self.iterates.settings["tol"])
            found.append(Assumption(f"ties are exact (tol = {width:g})", width == 0, proven=True))
        return found


Outcome = tuple[str, Vector, Vector] | str
"""Statement, margin and tolerance, or the reason why an inequality does not apply."""


def _model(run: _Record) -> Outcome:
    if run.L is None:
        return "no L_i are known"
    x, f, g = run.points
    d = run.x[:, 1:] - x
    terms = np.array([f, np.sum(g * d, axis=0), np.sum(run.L[:, None] * d**2, axis=0) / 2])
    return _step("f(x+) <= f(x) + <g, d> + sum L_i d_i^2 / 2", run, terms, x, f, g)


def _step(statement: str, run: _Record, terms: Matrix, x: Matrix, f: Vector, g: Matrix) -> Outcome:
    """Return f(x+) <= sum of terms, each (N,); the first is a value of f at the points x."""
    start = run.value_error(x, f, g) if run.h.size else np.empty(0)
    # The step is known only to the rounding of x, and g to its own.
    rounding = ROUNDINGS * EPS * np.sum(np.abs(terms), axis=0)
    return statement, np.sum(terms, axis=0) - run.f[1:], run.error[1:] + run.error[:-1] + start + rounding


def _decrease(run: _Record, rule: str, name: str) -> Outcome:
    if run.rule["rule"] != rule:
        return f"the steps are not {rule}"
    if run.scheme not in ("SignGD", "NormalizedGD", "GreedyCD"):
        return f"it is not about {run.scheme}"
    if run.L is None:
        return "no L_i are known"
    x, f, g = run.points
    total = run.total(g, run.d)
    gain = run.dual(g) ** 2 / (2 * np.where(total > 0, total, np.inf))
    norm = {"SignGD": "||g||_1", "NormalizedGD": "||g||_2", "GreedyCD": "||g||_inf"}[run.scheme]
    name = name if run.scheme == "SignGD" or name != "L_S" else "sum L_i v_i^2"
    return _step(f"f(x+) <= f(x) - {norm}^2 / (2 {name})", run, np.array([f, -gain]), x, f, g)


def _sufficient(run: _Record) -> Outcome:
    return _decrease(run, "Adaptive", "sum L_i")


def _face_aware(run: _Record) -> Outcome:
    return _decrease(run, "FaceAware", "L_S")


def _rate(run: _Record) -> Outcome:
    if run.mu is None or run.L is None:
        return "f is not known to be strongly convex, or no L_i are known"
    if run.rule["rule"] not in ("Adaptive", "FaceAware"):
        return "the steps are neither Adaptive nor FaceAware"
    inertial = run.scheme == "InertialSignGD" and run.iterates.settings["restart"]
    if run.scheme not in SIGN_STEPS and not inertial:
        return f"it is not about {run.scheme}" + (" without restarts" if "Inertial" in run.scheme else "")
    _, _, g = run.points
    total = run.total(g, run.d)
    factor = np.clip(1 - run.mu / np.where(total > 0, total, np.inf), 0, 1)
    factor[total == 0] = 0.0  # S is empty: the gradient is zero
    bound = (run.f[0] - run.f_star) * np.concatenate([[1.0], np.cumprod(factor)])
    # A step's rounding decays with the later factors, as the gap does.
    carried = np.empty_like(bound)
    carried[0] = run.error[0]
    for k in range(factor.size):
        carried[k + 1] = factor[k] * carried[k] + run.error[k + 1]
    tolerance = carried + 2 * run.star_error + ROUNDINGS * EPS * np.arange(1, bound.size + 1) * np.abs(bound)
    name = "sum L_i" if run.rule["rule"] == "Adaptive" else "L_S"
    if run.scheme == "NormalizedGD" and name == "L_S":
        name = "sum L_i v_i^2"
    return f"f_k - f* <= prod (1 - mu / {name}) (f_0 - f*)", bound - (run.f - run.f_star), tolerance


def _distance(run: _Record) -> Outcome:
    if run.mu is None or run.x_star is None:
        return "f is not known to be strongly convex"
    gap, squared = run.f - run.f_star, np.sum((run.x - run.x_star[:, None]) ** 2, axis=0)
    tolerance = run.error + run.star_error + _relative_mu_error(run) * run.mu * squared / 2
    # x* is off by at most ||g(x*)|| / mu, and by its rounding.
    off = np.sqrt(2 * run.star_error / run.mu)
    tolerance += run.mu * off * np.sqrt(squared)
    return "mu ||x_k - x*||^2 / 2 <= f_k - f*", gap - run.mu * squared / 2, tolerance


def _lemma(run: _Record) -> Outcome:
    if run.mu is None:
        return "f is not known to be strongly convex"
    gap, squares = run.f - run.f_star, np.sum(run.g**2, axis=0)
    error_g = np.linalg.norm([run.objective.gradient_error(x) for x in run.x.T], axis=1)
    rounding = 2 * np.sqrt(squares) * error_g + error_g**2 + 2 * run.mu * (run.error + run.star_error)
    tolerance = rounding + (_relative_mu_error(run) + ROUNDINGS * EPS) * 2 * run.mu * np.abs(gap)
    return "||g||_1^2 >= ||g||_2^2 >= 2 mu (f - f*)", squares - 2 * run.mu * gap, tolerance


def _relative_mu_error(run: _Record) -> float:
    """Return the relative error of mu as an eigenvalue: n eps ||H|| / mu, with ||H|| <= ||H||_F."""
    assert run.mu is not None
    size = float(np.linalg.norm(run.objective.hess(run.x[:, -1])))
    return run.objective.dim * EPS * size / run.mu


def _ties(run: _Record) -> Outcome:
    if run.scheme != "GreedyCD":
        return f"it is not about {run.scheme}"
    if run.L is None:
        return "no L_i are known"
    x, f, g = run.points
    # h lambda_i = |d_i|.
    curvature = np.sum(run.L[:, None] * run.d**2, axis=0) / 2
    terms = np.array([f, -run.h * run.dual(g), curvature])
    return _step("f(x+) <= f(x) - h ||g||_inf + h^2 sum_A L_i lambda_i^2 / 2", run, terms, x, f, g)


def _inertial(run: _Record) -> Outcome:
    if run.scheme != "InertialSignGD":
        return f"it is not about {run.scheme}"
    if run.rule["rule"] not in ("Adaptive", "FaceAware") or run.L is None:
        return "the steps are neither Adaptive nor FaceAware, or no L_i are known"
    y, at_y, g = run.points
    total = run.total(g, run.d)
    gain = run.dual(g) ** 2 / (2 * np.where(total > 0, total, np.inf))
    restart = run.iterates.settings["restart"]
    name = "sum L_i" if run.rule["rule"] == "Adaptive" else "L_S"
    start = run.f[:-1] if restart else at_y
    said = f"f(x+) <= f({'x' if restart else 'y'}) - ||grad f(y)||_1^2 / (2 {name})"
    return _step(said, run, np.array([start, -gain]), y, at_y, g)


_CHECKS: dict[str, Callable[[_Record], Outcome]] = {
    "model (5.2)": _model,
    "sufficient decrease (5.4)": _sufficient,
    "face-aware decrease": _face_aware,
    "Theorem 5.4, rate": _rate,
    "Theorem 5.4, distance": _distance,
    "Lemma 5.1": _lemma,
    "tie step (4.6)": _ties,
    "inertial descent": _inertial,
}
