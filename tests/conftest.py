"""Fixtures shared by all tests: real data where it can be found, and one seeded source of randomness."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.device import choose
from kernelfit.device.cuda import CudaDevice
from kernelfit.device.host import HostDevice
from kernelfit.errors import DeviceError
from kernelfit.gram.layout import PanelLayout
from kernelfit.kernels import (
    KERNELS,
    ArcCosine,
    Cosine,
    Gaussian,
    Kernel,
    Laplacian,
    Linear,
    Matern,
    NeuralTangent,
    Pairwise,
    Polynomial,
    RationalQuadratic,
    parameter_names,
)
from kernelfit.progress import Silent
from kernelfit.storage.disk import DiskPanels
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.panels import PanelStore, RamPanels
from kernelfit.storage.write_behind import WriteBehind

# benchmarks/ are tested, too; they lie behind what is installed, so that a wheel can be tested as well as a checkout.
sys.path.append(str(Path(__file__).parents[1]))

# A shell that runs the tests in the background has them ignore Ctrl-C, and all processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        skip = pytest.mark.skip(reason="takes minutes; run with --slow")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes by their number: compressed ones hold the time, and all processes of the tests must name a test alike."""
    return f"{len(val)} bytes" if isinstance(val, bytes) and len(val) > 12 else None


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20161110)


def triangular(x: Any, y: Any) -> float:
    """A kernel as a user writes one; the same as `Laplacian(0.1)`."""
    total = 0.0
    for k in range(x.shape[0]):
        total += abs(x[k] - y[k])
    return math.exp(-0.1 * total)


def kernels_under_test() -> list[Kernel]:
    """One of every family and of every branch of its formula, sums and products; the only such list of the tests.

    A family that the registry has and this list does not comes in with its defaults.
    """
    kernels: list[Kernel] = [
        Gaussian(gamma=0.3),
        Laplacian(gamma=0.1),
        Matern(nu=0.5),
        Matern(nu=1.5, length_scale=2.0),
        Matern(nu=2.5),
        RationalQuadratic(alpha=0.7, length_scale=1.5),
        RationalQuadratic(length_scale=1e200),
        Polynomial(degree=3, gamma=0.2, coef0=0.5),
        Linear(),
        Cosine(),
        ArcCosine(order=0, depth=2),
        ArcCosine(order=1, depth=3),
        NeuralTangent(depth=2),
        Pairwise(triangular),
        Gaussian(gamma=0.1) + Linear() * Cosine(),
        Matern(nu=0.5) * (Cosine() + Linear()),
        (Gaussian(gamma=0.1) + Linear()) * (Cosine() + Laplacian(gamma=0.2)) + Pairwise(triangular),
    ]
    listed = {type(kernel) for kernel in kernels}
    for family in KERNELS.values():
        if family not in listed:
            kernels.append(family(**({"gamma": 0.5} if "gamma" in parameter_names(family.name) else {})))
    return kernels


@pytest.fixture(params=kernels_under_test(), ids=repr)
def any_kernel(request: pytest.FixtureRequest) -> Kernel:
    """Every kernel of `kernels_under_test` in turn."""
    kernel: Kernel = request.param
    return kernel


# Rows that rounding is hard on.


