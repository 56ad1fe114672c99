"""Some rows and columns of K, from every kind of source."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.errors import InputError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.source import ArrayGram, KernelGram, PanelGram
from kernelfit.gram.submatrix import submatrix
from kernelfit.kernels import Gaussian


@pytest.mark.parametrize("kind", ["array", "panels", "kernel"])
@pytest.mark.parametrize(
    "rows",
    [[0], [1299], [3, 700], list(range(1300)), list(range(0, 1300, 7)), list(range(130, 150))],
    ids=["first", "last", "two", "all", "every seventh", "around a seam"],
)
def test_equals_indexing(rng, backend, kind, rows):
    n = 1300
    x = rng.standard_normal((n, 4))
    k = np.exp(-0.3 * ((x[:, None] - x) ** 2).sum(-1))
    layout = PanelLayout(n, 137)
    # What lies above the diagonal is not K: nobody may read it.
    panels = [np.tril(k)[layout.start(j) :, layout.start(j) : layout.stop(j)] for j in range(layout.count)]
    source = {
        "array": lambda: ArrayGram(np.tril(k)),
        "panels": lambda: PanelGram(layout, panels),
        "kernel": lambda: KernelGram(Gaussian(gamma=0.3), Points(x)),
    }[kind]()
    expected = k[np.ix_(rows, rows)]
    part = submatrix(source, np.array(rows), backend)
    np.testing.assert_allclose(part, expected, rtol=1e-12)
    np.testing.assert_array_equal(part, part.T)
    smaller = source.subset(np.array(rows), backend)
    np.testing.assert_allclose(submatrix(smaller, np.arange(len(rows)), backend), expected, rtol=1e-12)


def test_rows_must_ascend(backend):
    with pytest.raises(InputError, match=r"rows: .* ascend"):
        submatrix(ArrayGram(np.eye(4)), np.array([2, 1]), backend)
