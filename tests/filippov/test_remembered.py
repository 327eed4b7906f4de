"""User's functions are asked once at each point, and remembering changes no answer."""

from __future__ import annotations

import pickle
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
