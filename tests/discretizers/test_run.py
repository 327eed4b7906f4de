"""The run loop: how it stops, what it keeps, what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from discretizers import (
    Adaptive,
    InertialSignGD,
    Iterates,
    Move,
    OneHitFreeze,
    Scheme,
    SignGD,
    State,
    TwoHitSliding,
    run,
)
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from flows.objectives import Objective, Quadratic


class Blowing:
    """f = x^4 / 4 with a gradient that is lost beyond |x| = 8, as an overflow would."""

    dim = 1
    coordinate_smoothness = np.array([1.0])

    def value(self, x: NDArray[np.float64]) -> float:
        return float(x[0] ** 4 / 4)

    def grad(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x**3 if abs(x[0]) <= 8 else np.array([np.nan])

    def hess(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 3 * x[:, None] ** 2


class Doubling(Scheme):
    """x+ = 2 x: leaves every bounded set."""

    def step(self, objective: Blowing, state: State) -> Move:  # type: ignore[override]
        return Move(State.at(objective, 2 * state.x), 1.0, state.g)


def test_shapes_times_and_counts() -> None:
    iterates = run(SignGD(0.25), Quadratic(np.eye(3)), [1, -1, 0.5], 10)
    assert (iterates.t.shape, iterates.y.shape, iterates.f.shape) == ((11,), (3, 11), (11,))
    assert (
        iterates.step.shape
        == iterates.active.shape
        == iterates.flips.shape
        == iterates.restarts.shape
        == (10,)
    )
    assert iterates.active.tolist() == [3, 3, 2, 2, 0, 0, 0, 0, 0, 0]
    assert iterates.y[:, -1].tolist() == [0, 0, 0]
    assert iterates.flips.sum() == 0  # arriving at zero is no flip
    assert iterates.restarts.dtype == bool
    assert (iterates.status, iterates.success) == (0, True)
    assert run(SignGD(0.75), Quadratic(np.eye(1)), [1], 4).flips.tolist() == [0, 1, 1, 1]


def test_zero_steps_give_the_start_alone() -> None:
    iterates = run(SignGD(0.1), Quadratic(np.eye(2)), [1, 2], 0)
    assert iterates.y.tolist() == [[1], [2]]
    assert iterates.step.size == 0
    assert iterates.status == 0


def test_the_tolerance_stops_early() -> None:
    iterates = run(SignGD(0.25), Quadratic(np.eye(2)), [1, -2], 100, tol=0.25)
    assert iterates.status == 1
    assert iterates.step.size == 7
    assert "0.25 after step 7" in iterates.message
    assert run(SignGD(0.25), Quadratic(np.eye(2)), [0, 0], 100, tol=0).step.size == 0
    # reached by the last step that was allowed
    assert run(SignGD(0.25), Quadratic(np.eye(2)), [1, -2], 7, tol=0.25).status == 1


def test_the_callback_sees_every_point_and_can_stop() -> None:
    seen: list[tuple[int, list[float]]] = []

    def watch(k: int, x: NDArray[np.float64]) -> bool:
        seen.append((k, x.tolist()))
        with pytest.raises(ValueError, match="read-only"):
            x[0] = 7
        return k == 3

    iterates = run(SignGD(0.25), Quadratic(np.eye(1)), [2], 10, callback=watch)
    assert seen == [(1, [1.75]), (2, [1.5]), (3, [1.25])]
    assert (iterates.status, iterates.step.size) == (2, 3)


def test_an_interrupt_keeps_what_was_computed() -> None:
    def interrupt(k: int, x: NDArray[np.float64]) -> None:
        if k == 4:
            raise KeyboardInterrupt

    iterates = run(SignGD(0.25), Quadratic(np.eye(1)), [2], 10, callback=interrupt)
    assert (iterates.status, iterates.success) == (3, False)
    assert iterates.y.tolist() == [[2, 1.75, 1.5, 1.25, 1]]


def test_a_gradient_that_is_lost_ends_the_run_with_what_there_is() -> None:
    iterates = run(Doubling(1.0), Blowing(), [1], 10)
    assert iterates.y.tolist() == [[1, 2, 4, 8]]
    assert (iterates.status, iterates.success) == (-1, False)
    assert "not finite after step 4" in iterates.message
    with pytest.raises(InvalidInputError, match="finite with its gradient at x0"):
        run(Doubling(1.0), Blowing(), [9], 10)


class Stumbling(SignGD):
    """Sign steps that cannot be made left of 1."""

    def step(self, objective: Quadratic, state: State) -> Move:  # type: ignore[override]
        if state.x[0] <= 1:
            raise FilippovError("no step from here")
        return super().step(objective, state)


def test_a_step_that_cannot_be_made_keeps_the_iterates() -> None:
    iterates = run(Stumbling(0.25), Quadratic(np.eye(1)), [2], 10)
    assert iterates.y.tolist() == [[2, 1.75, 1.5, 1.25, 1]]
    assert (iterates.status, iterates.success) == (-1, False)
    assert iterates.message == "step 5 could not be made: no step from here"
    with pytest.raises(FilippovError, match="no step from here"):
        run(Stumbling(0.25), Quadratic(np.eye(1)), [1], 10)


def test_gap_distance_and_active_smoothness() -> None:
    objective = Quadratic(np.diag([2.0, 4.0]), [2, -4])  # minimiser (1, -1), f* = -3, L = (2, 4)
    iterates = run(SignGD(0.5), objective, [2, -1], 3, minimizer=objective.minimize())
    assert iterates.gap.tolist() == [1, 0.25, 0, 0]
    assert iterates.squared_distance.tolist() == [1, 0.25, 0, 0]
    assert iterates.active_smoothness.tolist() == [2, 2, 0]
    loose = run(SignGD(0.5), objective, [2, -1], 3, active_tol=1.0)
    assert loose.active.tolist() == [1, 0, 0]
    assert loose.active_smoothness.tolist() == [2, 0, 0]
    assert np.array_equal(loose.y, iterates.y)
    assert np.all(np.isnan(loose.gap))
    given = run(SignGD(Adaptive(L=[10, 20])), objective, [2, -2], 1)
    assert given.active_smoothness.tolist() == [30]
    unknown = run(SignGD(0.5), Objective(lambda x: x @ x, lambda x: 2 * x, dim=1), [2], 2)
    assert np.all(np.isnan(unknown.active_smoothness))
    with pytest.raises(InvalidTypeError, match=r"minimizer must be a pair \(x\*, f\*\)"):
        run(SignGD(0.5), objective, [2, -1], 3, minimizer=3)  # type: ignore[arg-type]


def test_freezes_and_two_hits_are_counted() -> None:
    objective = Quadratic(np.eye(1))
    # From 0.3 the trial -0.2 flips: frozen for ever.
    assert run(OneHitFreeze(0.5), objective, [0.3], 4).freezes.tolist() == [1, 1, 1, 1]
    # 0.3, -0.2, 0.3: two flips, then the track (mu = 0.6) lands on 0.
    tracked = run(TwoHitSliding(0.5), objective, [0.3], 3)
    assert tracked.two_hits.tolist() == [0, 0, 1]
    assert abs(tracked.y[0, -1]) < 1e-15
    assert run(SignGD(0.5), objective, [0.3], 4).two_hits.tolist() == [0, 0, 0, 0]


def test_progress_is_shown_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = run(SignGD(0.25), Quadratic(np.eye(1)), [2], 5)
    assert capsys.readouterr().err == ""
    shown = run(SignGD(0.25), Quadratic(np.eye(1)), [2], 5, progress=True)
    assert "5/5" in capsys.readouterr().err
    assert np.array_equal(shown.y, quiet.y)


def test_the_start_is_copied_and_results_are_read_only() -> None:
    x0 = np.array([1.0, 2.0])
    iterates = run(SignGD(0.25), Quadratic(np.eye(2)), x0, 3)
    x0[0] = 9
    assert iterates.y[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        iterates.y[0, 0] = 5


def test_saving_and_loading(tmp_path: Path) -> None:
    iterates = run(InertialSignGD(Adaptive()), Quadratic(np.diag([1.0, 9.0]), [1, 2]), [3, -1], 20, tol=1e-3)
    path = tmp_path / "run.npz"
    iterates.save(path)
    again = Iterates.load(path)
    for name in (
        "t",
        "y",
        "f",
        "gap",
        "squared_distance",
        "step",
        "active",
        "active_smoothness",
        "flips",
        "restarts",
    ):
        one, two = getattr(iterates, name), getattr(again, name)
        assert np.array_equal(one, two, equal_nan=True)
        assert one.dtype == two.dtype
    assert (again.status, again.message, again.scheme) == (iterates.status, iterates.message, iterates.scheme)
    assert repr(again) == repr(iterates)
    assert again.settings == iterates.settings
    assert again.settings["beta"] == 0.9
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]  # no temporary file is left
    np.savez(tmp_path / "other.npz", t=np.zeros(3))
    with pytest.raises(InvalidInputError, match="lacks y"):
        Iterates.load(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InvalidInputError, match="path must hold saved Iterates"):
        Iterates.load(tmp_path / "text.npz")
    with pytest.raises(FileNotFoundError):
        iterates.save(tmp_path / "nowhere" / "run.npz")


def test_repr_tells_the_run() -> None:
    text = repr(run(SignGD(0.75), Quadratic(np.eye(1)), [1], 4))
    for part in ("SignGD", "4 steps in 1-D to t = 3", "f = 0.5 -> 0.125", "3 flips", "status 0"):
        assert part in text


def test_bad_arguments_are_named() -> None:
    objective = Quadratic(np.eye(2))
    with pytest.raises(InvalidTypeError, match="scheme must be a Scheme, got float"):
        run(0.1, objective, [1, 2], 3)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="objective must have value, grad, dim, got int"):
        run(SignGD(0.1), 3, [1, 2], 3)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="n_steps must be an integer, got float"):
        run(SignGD(0.1), objective, [1, 2], 3.0)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="n_steps must be at least 0, got -3"):
        run(SignGD(0.1), objective, [1, 2], -3)
    with pytest.raises(InvalidInputError, match=r"x0 must be a vector of shape \(2,\)"):
        run(SignGD(0.1), objective, [1, 2, 3], 3)
    with pytest.raises(InvalidInputError, match="x0 must be finite"):
        run(SignGD(0.1), objective, [1, np.nan], 3)
    with pytest.raises(InvalidInputError, match="tol"):
        run(SignGD(0.1), objective, [1, 2], 3, tol=-1)
    with pytest.raises(InvalidTypeError, match="callback must be callable"):
        run(SignGD(0.1), objective, [1, 2], 3, callback=3)  # type: ignore[arg-type]
