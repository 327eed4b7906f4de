"""The paper's benchmark problems (section 7.1, Table 2), generated from a seed.

The numbers that the paper's text lost are chosen here and named, so that every figure states them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import ortho_group

from filippov.arguments import Matrix, Vector, as_positive
from filippov.errors import InvalidInputError, InvalidTypeError
from flows.datasets import breast_cancer
from flows.objectives import LogisticQuadratic, RidgeLogistic, SmoothMax, SmoothObjective

__all__ = [
    "Problem",
    "breast_cancer_problem",
    "logistic_quadratic",
    "ridge_logistic",
    "smooth_max",
    "spectrum_matrix",
]

DIMENSION = 50
ROWS = 100
CONDITION = 10.0
TEMPERATURE = 0.1
RIDGE = 1e-2
LABEL_NOISE = 0.5
"""Standard deviation added to a'w before its sign becomes the label; a'w has about sqrt(n)."""


@dataclass(frozen=True, eq=False)
class Problem:
    """An objective with everything that the protocol of section 7.1 asks for.

    Attributes
    ----------
    name : str
        The objective and its parameters, for titles.
    objective : SmoothObjective
        The training objective, which all methods minimise.
    validation : SmoothObjective
        The same kind of objective on data drawn or split off independently; it scores constant steps.
    test : SmoothObjective or None
        A third part of real data, looked at by nothing but the report.
    x0 : ndarray of shape (n,)
        The common start.
    minimizer : (x*, f*)
        Of `objective`, by Newton's method to rounding (the paper: L-BFGS to high tolerance).
    """

    name: str
    objective: SmoothObjective
    validation: SmoothObjective
    test: SmoothObjective | None
    x0: Vector
    minimizer: tuple[Vector, float]

    @property
    def dim(self) -> int:
        """Return n."""
        return self.objective.dim


def spectrum_matrix(rng: np.random.Generator, n: int, condition: float) -> Matrix:
    """Return Q = U'DU, U Haar distributed, D geometric from 1 to `condition`."""
    if as_positive("condition", condition) < 1:
        raise InvalidInputError(f"condition must be at least 1, got {condition:g}")
    D = np.geomspace(1.0, condition, n)
    if n == 1:
        return np.array([[1.0]])
    U = ortho_group.rvs(n, random_state=rng)
    Q: Matrix = U.T @ (D[:, None] * U)
    return (Q + Q.T) / 2


def logistic_quadratic(
    seed: int, *, n: int = DIMENSION, rows: int = ROWS, condition: float = CONDITION
) -> Problem:
    """Return sum_i log(1 + exp(a_i'x)) + x'Qx/2, A Gaussian with unit columns, x0 Gaussian."""
    rng = _generator(seed, n, rows)
    Q = spectrum_matrix(rng, n, condition)
    objective, validation = (LogisticQuadratic(_unit_columns(rng, rows, n), Q) for _ in range(2))
    name = f"logistic-quadratic, n = {n}, N = {rows}, kappa(Q) = {condition:g}"
    return _problem(name, objective, validation, rng.standard_normal(n))


def smooth_max(
    seed: int,
    *,
    n: int = DIMENSION,
    rows: int = ROWS,
    condition: float = CONDITION,
    tau: float = TEMPERATURE,
) -> Problem:
    """Return tau log sum_i exp((a_i'x - b_i)/tau) + x'Qx/2, A and b as Gaussian as above, x0 Gaussian."""
    rng = _generator(seed, n, rows)
    Q = spectrum_matrix(rng, n, condition)
    objective, validation = (
        SmoothMax(_unit_columns(rng, rows, n), rng.standard_normal(rows), Q, tau) for _ in range(2)
    )
    name = f"smooth max, n = {n}, N = {rows}, kappa(Q) = {condition:g}, tau = {tau:g}"
    return _problem(name, objective, validation, rng.standard_normal(n))


def ridge_logistic(seed: int, *, n: int = DIMENSION, rows: int = 4 * ROWS, mu: float = RIDGE) -> Problem:
    """Return ridge logistic regression: Gaussian features, standardised, labels sign(a'w + noise), x0 = 0.

    A quarter of the rows is the validation split.
    """
    rng = _generator(seed, n, rows)
    A, w = rng.standard_normal((rows, n)), rng.standard_normal(n)
    y = np.where(A @ w + LABEL_NOISE * rng.standard_normal(rows) > 0, 1.0, -1.0)
    kept = rows - rows // 4
    A = _standardised(A, A[:kept])
    objective, validation = RidgeLogistic(A[:kept], y[:kept], mu), RidgeLogistic(A[kept:], y[kept:], mu)
    name = f"ridge logistic, n = {n}, N = {kept}, mu = {mu:g}"
    return _problem(name, objective, validation, np.zeros(n))


def breast_cancer_problem(seed: int, *, mu: float = RIDGE) -> Problem:
    """Return ridge logistic regression on breast cancer: 60 % training, 20 % validation, 20 % test, x0 = 0.

    The seed permutes the 569 patients; features are standardised by the training part alone.
    """
    A, y = breast_cancer()
    order = _generator(seed, A.shape[1], A.shape[0]).permutation(y.size)
    cuts = (3 * y.size // 5, 4 * y.size // 5)
    # Standardising twice is standardising the raw features by the training part: both maps are affine.
    A = _standardised(A[order], A[order][: cuts[0]])
    parts = zip(np.split(A, cuts), np.split(y[order], cuts), strict=True)
    training, validation, test = (RidgeLogistic(rows, labels, mu) for rows, labels in parts)
    name = f"breast cancer, n = {training.dim}, N = {training.y.size}, mu = {mu:g}"
    return _problem(name, training, validation, np.zeros(training.dim), test)


def _problem(
    name: str,
    objective: SmoothObjective,
    validation: SmoothObjective,
    x0: Vector,
    test: SmoothObjective | None = None,
) -> Problem:
    x0.flags.writeable = False
    return Problem(name, objective, validation, test, x0, objective.minimize())


def _generator(seed: int, n: int, rows: int) -> np.random.Generator:
    for name, value, least in (("seed", seed, 0), ("n", n, 1), ("rows", rows, 2)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise InvalidTypeError(f"{name} must be an integer, got {type(value).__name__}")
        if value < least:
            raise InvalidInputError(f"{name} must be at least {least}, got {value}")
    return np.random.default_rng(seed)


def _unit_columns(rng: np.random.Generator, rows: int, n: int) -> Matrix:
    A = rng.standard_normal((rows, n))
    result: Matrix = A / np.linalg.norm(A, axis=0)
    return result


def _standardised(A: Matrix, reference: Matrix) -> Matrix:
    result: Matrix = (A - reference.mean(axis=0)) / reference.std(axis=0)
    return result
