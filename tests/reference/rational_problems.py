"""Quadratic problems with exact data: random ones that floats hold exactly, and the hard structured ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rational_algebra import Row, Rows, is_positive_definite, rational_matrix, rational_vector, solve_linear

__all__ = ["RationalProblem", "integer_problems", "minimiser", "random_problem", "structured_problems"]

BITS = 20


@dataclass(frozen=True)
class RationalProblem:
    """f = x'Qx/2 - b'x and a start; `floats()` gives (Q, b, x0) as arrays that hold the same numbers."""

    name: str
    Q: Rows
    b: Row
    x0: Row

    def floats(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        arrays = tuple(np.array(data, dtype=np.float64) for data in (self.Q, self.b, self.x0))
        assert rational_matrix(arrays[0].tolist()) == self.Q
        assert rational_vector(arrays[1].tolist()) == self.b
        assert rational_vector(arrays[2].tolist()) == self.x0
        return arrays  # type: ignore[return-value]


def _problem(name: str, Q: object, b: object, x0: object) -> RationalProblem:
    return RationalProblem(name, rational_matrix(Q), rational_vector(b), rational_vector(x0))  # type: ignore[arg-type]


def random_problem(n: int, condition: float, seed: int) -> RationalProblem:
    """Q = U' D U with U Haar, spectrum log-spaced in [1/condition, 1], all rounded to k / 2^20."""
    if condition > 1e5:
        raise ValueError("data of 20 bits hold no condition above 1e5 safely")
    random = np.random.default_rng(seed)
    orthogonal, _ = np.linalg.qr(random.standard_normal((n, n)))
    Q = (orthogonal * np.geomspace(1 / condition, 1, n)) @ orthogonal.T
    grid = 2.0**BITS
    Q, b, x0 = (np.round(grid * a) / grid for a in (Q, random.standard_normal(n), random.standard_normal(n)))
    Q = np.tril(Q) + np.tril(Q, -1).T
    problem = _problem(f"random-{n}-{condition:g}-{seed}", Q.tolist(), b.tolist(), x0.tolist())
    assert is_positive_definite(problem.Q)
    return problem


def structured_problems() -> list[RationalProblem]:
    """Return simultaneous hits, degenerate complementarity, ties and starts in special position.

    All data are small dyadic numbers, so floats hold them exactly.
    """

    def symmetric(n: int, c: float) -> list[list[float]]:
        return [[(i == j) + c for j in range(n)] for i in range(n)]

    chain = [[2, -1, 0], [-1, 2, -1], [0, -1, 2]]
    return [
        _problem("identity, all hit at once", symmetric(4, 0), [0] * 4, [1, -1, 1, -1]),
        _problem("identity, two and two", symmetric(4, 0), [0] * 4, [1, -1, 2, -2]),
        _problem("permutation-symmetric", symmetric(4, 1), [0] * 4, [1, 1, 1, 1]),
        _problem("permutation-symmetric, mixed signs", symmetric(4, 0.5), [0] * 4, [1, -1, 1, -1]),
        _problem(
            "permutation-symmetric, two classes", symmetric(5, 0.25), [1, 1, 1, -1, -1], [2, 2, 2, -3, -3]
        ),
        _problem("chain, start on a surface", chain, [0, 0, 0], [1, 2, 4]),
        _problem("chain, start on two surfaces", chain, [0, 0, 0], [1, 2, 3]),
        _problem("chain, start at the minimiser", chain, [1, 0, 1], [1, 1, 1]),
        _problem("section 4.4: slides", [[1.25, -0.5], [-0.5, 1]], [0, 0], [2, 0.5]),
        # Q_21 = Q_22: after x2 hits, w_2 = 0 at |v_2| = 1, between sliding and leaving.
        _problem("degenerate: w = 0 at |v| = 1", [[4, 2], [2, 2]], [0, 0], [3, -2]),
        _problem("degenerate: start on it", [[4, 2], [2, 2]], [0, 0], [2, -2]),
        _problem("degenerate, three", [[6, 2, 1], [2, 2, 0], [1, 0, 1]], [0, 0, 0], [3, -2, -3]),
        _problem("crossing", [[9, 4], [4, 2]], [0, 0], [3, -5]),
        _problem("crossing at once from a surface", [[9, 4], [4, 2]], [0, 0], [2, -4]),
        _problem(
            "l_inf: slides and lets go",
            [[6, 5, -5, 8], [5, 6, -9, 6], [-5, -9, 23, 1], [8, 6, 1, 20]],
            [2, 1, 2, 0],
            [3, 0, -3, -3],
        ),
        _problem("l1: slides and lets go", [[19, -4, -3], [-4, 2, -3], [-3, -3, 13]], [3, 2, -1], [2, 3, 2]),
        _problem("crossing of the argmax", [[1, 2], [2, 5]], [0, 0], [5, -1.5]),
        _problem("tie with weight zero", [[1, 1], [1, 4]], [3, 3], [0, 0]),
        _problem("tie with weight zero, three", [[1, 1, 0], [1, 4, 0], [0, 0, 1]], [3, 3, -3], [0, 0, 0]),
        _problem("tie that breaks at once", [[1, 2], [2, 5]], [1, 1], [0, 0]),
        _problem("tie of opposite signs", [[2, 1], [1, 2]], [3, -3], [0, 0]),
        _problem("tie of five", symmetric(5, 0.5), [1, -1, 1, -1, 1], [0] * 5),
    ]


def integer_problems(n: int, size: int, count: int, seed: int) -> Iterator[RationalProblem]:
    """Yield problems with integers up to `size`, half of them started at a solution of some g_i = 0.

    Small integers make coincidences (ties, simultaneous events, degeneracy) the rule.
    """
    random = np.random.default_rng(seed)
    made = 0
    while made < count:
        root = random.integers(-size, size + 1, (n, n))
        Q = root @ root.T
        if not is_positive_definite(rational_matrix(Q.tolist())):
            continue
        x0 = random.integers(-size, size + 1, n)
        b = random.integers(-size, size + 1, n)
        if made % 2:  # start on some surfaces: choose b so that g vanishes there
            on = random.random(n) < 0.5
            b = np.where(on, Q @ x0, b)
        yield _problem(f"integer-{n}-{size}-{seed}-{made}", Q.tolist(), b.tolist(), x0.tolist())
        made += 1


def minimiser(problem: RationalProblem) -> Row:
    """Return the solution of Q x = b."""
    return solve_linear(problem.Q, problem.b)