def clusters(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Around 0 and around points far out."""
    centres = 10.0 ** rng.uniform(0, 15, (2, 1)) * rng.standard_normal((2, d))
    centres = np.vstack([np.zeros((1, d)), centres])
    return centres[rng.integers(0, 3, n)] + rng.standard_normal((n, d))


def offsets(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) + 10.0 ** rng.uniform(-3, 9, d)


def time_stamps(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    x = rng.standard_normal((n, d))
    x[: max(1, 2 * n // 3), 0] += 1.7e9
    return x


def mixed_scales(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-8, 8, d)


def mixed_rows(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-150, 150, (n, 1))


def tiny(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) * 1e-150


def huge(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) * 1e149


def near_equal(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    x = rng.standard_normal((n, d)) + rng.uniform(-3, 3)
    x[1::2] = x[: n - n % 2 : 2] * (
        1 + 10.0 ** rng.uniform(-16, -2, (n // 2, 1)) * rng.standard_normal((n // 2, d))
    )
    return x


def near_parallel(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Multiples of one integer row, exact and nearly so, of either sign."""
    row = rng.integers(-5, 6, d) + 0.5
    x = row * rng.choice([-3.0, -1.0, 1.0, 3.0, 5.0], (n, 1))
    x[1::2] += 10.0 ** rng.uniform(-17, -1, (n // 2, 1)) * rng.standard_normal((n // 2, d))
    return x


def with_zeros(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    x = rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.4)
    x[0] = 0.0
    return x


def grid_bytes(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.integers(0, 256, (n, d)).astype(np.uint8)


_HARD_ROWS = (
    clusters,
    offsets,
    time_stamps,
    mixed_scales,
    mixed_rows,
    tiny,
    huge,
    near_equal,
    near_parallel,
    with_zeros,
    grid_bytes,
)


@pytest.fixture(params=_HARD_ROWS, ids=lambda rows: rows.__name__)
def hard_rows(request: pytest.FixtureRequest) -> Callable[[np.random.Generator, int, int], np.ndarray]:
    """`hard_rows(rng, n, d)`: n rows of d features of one such kind after the other."""
    rows: Callable[[np.random.Generator, int, int], np.ndarray] = request.param
    return rows


def _data_folders() -> list[Path]:
    candidates = [os.environ.get("KERNELFIT_DATA"), Path(__file__).parents[2] / "shared" / "data"]
    return [Path(candidate) for candidate in candidates if candidate and Path(candidate).is_dir()]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """A folder that holds real data sets; skips where there is none."""
    for folder in _data_folders():
        return folder
    pytest.skip("no data sets: neither $KERNELFIT_DATA nor ../shared/data is a folder")


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """A folder in which `load("mnist", data_dir=...)` finds MNIST; skips where there is none."""
    for folder in _data_folders():
        if (folder / "mnist").is_dir():
            return folder
    pytest.skip("no MNIST: neither $KERNELFIT_DATA nor ../shared/data has a folder mnist")


@pytest.fixture(scope="session")
def cifar10_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `load("cifar10", data_dir=...)` finds CIFAR-10; skips where there is none.

    Where only lossless mosaics lie, they are unpacked once into the session's temporary folder.
    """
    folders = _data_folders()
    for folder in folders:
        if (folder / "cifar-10-batches-bin").is_dir() or (folder / "cifar-10-batches-py").is_dir():
            return folder
    for folder in folders:
        script = folder / "unpack_cifar10.py"
        if script.is_file():
            target = tmp_path_factory.mktemp("cifar10")
            subprocess.run([sys.executable, str(script), str(target)], check=True, capture_output=True)
            return target
    pytest.skip("no CIFAR-10: neither $KERNELFIT_DATA nor ../shared/data holds its batches")


@pytest.fixture(scope="session")
def tolerance() -> Callable[..., float]:
    """`tolerance(dtype, n=1)`: the normwise relative error allowed to n operations in that dtype, 8 n eps.

    Bounds on backward errors of factorisations and solves have the form c n eps with a small c (Higham 2002,
    theorems 10.3 and 10.4).
    """

    def allowed(dtype: Any, n: int = 1, factor: float = 8.0) -> float:
        return factor * n * float(np.finfo(dtype).eps)

    return allowed


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """300 rows of six features and three targets."""
    x = rng.standard_normal((300, 6))
    return x, np.stack([np.sin(x[:, 0]), np.sign(x[:, 1]), x[:, 2] ** 2], axis=1)


@pytest.fixture
def backend() -> Iterator[CpuBackend]:
    with CpuBackend(2) as opened:
        yield opened


@cache
def _why_no_card() -> str | None:
    """What keeps tests from a CUDA device; None where there is one."""
    try:
        from cupy.cuda import runtime

        return None if runtime.getDeviceCount() else "no CUDA device: none is visible"
    except ImportError as error:
        return f"no CUDA device: {str(error).strip().splitlines()[0]}"
    except RuntimeError as error:
        return f"no CUDA device: {error}"


@pytest.fixture(params=["host", pytest.param("cuda", marks=pytest.mark.gpu)])
def make_device(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """`make_device(capacity)`: the stand-in for a device, and in a second round a GPU; closed when the test ends."""
    opened: list[Any] = []
    if request.param == "cuda" and (reason := _why_no_card()):
        pytest.skip(reason)

    def make(capacity: int, **options: Any) -> Any:
        if request.param == "cuda":
            opened.append(CudaDevice(0, capacity, **options))
        else:
            opened.append(HostDevice(capacity, seed=len(opened), **options))
        return opened[-1]

    yield make
    for device in opened:
        device.close()


class Counting(Silent):
    """Progress that adds up: `total` and `done` by the names of phases."""

    def __init__(self) -> None:
        super().__init__()
        self.total: dict[str, float] = {}
        self.done: dict[str, float] = {}

    def phase(self, name: str, total: float, unit: str = "flop") -> Any:
        self.total[name], self.done[name] = total, 0.0

        def advance(amount: float) -> None:
            self.done[name] += amount

        return nullcontext(advance)


@pytest.fixture
def counting() -> type[Counting]:
    """`counting()`: a progress that tells how far each phase came."""
    return Counting


# Operations of a device, and operands that none takes: rows, columns, dtype and gap of a block, or a number.
_DOUBLE, _SINGLE = np.float64, np.float32
_REFUSED_OPERANDS: dict[str, tuple[str, list[Any]]] = {
    "copy of numbers into others": ("copy", [(3, 4, _DOUBLE), (3, 4, _SINGLE)]),
    "copy into fewer rows": ("copy", [(3, 4, _DOUBLE), (2, 4, _DOUBLE)]),
    "zero of a block with gaps": ("zero", [(3, 4, _DOUBLE, 1)]),
    "gemm of sizes": ("gemm", [1.0, (3, 4, _DOUBLE), (3, 5, _DOUBLE), 0.0, (3, 5, _DOUBLE)]),
    "gemm of numbers": ("gemm", [1.0, (3, 4, _SINGLE), (4, 5, _SINGLE), 0.0, (3, 5, _DOUBLE)]),
    "gemm that scales alone": ("gemm", [1.0, (3, 0, _DOUBLE), (0, 5, _DOUBLE), 0.0, (3, 5, _DOUBLE)]),
    "gemm of bytes not transposed": (
        "gemm",
        [1.0, (64, 64, np.int8), (64, 64, np.int8), 0.0, (64, 64, np.int32)],
    ),
    "solve_right of numbers": ("solve_right", [(4, 4, _DOUBLE), (3, 4, _SINGLE)]),
    "solve_right of sizes": ("solve_right", [(4, 4, _DOUBLE), (4, 3, _DOUBLE)]),
    "solve_left of numbers": ("solve_left", [(4, 4, _SINGLE), (4, 3, _DOUBLE)]),
    "solve_left of sizes": ("solve_left", [(4, 4, _DOUBLE), (3, 4, _DOUBLE)]),
    "potrf without workspace": ("potrf", [(40, 40, _DOUBLE), (1, 0, _DOUBLE), (1, 1, np.int32)]),
    "potrf with workspace of others": ("potrf", [(40, 40, _DOUBLE), (1, 100_000, _SINGLE), (1, 1, np.int32)]),
    "potrf with another status": ("potrf", [(40, 40, _DOUBLE), (1, 100_000, _DOUBLE), (1, 1, np.int64)]),
    "absolute sums of float32": ("absolute_sums", [(3, 4, _SINGLE), 4, (3, 1, _DOUBLE), (4, 1, _DOUBLE)]),
    "absolute sums into float32": ("absolute_sums", [(3, 4, _DOUBLE), 4, (3, 1, _SINGLE), (4, 1, _DOUBLE)]),
    "absolute sums into too few": ("absolute_sums", [(3, 4, _DOUBLE), 4, (3, 1, _DOUBLE), (3, 1, _DOUBLE)]),
    "absolute sums with gaps": ("absolute_sums", [(3, 4, _DOUBLE), 4, (3, 1, _DOUBLE, 1), (4, 1, _DOUBLE)]),
    "squared sums of integers": ("squared_column_sums", [(3, 4, np.int32), (4, 1, _DOUBLE)]),
    "squared sums into float32": ("squared_column_sums", [(3, 4, _DOUBLE), (4, 1, _SINGLE)]),
    "mirror of what is not square": ("mirror", [(3, 4, _DOUBLE)]),
    "add of float64": ("add", [(3, 4, _DOUBLE), (3, 4, _DOUBLE)]),
    "add to integers": ("add", [(3, 4, _SINGLE), (3, 4, np.int32)]),
    "add of fewer rows": ("add", [(2, 4, _SINGLE), (3, 4, _DOUBLE)]),
}


@pytest.fixture(params=_REFUSED_OPERANDS.values(), ids=_REFUSED_OPERANDS.keys())
def refused_operands(request: pytest.FixtureRequest) -> tuple[str, list[Any], str]:
    """An operation, its operands after the stream, and what its refusal begins with."""
    operation, operands = request.param
    families = {"solve_right": "solve", "solve_left": "solve", "absolute_sums": "sums"}
    return operation, operands, {**families, "squared_column_sums": "sums"}.get(operation, operation)


@pytest.fixture
def stand_in_gpu(monkeypatch: pytest.MonkeyPatch) -> list[HostDevice]:
    """What "auto" and "cuda" open, however small a system is: a stand-in, which cannot be opened twice at a time."""
    opened: list[HostDevice] = []

    def make(index: int, memory: int | None = None) -> HostDevice:
        if any(device._memory.size for device in opened):
            raise DeviceError("device: 0 bytes are free")
        opened.append(HostDevice(memory or 16_000_000))
        return opened[-1]

    for name, value in {
        "CudaDevice": make,
        "MIN_ROWS": 0,
        "has_driver": lambda: True,
        "find_spec": lambda name: object(),
    }.items():
        monkeypatch.setattr(choose, name, value)
    return opened


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[Callable[..., PanelStore]]:
    """`make_store(tier, layout, dtype)`: an empty store of panels, closed when the test ends."""
    opened: list[PanelStore] = []

    def make(tier: str, layout: PanelLayout, dtype: Any = np.float64) -> PanelStore:
        if tier == "ram":
            store: PanelStore = RamPanels(layout, dtype)
        else:
            file = PanelFile.create(tmp_path / f"factor-{len(opened)}.h5", layout, dtype)
            store = DiskPanels(file, 1_024, WriteBehind(file))
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture(scope="session")
def dense() -> Callable[[PanelStore], np.ndarray]:
    """`dense(store)`: the lower triangular matrix (n, n) that the store holds."""

    def assemble(store: PanelStore) -> np.ndarray:
        layout = store.layout
        matrix = np.zeros((layout.n, layout.n), store.dtype)
        for batch in store.stream(range(layout.count)):
            for piece in batch:
                columns = slice(layout.start(piece.k), layout.stop(piece.k))
                matrix[piece.first : piece.first + len(piece.top), columns] = piece.top
                matrix[piece.start : piece.stop, columns] = piece.below
        return matrix

    return assemble
