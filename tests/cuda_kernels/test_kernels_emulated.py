"""The kernels themselves, run on the host through the launches that Python makes, against kernelfit.kernels.

Three orders of threads: a barrier that is missing shows as a result that depends on the order.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.device import launches
from kernelfit.device.epilogue import program, table
from kernelfit.device.gram import as_int8, put_rows
from kernelfit.device.protocol import DeviceRows, Epilogue, PairBlocks, Symmetric
from kernelfit.gram.points import Points
from kernelfit.gram.pointwise import Lengths, rectangle_of_products
from kernelfit.gram.tile import ColumnBlock
from kernelfit.gram.tile import evaluate as evaluate_on_cpu
from kernelfit.kernels import (
    ArcCosine,
    Cosine,
    Gaussian,
    Laplacian,
    Linear,
    Matern,
    Needs,
    Pairwise,
    RationalQuadratic,
)
from kernelfit.kernels.base import PRODUCTS

ORDERS = (0, 1, 2)
#: a user's function is compiled anew for every kernel that holds it
of_user = cache(Pairwise)


def pairs_of(
    memory, kernel, points: Points, here: DeviceRows, there: DeviceRows, rows, columns
) -> PairBlocks:
    """What `Strips` forms of every pair, products by NumPy."""
    dot = inner = l1 = user = None
    if here.exact:
        a, b = (memory.view(side.values).astype(np.int32) for side in (here, there))
        dot = memory.put(a @ b.T)
    elif kernel.needs & PRODUCTS:
        if Needs.DISTANCES in kernel.needs:
            dot = memory.put(memory.view(here.values) @ memory.view(there.values).T)
        if Needs.INNER_PRODUCTS in kernel.needs:
            inner = memory.put(memory.view(here.inner) @ memory.view(there.inner).T)
    if Needs.L1_DISTANCES in kernel.needs:
        l1 = memory.empty(here.n, there.n, np.float64)
        memory.launch(launches.l1_distances(memory.address, here, there, l1))
    for function in set(kernel.functions()):
        user = memory.put(expected_tile(of_user(function), points, rows, columns))
    return PairBlocks(dot, inner, l1, user)


def device_tile(memory, kernel, points, rows: slice, columns: slice, dtype=None, corner=None) -> np.ndarray:
    """k(rows, columns) by the kernels of `cuda_kernels/`; without a dtype, in place of the products."""
    exact = as_int8(points)
    here, there = (
        put_rows(memory, None, points, kernel, exact, (part.start, part.stop)) for part in (rows, columns)
    )
    epilogue = Epilogue(kernel, program(kernel), memory.put(table(program(kernel))))
    pairs = pairs_of(memory, kernel, points, here, there, rows, columns)
    out = pairs.dot if dtype is None else memory.empty(here.n, there.n, dtype, stride=there.n + 4)
    memory.launch(launches.evaluate(memory.address, epilogue, pairs, here, there, out, corner))
    return memory.view(out)


def expected_tile(kernel, points: Points, rows: slice, columns: slice) -> np.ndarray:
    out = np.empty((rows.stop - rows.start, columns.stop - columns.start))
    with CpuBackend(1) as backend:
        kernel.compile()
        block = ColumnBlock(points, columns.start, columns.stop, points.exact)
        evaluate_on_cpu(kernel, points, rows.start, rows.stop, block, out, backend)
    return out


def test_the_structure_of_a_launch_is_the_same_in_numpy_and_in_cuda(library, structure_fields):
    assert library.sizeof_tile() == launches.TILE.itemsize
    assert len(structure_fields) == 35
    for name, offset in structure_fields.items():
        assert getattr(library, f"offset_{name.replace('.', '_')}")() == offset, name


def test_what_is_launched_is_compiled_alone(rng, emulated, entries_with):
    memory, kernel, points = emulated(), Gaussian(gamma=0.3), Points(rng.standard_normal((6, 3)))
    rows = put_rows(memory, None, points, kernel, False, (0, 6))
    epilogue = Epilogue(kernel, program(kernel), memory.put(table(program(kernel))))
    pairs = PairBlocks(memory.empty(6, 6, np.float64), None, None, None)
    out = memory.empty(6, 6, np.float32)
    launch = launches.evaluate(memory.address, epilogue, pairs, rows, rows, out, None)
    assert entries_with(launch.macros)[launch.source] == [launch.entry] == ["evaluate_f64_f32"]
    assert len(entries_with(())[launch.source]) == 6


@pytest.mark.parametrize("data", ["bytes", "floats"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_family_gives_the_tile_of_the_cpu(rng, emulated, any_kernel, data, dtype):
    if data == "bytes":
        points = Points(rng.integers(0, 256, (90, 37)).astype(np.uint8), 1 / 255)
    else:
        points = Points(rng.standard_normal((90, 37)))
    rows, columns = slice(20, 61), slice(3, 70)
    expected = expected_tile(any_kernel, points, rows, columns)
    got = device_tile(emulated(), any_kernel, points, rows, columns, dtype)
    scale = np.abs(expected).max()
    allowed = 1e-7 * scale if dtype == np.float32 else 2e-14 * scale
    assert np.abs(got - expected).max() <= allowed


@pytest.mark.parametrize("kernel", [Matern(nu=0.5), Laplacian(0.7), ArcCosine()], ids=repr)
def test_rows_with_a_scale_are_subtracted_as_they_came(rng, emulated, kernel):
    """Of pairs 1e-9 apart half of the digits were lost by the multiplication with 0.3."""
    x = rng.standard_normal((40, 3))
    x[20:] = x[:20] + 1e-9 * rng.standard_normal((20, 3))
    points, rows, columns = Points(x, 0.3), slice(0, 25), slice(15, 40)
    got = device_tile(emulated(), kernel, points, rows, columns, np.float64)
    assert np.abs(got - expected_tile(kernel, points, rows, columns)).max() <= 1e-15


@pytest.mark.parametrize("kernel", [Matern(nu=0.5), Matern(nu=0.5) * (Cosine() + Linear())], ids=repr)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_close_pairs_are_formed_from_differences(rng, emulated, kernel, dtype):
    x = rng.standard_normal((90, 7))
    x[45:] = x[:45] + 10.0 ** rng.uniform(-9, -1, (45, 1)) * rng.standard_normal((45, 7))
    points = Points(x)
    rows, columns = slice(0, 61), slice(23, 90)
    expected = expected_tile(kernel, points, rows, columns)
    got = device_tile(emulated(), kernel, points, rows, columns, dtype)
    scale = np.abs(expected).max()
    allowed = 1e-7 * scale if dtype == np.float32 else 2e-14 * scale
    assert np.abs(got - expected).max() <= allowed


def test_hard_rows_give_the_entries_of_the_cpu(rng, emulated, any_kernel, hard_rows):
    """Relative to sqrt(k(x, x) k(x', x')), which no entry is beyond."""
    for d in (1, 4):
        points = Points(hard_rows(rng, 24, d))
        rows, columns = slice(0, 16), slice(9, 24)
        with np.errstate(over="ignore"):
            diagonal = any_kernel.diagonal(points)
            expected = expected_tile(any_kernel, points, rows, columns)
            got = device_tile(emulated(), any_kernel, points, rows, columns, np.float64)
        size = np.sqrt(diagonal[rows])[:, None] * np.sqrt(diagonal[columns])
        inside = np.isfinite(size) & np.isfinite(expected)
        assert (np.abs(got[inside] - expected[inside]) <= 1e-11 * size[inside] + 1e-300).all()


@pytest.mark.parametrize("kernel", [Gaussian(gamma=0.1), Matern(nu=0.5)], ids=repr)
def test_pairs_whose_squares_are_infinite_are_those_of_the_cpu(rng, emulated, kernel):
    """inf - inf was no number, hence not close and not above zero: rows of the distance 0."""
    points = Points(rng.standard_normal((12, 3)), like=Points(1e-155 * rng.standard_normal((5, 3))))
    rows, columns = slice(0, 5), slice(5, 12)
    expected = expected_tile(kernel, points, rows, columns)
    with np.errstate(all="ignore"):
        got = device_tile(emulated(), kernel, points, rows, columns, np.float64)
    assert np.array_equal(got, expected)


@pytest.mark.parametrize(
    "kernel", [Gaussian(gamma=0.1), Matern(nu=0.5), RationalQuadratic(), Linear()], ids=repr
)
def test_products_that_are_no_numbers_give_entries_that_are_none(rng, emulated, kernel):
    """They were those of a pair at distance 0, and of one far apart."""
    products, memory = rng.random((3, 4)), emulated()
    products[1, 2] = np.nan
    with CpuBackend(1) as backend:
        lengths = (Lengths(np.full(size, 2.0)) for size in products.shape)
        expected = rectangle_of_products(kernel, products, *lengths, backend)
    squares, zeros = memory.put(np.full(4, 2.0)), memory.put(np.zeros(4))
    here, there = (
        DeviceRows(size, 1.0, 1.0, None, None, None, squares, zeros, squares, None) for size in products.shape
    )
    epilogue = Epilogue(kernel, program(kernel), memory.put(table(program(kernel))))
    out, pairs = memory.empty(3, 4, np.float64), PairBlocks(memory.put(products))
    memory.launch(launches.evaluate(memory.address, epilogue, pairs, here, there, out, None))
    assert np.array_equal(np.isnan(memory.view(out)), np.isnan(products))
    np.testing.assert_allclose(memory.view(out), expected, rtol=1e-14)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (10, 10), (20, 0), (16, 10), (10, 16)])
def test_the_diagonal_is_exact_and_zeros_stand_above_it(rng, emulated, row, column, both):
    kernel = Gaussian(gamma=0.3) + Linear()
    points = Points(rng.standard_normal((80, 5)))
    memory = emulated()
    rows, columns = slice(row, row + 23), slice(column, column + 19)
    diagonal = kernel.diagonal(points)
    corner = Symmetric(row, column, memory.put(diagonal.reshape(-1, 1)), 0.25, both)
    result = device_tile(memory, kernel, points, rows, columns, corner=corner)
    i, j = np.arange(80)[rows, None], np.arange(80)[None, columns]
    expected = expected_tile(kernel, points, rows, columns)
    if not both:
        expected[i < j] = 0.0
    assert np.allclose(result[i != j], expected[i != j], rtol=1e-14, atol=1e-14)
    assert np.array_equal(result[i == j], (diagonal + 0.25)[np.arange(80)[rows]][(i == j).any(1)])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (64, 64, 16), (65, 130, 17), (7, 200, 5)])
def test_l1_distances(rng, emulated, shape, order):
    height, width, d = shape
    memory = emulated()
    a, b = rng.standard_normal((height, d)), rng.standard_normal((width, d))
    out = memory.empty(height, width, np.float64, stride=width + 3)
    zeros = memory.put(np.zeros(max(height, width)))
    for factors in ((0.1, 0.1), (0.1, 0.3)):
        rows, columns = (
            DeviceRows(
                len(x), 1.0, 1.0, None, None, memory.put(x, d + gap), zeros, zeros, zeros, None, factor
            )
            for x, gap, factor in ((a, 2, factors[0]), (b, 0, factors[1]))
        )
        memory.launch(launches.l1_distances(memory.address, rows, columns, out), order)
        expected = np.abs(factors[0] * a[:, None] - factors[1] * b).sum(2)
        assert np.allclose(memory.view(out), expected, rtol=1e-14)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("how", ["dp4a", "words", "mma"])
@pytest.mark.parametrize("shape", [(1, 1, 64), (128, 128, 128), (130, 259, 192), (300, 5, 64), (65, 66, 320)])
def test_products_of_bytes_are_exact(rng, emulated, shape, how, order):
    height, width, d = shape
    memory = emulated()
    a, b = (rng.integers(-128, 128, (rows, d)).astype(np.int8) for rows in (height, width))
    a[0], b[0] = -128, -128
    rows, columns = memory.put(a), memory.put(b)
    for stride in (width + 1, width + 2):  # numbers leave in pairs where every row begins at an even one
        out = memory.empty(height, width, np.int32, stride=stride)
        memory.launch(launches.byte_products(memory.address, rows, columns, out, how), order)
        assert np.array_equal(memory.view(out), a.astype(np.int32) @ b.astype(np.int32).T)
    assert memory.bank_conflicts() == 0


def test_products_of_bytes_stay_within_their_block(rng, emulated):
    memory = emulated()
    a = memory.put(rng.integers(-128, 128, (70, 64)).astype(np.int8))
    out = memory.put(np.full((130, 140), 7, np.int32))
    inner = out.part((3, 73), (5, 75))  # an odd column: no pairs, though the stride is even
    for part in (inner, out.part((3, 73), (6, 76))):
        memory.view(out)[...] = 7
        memory.launch(launches.byte_products(memory.address, a, a, part, "mma"))
        square = memory.view(a).astype(np.int32) @ memory.view(a).astype(np.int32).T
        assert np.array_equal(memory.view(part), square)
        memory.view(part)[...] = 7
        assert (memory.view(out) == 7).all()


def test_rows_at_odd_addresses_are_refused(emulated):
    memory = emulated()
    rows = memory.put(np.zeros((3, 64), np.int8))
    out = memory.empty(3, 3, np.int32)
    with pytest.raises(ValueError, match="byte_products: rows at"):
        launches.byte_products(lambda block: memory.address(block) + 8, rows, rows, out, "mma")


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
