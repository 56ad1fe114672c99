"""Gram sources: every corner, ragged widths, and triangles of which only the lower half is given."""

from __future__ import annotations

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import InputError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.pointwise import PointwiseGram
from kernelfit.gram.source import ArrayGram, KernelGram, PanelGram, StoredGram, mirror_square, set_diagonal
from kernelfit.kernels import Gaussian, Polynomial
from kernelfit.storage.panel_file import PanelFile

N, WIDTH = 83, 19


@pytest.fixture
def matrix(rng):
    x = rng.standard_normal((N, N))
    return x @ x.T + N * np.eye(N)


def panels_of(matrix, layout, dtype=np.float64):
    """Packed panels with NaN above the diagonal, where nobody may look."""
    lower = matrix.astype(dtype)
    lower[np.triu_indices(len(matrix), 1)] = np.nan
    return [lower[layout.start(j) :, layout.start(j) : layout.stop(j)].copy() for j in range(layout.count)]


def sources(kind, rng, matrix, tmp_path):
    layout = PanelLayout(N, WIDTH)
    if kind == "stored":
        file = PanelFile.create(tmp_path / "panels.h5", layout, np.float64, named=False)
        for j, panel in enumerate(panels_of(matrix, layout)):
            file.write(j, (layout.start(j), N), panel)
        return StoredGram(file), matrix
    if kind == "kernel":
        x = rng.standard_normal((N, 5))
        distances = ((x[:, None] - x[None]) ** 2).sum(-1)
        return KernelGram(Gaussian(0.3), Points(x)), np.exp(-0.3 * distances)
    if kind == "array":
        lower = matrix.copy()
        lower[np.triu_indices(N, 1)] = 1e9  # not the other half of K
        return ArrayGram(lower), matrix
    return PanelGram(layout, panels_of(matrix, layout)), matrix


