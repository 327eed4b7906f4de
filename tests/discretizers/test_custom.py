"""Callables and torch optimisers as schemes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from discretizers import CustomScheme, NormalizedGD, SignGD, TorchOptimizer, check_theory, compare, run
from filippov.errors import FilippovError, InvalidInputError, InvalidTypeError
from filippov.solve import solve
from flows.norm_flow import SignFlow
from flows.objectives import Quadratic

OBJECTIVE = Quadratic([[4, 1], [1, 3]], [1, -2])
START = [3.0, -0.5]

Vector = NDArray[np.float64]


def test_a_callable_makes_the_same_iterates_as_the_scheme() -> None:
    known = run(SignGD(0.01), OBJECTIVE, START, 100)
    custom = run(
        CustomScheme(lambda x, g: x - 0.01 * np.sign(g), name="mine", step=0.01), OBJECTIVE, START, 100
    )
    for name in ("t", "y", "f", "step", "active", "flips"):
        assert np.array_equal(getattr(custom, name), getattr(known, name))
    assert custom.scheme == "CustomScheme(mine, step=0.01)"
    assert custom.settings["name"] == "mine"
    trajectory = solve(SignFlow(OBJECTIVE), (0, 1), START)
    assert compare(trajectory, custom).sup_error == compare(trajectory, known).sup_error
    assert {each.name for each in check_theory(custom, OBJECTIVE).inequalities} == {
        *("model (5.2)", "Theorem 5.4, distance", "Lemma 5.1")
    }


def test_an_update_may_work_in_place_and_keep_a_memory() -> None:
    class Momentum:
        def __init__(self) -> None:
            self.m = np.zeros(2)

        def __call__(self, x: Vector, g: Vector) -> Vector:
            self.m = 0.5 * self.m + g
            x -= 0.01 * self.m
            return x

    iterates = run(CustomScheme(Momentum()), OBJECTIVE, START, 3)
    x, m = np.array(START), np.zeros(2)
    for k in range(3):
        m = 0.5 * m + OBJECTIVE.grad(x)
        x = x - 0.01 * m
        assert np.array_equal(iterates.y[:, k + 1], x)
    assert iterates.y[:, 0].tolist() == START
    assert iterates.scheme == "CustomScheme(Momentum, step=1)"


def test_bad_updates_are_named() -> None:
    with pytest.raises(InvalidTypeError, match="update must be callable"):
        CustomScheme(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="step must be a positive"):
        CustomScheme(lambda x, g: x, step=-1)
    with pytest.raises(InvalidInputError, match=r"update's result must be a vector of shape \(2,\)"):
        run(CustomScheme(lambda x, g: x[:1]), OBJECTIVE, START, 3)
    # in mid-run nothing is lost
    lost = run(CustomScheme(lambda x, g: x - 0.5 if x[0] > 2.2 else x * np.nan), OBJECTIVE, START, 5)
    assert lost.y[0].tolist() == [3, 2.5, 2]
    assert (lost.status, lost.success) == (-1, False)
    assert "update's result must be finite" in lost.message


def test_torch_is_asked_for_by_name_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # makes the import fail
    with pytest.raises(FilippovError, match="TorchOptimizer needs torch"):
        TorchOptimizer(lambda parameters: None)


def test_torch_gradient_descent_is_gradient_descent() -> None:
    torch = pytest.importorskip("torch")
    iterates = run(TorchOptimizer(lambda p: torch.optim.SGD(p, lr=0.05), name="SGD"), OBJECTIVE, START, 20)
    x = np.array(START)
    for k in range(20):
        x = x - 0.05 * OBJECTIVE.grad(x)
        assert np.allclose(iterates.y[:, k + 1], x, rtol=0, atol=1e-14)
    assert iterates.scheme == "TorchOptimizer(SGD, step=1)"


def test_adam_without_memory_is_sign_descent() -> None:
    torch = pytest.importorskip("torch")
    scheme = TorchOptimizer(lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.0, 0.0), eps=0.0), step=0.01)
    adam, signs = run(scheme, OBJECTIVE, START, 80), run(SignGD(0.01), OBJECTIVE, START, 80)
    assert np.allclose(adam.y, signs.y, rtol=0, atol=1e-12)
    assert np.array_equal(adam.t, signs.t)


def test_torch_runs_share_no_memory() -> None:
    torch = pytest.importorskip("torch")
    scheme = TorchOptimizer(lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9))
    first, second = run(scheme, OBJECTIVE, START, 10), run(scheme, OBJECTIVE, START, 10)
    assert np.array_equal(first.y, second.y)
    assert not np.array_equal(first.y, run(NormalizedGD(0.01), OBJECTIVE, START, 10).y)
