"""Ridge logistic regression on the Wisconsin data, from the origin: the real input of the exact flows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discretizers import BallProximal, run
from filippov import Trajectory, solve
from flows import L1, L2, GreedyFlow, LInf, NormalizedFlow, RidgeLogistic, SignFlow

pytest.importorskip("sklearn")

FLOWS = {"linf": (SignFlow, LInf()), "l1": (GreedyFlow, L1()), "l2": (NormalizedFlow, L2())}
ENDS = {"linf": 2.0, "l1": 12.5, "l2": 4.0}


@pytest.fixture(scope="module")
def objective() -> RidgeLogistic:
    from sklearn.datasets import load_breast_cancer

    features, labels = load_breast_cancer(return_X_y=True)
    return RidgeLogistic((features - features.mean(0)) / features.std(0), 2.0 * labels - 1.0, 1e-2)


@pytest.fixture(scope="module")
def paths(objective: RidgeLogistic) -> dict[str, Trajectory]:
    return {name: solve(flow(objective), (0, ENDS[name]), np.zeros(30)) for name, (flow, _) in FLOWS.items()}


@pytest.mark.parametrize("name", FLOWS)
def test_reaches_the_minimiser(name: str, objective: RidgeLogistic, paths: dict[str, Trajectory]) -> None:
    path = paths[name]
    x, f = objective.minimize()
    assert path.switches[-1].kind == "arrival"
    assert path.arrival_time is not None
    reached = path.sol(ENDS[name])
    assert abs(objective.value(reached) - f) <= 1e-12 * f
    np.testing.assert_allclose(reached, x, atol=1e-11)
    # Unit speed in the norm: no arrival is earlier than the distance.
    _, norm = FLOWS[name]
    assert path.arrival_time >= norm.value(x) * (1 - 1e-9)


@pytest.mark.parametrize("name", FLOWS)
def test_is_certified_at_a_thousand_samples(name: str, paths: dict[str, Trajectory]) -> None:
    certificate = paths[name].certify(1000)
    assert certificate.ok, str(certificate)
    assert certificate.samples >= 1000
    assert certificate.inclusion <= 1e-8
    assert certificate.drift <= 1e-10
    assert certificate.gaps_certified == (name != "l2")


@pytest.mark.parametrize("name", FLOWS)
def test_proximal_steps_converge_to_it(
    name: str, objective: RidgeLogistic, paths: dict[str, Trajectory]
) -> None:
    end, (_, norm) = 0.3 * ENDS[name], FLOWS[name]
    errors: list[Any] = []
    for steps in (4, 108):
        iterates = run(BallProximal(end / steps, norm), objective, np.zeros(30), steps)
        errors.append(np.abs(iterates.y - paths[name].sol(np.minimum(iterates.t, end))).max())
    assert 1e-4 < errors[0] < 0.1
    assert errors[1] < 0.25 * errors[0]