@pytest.mark.parametrize("kind", ["kernel", "array", "panels", "stored"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_tile_of_the_lower_triangle(rng, backend, matrix, tmp_path, kind, dtype):
    source, expected = sources(kind, rng, matrix, tmp_path)
    layout = PanelLayout(N, WIDTH)
    assert source.n == N
    np.testing.assert_allclose(source.diagonal(), np.diag(expected), rtol=1e-14)
    for j in range(layout.count):
        first, last = layout.start(j), layout.stop(j)
        columns = source.columns(first, last, backend)
        cuts = [(a, min(a + 7, N)) for a in range(first, N, 7)] + [(first, N), *layout.panel_strips(j)]
        for start, stop in cuts:
            width = min(last, stop) - first
            out = np.full((stop - start, width), np.nan, dtype)
            columns.fill(start, stop, out)
            np.testing.assert_allclose(
                out, expected[start:stop, first : first + width], rtol=5 * np.finfo(dtype).eps, atol=1e-15
            )
            if kind == "kernel":
                inside = np.arange(max(start, first), min(stop, last))
                assert (out[inside - start, inside - first] == 1).all()


def test_a_diagonal_is_put_where_the_tile_meets_it():
    diagonal = np.arange(10.0)
    for row, column, shape in [
        (0, 0, (10, 10)),
        (3, 0, (4, 5)),
        (0, 3, (5, 4)),
        (6, 2, (4, 3)),
        (2, 7, (4, 3)),
    ]:
        out = np.full(shape, -1.0)
        set_diagonal(out, row, column, diagonal)
        for i in range(shape[0]):
            for j in range(shape[1]):
                assert out[i, j] == (diagonal[row + i] if row + i == column + j else -1.0)


def test_arrays_that_are_refused():
    for bad, says in [
        (np.ones((2, 3)), "gram: got shape (2, 3)"),
        (np.ones(4), "gram: got shape (4,)"),
        (np.eye(2, dtype=complex), "gram: got dtype complex128"),
        ([["a"]], "gram: got dtype <U1"),
        ([[1.0], [2.0, 3.0]], "gram: cannot be made an array"),
    ]:
        with pytest.raises(InputError) as caught:
            ArrayGram(bad)
        assert str(caught.value).startswith(says)
    gram = np.eye(3000)
    gram[2500, 7] = np.nan
    with pytest.raises(InputError, match=r"^gram: got nan at \(2500, 7\), expected finite numbers$"):
        ArrayGram(gram)


def test_panels_of_other_shapes_are_refused(matrix):
    layout = PanelLayout(N, WIDTH)
    with pytest.raises(InputError, match=r"^gram: got panels of shapes"):
        PanelGram(layout, panels_of(matrix, PanelLayout(N, WIDTH + 1)))


def test_an_infinite_diagonal_is_refused_before_any_work():
    with pytest.raises(InputError, match=r"^kernel: k\(x, x\) is inf at row 1, expected a finite number"):
        KernelGram(Polynomial(3), Points(np.array([[1.0], [1e120]])))


def test_what_lies_above_the_diagonal_of_a_panel_is_never_looked_at(backend):
    panel = np.where(np.tri(5, dtype=bool), 1.0 + np.arange(5.0)[:, None], 1e300)
    out = np.empty((5, 5), np.float32)
    PanelGram(PanelLayout(5, 5), [panel]).columns(0, 5, backend).fill(0, 5, out)
    np.testing.assert_array_equal(out, np.maximum(*np.indices((5, 5))) + 1.0)


def test_a_source_is_solved_as_it_is(rng):
    """Any but panels was taken for an array of one object."""
    x, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    kernel = Gaussian(0.5)
    expected = kernelfit.solve(x, y, kernel=kernel)
    for source in (KernelGram(kernel, Points(x)), ArrayGram(np.exp(-0.5 * ((x[:, None] - x) ** 2).sum(-1)))):
        found = kernelfit.solve(source, y, kernel="precomputed")
        np.testing.assert_allclose(found.fitted, expected.fitted, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 33, 100])
def test_what_lies_below_a_diagonal_is_mirrored_and_nothing_else_is_touched(rng, n):
    whole = rng.standard_normal((n + 2, n + 3))
    before, square = whole.copy(), whole[1 : n + 1, 2 : n + 2]
    lower = np.tril(square)
    mirror_square(square)
    assert (square == lower + np.tril(lower, -1).T).all()
    before[1 : n + 1, 2 : n + 2] = square
    assert (whole == before).all()


def test_a_diagonal_that_could_not_be_read_is_read_again(rng, matrix, tmp_path, monkeypatch):
    source, _ = sources("stored", rng, matrix, tmp_path)
    read = source.reader.read

    def failing(j, *arguments):
        if j == 2:
            raise OSError("gone")
        return read(j, *arguments)

    monkeypatch.setattr(source.reader, "read", failing)
    with pytest.raises(OSError, match="gone"):
        source.diagonal()
    monkeypatch.undo()
    np.testing.assert_array_equal(source.diagonal(), np.diagonal(matrix))


class Wrapped:
    """What NumPy takes for an array, and hands its own array over, as xarray does."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return self._array


@pytest.mark.parametrize("given", ["array", "wrapped", "panels", "products"])
def test_a_matrix_of_any_kind_that_was_changed_is_not_solved_with(rng, matrix, given):
    """Panels, and the array of another's object, were seen in the certificate alone: 1e-9 passed."""
    layout, y = PanelLayout(N, WIDTH), rng.standard_normal(N)
    panels = panels_of(matrix, layout)
    source, changed = {
        "array": (matrix, matrix),
        "wrapped": (Wrapped(matrix), matrix),
        "panels": (PanelGram(layout, panels), panels[2]),
        "products": (PointwiseGram(PanelGram(layout, panels), Polynomial(2)), panels[0]),
    }[given]
    changed[1, 0] *= 2.0  # before the solve, whatever is there counts
    solution = kernelfit.solve(source, y, kernel="precomputed", ridge=1.0)
    assert solution.solve(2.0 * y).certificate.backward_error < 1e-13
    changed[1, 0] *= 1.0 + 1e-9
    with pytest.raises(InputError, match=r"^gram: the matrix that the solution is of was changed"):
        solution.solve(2.0 * y)
