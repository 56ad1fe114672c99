"""Rows of the GPU benchmark that measure the device itself, and our own kernels against it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from benchmarks.gpu.settings import GAMMA, Setting, fill, gemm_rate, seconds_of
from kernelfit import solve
from kernelfit.datasets import training_targets
from kernelfit.device.cuda import BYTE_PRODUCTS, CudaDevice
from kernelfit.device.gram import Strips, fetch, put_rows
from kernelfit.device.protocol import Block
from kernelfit.errors import DataError, DeviceError, KernelfitError, NotPositiveDefiniteError
from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.paper import RANDOM_CONV_OPTIONS
from kernelfit.features import RandomConv
from kernelfit.gram.points import Points
from kernelfit.kernels import Gaussian
from kernelfit.metrics import error_rate
from kernelfit.streaming.device_random_conv import DeviceNet
from kernelfit.streaming.gram import feature_gram

Report = Callable[[dict[str, Any]], None]
#: tried in turn, of the mean diagonal of K; leave-one-out on training rows chooses
_RIDGES = (0.0, 1e-3, 1e-2, 1e-1)


def rates(setting: Setting, report: Report) -> dict[str, Any]:
    """Products, copies, the link and pinning: what the other rows are judged by."""
    small = setting.small
    device = setting.open(None if small else 3 * 10**9)
    record: dict[str, Any] = {"device": device.name}
    if hasattr(device, "describe"):
        record |= device.describe()
    for arithmetic in ("float64", "float32", "tf32", "int8"):
        record[f"{arithmetic}_flops_per_second"] = gemm_rate(device, arithmetic, setting.order)
        record["refused_by_cublas"] = _refused(device)
        report(record)
    stream, size, mark = device.stream("main"), 80_000 if small else 2**30, device.slab.mark()
    a, b = (device.slab.take(1, size, np.uint8) for _ in range(2))
    host = device.host(size)
    device.zero(stream, a)
    for name, copy, factor in (
        ("copy", lambda: device.copy(stream, a, b), 2),
        ("host_to_device", lambda: device.copy_in(stream, host, a), 1),
        ("device_to_host", lambda: device.copy_out(stream, a, host), 1),
    ):
        record[f"{name}_bytes_per_second"] = factor * size / seconds_of(device, copy)
    device.slab.release(mark)
    report(record)
    started = time.perf_counter()
    device.host(2 * size)
    record["pin_bytes_per_second"] = 2 * size / (time.perf_counter() - started)
    pieces = [size // 32] * 128
    started = time.perf_counter()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(device.host, pieces))
    record["pin_by_eight_threads_bytes_per_second"] = sum(pieces) / (time.perf_counter() - started)
    if isinstance(device, CudaDevice):
        report(record)
        record |= alternatives(device, size, setting.order)
        report(record)
        record |= emulation(device, setting.order)
    device.close()
    return record


def alternatives(device: CudaDevice, size: int, order: int) -> dict[str, float]:
    """What was not taken: the runtime's own pinned memory, and SYRK for the diagonal."""
    started = time.perf_counter()
    address = device.runtime.hostAlloc(size, 1)
    record = {"host_alloc_bytes_per_second": size / (time.perf_counter() - started)}
    device.runtime.freeHost(address)
    stream, mark = device.stream("main"), device.slab.mark()
    a, c = (device.slab.take(order, order, np.float64) for _ in range(2))
    fill(device, stream, a, np.random.default_rng(0))
    device.zero(stream, c)
    one, zero = np.ones(1), np.zeros(1)

    def update() -> None:
        with stream.stream:
            # 1, 1: the upper triangle, and the transposed product, as cuBLAS counts columns.
            device.blas.dsyrk(
                stream.blas, 1, 1, order, order, one.ctypes.data, device.address(a), order,
                zero.ctypes.data, device.address(c), order,
            )  # fmt: skip

    record["dsyrk_flops_per_second"] = float(order) ** 3 / seconds_of(device, update)
    device.slab.release(mark)
    return record


def emulation(device: CudaDevice, order: int) -> dict[str, Any]:
    """Products of float64 and of float32 that cuBLAS emulates on the tensor cores: rates, and errors beside its own.

    Errors are those of some entries, in units of |A| |B|^T. A type that the library has not is said and costs nothing.
    """
    record: dict[str, Any] = {"emulation_strategy": _STRATEGY[1]}
    stream, mark, rng = _eager_stream(device), device.slab.mark(), np.random.default_rng(0)
    for name, dtype, native, emulated in _EMULATED:
        a, b, c = (device.slab.take(order, order, dtype) for _ in range(3))
        for block in (a, b):
            fill(device, stream, block, rng)
        for label, compute in ((f"{name}_native", native), (name, emulated)):
            product = partial(_product, device, stream, compute, (a, b, c))
            try:
                record[f"{label}_flops_per_second"] = 2.0 * order**3 / seconds_of(device, product)
                record[f"{label}_error"] = _product_error(device, stream, a, b, c)
            except (DeviceError, RuntimeError) as error:  # CuPy's of cuBLAS are RuntimeErrors
                record[f"{label}_refused"] = str(error)
        device.slab.release(mark)
    return record


