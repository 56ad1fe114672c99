"""`solve(engine="dask", device=...)` on workers that are threads of this process, with the stand-in for their GPUs."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.cluster import gpu
from kernelfit.cluster.connect import Cluster
from kernelfit.cluster.deal import Deal
from kernelfit.cluster.device_costs import columns_of, fixed_bytes, resident_rows, row_bytes
from kernelfit.cluster.gpu import Gpu
from kernelfit.cluster.tasks import rate_of_worker
from kernelfit.device.gram import gram_row_bytes
from kernelfit.device.host import HostDevice
from kernelfit.errors import ClusterError, DeviceError, InputError
from kernelfit.gram.layout import PanelLayout
from kernelfit.progress import Silent
from kernelfit.runs.folder import Run

from .conftest import local_cluster

distributed = pytest.importorskip("distributed")

ROOM = 3_000_000
ROWS, WIDTH = 203, 48
LOOK, RATES = gpu.look, Cluster.rates


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with local_cluster(3) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client


class Gpus:
    """What workers see of GPUs, and the stand-ins that they open."""

    def __init__(self) -> None:
        self.opened: list[HostDevice] = []
        self.free = ROOM
        self._numbers = itertools.count()
        #: the first so many that look have one
        self.count = 10**6

    def look(self) -> Gpu | str:
        number = next(self._numbers)
        return Gpu(f"gpu {number}", self.free) if number < self.count else "no driver is loaded"

    def open(self, capacity: int, compute: str = "float32") -> HostDevice:
        self.opened.append(HostDevice(capacity, seed=len(self.opened), compute=compute))
        return self.opened[-1]


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> Gpus:
    gpus = Gpus()
    monkeypatch.setattr("kernelfit.cluster.gpu.look", gpus.look)
    monkeypatch.setattr("kernelfit.cluster.gpu.open_gpu", gpus.open)
    monkeypatch.setattr("kernelfit.cluster.gpu.SPARE", 0)
    monkeypatch.setattr("kernelfit.cluster.placement.MIN_ROWS", 1)
    monkeypatch.setattr(Cluster, "rates", lambda cluster, dtype, gpus: {})
    return gpus


ARGUMENTS: dict[str, Any] = {"kernel": "laplacian", "gamma": 0.3, "panel_width": WIDTH, "condition": False}


def problem(rng: np.random.Generator, n: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((n, 4)), rng.standard_normal((n, 2))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


def room_for(solution: Any, part: float) -> int:
    """Bytes of a GPU with room for such a part of a share's rows: for all, or for some."""
    deal, size = Deal(PanelLayout(ROWS, WIDTH), 3), 8 if solution.precision == "float64" else 4
    beside = fixed_bytes(deal.layout, size, gram_row_bytes(solution.problem.source), columns_of(2))
    room = int(part * sum(row_bytes(deal, i, size) for i in range(deal.layout.count)) / 3)
    resident = [len(resident_rows(deal, p, size, room)) for p in range(3)]
    assert (sum(resident) == deal.layout.count) == (part > 1)
    assert sum(resident) > 0
    return beside + room


@pytest.mark.parametrize(
    ("precision", "part"), [("float64", 2.0), ("float64", 0.5), ("mixed", 0.6), ("tf32", 2.0)]
)
def test_the_solution_is_that_of_cpus_and_of_one_process(
    rng: np.random.Generator, client: Any, gpus: Gpus, tmp_path: Path, precision: str, part: float
) -> None:
    X, Y = problem(rng)
    on_cpus = {**ARGUMENTS, "precision": "mixed" if precision == "tf32" else precision}
    here = kernelfit.solve(X, Y, **on_cpus)
    gpus.free = room_for(here, part)
    cpus = kernelfit.solve(X, Y, device="cpu", engine="dask", scheduler=client, **on_cpus)
    assert not gpus.opened
    where = {"device": "cuda", "engine": "dask", "scheduler": client, "run_dir": tmp_path / "run"}
    there = kernelfit.solve(X, Y, **{**on_cpus, "precision": precision}, **where)
    assert there.device == "dask, 3 workers, 3 on GPUs"
    assert {device.compute for device in gpus.opened} == {"tf32" if precision == "tf32" else "float32"}
    assert difference(there.alpha, cpus.alpha) <= 1e-12
    assert difference(there.alpha, here.alpha) <= 1e-12
    assert there.certificate.backward_error < 1e-14
    assert there.certificate.norm == pytest.approx(here.certificate.norm)
    assert there.certificate.min_pivot_row == here.certificate.min_pivot_row
    if precision == "float64":
        np.testing.assert_allclose(there.leave_one_out(), here.leave_one_out(), atol=1e-9)
    there.close()
    assert kernelfit.check(tmp_path / "run").problems == []


