"""Same input, same bits: in one process and another, with any hash seed; with any number of threads, the same numbers."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from filippov.storing.fingerprint import fingerprint

RUNS = """
import hashlib, sys
import numpy as np
from filippov import PiecewiseAffine, PiecewiseSmooth, Relay, Stewart, from_sympy, solve
from filippov.storing.storage import pack_trajectory
from flows import (
    LogisticQuadratic, NormalizedFlow, Quadratic, RidgeLogistic, SignFlow, GreedyFlow, SmoothMax, Symbolic,
)

def drift(t, x):
    return np.array([x[1], -x[0] + np.cos(0.8 * t)])

def systems():
    random = np.random.default_rng(5)
    rows = random.standard_normal((60, 40))
    Q = rows.T @ rows / 60 + 0.1 * np.eye(40)
    start = random.standard_normal(40)
    yield "quadratic", SignFlow(Quadratic(Q, start)), start, 9
    yield "greedy", GreedyFlow(Quadratic(Q, start)), start, 9
    yield "logistic", SignFlow(RidgeLogistic(rows[:9, 1:4], np.sign(rows[:9, 0]), 0.1)), start[:3], 3
    yield "maximum", SignFlow(SmoothMax(rows[:5, :3], rows[:5, 3], np.eye(3))), start[:3], 3
    yield "normalized", NormalizedFlow(LogisticQuadratic(rows[:5, :3], np.eye(3))), start[:3], 2
    yield "symbolic", SignFlow(Symbolic("exp(x) + x*y/3 + y**2 + log(1 + exp(x - y))")), start[:2], 3
    gain, height = (lambda t, x: np.array([[0.0], [1.2]])), (lambda t, x: [x[1] - 1.0])
    yield "relay", Relay(drift, gain, height), [0.0, 0.0], 5
    fields = {s: (lambda t, x, s=s: drift(t, x) - [0, 1.2 * s]) for s in (1, -1)}
    yield "piecewise", PiecewiseSmooth(height, fields), [0.0, 0.0], 5
    yield "stewart", Stewart([fields[1], fields[-1]], lambda t, x: [1 - x[1], x[1] - 1]), [0.0, 0.0], 5
    yield "affine", PiecewiseAffine([[0, 1], [-1, 0]], [[0], [1.2]], [[0, 1.0]], d=[-1.0]), [0.0, 0.0], 5
    yield "formulas", from_sympy(["v", "-x - sign(v - 1) + cos(t)"], ["x", "v"], "t"), [0.0, 0.0], 5

def digests():
    for name, system, start, end in systems():
        for method in ("DOP853", "LSODA") if name in ("relay", "formulas") else ("DOP853",):
            path = solve(system, (0, end), start, method=method)
            arrays = pack_trajectory(path, path.digest)
            whole = hashlib.sha256()
            for key in sorted(arrays):
                whole.update(key.encode() + str(arrays[key]).encode() if key == "header" else arrays[key].tobytes())
            whole.update(path.velocity(np.linspace(0, path.t_end, 50)).tobytes())
            yield name, method, path.digest, whole.hexdigest()
"""


def in_another_process(program: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MPLBACKEND": "Agg", **environment},
    )
    return done.stdout


def test_the_same_bits_twice_and_in_other_processes() -> None:
    twice = (
        RUNS + "\nfirst, second = list(digests()), list(digests())\nassert first == second, (first, second)\n"
    )
    twice += "for line in first: print(*line)"
    once = RUNS + "\nfor line in digests(): print(*line)"
    one, other = in_another_process(twice, PYTHONHASHSEED="1"), in_another_process(once, PYTHONHASHSEED="2")
    assert len(one.splitlines()) == 13
    assert one == other


THREADS = """
import sys
import numpy as np
from filippov import solve
from flows import GreedyFlow, Quadratic, RidgeLogistic, SignFlow
random = np.random.default_rng(3)
n = 200
rows = random.standard_normal((2 * n, n))
start = random.standard_normal(n)
Q = rows.T @ rows / (2 * n) + 0.1 * np.eye(n)
arrays = {}
for name, system in {
    "sign": SignFlow(Quadratic(Q, start)),
    "greedy": GreedyFlow(Quadratic(Q[:60, :60], start[:60])),
    "logistic": SignFlow(RidgeLogistic(rows[:, :40], np.sign(rows[:, 41]), 0.1)),
}.items():
    path = solve(system, (0, 2), start[: system.dim])
    arrays[name + "_t"] = np.array([switch.t for switch in path.switches])
    arrays[name + "_x"] = path.sol(np.linspace(0, 2, 30))
    arrays[name + "_surfaces"] = np.concatenate([switch.surfaces for switch in path.switches])