#: name, type of numbers, cuBLAS's compute types without and with emulation: CUBLAS_COMPUTE_64F and ..._64F_EMULATED_
#: FIXEDPOINT, CUBLAS_COMPUTE_32F and ..._32F_EMULATED_16BFX9 (cublasComputeType_t of CUDA 13)
_EMULATED = (("float64_fixed_point", np.float64, 70, 79), ("float32_bf16x9", np.float32, 68, 78))
#: of numbers, as cuBLAS counts them: CUDA_R_64F, CUDA_R_32F
_TYPES = {np.dtype(np.float64): 1, np.dtype(np.float32): 0}
#: so that the library emulates where it is asked to, and not only where it expects to gain by it
_STRATEGY = ("CUBLAS_EMULATION_STRATEGY", "eager")


def _product(device: CudaDevice, stream: Any, compute: int, blocks: tuple[Block, Block, Block]) -> None:
    """C <- A B^T in that compute type, as cuBLAS counts columns: C^T <- B A^T."""
    a, b, c = blocks
    factors, kind, order = np.array([1, 0], a.dtype), _TYPES[a.dtype], a.rows
    with stream.stream:
        device.blas.gemmEx(
            stream.blas, 1, 0, order, order, order,
            factors[:1].ctypes.data, device.address(b), kind, order, device.address(a), kind, order,
            factors[1:].ctypes.data, device.address(c), kind, order, compute, -1,
        )  # fmt: skip


def _eager_stream(device: CudaDevice) -> Any:
    """A stream whose handle of cuBLAS was made where emulation is asked for."""
    name, value = _STRATEGY
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        stream = device.stream("emulated")
        assert stream.blas
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
    return stream


def _product_error(device: Any, stream: Any, a: Block, b: Block, c: Block) -> float:
    """max |c - a b^T| / (|a| |b|^T) over some entries."""
    height, width = min(a.rows, 8), min(b.rows, 64)
    left, right, found = (
        fetch(device, stream, block).astype(np.longdouble)
        for block in (a.part((0, height)), b.part((0, width)), c.part((0, height), (0, width)))
    )
    with np.errstate(all="ignore"):
        return float((np.abs(found - left @ right.T) / (np.abs(left) @ np.abs(right).T)).max())


def own_kernels(setting: Setting, report: Report) -> dict[str, Any]:
    """Exact products of bytes in every way, whole Gram tiles, and random convolution blocks, beside the rates."""
    small = setting.small
    device = setting.open(None if small else 12 * 10**9)
    stream = device.stream("main")
    sgemm = gemm_rate(device, "float32", setting.order)
    int8 = gemm_rate(device, "int8", setting.order)
    record: dict[str, Any] = {"sgemm_flops_per_second": sgemm, "int8_flops_per_second": int8}
    height, width, d = (96, 64, 64) if small else (32_768, 2_048, 832)
    mark, rng = device.slab.mark(), np.random.default_rng(0)
    a, b = device.slab.take(height, d, np.int8), device.slab.take(width, d, np.int8)
    c = device.slab.take(height, width, np.int32)
    fill(device, stream, a, rng)
    fill(device, stream, b, rng)
    for how in BYTE_PRODUCTS:
        device.byte_products = how
        taken = seconds_of(device, lambda: device.gemm(stream, 1.0, a, b, 0.0, c, transpose_b=True))
        rate = 2.0 * height * width * d / taken
        record |= {f"bytes_{how}_flops_per_second": rate, f"bytes_{how}_share_of_int8": rate / int8}
    device.byte_products = "cublas"
    record["refused_by_cublas"] = _refused(device)
    device.slab.release(mark)
    report(record)
    points = Points(rng.integers(0, 256, (height, 784), dtype=np.uint8), 1 / 255)
    kernel = Gaussian(gamma=GAMMA)
    rows = put_rows(device, stream, points, kernel, True)
    strips = Strips(device, kernel, True, height, width)
    strips.prepare(stream)
    tile = device.slab.take(height, width, np.float64)
    taken = seconds_of(device, lambda: strips.evaluate(stream, rows, rows.part((0, width)), tile))
    # The least that must move: the products in int32 are written and read, K is written.
    record |= {
        "gram_entries_per_second": height * width / taken,
        "gram_bytes_per_second": 16.0 * height * width / taken,
    }
    device.slab.release(mark)
    report(record)
    record |= _convolutions(device, small)
    device.close()
    return {**record, "random_conv_share_of_sgemm": record["random_conv_flops_per_second"] / sgemm}


