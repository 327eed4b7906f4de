"""The paper's experiments: data as described, one seed one problem, protocol, and the rule of the verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from discretizers import SignGD, run
from discretizers.experiments import (
    CLAIMS,
    METHODS,
    Claim,
    Observation,
    breast_cancer_problem,
    iterations_to,
    judge,
    largest_increase,
    logistic_quadratic,
    ridge_logistic,
    run_methods,
    run_tuned,
    sliding_chatter,
    smooth_max,
    spectrum_matrix,
    table_2_constants,
)
from discretizers.experiments import observations as module
from filippov.errors import InvalidInputError, InvalidTypeError
from flows import Quadratic

MAKERS = {
    "logistic-quadratic": lambda seed: logistic_quadratic(seed, n=8, rows=20),
    "smooth max": lambda seed: smooth_max(seed, n=8, rows=20),
    "ridge": lambda seed: ridge_logistic(seed, n=8, rows=40),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_seed_is_a_problem(make):
    one, again, other = make(3), make(3), make(4)
    np.testing.assert_array_equal(one.x0, again.x0)
    point = np.linspace(-1, 1, 8)
    assert one.objective.value(point) == again.objective.value(point)
    assert one.objective.value(point) != other.objective.value(point)
    # The validation data are not the training data.
    assert one.objective.value(point) != one.validation.value(point)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_minimiser_and_constants(make):
    problem = make(0)
    x, f = problem.minimizer
    assert np.max(np.abs(problem.objective.grad(x))) < 1e-12
    assert f == problem.objective.value(x)
    H = problem.objective.hess(x)
    assert np.linalg.eigvalsh(H)[0] >= problem.objective.strong_convexity * (1 - 1e-12)
    assert np.linalg.eigvalsh(np.diag(problem.objective.coordinate_smoothness) - H)[0] >= 0


def test_spectrum_and_columns():
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(spectrum_matrix(rng, 5, 100.0)), np.geomspace(1, 100, 5), rtol=1e-12
    )
    np.testing.assert_array_equal(spectrum_matrix(rng, 1, 100.0), [[1.0]])
    problem = logistic_quadratic(0, n=8, rows=20)
    np.testing.assert_allclose(np.linalg.norm(problem.objective.A, axis=0), 1.0, rtol=1e-14)


def test_features_are_standardised_by_the_training_part_alone():
    problem = ridge_logistic(0, n=8, rows=40)
    A = problem.objective.A
    assert A.shape == (30, 8)
    np.testing.assert_allclose(A.mean(axis=0), 0.0, atol=1e-14)
    np.testing.assert_allclose(A.std(axis=0), 1.0, rtol=1e-14)
    assert np.max(np.abs(problem.validation.A.mean(axis=0))) > 0.01


def test_breast_cancer_split():
    pytest.importorskip("sklearn")
    problem = breast_cancer_problem(0)
    parts = (problem.objective, problem.validation, problem.test)
    assert [part.y.size for part in parts] == [341, 114, 114]
    np.testing.assert_allclose(problem.objective.A.mean(axis=0), 0.0, atol=1e-13)
    rows = np.vstack([part.A for part in parts])
    assert len(np.unique(rows, axis=0)) == 569
    # Every benign and every malignant patient is in one of the parts: 357 and 212.
    assert sum(int(np.sum(part.y == 1)) for part in parts) == 357


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"seed": -1}, InvalidInputError, "seed"),
        ({"seed": 0.5}, InvalidTypeError, "seed"),
        ({"seed": 0, "n": 0}, InvalidInputError, "n must"),
        ({"seed": 0, "rows": 1}, InvalidInputError, "rows"),
        ({"seed": 0, "condition": 0.5}, InvalidInputError, "condition"),
    ],
)
def test_bad_problems(arguments, error, word):
    with pytest.raises(error, match=word):
        logistic_quadratic(**arguments)


def test_methods_run_from_the_same_start_and_know_their_gap():
    problem = MAKERS["logistic-quadratic"](0)
    runs = run_methods(problem, tuple(METHODS), n_steps=30)
    assert list(runs) == list(METHODS)
    for iterates in runs.values():
        np.testing.assert_array_equal(iterates.y[:, 0], problem.x0)
        assert iterates.gap[0] == problem.objective.value(problem.x0) - problem.minimizer[1]
        assert np.min(iterates.gap) >= -1e-12
    with pytest.raises(InvalidInputError, match="'Adam'"):
        run_methods(problem, ("Adam",))


def test_tuning_looks_at_the_validation_objective():
    problem = MAKERS["ridge"](0)
    iterates, tuned = run_tuned(problem, "SignGD", n_steps=40, grid=(1e-3, 1e-2, 1e-1))
    ends = [run(SignGD(h), problem.objective, problem.x0, 40).y[:, -1] for h in (1e-3, 1e-2, 1e-1)]
    best = int(np.argmin([problem.validation.value(x) for x in ends]))
    assert tuned.step == (1e-3, 1e-2, 1e-1)[best]
    np.testing.assert_array_equal(iterates.y[:, -1], ends[best])


def test_iterations_to():
    """SignGD from 4 with step 1 on x^2/2: gaps 8, 4.5, 2, 0.5, 0."""
    iterates = run(SignGD(1.0), Quadratic([[1.0]]), [4.0], 6, minimizer=([0.0], 0.0))
    assert iterations_to(iterates, 0.6) == 1
    assert iterations_to(iterates, 0.25) == 2
    assert iterations_to(iterates, 1e-9) == 4
    assert largest_increase(iterates) == 0.0
    stuck = run(SignGD(1.0), Quadratic([[1.0]]), [4.5], 6, minimizer=([0.0], 0.0))
    assert iterations_to(stuck, 0.01) == np.inf
    with pytest.raises(InvalidInputError, match="fraction"):
        iterations_to(iterates, 1.0)
    with pytest.raises(InvalidInputError, match="gap"):
        iterations_to(run(SignGD(1.0), Quadratic([[1.0]]), [4.0], 2), 0.5)


def test_largest_increase_is_relative():
    """SignGD with step 3 from 1 on x^2/2 goes to -2: from 1/2 to 2, an increase of 3 gaps."""
    iterates = run(SignGD(3.0), Quadratic([[1.0]]), [1.0], 1, minimizer=([0.0], 0.0))
    assert largest_increase(iterates) == 3.0


def test_column_norms_do_not_make_the_bound_true():
    """The finding of the results page, for one seed: (5.2) fails, and f rises when Q is ill-conditioned."""
    problem = logistic_quadratic(0, condition=100.0)
    L = table_2_constants(problem)
    columns = np.sum(problem.objective.A**2, axis=0) / 4 + np.diag(problem.objective.Q)
    np.testing.assert_allclose(L, columns, rtol=1e-13)
    assert np.linalg.eigvalsh(np.diag(L) - problem.objective.hess(np.zeros(50)))[0] < -1
    assert module._increase_with(L, problem) > 1
    assert module._increase_with(problem.objective.coordinate_smoothness, problem) == 0.0


@pytest.mark.parametrize("slope", [0.2, -0.6])
def test_sliding_runs(slope):
    """The track fires again and again only where |a| < 1/3; freezing never makes the chatter larger."""
    found = sliding_chatter(slope, 0.5)
    amplitudes = {name: comparison.settled_chatter[1] for name, (comparison, _) in found.items()}
    # Each step moves s = y - a x by h (a -+ 1) and starts within that of the line.
    assert all(value <= 0.01 * (1 + abs(slope)) * (1 + 1e-9) for value in amplitudes.values())
    assert amplitudes["one-hit freeze"] <= amplitudes["SignGD"]
    events = found["two-hit sliding"][1].two_hits
    assert (np.count_nonzero(events[events.size // 2 :]) > 20) == (abs(slope) < 1 / 3)


def _observed(shares: dict[str, tuple[int, int]]) -> list[Observation]:
    return [
        Observation("c", setting, float(k), k < held)
        for setting, (held, total) in shares.items()
        for k in range(total)
    ]


CLAIM = Claim("c", "a |b|", "here", "k", "k is small")


@pytest.mark.parametrize(
    ("shares", "outcome"),
    [
        ({"a": (20, 20), "b": (18, 20)}, "confirmed"),
        ({"a": (20, 20), "b": (17, 20)}, "depends"),
        ({"a": (0, 20), "b": (2, 20)}, "refuted"),
        ({"a": (0, 20), "b": (3, 20)}, "depends"),
        ({"a": (20, 20), "b": (0, 20)}, "depends"),
    ],
)
def test_the_rule_of_the_verdicts(shares, outcome):
    (verdict,) = judge((CLAIM,), _observed(shares))
    assert verdict.outcome == outcome
    assert [m.held for m in verdict.measurements] == [held for held, _ in shares.values()]


def test_spread_of_a_measurement():
    (verdict,) = judge((CLAIM,), _observed({"|a| < 1": (20, 20)}))
    (measurement,) = verdict.measurements
    low, high = measurement.share_band
    # Clopper and Pearson for 20 of 20: (1 - p)... p^20 = 0.025.
    assert low == pytest.approx(0.025 ** (1 / 20), rel=1e-9)
    assert high == 1.0
    assert measurement.quartiles[1] in (9.0, 10.0)
    row = verdict.markdown().splitlines()[6]
    assert row.startswith(r"| \|a\| < 1 | 20 | 100% | 83% to 100% |")


def test_judge_wants_every_claim_observed_and_known():
    with pytest.raises(InvalidInputError, match="none for 'c'"):
        judge((CLAIM,), [])
    with pytest.raises(InvalidInputError, match="'d'"):
        judge((CLAIM,), [Observation("d", "a", 0.0, True)])
    with pytest.raises(InvalidInputError, match="nan"):
        judge((CLAIM,), [Observation("c", "a", np.nan, True)])


def test_observations_belong_to_claims():
    keys = {claim.key for claim in CLAIMS}
    assert len(keys) == len(CLAIMS)
    problem = MAKERS["logistic-quadratic"](0)
    found = [*module._descent("logistic-quadratic", problem), *module._sliding(0)]
    assert {observation.claim for observation in found} <= keys
    assert {"monotone", "theory"} <= {observation.claim for observation in found if observation.holds}
    # Two calls, one result.
    assert found == [*module._descent("logistic-quadratic", problem), *module._sliding(0)]
