"""Real data sets, ready for ridge logistic regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from filippov.arguments import Matrix, Vector
from filippov.errors import FilippovError, InvalidInputError
from flows.objectives import RidgeLogistic

__all__ = ["DATASETS", "breast_cancer", "dataset_objective", "load"]


def breast_cancer() -> tuple[Matrix, Vector]:
    """Return the Wisconsin diagnostic breast cancer data, which ship with scikit-learn.

    Returns
    -------
    A : ndarray of shape (569, 30)
        Features, each standardised to mean 0 and standard deviation 1.
    y : ndarray of shape (569,)
        1 for benign, -1 for malignant.

    Raises
    ------
    FilippovError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError:
        raise FilippovError(
            'breast-cancer comes with scikit-learn, which is not installed: pip install "filippov[data]"'
        ) from None
    features, labels = load_breast_cancer(return_X_y=True)
    A = np.asarray(features, dtype=np.float64)
    A = (A - A.mean(axis=0)) / A.std(axis=0)
    return A, np.where(np.asarray(labels) == 1, 1.0, -1.0)


DATASETS: Mapping[str, Callable[[], tuple[Matrix, Vector]]] = MappingProxyType(
    {"breast-cancer": breast_cancer}
)
"""Names of the data sets and the functions that load them."""


def load(name: str) -> tuple[Matrix, Vector]:
    """Return the features A (N, n), standardised, and labels y (N,) in {-1, 1} of a data set.

    Raises
    ------
    InvalidInputError
        If the name is not one of `DATASETS`.
    FilippovError
        If the package that holds the data is not installed.
    """
    if not isinstance(name, str) or name not in DATASETS:
        raise InvalidInputError(f"dataset must be one of {', '.join(DATASETS)}, got {name!r}")
    return DATASETS[name]()


def dataset_objective(name: str, mu: float = 1e-2) -> RidgeLogistic:
    """Return the ridge logistic objective of a data set (paper, section 7).

    Parameters
    ----------
    name : str
        One of `DATASETS`.
    mu : float
        Strength of the ridge.
    """
    A, y = load(name)
    return RidgeLogistic(A, y, mu)
