"""`CudaDevice` line by line, with CuPy replaced by column-major routines on the host and the kernels emulated."""

from __future__ import annotations

import errno
import gc
import importlib.util
import itertools
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import kernelfit
from benchmarks.gpu import kernels
from kernelfit.cluster import gpu
from kernelfit.cluster.arithmetic import Part
from kernelfit.cluster.deal import Deal
from kernelfit.cluster.device_arithmetic import DeviceArithmetic
from kernelfit.cluster.device_costs import columns_of, fixed_bytes, row_bytes
from kernelfit.cluster.host_arithmetic import HostArithmetic
from kernelfit.cluster.share import Share
from kernelfit.cluster.tiles import RamTiles
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device import pinned
from kernelfit.device.choose import open_device
from kernelfit.device.cuda import CudaDevice
from kernelfit.device.gram import fetch, gram_row_bytes, put
from kernelfit.device.host import HostDevice
from kernelfit.errors import DeviceError, InputError, NotPositiveDefiniteError, PlanError
from kernelfit.features import RandomConv
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.kernels import Cosine, Gaussian, Laplacian, Linear
from kernelfit.linalg.product import symmetric_product
from kernelfit.streaming.gram import feature_gram


@pytest.fixture
def fake(monkeypatch, library):
    spec = importlib.util.spec_from_file_location("fake_cupy", Path(__file__).with_name("fake_cupy.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    modules = module.modules(library)
    for name, one in modules.items():
        monkeypatch.setitem(sys.modules, name, one)
    yield modules
    pinned.release()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_operations_are_those_of_the_stand_in(rng, tolerance, fake, dtype):
    square = rng.standard_normal((20, 25))
    square = square @ square.T + np.eye(20)
    arrays = {"a": square, "x": rng.standard_normal((33, 20)), "b": rng.standard_normal((20, 4))}
    results = []
    for device in (HostDevice(4_000_000), CudaDevice(0, 4_000_000)):
        stream = device.stream("main")
        blocks = {}
        for name, array in arrays.items():
            whole = device.slab.take(*array.shape, dtype, stride=array.shape[1] + 3)
            put(device, stream, array.astype(dtype), whole)
            blocks[name] = whole
        a, x, b = blocks.values()
        status = device.slab.take(1, 1, np.int32)
        work = device.slab.take(1, device.potrf_workspace(20, dtype) // np.dtype(dtype).itemsize, dtype)
        spare = device.slab.take(20, 20, dtype)
        device.copy(stream, a, spare)
        device.potrf(stream, a, work, status)
        device.solve_right(stream, a, x)
        device.solve_left(stream, a, b)
        product = device.slab.take(33, 4, dtype)
        device.zero(stream, product)
        device.gemm(stream, 2.0, x, b, 1.0, product)
        device.gemm(stream, -1.0, x.part((3, 23)), x.part((5, 9)), 0.5, b, transpose_b=True)
        device.gemm(stream, 1.0, x, product, 1.0, b, transpose_a=True)
        device.solve_left(stream, a, b, transposed=True)
        diagonal = a.diagonal()
        sums = device.slab.take(20, 1, np.float64)
        device.zero(stream, sums)
        device.squared_column_sums(stream, x, sums)
        results.append(
            [fetch(device, stream, block) for block in (a, x, b, product, status, spare, diagonal, sums)]
        )
        if dtype == np.float64:
            rows = device.slab.take(33, 1, np.float64)
            device.zero(stream, rows)
            device.absolute_sums(stream, x, 7, rows, sums)
            results[-1] += [fetch(device, stream, rows), fetch(device, stream, sums)]
        identity = x.part((0, 20))
        device.set_identity(stream, identity)
        results[-1].append(fetch(device, stream, x))
        device.close()
    for expected, found in zip(*results, strict=True):
        assert np.allclose(found, expected, rtol=tolerance(dtype, 500), atol=tolerance(dtype, 500))


def test_operands_that_are_refused(fake, refused_operands):
    operation, operands, name = refused_operands
    device = CudaDevice(0, 4_000_000)
    blocks = [
        device.slab.take(*each[:2], each[2], each[1] + sum(each[3:])) if isinstance(each, tuple) else each
        for each in operands
    ]
    with pytest.raises(ValueError, match=f"^{name}: "):
        getattr(device, operation)(device.stream("main"), *blocks)
    device.close()


def test_blocks_without_gaps_are_copied_as_bytes(rng, fake, monkeypatch):
    """Rows that lie 2^31 bytes apart or more are refused, a single one of them too."""
    device, values = CudaDevice(0, 1_000_000), rng.standard_normal((3, 4))
    stream = device.stream("main")
    source, target = (device.slab.take(3, 4, np.float64) for _ in range(2))
    put(device, stream, values, source)
    monkeypatch.setattr(fake["cupy_backends.cuda.api.runtime"], "memcpy2DAsync", None)
    device.copy(stream, source, target)
    assert np.array_equal(fetch(device, stream, target), values)
    device.close()


@pytest.mark.parametrize("byte_products", ["cublas", "dp4a", "mma"])
@pytest.mark.parametrize("data", ["bytes", "floats"])
def test_a_solve_is_that_of_the_cpu(rng, tolerance, fake, data, byte_products):
    n = 131  # ragged tiles of bytes, which cuBLAS does not take
    if data == "bytes":
        X, X_test = (rng.integers(0, 256, (m, 20)).astype(np.uint8) for m in (n, 9))
    else:
        X, X_test = rng.standard_normal((n, 20)), rng.standard_normal((9, 20))
    Y = rng.standard_normal((n, 3))
    kernel = Gaussian(gamma=0.2) + Linear() * Laplacian(gamma=0.1)
    given = {"kernel": kernel, "ridge": 0.01, "scale": 1 / 255 if data == "bytes" else None}
    expected = kernelfit.solve(X, Y, device="cpu", **given)
    device = CudaDevice(0, 8_000_000, byte_products=byte_products)
    solution = kernelfit.solve(X, Y, device=device, panel_width=48, **given)
    assert solution.device == "cuda:0"
    assert solution.certificate.backward_error <= tolerance(np.float64, n)
    assert np.allclose(solution.alpha, expected.alpha, rtol=1e-8, atol=1e-8)
    assert np.allclose(solution.predict(X_test), expected.predict(X_test), rtol=1e-8, atol=1e-8)
    assert np.allclose(solution.leave_one_out(), expected.leave_one_out(), rtol=1e-7, atol=1e-7)
    solution.close()
    assert fake["cupy_backends.cuda.api.runtime"].blocks == {}


@pytest.mark.parametrize("rows", [16, 17])
def test_products_of_bytes_that_cublas_refuses_are_formed_all_the_same(rng, fake, monkeypatch, rows):
    a, b = (rng.integers(-128, 128, (count, 64)).astype(np.int8) for count in (rows, 8))
    blas = fake["cupy_backends.cuda.libs"].cublas
    asked, gemm = [], blas.gemmEx
    monkeypatch.setattr(blas, "gemmEx", lambda *given: (asked.append(given), gemm(*given)))
    device = CudaDevice(0, 1_000_000)
    stream = device.stream("main")
    left, right = (device.slab.take(*array.shape, np.int8) for array in (a, b))
    out = device.slab.take(rows, 8, np.int32)
    for array, block in ((a, left), (b, right)):
        put(device, stream, array, block)
    for _ in range(2):
        device.zero(stream, out)
        device.gemm(stream, 1.0, left, right, 0.0, out, transpose_b=True)
        assert np.array_equal(fetch(device, stream, out), a.astype(np.int32) @ b.T.astype(np.int32))
    # What was refused once is not asked for again.
    assert (device.refused, len(asked)) == (({(16, 8, 64)}, 1) if rows == 16 else (set(), 2))
    device.close()


@pytest.mark.parametrize("precision", ["mixed", "tf32"])
def test_a_refined_solve(rng, tolerance, fake, precision):
    X, Y = rng.standard_normal((100, 6)), rng.standard_normal((100, 2))
    solution = kernelfit.solve(
        X, Y, kernel="gaussian", gamma=0.3, ridge=0.1, device="cuda", precision=precision, panel_width=32
    )
    assert solution.certificate.backward_error <= tolerance(np.float64, 100)
    solution.close()


@pytest.mark.parametrize("peers", [True, False])
def test_two_cards_share_a_factor(rng, tolerance, fake, peers):
    runtime = fake["cupy_backends.cuda.api.runtime"]
    runtime.peers, runtime.opened = peers, {(1, 0)}  # one of both was switched on by somebody else
    X, Y = rng.standard_normal((100, 6)), rng.standard_normal((100, 2))
    given = {"kernel": "gaussian", "gamma": 0.3, "ridge": 0.1}
    expected = kernelfit.solve(X, Y, device="cpu", **given)
    devices = [CudaDevice(index, 4_000_000) for index in (0, 1)]
    solution = kernelfit.solve(X, Y, device=devices, panel_width=16, **given)
    assert solution.device == "cuda:0+cuda:1"
    assert (runtime.bytes_to_peers > 0) == peers
    assert runtime.opened == ({(0, 1), (1, 0)} if peers else {(1, 0)})
    assert solution.certificate.backward_error <= tolerance(np.float64, 100)
    assert np.allclose(solution.alpha, expected.alpha, rtol=1e-9, atol=1e-9)
    solution.close()
    assert fake["cupy_backends.cuda.api.runtime"].blocks == {}


@pytest.mark.parametrize("lacks", [None, 78, 79])
def test_products_that_cublas_emulates_are_timed_and_what_it_lacks_is_said(fake, monkeypatch, lacks):
    blas = fake["cupy_backends.cuda.libs"].cublas
    blas.lacks = lacks
    monkeypatch.delenv("CUBLAS_EMULATION_STRATEGY", raising=False)
    device = CudaDevice(0, 4_000_000)
    record = kernels.emulation(device, 64)
    device.close()
    assert record["emulation_strategy"] == "eager"
    assert "CUBLAS_EMULATION_STRATEGY" not in os.environ
    for name, compute, unit in (("float64_fixed_point", 79, 2**-53), ("float32_bf16x9", 78, 2**-24)):
        assert record[f"{name}_native_error"] <= 64 * unit
        if compute == lacks:
            assert record[f"{name}_refused"] == "CUBLAS_STATUS_NOT_SUPPORTED"
            assert f"{name}_flops_per_second" not in record
            assert compute not in blas.asked
        else:
            assert record[f"{name}_error"] <= 64 * unit
            assert record[f"{name}_flops_per_second"] > 0
            assert compute in blas.asked


def test_failures_are_one_line_and_give_everything_back(rng, fake, monkeypatch):
    runtime = fake["cupy_backends.cuda.api.runtime"]
    with pytest.raises(DeviceError, match=r"^device: cuda:3 failed: cudaErrorInvalidDevice"):
        open_device("cuda:3", 10, print)
    with pytest.raises(DeviceError, match=r"bytes wanted on cuda:0, [\d,]+ free"):
        CudaDevice(0, 2**40)
    with monkeypatch.context() as patched:
        # Less than what is left to libraries and the driver by default.
        patched.setattr(runtime, "free_bytes", 10**9)
        with pytest.raises(DeviceError, match=r"2,147,483,649 bytes wanted on cuda:0, 1,000,000,000 free"):
            CudaDevice(0)
    X = rng.standard_normal((60, 3))
    X[40] = X[7] + 1e-13
    with pytest.raises(NotPositiveDefiniteError, match="row 40"):
        kernelfit.solve(X, X, kernel="gaussian", gamma=1e-3, device=CudaDevice(0, 8_000_000), panel_width=16)
    assert runtime.blocks == {}

    def lost(*arguments):
        raise RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED\ntrace")

    monkeypatch.setattr(fake["cupy_backends.cuda.libs"].cublas, "gemmEx", lost)
    with pytest.raises(DeviceError, match="may be lost: check nvidia-smi") as caught:
        kernelfit.solve(X[:30], X[:30], kernel="gaussian", gamma=1.0, device=CudaDevice(0, 8_000_000))
    assert "\n" not in str(caught.value)
    assert runtime.blocks == {}


def test_what_a_lost_gpu_had_goes_without_a_word(fake, monkeypatch):
    """Streams and events raise where they are destroyed, which Python prints: one traceback for each."""
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    device = CudaDevice(0, 4_000_000)
    stream = device.stream("main")
    events = [device.record(stream) for _ in range(3)]
    lost = fake["cupy"].lost
    lost[0] = True
    device.close()
    del device, stream, events
    gc.collect()
    lost[0] = False
    assert said == []


class CudaAPIError(type("CudaDriverError", (Exception,), {})):
    """As Numba has it."""


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        (
            ImportError("libNVVM cannot be found"),
            InputError,
            r"needs numba-cuda on a GPU \(libNVVM cannot be found\)",
        ),
        (
            NotImplementedError("Unsupported\ntrace"),
            InputError,
            r"cannot compile \(Unsupported\), expected loops",
        ),
        (KeyError("ufunc 'exp'"), InputError, "kernel: got mine, which Numba CUDA cannot compile"),
        (
            CudaAPIError("[700] Call to cuCtxSynchronize"),
            DeviceError,
            "device: cuda:0 failed: .*check nvidia-smi",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_function_that_is_not_compiled_is_refused_before_anything_is_computed(
    fake, monkeypatch, raised, error, message
):
    def mine(x, y):
        return 1.0 + x[0] * y[0]

    def compile_pairwise(function):
        raise raised

    monkeypatch.setattr("kernelfit.device.cuda.compile_pairwise", compile_pairwise)
    X = np.arange(8.0)[:, None]
    with pytest.raises(error, match=message):
        kernelfit.solve(X, X, kernel=mine, ridge=1.0, device=CudaDevice(0, 1_000_000))
    assert fake["cupy_backends.cuda.api.runtime"].blocks == {}


def test_features_of_a_net(rng, fake):
    from kernelfit.streaming.device_random_conv import DeviceNet

    images = rng.integers(0, 256, (5, 12 * 12 * 3)).astype(np.uint8)
    net = RandomConv(
        (12, 12, 3), n_filters=70, patch_size=4, pool_size=5, pool_stride=2, n_patches=300, threads=1
    )
    net.fit(images)
    device = CudaDevice(0, 8_000_000)
    on_device = DeviceNet(device, net, images.dtype)
    found = on_device.transform(images, rows_at_once=2)
    expected = net.transform(images)
    assert np.abs(found - expected).max() <= 2e-5
    device.close()
    for dtype in ("float32", "float64"):
        mine = feature_gram(net, images, images[:2], dtype=dtype)
        gram = feature_gram(
            net, images, images[:2], dtype=dtype, device=CudaDevice(0, 8_000_000), per_block=33
        )
        assert np.allclose(gram.cross, mine.cross, rtol=1e-4, atol=1e-5)
        solution = kernelfit.solve(gram.gram, np.eye(5), kernel="precomputed", ridge=0.1)
        assert solution.device == "cuda:0"
        assert solution.certificate.backward_error <= 1e-14
        solution.close()
        several = (
            Gaussian(0.5 / mine.mean_diagonal) + Linear() * Cosine()
        )  # two products of one and two terms
        expected, formed = mine.of(several), gram.of(several)
        solution = kernelfit.solve(formed.gram, np.eye(5), kernel="precomputed", ridge=0.1)
        alpha = kernelfit.solve(expected.gram, np.eye(5), kernel="precomputed", ridge=0.1, device="cpu").alpha
        assert solution.device == "cuda:0"
        assert np.allclose(solution.alpha, alpha, rtol=1e-3, atol=1e-4 * np.abs(alpha).max())
        solution.close()
        gram.gram.close()
    assert fake["cupy_backends.cuda.api.runtime"].blocks == {}


@pytest.mark.parametrize("registers_nothing", [False, True])
@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_host_memory_is_used_again(fake, size, registers_nothing):
    runtime = fake["cupy_backends.cuda.api.runtime"]
    runtime.registers_nothing = registers_nothing
    device = CudaDevice(0, 4_000_000)
    first, second = device.host(size), device.host(size)
    assert first.nbytes == size
    first[:] = 1
    assert first.ctypes.data != second.ctypes.data
    device.release_host(first)
    assert device.host(size - size // 10).ctypes.data == first.ctypes.data
    assert device.host(size // 10).ctypes.data not in (first.ctypes.data, second.ctypes.data)
    assert runtime.pinned == 3
    refused = registers_nothing and size > 2**21
    assert device.notes == ([REFUSED] if refused else [])
    device.close()
    assert len(runtime.blocks) == (0 if size < 2**21 or registers_nothing else 2)
    pinned.release()
    assert runtime.blocks == {}


REFUSED = (
    "device: the system did not register pinned host memory (cudaErrorNotSupported: operation not supported); the CUDA "
    "runtime's own serves, which takes longer to pin"
)


def test_registered_memory_stays_for_the_next_device_within_a_limit_and_until_it_is_wanted(fake, monkeypatch):
    runtime = fake["cupy_backends.cuda.api.runtime"]
    device = CudaDevice(0, 4_000_000)
    addresses = {device.host(5_000_000).ctypes.data for _ in range(2)}  # three huge pages each
    device.close()
    assert pinned.kept_bytes() == 12 * 2**20
    device = CudaDevice(1, 4_000_000)
    assert device.host(4_500_000).ctypes.data in addresses
    assert runtime.pinned == 2
    monkeypatch.setattr(pinned, "available_memory", lambda: 0)
    device.close()  # what is kept may be half of what there is: one block of two
    assert pinned.kept_bytes() == 6 * 2**20
    kernelfit.solve(np.arange(5.0)[:, None], np.arange(5.0), kernel="gaussian", device="cpu")
    assert pinned.kept_bytes() == 0
    assert runtime.blocks == {}


def test_host_memory_that_cannot_be_pinned_is_ordinary_memory_and_said(rng, fake, monkeypatch):
    runtime = fake["cupy_backends.cuda.api.runtime"]

    def refused(*arguments):
        raise RuntimeError("cudaErrorMemoryAllocation: out of memory")

    monkeypatch.setattr(runtime, "hostAlloc", refused)
    X = rng.standard_normal((60, 3))
    solution = kernelfit.solve(
        X, X, kernel="gaussian", gamma=1.0, device=CudaDevice(0, 4_000_000), panel_width=16
    )
    expected = kernelfit.solve(X, X, kernel="gaussian", gamma=1.0, device="cpu")
    assert np.allclose(solution.alpha, expected.alpha, rtol=1e-7, atol=1e-7)
    assert [note for note in solution.notes if "pinned" in note] == [
        "device: the system did not allocate pinned host memory (cudaErrorMemoryAllocation: out of memory); ordinary "
        "memory serves, from and to which copies are slower"
    ]
    solution.close()


@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_host_memory_that_the_system_refuses_is_one_line(fake, monkeypatch, size):
    def refused(*arguments, **options):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    def nothing(*arguments):
        raise MemoryError("Unable to allocate")

    device = CudaDevice(0, 4_000_000)
    runtime = fake["cupy_backends.cuda.api.runtime"]
    monkeypatch.setattr(runtime, "hostAlloc", nothing)
    monkeypatch.setattr(pinned.mmap, "mmap", refused)
    monkeypatch.setattr(pinned.np, "zeros", nothing)
    expected = r"memory: the system refused [\d,]+ bytes of host memory .*allocate.*; give less memory"
    with pytest.raises(PlanError, match=expected):
        device.host(size)
    monkeypatch.undo()
    device.close()


def test_registered_memory_is_private_asks_for_huge_pages_and_stays_here_at_a_fork(fake):
    maps = Path("/proc/self/smaps")
    if not maps.is_file():
        pytest.skip("no /proc/self/smaps: what the system knows of a mapping cannot be seen")
    device = CudaDevice(0, 4_000_000)
    address = device.host(5_000_000).ctypes.data
    permissions, flags, inside = "", [], False
    for line in maps.read_text().splitlines():
        head, *rest = line.split()
        if "-" in head:
            low, high = (int(part, 16) for part in head.split("-"))
            inside = low <= address < high
            permissions = rest[0] if inside else permissions
        elif inside and head == "VmFlags:":
            flags = rest
    device.close()
    assert permissions == "rw-p"
    if not flags:
        pytest.skip("no flags of mappings: this system does not tell them")
    assert "dc" in flags
    assert "hg" in flags or not Path("/sys/kernel/mm/transparent_hugepage").is_dir()


def test_sources_that_do_not_compile_are_one_line(rng, fake, monkeypatch):
    def fail(self):
        raise Exception("gram.cu(12): error: expected a ;\nmore")

    monkeypatch.setattr(fake["cupy"].RawModule, "compile", fail)
    X = rng.standard_normal((30, 3))
    with pytest.raises(
        DeviceError, match=r"gram\.cu does not compile: gram\.cu\(12\).*update cupy"
    ) as caught:
        kernelfit.solve(X, X, kernel="gaussian", gamma=1.0, device=CudaDevice(0, 8_000_000))
    assert "\n" not in str(caught.value)


def test_a_card_describes_itself(fake):
    device = CudaDevice(0, 4_000_000)
    described = device.describe()
    assert described["name"] == "a GPU"
    assert (described["compute_capability"], described["cublas"], described["cusolver"]) == (
        "9.0",
        130_000,
        "12.0.4",
    )
    device.close()


def test_a_worker_of_a_cluster_factors_solves_and_multiplies_on_its_gpu(rng, fake, monkeypatch):
    monkeypatch.setattr(gpu, "has_driver", lambda: True)
    seen = gpu.look()
    assert seen.identity.endswith("0000:00:00.0")
    assert seen.one_of(1).free == 2**28
    clock = itertools.count()  # a reading, and one a second later
    with monkeypatch.context() as patched:
        patched.setattr(gpu, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
        assert gpu.measured_rate(np.float32, 2**20, order=16) == 2.0 * 16**3
    n, deal = 131, Deal(PanelLayout(131, 48), 1)
    source = KernelGram(Laplacian(gamma=0.2), Points(rng.standard_normal((n, 3))))
    vectors = rng.standard_normal((n, 2))
    results = []
    with CpuBackend(1) as backend:
        part, dtype = Part(deal, 0, source, 0.1, backend), np.dtype(np.float64)
        # Room for the last of three block rows.
        capacity = fixed_bytes(deal.layout, 8, gram_row_bytes(source), columns_of(2)) + row_bytes(deal, 2, 8)
        device = gpu.open_gpu(capacity)
        for arithmetic in (
            HostArithmetic(part, RamTiles(deal, dtype)),
            DeviceArithmetic(part, device, RamTiles(deal, dtype, None, device.host), columns_of(2)),
        ):
            share, row = Share(arithmetic), None
            for j in range(deal.layout.count):
                share.update(j, share.early_blocks(j) if deal.first_late(j) else None)
                row = share.block_row(j, row)
                report = share.advance(j, row)
            share.begin("s", {i: vectors[slice(*deal.span(i))] for i in deal.rows(0)})
            solved = None
            for j in range(deal.layout.count):
                solved = share.solved("s", j, solved)
                share.subtract("s", j, solved)
            total = np.zeros(0)
            for j in reversed(range(deal.layout.count)):
                solved, total = share.solved_transposed("s", j, [] if total.size == 0 else [total])
            product = share.product(vectors, range(deal.layout.count), True)
            if product is None:
                product = symmetric_product(source, deal.layout, vectors, backend, with_norm=True)
            results.append([*row, report.diagonal, solved, product.values, product.sums, product.absolute])
            share.close()
    for expected, found in zip(*results, strict=True):
        assert np.allclose(found, expected, rtol=1e-12, atol=1e-12)
    pinned.release()
    assert fake["cupy_backends.cuda.api.runtime"].blocks == {}
