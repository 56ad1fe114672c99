"""What runs on a worker: each function is one task, named in Dask's dashboard by what it does.

A worker holds its shares beside Dask's own data, by run and number; a worker that was started anew holds none, and says
so (`ShareLost`).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cluster import gpu
from kernelfit.cluster.arithmetic import Arithmetic, Blocks, Part
from kernelfit.cluster.deal import Deal
from kernelfit.cluster.device_arithmetic import DeviceArithmetic
from kernelfit.cluster.gpu import Gpu, NoGpu
from kernelfit.cluster.host_arithmetic import HostArithmetic
from kernelfit.cluster.sent_gram import SentGram, ShareLost
from kernelfit.cluster.share import Report, Share
from kernelfit.cluster.tiles import DiskTiles, RamTiles, Tiles
from kernelfit.cluster.turns import Turns
from kernelfit.cpu import blas, freed_blocks
from kernelfit.cpu.memory import available_memory, free_disk
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.pinned import release as release_pinned
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.protocol import GramSource
from kernelfit.kernels.base import Kernel
from kernelfit.linalg.product import Product, symmetric_product
from kernelfit.storage.panel_file import PanelFile
from kernelfit.typing import Float, Span

_SHARES, _TURNS = "kernelfit_shares", "kernelfit_turns"
# Of a worker's memory limit: Dask writes its data to the disk from 0.7 of the limit on, and stops at 0.8.
_OF_LIMIT = 0.7
# Products that a worker's rate is measured by: some milliseconds each.
_ORDER, _PRODUCTS = 512, 5


@dataclass(frozen=True)
class Setup:
    """How a share is opened, wherever that is.

    Attributes
    ----------
    deal, dtype : which blocks, of which numbers
    shift : what the factor has on its diagonal beside K
    on_disk : whether blocks are read from a file, not from memory
    factor : the file of a run that all workers see, with the offsets of its panels; None without a run
    finished : panels that are in it already
    sent : whether K is stored, and its blocks are sent to the workers, which form it from rows otherwise
    gpu : bytes that are taken of the worker's GPU, 0 where it computes on its CPU; `beside` of them hold no rows of L
    max_gpu : bytes of a worker's GPU to stay within; None: what is free
    compute, columns : how products of float32 are formed there, and right-hand sides that are there at a time
    """

    deal: Deal
    dtype: np.dtype[Any]
    shift: float | Float
    on_disk: bool = False
    factor: tuple[Path, tuple[int, ...]] | None = None
    finished: int = 0
    sent: bool = False
    gpu: int = 0
    beside: int = 0
    max_gpu: int | None = None
    compute: str = "float32"
    columns: int = 1


@dataclass(frozen=True)
class WorkerState:
    """What a worker has: free memory and disk in bytes, threads, its machine's name, and Dask's limit of its memory."""

    memory: int
    disk: int
    threads: int
    host: str
    limit: int | None = None

    def one_of(self, workers: int) -> WorkerState:
        """What is its own beside others on its machine."""
        memory = self.memory // workers
        if self.limit is not None:
            memory = min(memory, int(_OF_LIMIT * self.limit))
        return replace(self, memory=memory, disk=self.disk // workers)


def state_of_worker(dask_worker: Any = None) -> WorkerState:
    """Of the worker that Dask gives by this name to what runs beside its tasks."""
    limit = dask_worker.memory_manager.memory_limit
    return WorkerState(
        available_memory(),
        free_disk(Path(dask_worker.local_directory)),
        dask_worker.state.nthreads,
        socket.gethostname(),
        int(limit) if limit else None,
    )


def gpu_of_worker(kernel: Kernel | None = None) -> Gpu | NoGpu:
    """The GPU of a worker, or why it has none; with a kernel, none that its functions do not compile for."""
    found = gpu.look()
    if isinstance(found, str):
        return NoGpu(found)
    return (None if kernel is None else gpu.refusal(kernel)) or found


def rate_of_worker(dtype: np.dtype[Any], gpus: Mapping[str, int], dask_worker: Any = None) -> float:
    """flop/s of products of such numbers: on the GPU of a worker of which `gpus` has bytes that may be taken, else
    on all threads of its CPU, in their own time: what else is at work there, and passes, does not count."""
    if dask_worker.address in gpus:
        return gpu.measured_rate(dtype, gpus[dask_worker.address])
    threads = dask_worker.state.nthreads
    a = np.random.default_rng(0).standard_normal((threads, _ORDER, _ORDER)).astype(dtype)
    products, seconds = np.zeros_like(a), np.full(threads, np.inf)

    def multiply(index: int) -> None:
        for _ in range(_PRODUCTS):
            started = time.thread_time()
            blas.gemm(1.0, a[index], a[index], 0.0, products[index])
            seconds[index] = min(seconds[index], time.thread_time() - started)

    with CpuBackend(threads) as backend:
        backend.run(multiply, range(threads))
    return float((2.0 * _ORDER**3 / seconds).sum())


def sees(path: Path) -> bool:
    """Whether this worker sees a file of the client's."""
    try:
        return path.is_file()
    except OSError:  # of a folder that it may not look into
        return False