np.savez(sys.argv[1], **arrays)
"""


def test_the_number_of_threads_changes_nothing_beyond_rounding(tmp_path: Path) -> None:
    for threads in ("1", "2"):
        in_another_process(
            THREADS,
            str(tmp_path / threads),
            OMP_NUM_THREADS=threads,
            OPENBLAS_NUM_THREADS=threads,
            MKL_NUM_THREADS=threads,
        )
    with np.load(tmp_path / "1.npz") as one, np.load(tmp_path / "2.npz") as two:
        assert one["sign_t"].size > 100
        for name in one.files:
            if name.endswith("surfaces"):
                np.testing.assert_array_equal(one[name], two[name])
            else:
                np.testing.assert_allclose(one[name], two[name], rtol=0, atol=1e-12)


PACKAGES = ("filippov", "flows", "discretizers", "gallery", "benchmarks", "tests", "docs")
LEGACY = {
    f"{module}.random.{name}"
    for module in ("np", "numpy")
    for name in (
        "rand",
        "randn",
        "randint",
        "random",
        "normal",
        "uniform",
        "choice",
        "permutation",
        "shuffle",
        "seed",
    )
}


def unseeded(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = ast.unparse(node.func)
            if name.endswith("default_rng") and not (node.args or node.keywords):
                found.append(f"{path.name}:{node.lineno} {name}() has no seed")
            if name in LEGACY:
                found.append(f"{path.name}:{node.lineno} {name} has a global state")
        if isinstance(node, ast.Import) and any(alias.name == "random" for alias in node.names):
            found.append(f"{path.name}:{node.lineno} imports random")
    return found


def test_nothing_random_is_without_a_seed() -> None:
    root = Path(__file__).parents[2]
    files = [file for package in PACKAGES for file in (root / package).rglob("*.py")]
    assert len(files) > 100
    assert [line for file in files for line in unseeded(file)] == []


def test_the_search_for_unseeded_randomness_finds_it(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "import random\nimport numpy as np\nnp.random.default_rng()\nnp.random.normal(3)\nnp.random.default_rng(0)"
    )
    assert len(unseeded(file)) == 3


class Holder:
    """Something with attributes."""

    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)


SCALE = 2.0


def scaled(t: float, x: float) -> float:
    return SCALE * x


def test_fingerprints_tell_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    same = [
        (1.0, 1.0),
        ([1, 2], [1, 2]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({3, 1, 2}, {2, 3, 1}),
        (np.arange(3), np.arange(3)),
        (Holder(a=np.zeros(2)), Holder(a=np.zeros(2))),
        (*((lambda k: lambda t, x: k * x)(2.0) for _ in range(2)),),
    ]
    for one, two in same:
        assert fingerprint(one) == fingerprint(two)
    different = [
        (1.0, np.nextafter(1.0, 2.0)),
        (0.0, -0.0),
        (1, 1.0),
        (1, True),
        (1, "1"),
        ([1, 2], (1, 2)),
        ([[1], 2], [[1, 2]]),
        ("ab", "a"),
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(2), np.zeros(2, dtype=np.float32)),
        (Holder(a=1), Holder(b=1)),
        *(
            (make(2.0), make(3.0))
            for make in (lambda k: lambda t, x: k * x, lambda k: lambda t, x, c=k: c * x)
        ),
        (lambda t, x: x + 1, lambda t, x: x - 1),
        (lambda t, x: np.sin(x), lambda t, x: np.cos(x)),
        (lambda t, x: 1.0, lambda t, x: 2.0),
    ]
    for one, two in different:
        assert fingerprint(one) != fingerprint(two), (one, two)
    before = fingerprint(scaled)
    monkeypatch.setitem(scaled.__globals__, "SCALE", 3.0)
    assert fingerprint(scaled) != before
    monkeypatch.undo()
    assert fingerprint(scaled) == before


def test_fingerprints_end_on_what_holds_itself() -> None:
    loop: list[object] = [1.0]
    loop.append(loop)
    holder = Holder(loop=loop)
    holder.me = holder  # type: ignore[attr-defined]
    assert fingerprint(holder) == fingerprint(holder)