def _convolutions(device: Any, small: bool) -> dict[str, float]:
    """The same responses of floats, and of bytes on the tensor cores; operations are counted alike."""
    images = np.random.default_rng(1).integers(0, 256, (8 if small else 2_048, 32 * 32 * 3), dtype=np.uint8)
    filters, patches = (16, 1_000) if small else (256, 20_000)
    options = {**RANDOM_CONV_OPTIONS, "quantise": True}
    net = RandomConv((32, 32, 3), n_filters=filters, n_patches=patches, **options).fit(images)
    rates = {}
    for name, in_bytes in (("random_conv", False), ("random_conv_bytes", True)):
        mark = device.slab.mark()
        block = DeviceNet(device, net, images.dtype, in_bytes=in_bytes).prepared(images)
        rates[f"{name}_flops_per_second"] = net.flops_per_image * len(images) / seconds_of(device, block)
        device.slab.release(mark)
    return rates


def _refused(device: Any) -> list[list[int]]:
    """m, n, k of the products of bytes that cuBLAS did not take: their rates are those of our own kernel."""
    return sorted(map(list, getattr(device, "refused", ())))


def random_conv(setting: Setting, report: Report) -> dict[str, Any]:
    """CIFAR-10 through random filters: features, their Gram, the interpolant, the test error; then with a ridge."""
    try:
        train, targets, test, labels = _pictures(setting)
    except (KernelfitError, ImportError) as error:
        return {"skipped": str(error)}
    started = time.perf_counter()
    net = RandomConv(
        (32, 32, 3) if not setting.small else (10, 12, 3),
        n_filters=20 if setting.small else 32_000,
        patch_size=4 if setting.small else 6,
        pool_size=4 if setting.small else 15,
        n_patches=500 if setting.small else 100_000,
        **RANDOM_CONV_OPTIONS,
    ).fit(train)
    fitted = time.perf_counter()
    device = setting.open(compute="tf32")
    grams = feature_gram(net, train, test, device=device, panel_width=setting.width)
    summed = time.perf_counter()
    record: dict[str, Any] = {
        "n": len(train),
        "filters": net.n_filters,
        "features": net.n_features_out_,
        "products": "tf32",
        "seconds_filters": fitted - started,
        "seconds_gram": summed - fitted,
        "ridges": [],
    }
    best = np.inf
    try:
        for ridge in _RIDGES:
            report(record)
            began = time.perf_counter()
            try:
                solution = solve(
                    grams.gram,
                    targets,
                    kernel="precomputed",
                    ridge=ridge * grams.mean_diagonal,
                    condition=False,
                )
            except NotPositiveDefiniteError as error:
                record["ridges"].append({"ridge": ridge, "failed": str(error)})
                continue
            scores = grams.predict(solution)
            wrong = error_rate(scores, labels)
            ended = time.perf_counter()
            if "test_error" not in record:
                record |= {
                    "first_ridge": ridge,
                    "test_error": wrong,
                    "seconds_to_test_error": summed - started + ended - began,
                }
            left_out = solution.leave_one_out()
            residual = float(np.mean((targets - left_out) ** 2))
            record["ridges"].append(
                {
                    "ridge": ridge,
                    "test_error": wrong,
                    "leave_one_out_residual": residual,
                    "leave_one_out_error": error_rate(left_out, targets.argmax(axis=1)),
                    "backward_error": solution.certificate.backward_error,
                    "rkhs_norm": solution.rkhs_norm,
                    "seconds": ended - began,
                    "seconds_factor": solution.seconds["factor"],
                    "seconds_leave_one_out": solution.seconds["loo"],
                }
            )
            solution.close()
            if residual < best:
                best = residual
                record |= {"ridge": ridge, "test_error_ridge": wrong}
    finally:
        grams.close()
    return record


def _pictures(setting: Setting) -> tuple[Any, Any, Any, Any]:
    if setting.small:
        rng = np.random.default_rng(0)
        rows, labels = rng.integers(0, 256, (70, 360), dtype=np.uint8), rng.integers(0, 10, 70)
        return rows[:60], np.eye(10)[labels[:60]], rows[60:], labels[60:]
    data = Experiment("cifar10", data_dir=setting.data_dir).inputs.load()
    if data.image_shape != (32, 32, 3):
        raise DataError(f"cifar10: images of {data.image_shape}, expected (32, 32, 3)")
    return data.X_train, training_targets(data), data.X_test, data.y_test