def open_share(run: str, index: int, setup: Setup, source: GramSource | None) -> int:
    """Make the share, with the finished panels of a run in it."""
    worker = _worker()
    if not worker.address.startswith(
        "inproc"
    ):  # a process that is not only a worker keeps its ways with memory
        freed_blocks.keep()
    source = source or SentGram(setup.deal.layout)
    if source.kernel is not None:
        source.kernel.compile()
    shares = vars(worker).setdefault(_SHARES, {})
    before = shares.pop((run, index), None)
    if before is not None:
        before.close()
    part = Part(setup.deal, index, source, setup.shift, CpuBackend(worker.state.nthreads))
    arithmetic = _arithmetic(setup, part, Path(worker.local_directory), run)
    try:
        shares[run, index] = Share(arithmetic, setup.finished)
    except BaseException:
        arithmetic.close()
        raise
    return index


def _arithmetic(setup: Setup, part: Part, folder: Path, run: str) -> Arithmetic:
    file = None
    if setup.factor is not None:
        path, offsets = setup.factor
        file = PanelFile(path, setup.deal.layout, setup.dtype, offsets, writable=True)
    device = gpu.open_gpu(setup.gpu, setup.compute) if setup.gpu else None
    try:
        if setup.on_disk:
            tiles: Tiles = _disk_tiles(setup, file, folder / f"kernelfit-share-{part.index}-{run}.h5")
        elif device is not None:
            tiles = RamTiles(setup.deal, setup.dtype, file, device.host)
        else:
            tiles = RamTiles(setup.deal, setup.dtype, file)
        if device is None:
            return HostArithmetic(part, tiles)
        return DeviceArithmetic(part, device, tiles, setup.columns, file)
    except BaseException:
        if device is not None:
            device.close()
        raise


def _disk_tiles(setup: Setup, file: PanelFile | None, path: Path) -> DiskTiles:
    """In the file of a run, or in one of the share's own at `path`, whose name is gone at once."""
    if file is not None:
        return DiskTiles(setup.deal, file, shared=True)
    # Only the blocks of this share are written, so that the rest of the file takes no room.
    own = PanelFile.create(path, setup.deal.layout, setup.dtype, named=False, reserved=False)
    return DiskTiles(setup.deal, own, shared=False)


def shares_of(run: str, dask_worker: Any = None) -> list[int]:
    """Which shares of a run this worker has."""
    return [index for name, index in vars(dask_worker).get(_SHARES, {}) if name == run]


def close_shares(run: str, dask_worker: Any = None) -> None:
    """Forget all shares of a run, and give back host memory that was pinned for them: Dask counts it as used."""
    shares = vars(dask_worker).get(_SHARES, {})
    for key in [key for key in shares if key[0] == run]:
        shares.pop(key).close()
    release_pinned()
    freed_blocks.give_back()


def take_gram(run: str, index: int, j: int, blocks: dict[int, NDArray[Any]]) -> None:
    """Blocks of panel j of a stored K."""
    sent: Any = _share(run, index).arithmetic.part.source
    sent.put(j, blocks)


