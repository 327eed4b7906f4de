"""The paper's inequalities on runs: against exact rationals, on every scheme, and on planted violations."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from rational_algebra import dot, rational_matrix, sign, times

from discretizers import (
    Adaptive,
    Armijo,
    BallProximal,
    FaceAware,
    GreedyCD,
    InertialSignGD,
    NormalizedGD,
    OneHitFreeze,
    Scheme,
    SignGD,
    SteepestDescent,
    TwoHitSliding,
    check_theory,
    run,
)
from filippov.errors import InvalidInputError, InvalidTypeError
from flows.norms import Lp
from flows.objectives import (
    LogisticQuadratic,
    Objective,
    Quadratic,
    RidgeLogistic,
    SmoothMax,
    SmoothObjective,
)

ALWAYS = {"model (5.2)", "Theorem 5.4, distance", "Lemma 5.1"}

SCHEMES: list[tuple[Scheme, set[str]]] = [
    (SignGD(Adaptive()), {"sufficient decrease (5.4)", "Theorem 5.4, rate"}),
    (SignGD(FaceAware()), {"face-aware decrease", "Theorem 5.4, rate"}),
    (SignGD(0.05), set()),
    (SignGD(Armijo()), set()),
    (NormalizedGD(Adaptive()), {"sufficient decrease (5.4)", "Theorem 5.4, rate"}),
    (NormalizedGD(FaceAware()), {"face-aware decrease", "Theorem 5.4, rate"}),
    (GreedyCD(Adaptive()), {"sufficient decrease (5.4)", "tie step (4.6)"}),
    (GreedyCD(FaceAware(), ties="equal"), {"face-aware decrease", "tie step (4.6)"}),
    (GreedyCD(0.05, ties="tangent"), {"tie step (4.6)"}),
    (InertialSignGD(Adaptive()), {"inertial descent", "Theorem 5.4, rate"}),
    (InertialSignGD(FaceAware()), {"inertial descent", "Theorem 5.4, rate"}),
    (InertialSignGD(Adaptive(), restart=False), {"inertial descent"}),
    (OneHitFreeze(Adaptive()), set()),
    (TwoHitSliding(Adaptive()), set()),
    (BallProximal(0.1), set()),
    (BallProximal(0.1, Lp(3)), set()),
    (SteepestDescent(Lp(3), Adaptive()), set()),
]


def objectives(seed: int) -> list[SmoothObjective]:
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 7))
    root, A = random.standard_normal((n, n)), random.standard_normal((12, n))
    Q = root @ root.T / n + 0.01 * np.eye(n)
    return [
        Quadratic(10 ** random.uniform(-3, 3) * Q, random.standard_normal(n)),
        LogisticQuadratic(A, Q),
        RidgeLogistic(A, np.sign(random.standard_normal(12)), 0.1),
        SmoothMax(A, random.standard_normal(12), Q, tau=0.5),
    ]


@pytest.mark.parametrize(("scheme", "own"), SCHEMES, ids=[repr(scheme) for scheme, _ in SCHEMES])
def test_every_inequality_holds_and_only_those_that_apply_are_checked(scheme: Scheme, own: set[str]) -> None:
    for seed in range(3):
        for objective in objectives(seed):
            x0 = 2 * np.random.default_rng(seed).standard_normal(objective.dim)
            report = check_theory(run(scheme, objective, x0, 40), objective)
            assert report.ok, report
            assert {each.name for each in report.inequalities} == ALWAYS | own
            assert len(report.inequalities) + len(report.skipped) == 8


def test_margins_are_the_exact_ones() -> None:
    Q, b, x = (
        rational_matrix([[4, 1, -1], [1, 3, 2], [-1, 2, 5]]),
        [1, -2, 3],
        [Fraction(9, 8), Fraction(-7, 4), Fraction(5, 2)],
    )
    L = [6, 6, 8]
    objective = Quadratic([[4, 1, -1], [1, 3, 2], [-1, 2, 5]], b)

    def value(x: list[Fraction]) -> Fraction:
        return dot(x, times(Q, x)) / 2 - dot(b, x)

    iterates = run(SignGD(Adaptive()), objective, [float(xi) for xi in x], 5)
    report = check_theory(iterates, objective)
    star, f_star = objective.minimize()
    rate = 1 - objective.strong_convexity / 20
    start = value(x)
    for k in range(5):
        g = [p - q for p, q in zip(times(Q, x), b, strict=True)]
        norm = sum(abs(gi) for gi in g)
        after = [xi - norm / sum(L) * sign(gi) for xi, gi in zip(x, g, strict=True)]
        exact = value(x) - norm**2 / (2 * sum(L)) - value(after)
        assert report["sufficient decrease (5.4)"].margin[k] == pytest.approx(float(exact), abs=1e-12)
        assert report["model (5.2)"].margin[k] == pytest.approx(float(exact), abs=1e-12)
        gap = float(value(x)) - f_star
        assert report["Lemma 5.1"].margin[k] == pytest.approx(
            float(dot(g, g)) - 2 * objective.strong_convexity * gap
        )
        assert report["Theorem 5.4, rate"].margin[k] == pytest.approx(
            rate**k * (float(start) - f_star) - gap, abs=1e-12
        )
        distance = float(np.sum((np.array(x, dtype=float) - star) ** 2))
        expected = gap - objective.strong_convexity / 2 * distance
        assert report["Theorem 5.4, distance"].margin[k] == pytest.approx(expected, abs=1e-12)
        x = after


def test_the_tie_bound_uses_the_weights_of_the_step() -> None:
    objective = Quadratic(np.diag([1.0, 3.0]))
    iterates = run(GreedyCD(0.25, ties="equal"), objective, [3, 1], 1)  # g = (3, 3), lambda = (1/2, 1/2)
    report = check_theory(iterates, objective)
    # 6 - 0.25 * 3 + 0.25^2 / 2 * (1 + 3) / 4 = 5.28125, and f(2.875, 0.875) is the same: diag(L) = Q.
    assert iterates.f[1] == 5.28125
    assert report["tie step (4.6)"].margin.tolist() == [0]


def test_the_inertial_bound_starts_at_the_extrapolated_point() -> None:
    objective = Quadratic([[9.0, 3, 1], [3, 2, 0.5], [1, 0.5, 1]], [1, 0, -2])
    iterates = run(InertialSignGD(Adaptive(), beta=0.25), objective, [4, 3, 2], 8)
    report = check_theory(iterates, objective)
    assert 0 < np.count_nonzero(iterates.restarts) < 7
    assert np.all(iterates.step > 1e-3)
    for k in range(8):
        y = iterates.y[:, k]
        if k > 0 and not iterates.restarts[k]:
            y = y + 0.25 * (y - iterates.y[:, k - 1])
        expected = iterates.f[k] - np.sum(np.abs(objective.grad(y))) ** 2 / 42 - iterates.f[k + 1]
        assert report["inertial descent"].margin[k] == pytest.approx(expected, abs=1e-13)


def test_constants_that_bound_only_the_partial_derivatives_are_found_out() -> None:
    # L_i = Q_ii bounds each partial derivative along its axis and violates (5.2).
    objective = Quadratic([[1, 0.9], [0.9, 1]])
    report = check_theory(run(SignGD(Adaptive(L=[1, 1])), objective, [1, 1], 1), objective)
    assert not report.ok
    assert not report.assumptions[0].holds
    assert "least eigenvalue -0.9" in report.assumptions[0].statement
    assert not report["sufficient decrease (5.4)"].holds
    # From (1, 1) to (-0.9, -0.9): f = 1.9 and 1.539, the bound is 1.9 - 3.8^2 / 4 = -1.71.
    assert report["sufficient decrease (5.4)"].margin[0] == pytest.approx(-3.249)
    assert not report["model (5.2)"].holds
    for part in ("NOT all hold", "FAILS", "VIOLATED", "(5.2), diag(L) - H >= 0"):
        assert part in repr(report)
    # Constants may be bad where the run never notices: the assumption is tested by itself.
    quiet = check_theory(run(SignGD(0.01), objective, [1, -1], 3), objective, L=[1, 1])
    assert all(each.holds for each in quiet.inequalities)
    assert not quiet.ok


def test_constants_of_a_general_objective_are_tested_at_the_iterates() -> None:
    objective = objectives(1)[1]
    iterates = run(SignGD(Adaptive()), objective, np.ones(objective.dim), 20)
    good = check_theory(iterates, objective)
    assert good.ok
    assert not good.assumptions[0].proven
    assert "at the points tested" in str(good.assumptions[0])
    bad = check_theory(iterates, objective, L=0.1 * objective.coordinate_smoothness)
    assert not bad.assumptions[0].holds
    assert bad.assumptions[0].proven  # one point is enough to refute


@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize(
    ("scheme", "name"),
    [
        (SignGD(Adaptive()), "sufficient decrease (5.4)"),
        (SignGD(FaceAware()), "face-aware decrease"),
        (SignGD(Adaptive()), "Theorem 5.4, rate"),
        (GreedyCD(0.01), "tie step (4.6)"),
        (InertialSignGD(Adaptive()), "inertial descent"),
        (SignGD(0.01), "model (5.2)"),
    ],
)
def test_a_value_that_did_not_fall_enough_is_found_out(scheme: Scheme, name: str, step: int) -> None:
    objective = Quadratic([[2.0, 1], [1, 2]], [1, 0])
    iterates = run(scheme, objective, [4, -1], 6)
    margin = check_theory(iterates, objective)[name]
    shift = 1 if name == "Theorem 5.4, rate" else 0
    f = iterates.f.copy()
    f[step + 1] += margin.margin[step + shift] + 1e-9
    report = check_theory(dataclasses.replace(iterates, f=f), objective)
    assert not report.ok
    assert not report[name].holds
    assert report[name].worst == step + shift
    assert report[name].margin[step + shift] == pytest.approx(-1e-9, rel=1e-3)


def test_too_large_a_convexity_is_found_out() -> None:
    Q = np.array([[2.0, 1], [1, 2]])  # eigenvalues 1 and 3
    lying = Objective(
        lambda x: x @ Q @ x / 2,
        lambda x: Q @ x,
        lambda x: Q,
        dim=2,
        coordinate_smoothness=[3, 3],
        strong_convexity=1.5,
    )
    report = check_theory(run(SignGD(0.01), lying, [1, -1], 5), lying)  # along the eigenvector of 1
    assert not report["Lemma 5.1"].holds
    assert not report["Theorem 5.4, distance"].holds
    assert not report.assumptions[1].holds
    assert "mu = 1.5" in report.assumptions[1].statement


def test_a_tolerance_in_the_face_or_the_tie_is_an_assumption_not_met() -> None:
    objective = Quadratic(np.diag([1.0, 2.0]))
    loose = check_theory(run(SignGD(FaceAware(tol=0.5)), objective, [3, 0.1], 2), objective)
    assert [str(each) for each in loose.assumptions if not each.holds] == [
        "S holds every nonzero g_i (tol = 0.5): VIOLATED"
    ]
    tied = check_theory(run(GreedyCD(0.1, ties="equal", tol=0.5), objective, [3, 1], 2), objective)
    assert [str(each) for each in tied.assumptions if not each.holds] == [
        "ties are exact (tol = 0.5): VIOLATED"
    ]


def test_what_is_not_known_is_not_checked() -> None:
    bare = Objective(lambda x: x @ x, lambda x: 2 * x, dim=2)
    report = check_theory(run(SignGD(0.1), bare, [1, 2], 5), bare)
    assert report.inequalities == ()
    assert report.skipped["model (5.2)"] == "no L_i are known"
    assert "strongly convex" in report.skipped["Lemma 5.1"]
    with pytest.raises(KeyError, match="no L_i are known"):
        report["model (5.2)"]
    given = check_theory(run(SignGD(0.1), bare, [1, 2], 5), bare, L=[2, 2])
    assert [each.name for each in given.inequalities] == ["model (5.2)"]
    assert given.ok
    empty = check_theory(run(SignGD(Adaptive()), Quadratic(np.eye(2)), [1, 2], 0), Quadratic(np.eye(2)))
    assert empty.ok


def test_a_saved_run_can_be_checked(tmp_path: Path) -> None:
    from discretizers import Iterates

    objective = Quadratic([[2.0, 1], [1, 2]], [1, 0])
    iterates = run(InertialSignGD(Adaptive(L=[3, 3]), beta=0.5), objective, [4, -1], 6)
    again = Iterates.load(iterates.save(tmp_path / "run.npz"))
    assert check_theory(again, objective).as_dict() == check_theory(iterates, objective).as_dict()


def test_a_report_shows_itself(tmp_path: Path) -> None:
    from rich.console import Console

    objective = Quadratic([[2.0, 1], [1, 2]], [1, 0])
    report = check_theory(run(SignGD(Adaptive()), objective, [4, -1], 6), objective)
    text = report.table()
    for part in (
        "all hold",
        "||g||_1^2 / (2 sum L_i)",
        "holds",
        "assumption: (5.2)",
        "not checked: tie step (4.6)",
    ):
        assert part in text
    assert "NOT" not in text
    assert "<table>" in report._repr_html_()
    console = Console(width=200, record=True, file=(tmp_path / "console").open("w"))
    console.print(report.rich_table())
    assert "Lemma 5.1" in console.export_text()
    stored = json.loads(report.to_json(tmp_path / "report.json").read_text())
    assert stored["ok"] is True
    assert stored["inequalities"][0]["margin"] == report.inequalities[0].margin.tolist()


def test_bad_arguments_are_named() -> None:
    objective = Quadratic(np.eye(2))
    iterates = run(SignGD(0.1), objective, [1, 2], 3)
    with pytest.raises(InvalidTypeError, match="iterates must be Iterates, got int"):
        check_theory(3, objective)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match=r"objective must be one of flows.objectives, got int"):
        check_theory(iterates, 3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="iterates must have 3 states, got 2"):
        check_theory(iterates, Quadratic(np.eye(3)))
    with pytest.raises(InvalidInputError, match="f differs at their first point"):
        check_theory(iterates, Quadratic(2 * np.eye(2)))
    with pytest.raises(InvalidInputError, match="L must be"):
        check_theory(iterates, objective, L=[1])