def test_a_stored_gram_is_sent_to_workers_with_gpus(rng: np.random.Generator, client: Any) -> None:
    X, Y = problem(rng)
    K = np.exp(-0.3 * np.abs(X[:, None] - X).sum(axis=2))
    arguments = {"kernel": "precomputed", "panel_width": 48, "ridge": 0.01}
    there = kernelfit.solve(K, Y, engine="dask", scheduler=client, device="cuda", **arguments)
    assert difference(there.alpha, kernelfit.solve(K, Y, **arguments).alpha) <= 1e-12
    there.close()


@pytest.mark.parametrize("bytes_of", ["floats", "bytes", "bytes and floats"])
def test_predictions_of_many_rows_are_made_on_gpus(
    rng: np.random.Generator, client: Any, gpus: Gpus, monkeypatch: pytest.MonkeyPatch, bytes_of: str
) -> None:
    monkeypatch.setattr("kernelfit.solver.cluster_system._PAIRS_HERE", 0)
    X, Y = problem(rng)
    new: np.ndarray = rng.standard_normal((71, 4))
    scale = None
    if bytes_of != "floats":
        X, scale = rng.integers(0, 256, X.shape).astype(np.uint8), 1 / 255
        new = X[:71] // 2 if bytes_of == "bytes" else np.abs(new)
    arguments = {**ARGUMENTS, "kernel": "gaussian", "scale": scale, "ridge": 0.1}
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, device="cuda", **arguments)
    before = sum(device.bytes_in for device in gpus.opened)
    predictions = there.predict(new)
    # Rows that are no integers are multiplied by CPUs, where those on the GPU are.
    assert (sum(device.bytes_in for device in gpus.opened) > before) == (bytes_of != "bytes and floats")
    expected = kernelfit.solve(X, Y, **arguments).predict(new)
    np.testing.assert_allclose(predictions, expected, atol=1e-11)
    there.close()


def test_sample_weights_are_a_diagonal_on_gpus(rng: np.random.Generator, client: Any) -> None:
    X, Y = problem(rng)
    arguments = {**ARGUMENTS, "ridge": 0.1, "sample_weight": rng.uniform(0.5, 2.0, len(X))}
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, device="cuda", **arguments)
    assert difference(there.alpha, kernelfit.solve(X, Y, **arguments).alpha) <= 1e-12
    there.close()


def test_workers_with_and_without_a_gpu_share_the_rows_by_speed(
    rng: np.random.Generator, client: Any, gpus: Gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = problem(rng)
    gpus.count = 2

    def rates(cluster: Cluster, dtype: Any, gpus: dict[str, int]) -> dict[str, float]:
        assert len(gpus) == 2
        return {address: 5e12 if address in gpus else 1e12 for address in cluster.workers()}

    monkeypatch.setattr(Cluster, "rates", rates)
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, **ARGUMENTS)
    first, second = there.notes
    assert first == "device auto: the GPUs of 2 of 3 workers"
    assert second.startswith("workers differ in speed or memory: of L go ")
    assert there.device == "dask, 3 workers, 2 on GPUs"
    assert difference(there.alpha, kernelfit.solve(X, Y, **ARGUMENTS).alpha) <= 1e-12
    there.close()


def test_a_fall_back_to_float64_stays_on_the_gpus(rng: np.random.Generator, client: Any, gpus: Gpus) -> None:
    X, Y = problem(rng)
    X[-1] = X[-2] + 1e-9  # a pivot of float64 alone, in the last panel
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, precision="mixed", **ARGUMENTS)
    first, second = there.notes
    assert first == "device auto: the GPUs of 3 of 3 workers"
    assert second.startswith("mixed precision fell back to float64: ")
    assert there.device == "dask, 3 workers, 3 on GPUs"
    assert len(gpus.opened) == 6
    assert difference(there.alpha, kernelfit.solve(X, Y, **ARGUMENTS).alpha) <= 1e-6
    there.close()


