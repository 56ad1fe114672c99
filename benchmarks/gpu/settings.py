"""What every row of the GPU benchmark runs on: a GPU, or the stand-in at sizes that show only that it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import harness
from kernelfit.device.cuda import CudaDevice
from kernelfit.device.gram import gram_row_bytes, put
from kernelfit.device.host import HostDevice
from kernelfit.device.plan import STAGED, DeviceLimits, DevicePlan, DeviceSize, make_device_plan
from kernelfit.device.residency import min_slots
from kernelfit.errors import KernelfitError, PlanError
from kernelfit.experiments.experiment import Experiment
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.kernels import Gaussian
from kernelfit.solver.device_plan import product_columns

HOST = "host"
GAMMA = 0.02
#: of MNIST
TARGETS = 10
_HOST_CAPACITY = 24_000_000
#: products that are queued before they are waited for: some tenths of a second
_QUEUED = 8


@dataclass
class Setting:
    """`device` is `cuda:0`, ... or `host`. `notes` say what was not as it should be."""

    device: str
    data_dir: Path | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def small(self) -> bool:
        return self.device == HOST

    @property
    def order(self) -> int:
        """Of the products that rates are measured with."""
        return 64 if self.small else 8_192

    @property
    def width(self) -> int | None:
        """Of panels; None for what the plan takes."""
        return 16 if self.small else None

    def open(self, capacity: int | None = None, **options: Any) -> Any:
        if self.small:
            return HostDevice(capacity or _HOST_CAPACITY, **options)
        return CudaDevice(int(self.device.partition(":")[2] or 0), capacity, **options)

    def capacity(self) -> int:
        """Bytes free."""
        device = self.open()
        device.close()
        return int(device.slab.capacity)

    def n(self, wanted: int, fits: Callable[[int], bool] = lambda n: True) -> int:
        """`wanted` rows, or the most that fit, which is noted; a few on the stand-in."""
        if self.small:
            return 112
        n = wanted
        while n > 5_000 and not fits(n):
            n -= 5_000
        if n < wanted:
            self.notes.append(f"n {n:,} instead of {wanted:,}: more does not fit this device")
        return n

    def mnist(self, n: int, n_test: int | None = None) -> Experiment:
        """What is loaded, prepared and solved where a row is of real images."""
        return Experiment("mnist", n_train=n, n_test=n_test, data_dir=self.data_dir, gamma=GAMMA)

    def images(self, n: int) -> tuple[NDArray[np.uint8], NDArray[np.float64], float]:
        """n rows of MNIST, then the same shifted by one pixel each way; one-hot labels; the scale of the pixels.

        Random bytes where MNIST is not to be had, which is noted: the arithmetic is the same.
        """
        try:
            data = self.mnist(min(n, 60_000), 1).inputs.load()
        except (KernelfitError, ImportError) as error:
            self.notes.append(f"random bytes instead of MNIST: {error}")
            rng = np.random.default_rng(0)
            return (
                rng.integers(0, 256, (n, 784), dtype=np.uint8),
                np.eye(10)[rng.integers(0, 10, n)],
                1 / 255,
            )
        rows = shifted(data.X_train, n)
        labels = np.resize(data.y_train, n)
        return rows, np.eye(10)[labels], data.scale


def shifted(rows: NDArray[np.uint8], n: int) -> NDArray[np.uint8]:
    """The first n of: all rows (m, 784), all moved by one pixel down, up, right, left."""
    pictures = rows.reshape(-1, 28, 28)
    sets = [pictures]
    for axis, step in ((1, 1), (1, -1), (2, 1), (2, -1)):
        if len(rows) * len(sets) >= n:
            break
        moved = np.roll(pictures, step, axis=axis)
        edge = [slice(None)] * 3
        edge[axis] = slice(0, 1) if step == 1 else slice(-1, None)
        moved[tuple(edge)] = 0
        sets.append(moved)
    return np.concatenate(sets).reshape(-1, 784)[:n]


def plan(
    n: int, capacity: int, precision: str = "float64", width: int = 2_048, **more: int
) -> DevicePlan | None:
    """The plan for n rows of MNIST, None where they do not fit."""
    few = KernelGram(Gaussian(gamma=GAMMA), Points(np.zeros((2, 784), np.uint8), 1 / 255))
    size = DeviceSize(n, 784, gram_row_bytes(few), product_columns(TARGETS), precision)
    try:
        return make_device_plan(size, DeviceLimits(capacity, **more), width=width)
    except PlanError:
        return None


def in_core(capacity: int) -> Callable[[int], bool]:
    """Whether n rows fit into `capacity` bytes with their factor in float64."""

    def fits(n: int) -> bool:
        made = plan(n, capacity)
        return made is not None and made.in_core

    return fits


def min_capacity(n: int, width: int, spare_tiles: int = 8) -> int:
    """Bytes for two panels in the making and a few tiles more: nearly everything spills."""
    rich = plan(n, 2**50, width=width)
    assert rich is not None
    return rich.bytes_fixed + (min_slots(rich.layout.count) + STAGED + spare_tiles) * rich.bytes_tile


@contextmanager
def products(device: Any, arithmetic: str, order: int) -> Iterator[Callable[[], None]]:
    """What queues one square product of random operands; `arithmetic`: float64, float32, tf32, int8."""
    dtype = np.dtype({"tf32": "float32"}.get(arithmetic, arithmetic))
    stream, mark, compute = device.stream("main"), device.slab.mark(), device.compute
    device.compute = "tf32" if arithmetic == "tf32" else "float32"
    rng = np.random.default_rng(0)
    a, b = (device.slab.take(order, order, dtype) for _ in range(2))
    c = device.slab.take(order, order, np.int32 if arithmetic == "int8" else dtype)
    for block in (a, b):
        fill(device, stream, block, rng)
    try:
        yield lambda: device.gemm(stream, 1.0, a, b, 0.0, c, transpose_b=True)
    finally:
        device.compute = compute
        device.slab.release(mark)


def gemm_rate(device: Any, arithmetic: str, order: int) -> float:
    """Median flop/s of five products: at the clock that a device has for a moment."""
    with products(device, arithmetic, order) as product:
        return 2.0 * order**3 / seconds_of(device, product, 5)


def sustained_gemm_rate(device: Any, arithmetic: str, order: int, seconds: float) -> float:
    """flop/s of products that follow one another for `seconds`: at the clock that the limit of power leaves.

    A factor that takes seconds is compared with this rate, not with that of a moment.
    """
    with products(device, arithmetic, order) as product:
        seconds_of(device, product, 1)
        done, started = 0, time.perf_counter()
        while done == 0 or time.perf_counter() - started < seconds:
            for _ in range(_QUEUED):
                product()
            device.synchronise()
            done += _QUEUED
        return 2.0 * order**3 * done / (time.perf_counter() - started)


def fill(device: Any, stream: Any, block: Any, rng: np.random.Generator) -> None:
    """Random numbers into a block: a thousand rows, over and over."""
    rows = min(block.rows, 1_024)
    if block.dtype.kind == "i":
        values = rng.integers(-128, 128, (rows, block.columns), dtype=np.int8)
    else:
        values = rng.standard_normal((rows, block.columns), dtype=np.float32).astype(block.dtype)
    put(device, stream, np.resize(values, (block.rows, block.columns)), block)


def seconds_of(device: Any, work: Callable[[], None], repeats: int = 5) -> float:
    """Median seconds of some queued work, after one warm-up."""

    def finished() -> None:
        work()
        device.synchronise()

    return harness.timed(finished, repeats, before=device.synchronise).median
