"""K of one tile against the same K in a panel: the same bits of L and of solutions."""

import numpy as np
import pytest

from kernelfit.cpu import matrix_product
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import ArrayGram
from kernelfit.linalg import cholesky, one_tile
from kernelfit.linalg.product import symmetric_product
from kernelfit.linalg.triangular import solve_factored
from kernelfit.storage.panels import RamPanels

pytestmark = pytest.mark.skipif(not matrix_product.available(), reason="no compiled factor on this CPU")


def gram_of(rng, n):
    rows, signs = rng.standard_normal((n, 5)), rng.choice([-1.0, 1.0], n)
    return np.exp(-0.5 * ((rows[:, None] - rows) ** 2).sum(axis=-1)) * np.outer(signs, signs)


@pytest.mark.parametrize("n", [1, 2, 19, 111, 256, 257, 513, 1_024])
@pytest.mark.parametrize("diagonal", [False, True])
def test_the_bits_are_those_of_a_panel(rng, backend, n, diagonal):
    gram = gram_of(rng, n)
    shift = rng.uniform(0.3, 1.0, n) if diagonal else 0.5
    source = ArrayGram(gram)
    store = RamPanels(PanelLayout.of_order(n), np.float64)
    expected = cholesky.factor(source, shift, store, backend)
    lower = np.empty((n, n))
    pivots = one_tile.factor(gram, source.diagonal(), shift, lower)
    assert (lower == store.begin(0)).all()
    for name in ("smallest", "row", "weak", "log_det"):
        assert getattr(pivots, name) == getattr(expected, name)
    for columns in (columns for columns in (1, 3, 128) if one_tile.solves(n, columns)):
        rhs = rng.standard_normal((n, columns))
        block = rhs.copy()
        solve_factored(store, block, backend)
        assert (one_tile.solve(lower, rhs) == block).all()


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize(("n", "columns"), [(1, 1), (19, 3), (70, 31), (70, 32), (256, 10), (500, 10)])
def test_products_are_those_of_a_panel(rng, backend, n, columns, positive):
    gram, vectors = gram_of(rng, n), rng.standard_normal((n, columns))
    gram = np.abs(gram) if positive else gram
    expected = symmetric_product(ArrayGram(gram), PanelLayout.of_order(n), vectors, backend, with_norm=True)
    made = one_tile.product(gram.copy(), vectors)
    assert expected.absolute is not None
    bound = 4 * n * np.finfo(float).eps
    assert (np.abs(made.values - expected.values) <= bound * expected.absolute).all()
    np.testing.assert_allclose(made.sums, expected.sums, rtol=bound)
    np.testing.assert_allclose(made.absolute, expected.absolute, rtol=bound)


def test_the_row_of_a_pivot_that_is_not_positive(rng):
    gram = gram_of(rng, 30)
    gram[20], gram[:, 20] = gram[7], gram[:, 7]
    gram[20, 20] = gram[7, 7] - 0.1
    with pytest.raises(NotPositiveDefiniteError) as caught:
        one_tile.factor(gram, np.diagonal(gram), 1e-3, np.empty_like(gram))
    assert caught.value.row == 20
    assert -0.2 < caught.value.pivot < 0