def test_what_gpus_cannot_do_is_told_before_anything_is_sent(
    rng: np.random.Generator, client: Any, gpus: Gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = problem(rng)
    where = {"engine": "dask", "scheduler": client, **ARGUMENTS}
    with monkeypatch.context() as patch:
        patch.setattr(client, "scatter", None)
        with pytest.raises(
            InputError, match=r"device: got 'cuda:0' beside engine='dask', expected auto, cpu or cuda"
        ):
            kernelfit.solve(X, Y, device="cuda:0", **where)
        with pytest.raises(InputError, match=r"device_memory: got 1,000 for the CPUs of workers"):
            kernelfit.solve(X, Y, device="cpu", device_memory=1000, **where)
        with pytest.raises(InputError, match=r"precision: got tf32 .* take mixed, or device='cuda'"):
            kernelfit.solve(X, Y, precision="tf32", **where)
        with pytest.raises(
            DeviceError,
            match=r"the worker inproc:\S+ may take 1,000 bytes of its GPU, where .* are needed beside L",
        ):
            kernelfit.solve(X, Y, device="cuda", device_memory=1000, **where)
        gpus.count = 0
        with pytest.raises(
            DeviceError,
            match=r"device: got cuda, but the worker inproc:\S+ has no GPU that can be used \(no driver",
        ):
            kernelfit.solve(X, Y, device="cuda", **where)
    there = kernelfit.solve(X, Y, device_memory="1GB", **where)
    assert there.device == "dask, 3 workers"
    assert there.notes == ["device_memory: ignored, as the workers compute on their CPUs"]
    there.close()


@pytest.mark.parametrize("refusing", [1, 3])
def test_a_function_that_does_not_compile_for_a_gpu_is_computed_on_the_cpu(
    rng: np.random.Generator, client: Any, gpus: Gpus, monkeypatch: pytest.MonkeyPatch, refusing: int
) -> None:
    """The solve ended with the first tile, whose error asked for device='cpu'."""
    compile_it, numbers = HostDevice.compile, itertools.count()

    def refused(device: HostDevice, kernel: Any) -> None:
        if device.slab.capacity < ROOM and next(numbers) < refusing:
            raise InputError("mine: Numba CUDA cannot compile it")
        compile_it(device, kernel)

    def mine(x: Any, y: Any) -> float:
        return 1.0 / (1.0 + np.sum((x - y) ** 2))

    monkeypatch.setattr(HostDevice, "compile", refused)
    X, Y = problem(rng, 101)
    where = {"engine": "dask", "scheduler": client, "panel_width": WIDTH, "kernel": mine, "ridge": 0.1}
    there = kernelfit.solve(X, Y, **where)
    said = next(line for line in there.notes if line.startswith("device auto: the CPUs of some workers"))
    assert "has no GPU that can be used (mine: Numba CUDA cannot compile it)" in said
    assert there.device == ("dask, 3 workers" if refusing == 3 else "dask, 3 workers, 2 on GPUs")
    assert difference(there.alpha, kernelfit.solve(X, Y, kernel=mine, ridge=0.1).alpha) <= 1e-12
    there.close()
    numbers = itertools.count()
    with pytest.raises(DeviceError, match=r"device: got cuda, but the worker .* \(mine: Numba CUDA"):
        kernelfit.solve(X, Y, device="cuda", **where)


def test_workers_of_this_machine_are_started_by_dask_cuda(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = problem(rng, 40)
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    with pytest.raises(
        ClusterError, match=r"device: got cuda for workers .* which needs the package dask-cuda \("
    ):
        kernelfit.solve(X, Y, engine="dask", device="cuda")

    started: dict[str, Any] = {}

    def start(**options: Any) -> Any:
        started.update(options)
        return local_cluster(2)

    modules = {"dask_cuda": ModuleType("dask_cuda"), "dask_cuda.utils": ModuleType("dask_cuda.utils")}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    vars(modules["dask_cuda"])["LocalCUDACluster"] = start
    vars(modules["dask_cuda.utils"])["get_n_gpus"] = lambda: 2
    there = kernelfit.solve(
        X,
        Y,
        engine="dask",
        device="cuda",
        threads=5,
        memory=2_100_000_000,
        **{**ARGUMENTS, "panel_width": 16},
    )
    assert there.device == "dask, 2 workers, 2 on GPUs"
    assert started["threads_per_worker"] == 2
    assert any(
        "SIG_IGN" in text for text in started["preload"]
    )  # a terminal's Ctrl-C is this process's to answer
    assert started["memory_limit"] == 1_500_000_000
    there.close()
    vars(modules["dask_cuda.utils"])["get_n_gpus"] = lambda: 0
    with pytest.raises(
        ClusterError, match=r"device: got cuda .* but dask-cuda does not start them \(it sees no GPU\)"
    ):
        kernelfit.solve(X, Y, engine="dask", device="cuda")


def test_workers_that_see_one_gpu_have_equal_parts_of_it(
    client: Any, gpus: Gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernelfit.cluster.gpu.look", lambda: Gpu("the only one", 900))
    assert [gpu.free for gpu in Cluster(client, (), "here").gpus().values()] == [300] * 3


class Timed(HostDevice):
    """Products take the seconds of `clock`, which pass while the host waits for them."""

    def __init__(self, capacity: int, clock: list[float]) -> None:
        super().__init__(capacity)
        self.clock, self.now, self.queued = iter(clock), 0.0, 0

    def gemm(self, *arguments: Any, **options: Any) -> None:
        super().gemm(*arguments, **options)
        self.queued += 1

    def synchronise(self, event: Any | None = None) -> None:
        super().synchronise(event)
        self.now += sum(next(self.clock) for _ in range(self.queued))
        self.queued = 0


@pytest.mark.parametrize(("memory", "order"), [(2**20, 64), (20_000, 35)])
def test_the_rate_of_a_gpu_is_that_of_its_fastest_product(
    monkeypatch: pytest.MonkeyPatch, memory: int, order: int
) -> None:
    """Four squares of float32 fit into 20,000 bytes where they are of order 35."""
    opened: list[Timed] = []

    def open_gpu(capacity: int) -> Timed:
        opened.append(Timed(capacity, [9.0, 0.5, 0.25, 0.75, 0.5, 0.5]))
        return opened[-1]

    monkeypatch.setattr("kernelfit.cluster.gpu.open_gpu", open_gpu)
    monkeypatch.setattr("kernelfit.cluster.gpu.time", SimpleNamespace(perf_counter=lambda: opened[-1].now))
    assert gpu.measured_rate(np.float32, memory, order=64) == 2.0 * order**3 / 0.25
    assert opened[0].slab.capacity <= memory
    assert not opened[0]._memory.size


def test_the_rate_of_a_worker_is_that_of_its_gpu_or_of_all_its_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_thread = threading.local()

    def thread_time() -> float:
        """The first of a thread's five products takes half a second, the others longer."""
        of_thread.readings = getattr(of_thread, "readings", -1) + 1
        product, end = divmod(of_thread.readings, 2)
        return 10.0 * product + end * (0.5 + product % 5)

    monkeypatch.setattr("kernelfit.cluster.tasks.time", SimpleNamespace(thread_time=thread_time))
    monkeypatch.setattr("kernelfit.cluster.tasks._ORDER", 32)
    monkeypatch.setattr("kernelfit.cluster.gpu.measured_rate", lambda dtype, memory: (dtype, memory))
    worker = SimpleNamespace(address="here", state=SimpleNamespace(nthreads=3))
    assert rate_of_worker(np.dtype(np.float32), {"there": 7}, worker) == 3 * 2.0 * 32**3 / 0.5
    assert rate_of_worker(np.dtype(np.float32), {"here": 7}, worker) == (np.float32, 7)


def test_rates_are_those_of_every_worker(client: Any, gpus: Gpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.measured_rate, "__defaults__", (64,))
    addresses = sorted(client.scheduler_info()["workers"])
    rates = RATES(Cluster(client, (), "here"), np.dtype(np.float32), {addresses[0]: 20_000})
    assert sorted(rates) == addresses
    assert len(gpus.opened) == 1


def test_this_machine_says_why_it_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernelfit.cluster.gpu.has_driver", lambda: False)
    assert LOOK() == "no driver is loaded"


class Closing(Silent):
    """Closes some workers when 40 % of a phase is done."""

    def __init__(self, cluster: Any, phase: str, count: int = 1) -> None:
        super().__init__()
        self._cluster, self._phase, self._count, self._closed = cluster, phase, count, False

    @contextmanager
    def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Any]:
        done = 0.0

        def advance(amount: float) -> None:
            nonlocal done
            done += amount
            if name == self._phase and done > 0.4 * total and not self._closed:
                self._closed = True
                for index in range(self._count):
                    self._cluster.sync(self._cluster.workers[index].close, nanny=False)

        yield advance


@pytest.mark.parametrize(
    ("phase", "precision", "full"),
    [("factor", "float64", False), ("certify", "mixed", False), ("factor", "float64", True)],
)
def test_what_a_lost_worker_had_is_computed_again_on_another_gpu_or_its_cpu(
    rng: np.random.Generator,
    gpus: Gpus,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
    precision: str,
    full: bool,
) -> None:
    monkeypatch.setattr("kernelfit.cluster.crew._RESTART", 0.0)
    monkeypatch.setattr("kernelfit.cluster.crew._LOOK", 0.1)
    X, Y = problem(rng)
    arguments = {**ARGUMENTS, "precision": precision}
    with local_cluster(2) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        if full:  # what looks again after the loss sees no memory that is free
            gpus.count = 2
        progress = Closing(cluster, phase)
        there = kernelfit.solve(
            X, Y, engine="dask", scheduler=client, device="cuda", progress=progress, **arguments
        )
        left_out = there.leave_one_out(progress)
        (note,) = [line for line in progress.notes if "was lost" in line]
        assert note.startswith("worker inproc://")
        assert ("on its CPU, as it has no GPU with room for it" in note) == full
        whole = kernelfit.solve(X, Y, **arguments)
        assert difference(there.alpha, whole.alpha) <= 1e-12
        bound = 1e-9 if precision == "float64" else 1e-2
        np.testing.assert_allclose(left_out, whole.leave_one_out(), atol=bound)
        there.close()


def test_a_run_begun_on_gpus_is_resumed_on_cpus_and_the_other_way_round(
    rng: np.random.Generator, client: Any, gpus: Gpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = problem(rng)
    whole, where = kernelfit.solve(X, Y, **ARGUMENTS), {"engine": "dask", "scheduler": client}
    record = Run.record

    def until(run: Run, j: int, *arguments: Any) -> None:
        if j == 2:
            raise KeyboardInterrupt
        record(run, j, *arguments)

    for first, second in (("cuda", "cpu"), ("cpu", "cuda")):
        run_dir = tmp_path / first
        with monkeypatch.context() as patch:
            patch.setattr(Run, "record", until)
            with pytest.raises(KeyboardInterrupt):
                kernelfit.solve(X, Y, device=first, run_dir=run_dir, **where, **ARGUMENTS)
        resumed = kernelfit.resume(run_dir, device=second, **where)
        assert ("GPUs" in resumed.device) == (second == "cuda")
        assert difference(resumed.alpha, whole.alpha) <= 1e-12
        resumed.close()


@pytest.mark.parametrize("limited", [False, True])
def test_shares_that_move_to_one_gpu_fit_into_it_together(
    rng: np.random.Generator, gpus: Gpus, monkeypatch: pytest.MonkeyPatch, limited: bool
) -> None:
    monkeypatch.setattr("kernelfit.cluster.crew._RESTART", 0.0)
    monkeypatch.setattr("kernelfit.cluster.crew._LOOK", 0.1)
    X, Y = problem(rng)
    whole = kernelfit.solve(X, Y, **ARGUMENTS)
    with local_cluster(3) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        where = {"engine": "dask", "scheduler": client, "device": "cuda"}
        room = room_for(whole, 2.0)
        if limited:  # by what the one that is left has already, and one more
            where["device_memory"] = room = 2 * room
        else:
            gpus.free = room
        there = kernelfit.solve(X, Y, progress=Closing(cluster, "factor", 2), **where, **ARGUMENTS)
        sizes = [device.slab.capacity for device in gpus.opened]
        assert len(sizes) > 3
        assert sum(sizes[3:]) + (min(sizes[:3]) if limited else 0) <= room
        assert difference(there.alpha, whole.alpha) <= 1e-12
        on_gpus = 3 - sum("on its CPU" in line for line in there.notes)
        assert there.device == f"dask, 3 workers, {on_gpus} on GPUs"
        there.close()


def test_a_gpu_without_room_for_float64_is_named_and_its_share_goes_to_the_cpu(
    rng: np.random.Generator, client: Any, gpus: Gpus
) -> None:
    X, Y = problem(rng)
    whole = kernelfit.solve(X, Y, **ARGUMENTS)
    X[-1] = X[-2] + 1e-9  # a pivot of float64 alone, in the last panel
    row_bytes = gram_row_bytes(whole.problem.source)
    gpus.free = fixed_bytes(PanelLayout(ROWS, WIDTH), 4, row_bytes, columns_of(2)) + 8_000
    where = {"engine": "dask", "scheduler": client, "device": "cuda"}
    there = kernelfit.solve(X, Y, precision="mixed", **where, **ARGUMENTS)
    assert gpus.opened
    named = [
        line
        for line in there.notes
        if line.endswith("are needed beside L: in float64 it computes on its CPU")
    ]
    assert len(named) == 3
    assert there.device == "dask, 3 workers"
    there.close()


def test_whatever_keeps_a_gpu_from_being_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(index: int) -> None:
        raise AttributeError("no such symbol")

    monkeypatch.setattr("kernelfit.cluster.gpu.has_driver", lambda: True)
    monkeypatch.setattr("kernelfit.cluster.gpu.gpu_memory", fails)
    assert LOOK() == "AttributeError: no such symbol"
