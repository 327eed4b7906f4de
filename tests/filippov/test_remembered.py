"""User's functions are asked once at each point, and remembering changes no answer."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from filippov import PiecewiseSmooth, solve
from filippov.switched.surfaces import Surfaces


def height(t: float, x: Any) -> Any:
    return [x[0]]


def falling(t: float, x: Any) -> Any:
    return np.array([-1.0, 1.0])


def rising(t: float, x: Any) -> Any:
    return np.array([1.0, 0.5])


def test_a_point_is_asked_once_and_another_time_or_state_anew() -> None:
    asked: list[tuple[float, tuple[float, ...]]] = []

    def function(t: float, x: Any) -> Any:
        asked.append((t, tuple(x)))
        return [t + x[0], x[1]]

    surfaces = Surfaces("switching", function)
    x = np.array([1.0, 2.0])
    assert surfaces(0.0, x).tolist() == [1.0, 2.0]
    assert surfaces(0.0, x.copy()).tolist() == [1.0, 2.0]
    assert len(asked) == 1
    assert surfaces(3.0, x).tolist() == [4.0, 2.0]
    x[1] = 5.0
    assert surfaces(3.0, x).tolist() == [4.0, 5.0]
    assert len(asked) == 3


def test_a_remembered_answer_cannot_be_changed() -> None:
    surfaces = Surfaces("switching", height)
    with pytest.raises(ValueError, match="read-only"):
        surfaces(0.0, np.ones(2))[0] = 7.0


def test_a_function_that_fills_one_array_again_and_again_is_not_mixed_up() -> None:
    kept = np.empty(1)

    def function(t: float, x: Any) -> Any:
        kept[0] = x[0]
        return kept

    surfaces = Surfaces("switching", function)
    first = surfaces(0.0, np.array([1.0, 0.0]))
    surfaces(0.0, np.array([2.0, 0.0]))
    assert first[0] == 1.0


def test_a_system_can_be_pickled_after_it_was_solved_and_solves_the_same() -> None:
    system = PiecewiseSmooth(height, {1: falling, -1: rising})
    path = solve(system, (0.0, 2.0), [1.0, 0.0])
    again = solve(pickle.loads(pickle.dumps(system)), (0.0, 2.0), [1.0, 0.0])
    assert path.digest == again.digest
    assert np.array_equal(path.y, again.y)


def test_what_a_field_reads_may_change_between_two_questions() -> None:
    pull = [1.0]
    system = PiecewiseSmooth(
        height,
        {1: lambda t, x: np.array([-pull[0], 0.0]), -1: lambda t, x: np.array([pull[0], 0.0])},
    )
    assert system.classify([0.0, 0.0]).kind == "equilibrium"
    pull[0] = -1.0
    assert system.classify([0.0, 0.0]).kind == "repelling"


def test_answers_given_away_are_the_callers_own() -> None:
    system = PiecewiseSmooth(height, {1: falling, -1: rising})
    system.switching_functions(0.0, np.ones(2))[0] = 7.0
    assert system.switching_functions(0.0, np.ones(2))[0] == 1.0
    system.classify([1.0, 0.0]).velocities[0][0] = 7.0
    assert system.classify([1.0, 0.0]).velocities[0][0] == -1.0


def test_one_path_is_read_by_several_threads() -> None:
    def swing(t: float, x: Any) -> Any:
        return np.array([x[1], -x[0] - 0.5])

    def swing_back(t: float, x: Any) -> Any:
        return np.array([x[1], -x[0] + 0.5])

    system = PiecewiseSmooth(lambda t, x: [x[1]], {1: swing, -1: swing_back})
    times = np.linspace(0.0, 20.0, 400)
    alone = solve(system, (0.0, 20.0), [6.3, 0.0]).sol(times)
    shared = solve(system, (0.0, 20.0), [6.3, 0.0])
    with ThreadPoolExecutor(4) as executor:
        parts = list(executor.map(lambda k: shared.sol(times[k::4]), range(4)))
    for k, part in enumerate(parts):
        assert np.array_equal(part, alone[:, k::4])
