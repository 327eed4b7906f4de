import sys

import numpy as np
import pytest

from filippov.errors import FilippovError, InvalidInputError
from flows.datasets import DATASETS, breast_cancer, dataset_objective, load


def test_breast_cancer_is_standardised_and_labelled():
    A, y = breast_cancer()
    assert A.shape == (569, 30)
    np.testing.assert_allclose(A.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose((A**2).mean(axis=0), 1, rtol=1e-12)
    # The counts that the data's description states.
    assert (np.sum(y == 1), np.sum(y == -1)) == (357, 212)


def test_objective_has_a_minimiser_that_agrees_with_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    A, y = load("breast-cancer")
    f = dataset_objective("breast-cancer", mu=1e-2)
    x, _ = f.minimize()
    # scikit-learn minimises C sum(loss) + |x|^2 / 2: C = 1 / (N mu).
    peer = LogisticRegression(C=1 / (y.size * 1e-2), fit_intercept=False, tol=1e-10, max_iter=10_000)
    np.testing.assert_allclose(x, peer.fit(A, y).coef_[0], atol=1e-6)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(InvalidInputError, match="dataset must be one of breast-cancer, got 'iris'"):
        load("iris")
    with pytest.raises(InvalidInputError, match="dataset"):
        dataset_objective(3)
    assert list(DATASETS) == ["breast-cancer"]


def test_missing_scikit_learn_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(FilippovError, match=r'pip install "filippov\[data\]"'):
        breast_cancer()
