"""Passes over matrices by slabs of rows give what one pass gives, and leave no second matrix behind."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array

from filippov import slabs
from filippov.arguments import as_symmetric
from filippov.programs.tableau import Tableau
from filippov.rounding import absolute_product, absolute_row_sums, largest_by_row, row_norms


@pytest.fixture(autouse=True)
def thin_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "ROWS", 3)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 11])
def test_slabs_cover_all_rows_once(n: int) -> None:
    K = np.random.default_rng(n).normal(size=(n, n))
    v = np.arange(n) + 1.0
    np.testing.assert_allclose(absolute_row_sums(K), np.abs(K).sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(absolute_row_sums(csr_array(K)), np.abs(K).sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(absolute_product(K, v), np.abs(K) @ v, rtol=1e-14)
    np.testing.assert_allclose(row_norms(K), np.sqrt((K * K).sum(axis=1)), rtol=1e-14)
    np.testing.assert_array_equal(largest_by_row(K), np.abs(K).max(axis=1))
    mean = (K + K.T) / 2
    slabs.symmetrize(K)
    np.testing.assert_array_equal(K, mean)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("noise", [0.0, 1e-15])
def test_a_symmetric_matrix_has_contiguous_rows(order: str, noise: float) -> None:
    random = np.random.default_rng(1)
    K = random.normal(size=(8, 8))
    K = K + K.T + noise * random.normal(size=(8, 8))
    given = np.array(K, order=order)
    taken = as_symmetric("K", given)
    np.testing.assert_array_equal(taken, (K + K.T) / 2)
    np.testing.assert_array_equal(given, K)
    assert taken.flags.c_contiguous
    assert not np.shares_memory(taken, given)


def test_a_slightly_asymmetric_matrix_is_copied_once() -> None:
    n = 400
    random = np.random.default_rng(2)
    K = random.normal(size=(n, n))
    K = K + K.T
    K[3, 5] = np.nextafter(K[3, 5], 9.0)
    tracemalloc.start()
    as_symmetric("K", K)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.3 * K.nbytes  # the copy, and one truth value a number


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_a_tableau_is_built_with_one_matrix_beside_it(share: float) -> None:
    n = 300
    A = np.random.default_rng(3).normal(size=(n, n))
    K = A @ A.T + n * np.eye(n)
    basis = np.arange(n) < share * n
    tracemalloc.start()
    tableau = Tableau(K, basis)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.4 * K.nbytes  # itself, the block of the basis, what is held back
    F, B = np.flatnonzero(basis), np.flatnonzero(~basis)
    inverse = np.linalg.inv(K[np.ix_(F, F)])
    for k in (0, n // 20, n - 1):
        column = np.empty(n)
        if basis[k]:
            column[F], column[B] = -inverse[:, k], K[np.ix_(B, F)] @ inverse[:, k]
        else:
            side = inverse @ K[F, k]
            column[F], column[B] = side, K[B, k] - K[np.ix_(B, F)] @ side
        np.testing.assert_allclose(tableau.column(k), column, rtol=0, atol=1e-12 * np.abs(column).max())
