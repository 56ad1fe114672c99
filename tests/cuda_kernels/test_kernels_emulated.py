"""The kernels themselves, run on the host through the launches that Python makes, against kernelfit.kernels.

Three orders of threads: a barrier that is missing shows as a result that depends on the order.
"""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.device import launches
from kernelfit.device.epilogue import program, table
from kernelfit.device.protocol import DeviceRows, Epilogue, PairBlocks, Symmetric
from kernelfit.gram.points import Points
from kernelfit.gram.tile import ColumnBlock
from kernelfit.gram.tile import evaluate as evaluate_on_cpu
from kernelfit.kernels import (
    Cosine,
    Gaussian,
    Linear,
    Matern,
    Needs,
    Pairwise,
)

ORDERS = (0, 1, 2)


def device_rows(memory, points: Points, rows: slice, exact: bool) -> DeviceRows:
    """Rows of points as `put_rows` lays them out."""
    scaled = memory.put(points.scaled(rows.start, rows.stop))
    if not exact:
        values = memory.put(points.block(rows.start, rows.stop, exact=False))
    else:
        d = points.shape[1]
        padded = np.zeros((rows.stop - rows.start, -(-d // 64) * 64), np.int8)
        padded[:, :d] = points.values[rows].astype(np.int16) - points.centre
        values = memory.put(padded)
    blocks = [
        memory.put(vector.reshape(-1, 1)) for vector in points.row_vectors(rows.start, rows.stop, exact)
    ]
    return DeviceRows(rows.stop - rows.start, points.scale**2 if exact else 1.0, values, scaled, *blocks)


def expected_tile(kernel, points: Points, rows: slice, columns: slice) -> np.ndarray:
    out = np.empty((rows.stop - rows.start, columns.stop - columns.start))
    with CpuBackend(1) as backend:
        kernel.compile()
        block = ColumnBlock(points, columns.start, columns.stop, points.exact)
        evaluate_on_cpu(kernel, points, rows.start, rows.stop, block, out, backend)
    return out


def test_the_structure_of_a_launch_is_the_same_in_numpy_and_in_cuda(library, structure_fields):
    assert library.sizeof_tile() == launches.TILE.itemsize
    assert len(structure_fields) == 27
    for name, offset in structure_fields.items():
        assert getattr(library, f"offset_{name.replace('.', '_')}")() == offset, name


@pytest.mark.parametrize("data", ["bytes", "floats"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_family_gives_the_tile_of_the_cpu(rng, emulated, any_kernel, data, dtype):
    kernel = any_kernel
    if data == "bytes":
        points = Points(rng.integers(0, 256, (90, 37)).astype(np.uint8), 1 / 255)
    else:
        points = Points(rng.standard_normal((90, 37)))
    rows, columns = slice(20, 61), slice(3, 70)
    expected = expected_tile(kernel, points, rows, columns)
    memory = emulated()
    exact = data == "bytes"
    here, there = (device_rows(memory, points, part, exact) for part in (rows, columns))
    terms = program(kernel)
    epilogue = Epilogue(kernel, terms, memory.put(table(terms)))
    a, b = memory.view(here.values), memory.view(there.values)
    dot = memory.put(a.astype(np.int32) @ b.astype(np.int32).T if exact else a @ b.T)
    l1 = None
    if Needs.L1_DISTANCES in kernel.needs:
        l1 = memory.empty(41, 67, np.float64)
        memory.launch(launches.l1_distances(memory.address, here.coordinates, there.coordinates, l1))
    user = None
    for function in set(kernel.functions()):
        user = memory.put(expected_tile(Pairwise(function), points, rows, columns))
    out = memory.empty(41, 67, dtype, stride=71)
    memory.launch(
        launches.evaluate(memory.address, epilogue, PairBlocks(dot, l1, user), here, there, out, None)
    )
    scale = np.abs(expected).max()
    allowed = 1e-7 * scale if dtype == np.float32 else 2e-14 * scale
    assert np.abs(memory.view(out) - expected).max() <= allowed


@pytest.mark.parametrize("kernel", [Matern(nu=0.5), Matern(nu=0.5) * (Cosine() + Linear())], ids=repr)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_close_pairs_are_formed_from_differences(rng, emulated, kernel, dtype):
    x = rng.standard_normal((90, 7))
    x[45:] = x[:45] + 10.0 ** rng.uniform(-9, -1, (45, 1)) * rng.standard_normal((45, 7))
    points = Points(x)
    rows, columns = slice(0, 61), slice(23, 90)
    expected = expected_tile(kernel, points, rows, columns)
    memory = emulated()
    here, there = (device_rows(memory, points, part, False) for part in (rows, columns))
    terms = program(kernel)
    epilogue = Epilogue(kernel, terms, memory.put(table(terms)))
    dot = memory.put(memory.view(here.values) @ memory.view(there.values).T)
    out = memory.empty(61, 67, dtype, stride=71)
    memory.launch(launches.evaluate(memory.address, epilogue, PairBlocks(dot), here, there, out, None))
    scale = np.abs(expected).max()
    allowed = 1e-7 * scale if dtype == np.float32 else 2e-14 * scale
    assert np.abs(memory.view(out) - expected).max() <= allowed


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (10, 10), (20, 0), (16, 10), (10, 16)])
def test_the_diagonal_is_exact_and_zeros_stand_above_it(rng, emulated, row, column, both):
    kernel = Gaussian(gamma=0.3) + Linear()
    points = Points(rng.standard_normal((80, 5)))
    memory = emulated()
    rows, columns = slice(row, row + 23), slice(column, column + 19)
    here, there = (device_rows(memory, points, part, False) for part in (rows, columns))
    terms = program(kernel)
    epilogue = Epilogue(kernel, terms, memory.put(table(terms)))
    diagonal = kernel.diagonal(points)
    out = memory.put(memory.view(here.values) @ memory.view(there.values).T)  # in place, as for float64
    corner = Symmetric(row, column, memory.put(diagonal.reshape(-1, 1)), 0.25, both)
    memory.launch(launches.evaluate(memory.address, epilogue, PairBlocks(out), here, there, out, corner))
    i, j = np.arange(80)[rows, None], np.arange(80)[None, columns]
    expected = expected_tile(kernel, points, rows, columns)
    if not both:
        expected[i < j] = 0.0
    result = memory.view(out)
    assert np.allclose(result[i != j], expected[i != j], rtol=1e-14, atol=1e-14)
    assert np.array_equal(result[i == j], (diagonal + 0.25)[np.arange(80)[rows]][(i == j).any(1)])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (64, 64, 16), (65, 130, 17), (7, 200, 5)])
def test_l1_distances(rng, emulated, shape, order):
    height, width, d = shape
    memory = emulated()
    a, b = rng.standard_normal((height, d)), rng.standard_normal((width, d))
    out = memory.empty(height, width, np.float64, stride=width + 3)
    left, right = memory.put(a, stride=d + 2), memory.put(b)
    memory.launch(launches.l1_distances(memory.address, left, right, out), order)
    expected = np.abs(a[:, None] - b).sum(2)
    assert np.allclose(memory.view(out), expected, rtol=1e-14)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("how", ["dp4a", "mma"])
@pytest.mark.parametrize("shape", [(1, 1, 64), (128, 128, 128), (130, 259, 192), (300, 5, 64)])
def test_products_of_bytes_are_exact(rng, emulated, shape, how, order):
    height, width, d = shape
    memory = emulated()
    a, b = (rng.integers(-128, 128, (rows, d)).astype(np.int8) for rows in (height, width))
    a[0], b[0] = -128, -128
    out = memory.empty(height, width, np.int32, stride=width + 1)
    memory.launch(launches.byte_products(memory.address, memory.put(a), memory.put(b), out, how), order)
    assert np.array_equal(memory.view(out), a.astype(np.int32) @ b.astype(np.int32).T)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (8, 32), (9, 33), (70, 45), (45, 100), (67, 67)])