def early_blocks(run: str, index: int, j: int, *after: Any) -> Blocks:
    _make_way()
    return _share(run, index).early_blocks(j)


def receive(run: str, index: int, blocks: Any) -> Any:
    """What came itself, from whom this worker has it: it is here before it is needed, and can be passed on."""
    return blocks


def update(run: str, index: int, j: int, early: Blocks | None, *after: Any) -> None:
    _make_way()
    _share(run, index).update(j, early)


def block_row(run: str, index: int, j: int, above: Blocks | None, *after: Any) -> Blocks:
    _make_way()
    return _share(run, index).block_row(j, above)


def advance(run: str, index: int, j: int, row: Blocks | None, *after: Any) -> Report:
    _make_way()
    return _share(run, index).advance(j, row)


def begin(run: str, index: int, solve: str, blocks: dict[int, NDArray[Any]]) -> None:
    _share(run, index).begin(solve, blocks)


def begin_identity(run: str, index: int, solve: str, columns: Span) -> None:
    _share(run, index).begin_identity(solve, columns)


def solved(run: str, index: int, solve: str, j: int, above: NDArray[Any] | None, *after: Any) -> NDArray[Any]:
    return _share(run, index).solved(solve, j, above)


def subtract(run: str, index: int, solve: str, j: int, x: NDArray[Any], *after: Any) -> None:
    _share(run, index).subtract(solve, j, x)


def solved_transposed(
    run: str, index: int, solve: str, j: int, sums: list[Any], *after: Any
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """`sums` are those of `transposed_sum`, and the pair that this gave for row j + 1."""
    parts = [part[1] if isinstance(part, tuple) else part for part in sums]
    return _share(run, index).solved_transposed(solve, j, [part for part in parts if part is not None])


def transposed_sum(run: str, index: int, solve: str, j: int, *after: Any) -> NDArray[Any]:
    return _share(run, index).transposed_sum(solve, j)


def squared_columns(run: str, index: int, solve: str, *after: Any) -> Float:
    """Ends the solve as well."""
    share = _share(run, index)
    sums = share.squared_columns(solve)
    share.end(solve)
    return sums


def end(run: str, index: int, solve: str, *after: Any) -> None:
    _share(run, index).end(solve)


def partial_product(
    source: GramSource, run: str, layout: PanelLayout, panels: range, vectors: Float, with_norm: bool
) -> Product:
    """What these panels of K give of K V, on any worker; on its GPU where it has a share of the run there.

    On its CPU one after the other: each takes all threads, and the memory that is planned for one.
    """
    for share in _shares_of(run):
        product = share.product(vectors, panels, with_norm)
        if product is not None:
            return product
    worker = _worker()
    turns: Turns = vars(worker).setdefault(_TURNS, Turns())
    with turns.take(), CpuBackend(worker.state.nthreads) as backend:
        return symmetric_product(source, layout, vectors, backend, with_norm=with_norm, panels=panels)


def predicted_by_share(run: str, rows: Points, alpha: Float) -> Float | None:
    """k(rows, training rows) alpha by the GPU of this worker, where it has a share of the run there."""
    predictions = (share.predict(rows, alpha) for share in _shares_of(run))
    return next((values for values in predictions if values is not None), None)


def threads_of_worker() -> int:
    """Of the worker that this task runs on."""
    return int(_worker().state.nthreads)


def _worker() -> Any:
    from distributed import get_worker

    return get_worker()


def _make_way() -> None:
    """Let Dask start another task beside this one: rows are received, and passed on, while a step is at work."""
    from distributed import secede

    secede()


def _shares_of(run: str) -> list[Share]:
    return [share for (name, _), share in vars(_worker()).get(_SHARES, {}).items() if name == run]


def _share(run: str, index: int) -> Share:
    share = vars(_worker()).get(_SHARES, {}).get((run, index))
    if share is None:
        raise ShareLost(f"share {index}: this worker has none of run {run}")
    found: Share = share
    return found
