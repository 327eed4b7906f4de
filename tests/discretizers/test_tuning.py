"""Steps tuned on a grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from discretizers import BallProximal, CustomScheme, SignGD, tune_step
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from flows.objectives import Quadratic, RidgeLogistic

LINE = Quadratic([[1.0]])


def test_the_best_step_in_closed_form() -> None:
    # From 1 with 4 steps: 1/8 reaches 1/2, 1/4 reaches 0, 1/2 reaches 0 after two and rests, 1 likewise.
    tuned = tune_step(SignGD, LINE, [1], [0.125, 0.25, 2 / 3], 4)
    assert tuned.steps.tolist() == [0.125, 0.25, 2 / 3]
    assert tuned.scores == pytest.approx([1 / 8, 0, 1 / 18])
    assert (tuned.step, tuned.score, tuned.at_edge, tuned.n_steps) == (0.25, 0, False, 4)
    # of equals, the smaller
    assert tune_step(SignGD, LINE, [1], [0.5, 0.25, 0.125], 4).step == 0.25


def test_the_edge_of_the_grid_is_said() -> None:
    tuned = tune_step(SignGD, LINE, [1], np.geomspace(1e-3, 1e-1, 5), 4)
    assert tuned.at_edge
    assert tuned.step == pytest.approx(0.1)
    assert "edge of the grid" in repr(tuned)
    assert not tune_step(SignGD, LINE, [1], [0.1], 4).at_edge


def test_a_validation_split_decides_where_it_is_given() -> None:
    random = np.random.default_rng(0)
    A = random.standard_normal((40, 3))
    y = np.where(A @ [1, -1, 0.5] + 0.5 * random.standard_normal(40) > 0, 1, -1)
    train, held_out = RidgeLogistic(A[:20], y[:20], 1e-3), RidgeLogistic(A[20:], y[20:], 1e-3)
    grid = np.geomspace(1e-3, 1, 10)
    tuned = tune_step(SignGD, train, np.zeros(3), grid, 30, validation=held_out)
    as_callable = tune_step(SignGD, train, np.zeros(3), grid, 30, validation=held_out.value)
    assert np.array_equal(tuned.scores, as_callable.scores)
    plain = tune_step(SignGD, train, np.zeros(3), grid, 30)
    assert not np.array_equal(tuned.scores, plain.scores)
    assert tuned.score == np.min(tuned.scores)

    def first(x: NDArray[np.float64]) -> float:
        return float(-x[0])

    assert tune_step(SignGD, LINE, [1], [0.125, 0.25], 4, validation=first).step == 0.125


def test_runs_that_fail_score_infinity() -> None:
    # Gradient steps beyond 2 / L diverge until f overflows.
    def descent(h: float) -> CustomScheme:
        return CustomScheme(lambda x, g: x - h * g)

    with np.errstate(over="ignore"):
        tuned = tune_step(descent, LINE, [1], [0.5, 1e6], 100)
    assert tuned.step == 0.5
    assert tuned.scores[1] == np.inf
    assert "not finite" in tuned.messages[1]
    saddle = Quadratic([[1.0, 0], [0, -1]])
    with pytest.raises(FilippovError, match="no step size of the grid gives a finite score"):
        tune_step(BallProximal, saddle, [1, 1], [0.1, 0.2], 3)


def test_the_result_shows_itself(tmp_path: Path) -> None:
    tuned = tune_step(SignGD, LINE, [1], [0.125, 0.25, 2 / 3], 4)
    assert "h = 0.25 after 4 steps each" in repr(tuned)
    assert [line.split()[2] for line in repr(tuned).splitlines() if line.startswith("  0.25")] == ["best"]
    stored = json.loads(tuned.to_json(tmp_path / "tuned.json").read_text())
    assert stored["step"] == 0.25
    assert stored["at_edge"] is False


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidTypeError, match="make_scheme must be callable"):
        tune_step(SignGD(0.1), LINE, [1], [0.1], 4)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="grid must be positive, got -1"):
        tune_step(SignGD, LINE, [1], [0.1, -1], 4)
    with pytest.raises(
        InvalidTypeError, match="validation must be an objective or a callable x -> float, got int"
    ):
        tune_step(SignGD, LINE, [1], [0.1], 4, validation=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="n_steps must be at least 0"):
        tune_step(SignGD, LINE, [1], [0.1], -1)