def test_passes_over_panels(rng, emulated, shape, dtype, order):
    memory = emulated()
    values = rng.standard_normal(shape).astype(dtype)
    block = memory.put(values, stride=shape[1] + 5)
    columns, start = memory.put(np.arange(shape[1], dtype=np.float64)), np.arange(shape[1])
    memory.launch(launches.column_sums(memory.address, block, columns, True), order)
    expected = start + (values.astype(np.float64) ** 2).sum(0)
    assert np.allclose(memory.view(columns)[:, 0], expected, rtol=1e-13)
    if dtype == np.float64:
        rows = memory.put(np.ones(shape[0]))
        memory.launch(launches.absolute_row_sums(memory.address, block, rows), order)
        assert np.allclose(memory.view(rows)[:, 0], 1 + np.abs(values).sum(1), rtol=1e-13)
        memory.launch(launches.column_sums(memory.address, block, columns, False), order)
        assert np.allclose(memory.view(columns)[:, 0], expected + np.abs(values).sum(0), rtol=1e-13)
    total = memory.put(np.ones(shape), stride=shape[1] + 1)
    if dtype == np.float32:
        memory.launch(launches.add_panel(memory.address, block, total), order)
        assert np.array_equal(memory.view(total), 1 + values.astype(np.float64))
    if shape[0] == shape[1]:
        memory.launch(launches.shape_square(memory.address, block, launches.MIRRORED), order)
        assert np.array_equal(memory.view(block), np.tril(values) + np.tril(values, -1).T)
    memory.launch(launches.shape_square(memory.address, block, launches.LOWER), order)
    assert np.array_equal(memory.view(block), np.tril(values))
    memory.launch(launches.shape_square(memory.address, block, launches.IDENTITY), order)
    assert np.array_equal(memory.view(block), np.eye(*shape))
