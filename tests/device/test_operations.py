"""Every operation of a device against NumPy: one body for the stand-in and for a GPU."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.epilogue import program, table, take_epilogue
from kernelfit.device.gram import Strips, as_int8, fetch, put, put_rows, row_bytes
from kernelfit.device.host import HostDevice
from kernelfit.device.protocol import ALIGNMENT, Block, DeviceRows, PairBlocks, Symmetric
from kernelfit.device.triangular import solve_right
from kernelfit.features import RandomConv
from kernelfit.gram.points import Points
from kernelfit.gram.tile import ColumnBlock
from kernelfit.gram.tile import evaluate as evaluate_on_cpu
from kernelfit.kernels import Cosine, Gaussian, Linear, Matern, NeuralTangent, Pairwise
from kernelfit.streaming.device_random_conv import DeviceNet

CAPACITY = 16_000_000


class Workbench:
    """A device with a stream, and blocks put on it and read from it."""

    def __init__(self, device) -> None:
        self.device, self.stream = device, device.stream("main")

    def put(self, array, dtype=None, gap=0) -> Block:
        array = np.ascontiguousarray(array, dtype)
        block = self.empty(*array.shape, array.dtype, gap)
        put(self.device, self.stream, array, block)
        return block

    def empty(self, rows, columns, dtype, gap=0) -> Block:
        return self.device.slab.take(rows, columns, dtype, columns + gap)

    def get(self, block):
        return fetch(self.device, self.stream, block)


@pytest.fixture
def bench(make_device):
    return Workbench(make_device(CAPACITY))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.uint8, np.int8])
@pytest.mark.parametrize("shape", [(1, 1), (1, 19), (19, 1), (111, 70)])
def test_copies(rng, bench, shape, dtype):
    values = rng.integers(0, 100, shape).astype(dtype)
    for gap in (0, 5):
        block = bench.put(values, gap=gap)
        assert np.array_equal(bench.get(block), values)
        other = bench.empty(*shape, dtype, gap + 1)
        bench.device.copy(bench.stream, block, other)
        assert np.array_equal(bench.get(other), values)
        part = block.part((shape[0] // 2, shape[0]), (0, -(-shape[1] // 2)))
        assert np.array_equal(bench.get(part), values[shape[0] // 2 :, : -(-shape[1] // 2)])
        assert np.array_equal(bench.get(block.diagonal())[:, 0], np.diagonal(values))
    packed = bench.put(values)
    bench.device.zero(bench.stream, packed)
    assert not bench.get(packed).any()


def test_values_of_another_shape_are_not_put(bench):
    for shape in ((1, 5), (3, 1), (3, 4)):
        with pytest.raises(ValueError, match="put: "):
            put(bench.device, bench.stream, np.ones((3, 5)), bench.empty(*shape, np.float64))


def test_the_stand_in_refuses_the_table_of_another_kernel():
    bench = Workbench(HostDevice(CAPACITY))
    device, stream = bench.device, bench.stream
    points, kernel = Points(np.ones((4, 3))), Gaussian(gamma=0.1) + Linear()
    rows, strips = put_rows(device, stream, points, kernel, True), Strips(device, kernel, True, 4, 4)
    put(device, stream, table(program(Gaussian(gamma=0.1) + Cosine())), strips.epilogue.table)
    strips.evaluate(stream, rows, rows, bench.empty(4, 4, np.float64))
    with pytest.raises(ValueError, match="a table that is not that of"):
        device.synchronise()
    device.close()


def test_operands_that_are_refused(bench, refused_operands):
    operation, arguments, name = refused_operands
    blocks = [bench.empty(*each) if isinstance(each, tuple) else each for each in arguments]
    with pytest.raises(ValueError, match=f"^{name}: "):
        getattr(bench.device, operation)(bench.stream, *blocks)


@pytest.mark.parametrize("gap", ["rows", "out"])
def test_the_users_function_takes_rows_without_gaps(bench, gap):
    kernel, vectors = Pairwise(lambda x, y: x[0] * y[0]), [bench.put(np.zeros((3, 1)))] * 3
    domain = bench.put(np.ones((3, 2)), gap=1 if gap == "rows" else 0)
    rows = DeviceRows(3, 1.0, 1.0, None, None, None, *vectors, None, domain=domain)
    out = bench.empty(3, 3, np.float64, gap=1 if gap == "out" else 0)
    with pytest.raises(ValueError, match="user_values: a block with gaps"):
        bench.device.user_values(bench.stream, kernel, rows, rows, out)


WIDTH = 1.0


def of_width(x, y):
    return math.exp(-abs(x[0] - y[0]) / WIDTH)


def test_an_open_device_compiles_a_function_anew_for_what_it_reads_now(rng, bench, monkeypatch):
    """It filled tiles with the width that it had read first, beside a diagonal and a digest of the other."""
    points = Points(rng.standard_normal((6, 1)))
    distances = np.abs(points.values - points.values.T)
    for width in (1.0, 4.0):
        monkeypatch.setitem(globals(), "WIDTH", width)
        kernel = Pairwise(of_width)
        rows = put_rows(bench.device, bench.stream, points, kernel, False)
        out = bench.empty(6, 6, np.float64)
        bench.device.user_values(bench.stream, kernel, rows, rows, out)
        np.testing.assert_allclose(bench.get(out), np.exp(-distances / width), rtol=1e-13)


def test_inputs_of_an_epilogue_have_one_stride(bench):
    """As a GPU reads them."""
    zeros, epilogue = bench.put(np.zeros((3, 1))), take_epilogue(bench.device.slab, Linear())
    rows = DeviceRows(3, 1.0, 1.0, None, None, None, zeros, zeros, zeros, None)
    pairs = PairBlocks(bench.empty(3, 3, np.float64), l1=bench.empty(3, 3, np.float64, gap=1))
    with pytest.raises(ValueError, match="evaluate: inputs with strides"):
        bench.device.evaluate(bench.stream, epilogue, pairs, rows, rows, pairs.dot, None)


def test_empty_blocks_do_nothing(bench):
    device, stream = bench.device, bench.stream
    none, some = bench.empty(0, 5, np.float64), bench.put(np.ones((3, 5)))
    device.zero(stream, none)
    device.copy(stream, none, none)
    device.gemm(stream, 1.0, none, some, 0.0, bench.empty(0, 3, np.float64), transpose_b=True)
    device.solve_right(stream, bench.put(np.eye(5)), none)
    assert bench.get(none).shape == (0, 5)
    assert np.array_equal(bench.get(some), np.ones((3, 5)))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("transposed", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (19, 3, 64), (130, 67, 33)])
def test_products(rng, tolerance, bench, shape, transposed, dtype):
    m, n, k = shape
    a, b = rng.standard_normal((k, m) if transposed[0] else (m, k)), rng.standard_normal((k, n))
    b = b.T if transposed[1] else b
    c = rng.standard_normal((m, n))
    out = bench.put(c, dtype, gap=3)
    for alpha, beta in ((-1.0, 1.0), (2.0, 0.0)):
        expected = alpha * (a.T if transposed[0] else a) @ (b.T if transposed[1] else b) + beta * c
        bench.device.gemm(
            bench.stream,
            alpha,
            bench.put(a, dtype, gap=2),
            bench.put(b, dtype, gap=1),
            beta,
            out,
            transpose_a=transposed[0],
            transpose_b=transposed[1],
        )
        assert (
            np.abs(bench.get(out) - expected).max() <= tolerance(dtype, k) * (np.abs(a).max() + 1) ** 2 * 10
        )


def test_products_in_tf32_round_to_eleven_bits(rng, make_device):
    bench = Workbench(make_device(CAPACITY, compute="tf32"))
    # Large enough for the tensor cores: the mode allows TF32, and does not ask for it.
    m, n, k = 256, 320, 512
    a, b = rng.standard_normal((m, k)), rng.standard_normal((n, k))
    out = bench.empty(m, n, np.float32)
    bench.device.gemm(
        bench.stream, 1.0, bench.put(a, np.float32), bench.put(b, np.float32), 0.0, out, transpose_b=True
    )
    error = np.abs(bench.get(out) - a @ b.T).max()
    # Float32 alone would be off by some 1e-5.
    assert 1e-3 < error < k * 2.0**-10


@pytest.mark.parametrize("shape", [(1, 1, 64), (128, 64, 128), (130, 259, 192), (63, 6, 832), (64, 5, 64)])
def test_products_of_bytes_are_exact(rng, bench, shape):
    m, n, d = shape
    a, b = (rng.integers(-128, 128, (rows, d)).astype(np.int8) for rows in (m, n))
    a[0], b[0] = -128, -128
    expected = a.astype(np.int32) @ b.astype(np.int32).T
    for how in ("cublas", "dp4a", "mma"):
        bench.device.byte_products = how  # the stand-in has one way only
        out = bench.empty(m, n, np.int32)
        bench.device.gemm(bench.stream, 1.0, bench.put(a), bench.put(b), 0.0, out, transpose_b=True)
        assert np.array_equal(bench.get(out), expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", [1, 19, 111, 300])
def test_factors_and_triangular_solves(rng, tolerance, bench, monkeypatch, order, dtype):
    monkeypatch.setattr("kernelfit.device.inverses.TRIANGLE", 64)
    device, stream = bench.device, bench.stream
    root = rng.standard_normal((order, order + 5))
    square = root @ root.T / order + np.eye(order)
    allowed = tolerance(dtype, order, 50)
    a = bench.put(square, dtype, gap=3)
    work = bench.empty(1, max(1, device.potrf_workspace(order, dtype) // np.dtype(dtype).itemsize), dtype)
    status = bench.empty(1, 1, np.int32)
    device.potrf(stream, a, work, status)
    lower = bench.get(a).astype(np.float64)
    assert bench.get(status)[0, 0] == 0
    assert np.array_equal(lower, np.tril(lower))
    assert np.abs(lower @ lower.T - square).max() <= allowed
    wide, tall = rng.standard_normal((order, 4)), rng.standard_normal((33, order))
    for transposed in (False, True):
        x = bench.put(wide, dtype, gap=2)
        device.solve_left(stream, a, x, transposed=transposed)
        assert np.abs((lower.T if transposed else lower) @ bench.get(x) - wide).max() <= allowed
    for solve in (device.solve_right, partial(solve_right, device)):
        x = bench.put(tall, dtype, gap=1)
        solve(stream, a, x)
        assert np.abs(bench.get(x) @ lower.T - tall).max() <= allowed


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("row", [0, 1, 17, 39])
def test_potrf_says_which_pivot_is_not_positive(bench, row, dtype):
    square = np.eye(40)
    square[row, row] = -1.0
    a, status = bench.put(square, dtype), bench.empty(1, 1, np.int32)
    work = bench.empty(1, max(1, bench.device.potrf_workspace(40, dtype) // np.dtype(dtype).itemsize), dtype)
    bench.device.potrf(bench.stream, a, work, status)
    assert bench.get(status)[0, 0] == row + 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (8, 32), (67, 67), (70, 45), (45, 100)])
def test_passes_over_panels(rng, bench, shape, dtype):
    device, stream = bench.device, bench.stream
    values = rng.standard_normal(shape).astype(dtype)
    wide = values.astype(np.float64)
    block = bench.put(values, gap=5)
    columns = bench.put(np.ones((shape[1], 1)))
    device.squared_column_sums(stream, block, columns)
    assert np.allclose(bench.get(columns)[:, 0], 1 + (wide**2).sum(0), rtol=1e-13)
    if dtype == np.float64:
        rows, left = bench.put(np.ones((shape[0], 1))), shape[1] // 2
        columns = bench.put(np.ones((shape[1], 1)))
        device.absolute_sums(stream, block, left, rows, columns)
        expected = 1 + np.abs(values).sum(0) * (np.arange(shape[1]) < left)
        assert np.allclose(bench.get(rows)[:, 0], 1 + np.abs(values).sum(1), rtol=1e-13)
        assert np.allclose(bench.get(columns)[:, 0], expected, rtol=1e-13)
    else:
        for kind in (np.float32, np.float64):
            total = bench.put(np.ones(shape), kind, gap=1)
            device.add(stream, block, total)
            assert np.allclose(bench.get(total), 1 + wide, rtol=0, atol=1e-6)
    if shape[0] == shape[1]:
        device.mirror(stream, block)
        assert np.array_equal(bench.get(block), np.tril(values) + np.tril(values, -1).T)
    device.set_identity(stream, block)
    assert np.array_equal(bench.get(block), np.eye(*shape))


def expected_tile(kernel, points, rows, columns):
    out = np.empty((rows[1] - rows[0], columns[1] - columns[0]))
    with CpuBackend(1) as backend:
        kernel.compile()
        block = ColumnBlock(points, *columns, points.exact)
        evaluate_on_cpu(kernel, points, *rows, block, out, backend)
    return out


@pytest.mark.parametrize("data", ["bytes", "floats"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_tiles_of_every_family(rng, bench, any_kernel, data, dtype):
    kernel = any_kernel
    if data == "bytes":
        points = Points(rng.integers(0, 256, (90, 37)).astype(np.uint8), 1 / 255)
    else:
        points = Points(rng.standard_normal((90, 37)))
    device, stream, exact = bench.device, bench.stream, as_int8(points)
    assert exact == (data == "bytes")
    on_device = put_rows(device, stream, points, kernel, exact)
    strips = Strips(device, kernel, exact, 16, 32)  # several strips, ragged both ways
    strips.prepare(stream)
    rows, columns = (20, 61), (3, 70)
    expected = expected_tile(kernel, points, rows, columns)
    out = bench.empty(41, 67, dtype, gap=4)
    strips.evaluate(stream, on_device.part(rows), on_device.part(columns), out)
    scale = np.abs(expected).max()
    allowed = (1e-7 if dtype == np.float32 else 5e-14) * scale
    i, j = np.arange(*rows)[:, None], np.arange(*columns)[None, :]
    # Between a row and itself only round-off is left of a distance, whose root the Matern kernels take.
    assert np.abs(bench.get(out) - expected)[i != j].max() <= allowed
    exact_diagonal = kernel.diagonal(points)
    diagonal = bench.put(exact_diagonal.reshape(-1, 1))
    for both in (False, True):
        corner = Symmetric(rows[0], columns[0], diagonal, 0.25, both)
        strips.evaluate(stream, on_device.part(rows), on_device.part(columns), out, corner)
        wanted = expected if both else np.where(i < j, 0.0, expected)
        found = bench.get(out)
        assert np.abs(found - wanted)[i != j].max() <= allowed
        assert np.array_equal(found[i == j], (exact_diagonal[rows[0] : rows[1]] + 0.25).astype(dtype))


@pytest.mark.parametrize(
    "kernel", [Matern(nu=0.5), NeuralTangent(2), Gaussian(gamma=0.1) + Linear() * Cosine()], ids=repr
)
def test_tiles_of_hard_rows(rng, bench, hard_rows, kernel):
    """Rows that lie there centred, over powers of two, as they are, or as several of these; strips share products."""
    points = Points(hard_rows(rng, 40, 3))
    device, stream, exact = bench.device, bench.stream, as_int8(points)
    strips = Strips(device, kernel, exact, 16, 16)
    strips.prepare(stream)
    mark = device.slab.mark()
    on_device = put_rows(device, stream, points, kernel, exact)
    assert device.slab.used - mark <= 40 * row_bytes(points, kernel, exact) + 8 * ALIGNMENT
    rows, columns = (0, 33), (7, 40)
    expected = expected_tile(kernel, points, rows, columns)
    out = bench.empty(33, 33, np.float64)
    strips.evaluate(stream, on_device.part(rows), on_device.part(columns), out)
    diagonal = np.sqrt(kernel.diagonal(points))
    size = diagonal[slice(*rows), None] * diagonal[slice(*columns)]
    assert (np.abs(bench.get(out) - expected) <= 1e-11 * size + 1e-300).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (64, 64, 16), (65, 130, 17), (7, 200, 5)])
def test_l1_distances(rng, bench, shape):
    height, width, d = shape
    a, b = rng.standard_normal((height, d)), rng.standard_normal((width, d))
    vectors = [bench.put(np.zeros((max(height, width), 1)))] * 3
    rows, columns = (
        DeviceRows(len(array), 1.0, 1.0, None, None, bench.put(array, gap=gap), *vectors, None)
        for array, gap in ((a, 2), (b, 0))
    )
    out = bench.empty(height, width, np.float64, gap=3)
    bench.device.l1_distances(bench.stream, rows, columns, out)
    assert np.allclose(bench.get(out), np.abs(a[:, None] - b).sum(2), rtol=1e-14)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_inner_products_that_are_there_already(rng, bench, kind):
    """As panels of a Gram matrix use the epilogue: strided input, the linear kernel, a scale."""
    device, stream, n = bench.device, bench.stream, 23
    values = rng.standard_normal((n, 40)).astype(kind)
    dot = bench.put(values, gap=7)
    zeros = bench.put(np.zeros((n + 40, 1)))
    rows, columns = (
        DeviceRows(size, 0.5, 1.0, None, None, None, zeros, zeros, zeros, None) for size in (n, 40)
    )
    epilogue = take_epilogue(device.slab, Linear())
    put(device, stream, table(epilogue.terms), epilogue.table)
    out = bench.empty(n, 40, np.float64)
    device.evaluate(stream, epilogue, PairBlocks(dot), rows, columns, out, None)
    assert np.allclose(bench.get(out), 0.5 * values.astype(np.float64), rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    ("image_shape", "options"),
    [
        ((12, 12, 1), {"n_filters": 5, "patch_size": 3, "pool_size": 4, "pool_stride": 3}),
        ((32, 32, 3), {"n_filters": 67, "patch_size": 6}),
        ((9, 14, 2), {"n_filters": 64, "patch_size": 5, "pooling": "quadrants", "threshold": 0.3}),
        ((4, 4, 1), {"n_filters": 3, "patch_size": 6}),
    ],
)
def test_the_random_convolution_block(rng, make_device, image_shape, options, dtype):
    d = int(np.prod(image_shape))
    images = rng.integers(0, 256, (5, d)).astype(dtype)
    images[1] = 7  # flat patches
    net = RandomConv(image_shape, n_patches=500, random_state=1, threads=1, **options)
    net.fit(rng.integers(0, 256, (20, d)).astype(dtype))
    found = DeviceNet(make_device(CAPACITY), net, dtype).transform(images, rows_at_once=3)
    expected = net.transform(images)
    # Float32 sums over patches and windows, in another order.
    assert np.abs(found - expected).max() <= 2e-5 * max(1.0, np.abs(expected).max())


def test_streams_wait_for_events(rng, bench):
    device, other = bench.device, bench.device.stream("other", urgent=True)
    values = rng.standard_normal((300, 300))
    a, product, copied = (
        bench.put(values),
        bench.empty(300, 300, np.float64),
        bench.empty(300, 300, np.float64),
    )
    for _ in range(20):
        device.zero(bench.stream, product)
        device.gemm(bench.stream, 1.0, a, a, 1.0, product)
        device.wait(other, device.record(bench.stream))
        device.copy(other, product, copied)
        device.wait(bench.stream, device.record(other))
    device.synchronise()
    assert np.allclose(bench.get(copied), values @ values, rtol=1e-12, atol=1e-10)


def test_host_memory_given_back_may_be_taken_again(bench):
    device = bench.device
    for size in (1, 1_000, 100_000, 1_000):
        array = device.host(size)
        assert array.nbytes == size
        array[:] = 3
        device.release_host(array)


@pytest.mark.gpu
def test_numbers_beyond_two_to_the_thirty_second_byte(make_device):
    """Offsets that 32 bits do not hold, in every kernel that walks over a block."""
    if make_device(1).name == "host":
        pytest.skip("on a GPU only: 20 GB")
    order = 50_000
    bench = Workbench(make_device(21 * 10**9))
    device, stream = bench.device, bench.stream
    whole = device.slab.take(order, order, np.float64)
    device.set_identity(stream, whole)
    corner = whole.part((order - 300, order), (order - 300, order))
    assert np.array_equal(bench.get(corner), np.eye(300))
    sums = bench.put(np.zeros((order, 1)))
    device.squared_column_sums(stream, whole, sums)
    assert np.array_equal(bench.get(sums), np.ones((order, 1)))
    device.gemm(stream, 2.0, corner, corner, 1.0, whole.part((order - 300, order), (0, 300)))
    assert np.array_equal(bench.get(whole.part((order - 300, order), (0, 300))), 2 * np.eye(300))
