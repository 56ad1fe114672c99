"""`solve(engine="dask")` on workers that are threads of this process."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError as FuturesCancelled
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from click.testing import CliRunner

import kernelfit
from kernelfit.cli import root
from kernelfit.cluster import tasks
from kernelfit.cluster.connect import Cluster
from kernelfit.cluster.costs import ShareCosts
from kernelfit.cluster.crew import Crew
from kernelfit.cluster.deal import Deal
from kernelfit.cluster.tasks import WorkerState
from kernelfit.device.host import HostDevice
from kernelfit.errors import ClusterError, InputError, NotPositiveDefiniteError, PlanError
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import PanelLayout
from kernelfit.linalg.cholesky import panel_flops
from kernelfit.progress import Silent
from kernelfit.runs.folder import Run

from .conftest import local_cluster

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with local_cluster(3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Any) -> Iterator[Any]:
    with distributed.Client(cluster, set_as_default=False) as client:
        yield client


RATES = Cluster.rates


@pytest.fixture(autouse=True)
def alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers count as equally fast: on a machine that is busy measured rates may differ by more than is forgiven."""
    monkeypatch.setattr(Cluster, "rates", lambda cluster, dtype, gpus: {})


def test_rates_are_measured_on_every_worker(client: Any) -> None:
    rates = RATES(Cluster(client, (), "here"), np.dtype(np.float64), ())
    assert set(rates) == set(client.scheduler_info()["workers"])
    assert all(1e6 < rate < 1e13 for rate in rates.values())


def problem(rng: np.random.Generator, n: int = 301) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((n, 4)), rng.standard_normal((n, 2))


ARGUMENTS: dict[str, Any] = {"kernel": "laplacian", "gamma": 0.3, "panel_width": 64, "condition": False}


@pytest.mark.parametrize("precision", ["float64", "float32", "mixed"])
def test_the_solution_is_that_of_one_process(
    rng: np.random.Generator, client: Any, tmp_path: Path, precision: str
) -> None:
    X, Y = problem(rng)
    arguments = {**ARGUMENTS, "precision": precision, "condition": True}
    here = kernelfit.solve(X, Y, **arguments)
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, **arguments)
    bound = 1e-4 if precision == "float32" else 1e-12
    assert np.abs(there.alpha - here.alpha).max() <= bound * np.abs(here.alpha).max()
    assert there.device == "dask, 3 workers"
    ours, theirs = here.certificate, there.certificate
    assert theirs.interpolates == ours.interpolates
    assert theirs.backward_error < 1e-14 or precision == "float32"
    assert theirs.condition_estimate == pytest.approx(ours.condition_estimate, rel=1e-3)
    assert theirs.norm == pytest.approx(ours.norm)
    assert theirs.min_pivot_row == ours.min_pivot_row
    left_out = 1e-9 if precision == "float64" else 1e-3
    np.testing.assert_allclose(there.leave_one_out(), here.leave_one_out(), atol=left_out)
    np.testing.assert_allclose(there.predict(X[:5] + 0.1), here.predict(X[:5] + 0.1), atol=bound * 100)
    there.save(tmp_path / "solution.h5")
    np.testing.assert_array_equal(kernelfit.load(tmp_path / "solution.h5").alpha, there.alpha)
    again = there.solve(Y[:, 0])
    np.testing.assert_allclose(again.alpha, there.alpha[:, :1], atol=bound * np.abs(here.alpha).max())
    there.close()


def test_memory_that_a_worker_is_refused_is_one_line(
    rng: np.random.Generator, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise MemoryError("cannot allocate 9 EiB")

    monkeypatch.setattr(tasks, "RamTiles", refuse)
    with pytest.raises(
        PlanError, match=r"^memory: a worker's system refused memory for .*9 EiB.*--memory-limit"
    ):
        kernelfit.solve(*problem(rng), engine="dask", scheduler=client, **ARGUMENTS)


def test_many_right_hand_sides_do_not_travel_through_the_scheduler(
    rng: np.random.Generator, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernelfit.cluster.solves._WITH_ITS_TASK", 0)
    X, _ = problem(rng)
    Y = rng.standard_normal((301, 5))
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, **ARGUMENTS)
    np.testing.assert_allclose(there.alpha, kernelfit.solve(X, Y, **ARGUMENTS).alpha, rtol=1e-9, atol=1e-12)
    there.close()


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_a_stored_gram_is_sent_to_the_workers_block_by_block(
    rng: np.random.Generator, client: Any, tmp_path: Path, precision: str
) -> None:
    X, Y = problem(rng)
    K = np.exp(-0.3 * np.abs(X[:, None] - X).sum(axis=2))
    arguments = {"kernel": "precomputed", "panel_width": 48, "precision": precision}
    whole = kernelfit.solve(K, Y, **arguments)
    there = kernelfit.solve(K, Y, engine="dask", scheduler=client, run_dir=tmp_path / "run", **arguments)
    assert np.abs(there.alpha - whole.alpha).max() <= 1e-12 * np.abs(whole.alpha).max()
    assert there.certificate.backward_error < 1e-14
    np.testing.assert_allclose(there.leave_one_out(), whole.leave_one_out(), rtol=1e-3)
    np.testing.assert_allclose(there.predict(K[:3]), Y[:3], atol=1e-9)
    there.close()
    assert kernelfit.check(tmp_path / "run", gram=K).problems == []


def test_predictions_of_many_rows_are_made_by_the_workers(
    rng: np.random.Generator, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernelfit.solver.cluster_system._PAIRS_HERE", 0)
    X, Y = problem(rng)
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, **ARGUMENTS)
    new = rng.standard_normal((23, 4))
    np.testing.assert_allclose(
        there.predict(new), kernelfit.solve(X, Y, **ARGUMENTS).predict(new), atol=1e-12
    )
    there.close()


def test_a_run_of_the_cluster_is_a_run_like_any_other(
    rng: np.random.Generator, client: Any, tmp_path: Path
) -> None:
    X, Y = problem(rng)
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, run_dir=tmp_path / "run", **ARGUMENTS)
    there.close()
    opened = kernelfit.open(tmp_path / "run")
    np.testing.assert_array_equal(opened.alpha, there.alpha)
    np.testing.assert_allclose(opened.solve(Y).alpha, there.alpha, rtol=1e-11)
    opened.close()
    assert kernelfit.check(tmp_path / "run").problems == []


def test_blocks_in_a_runs_folder_take_nothing_of_the_workers_disks(
    rng: np.random.Generator, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = problem(rng)
    monkeypatch.setattr("kernelfit.cluster.tasks.free_disk", lambda folder: 0)
    where = {"engine": "dask", "scheduler": client, "tier": "disk", **ARGUMENTS}
    with pytest.raises(PlanError, match=r"disk: .* bytes needed on worker 0 of 3 for its share"):
        kernelfit.solve(X, Y, **where)
    there = kernelfit.solve(X, Y, run_dir=tmp_path / "run", **where)
    assert (
        np.abs(there.alpha - kernelfit.solve(X, Y, **ARGUMENTS).alpha).max()
        <= 1e-12 * np.abs(there.alpha).max()
    )
    there.close()


def test_not_positive_definite(rng: np.random.Generator, client: Any) -> None:
    X, Y = problem(rng)
    X[200] = X[100] + 1e-16
    with pytest.raises(NotPositiveDefiniteError, match="its nearest row is") as caught:
        kernelfit.solve(
            X * 1e-9, Y, kernel="gaussian", gamma=1e-3, engine="dask", scheduler=client, panel_width=48
        )
    assert caught.value.row >= 0


def test_a_worker_that_comes_meanwhile_has_no_part(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be of another version, or without the GPU that all are to have: nobody has looked at it."""
    X, Y = problem(rng)
    workers = Cluster.workers
    with local_cluster(1) as cluster, distributed.Client(cluster, set_as_default=False) as client:

        def later(self: Cluster) -> Any:
            if len(cluster.workers) == 1:
                cluster.scale(2)
                client.wait_for_workers(2, timeout=20)
            return workers(self)

        monkeypatch.setattr(Cluster, "workers", later)
        there = kernelfit.solve(X, Y, engine="dask", scheduler=client, **ARGUMENTS)
        assert len(client.nthreads()) == 2
        assert there.device == "dask, 1 workers"
        there.close()


def test_what_is_ignored_of_auto_and_of_sparse_rows_is_said(
    rng: np.random.Generator, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = problem(rng)
    where: dict[str, Any] = {"engine": "dask", "scheduler": client, **ARGUMENTS}
    there = kernelfit.solve(X, Y, solver="auto", tolerance=0.1, **where)
    assert there.notes == [
        "tolerance: ignored, as the workers of a cluster make a factor, which meets all targets"
    ]
    assert there.problem.method.solver == "cholesky"
    there.close()
    rows = scipy.sparse.random(120, 4_000, 0.005, rng=rng, format="csr")
    monkeypatch.setattr(Run, "finish", stopped)
    with pytest.raises(Stop):
        kernelfit.solve(rows, Y[:120], ridge=0.1, run_dir=tmp_path / "run", engine="dask", scheduler=client)
    monkeypatch.undo()
    monkeypatch.setattr(Cluster, "rates", lambda cluster, dtype, gpus: {})
    resumed = kernelfit.resume(tmp_path / "run", engine="dask", scheduler=client, device="cuda")
    assert resumed.notes == ["device cuda: sparse rows are multiplied on the CPU; make X dense for a device"]
    resumed.close()


@pytest.mark.parametrize("error", [UnboundLocalError, asyncio.CancelledError, FuturesCancelled])
def test_a_gather_that_took_too_long_is_no_lost_worker(
    rng: np.random.Generator, client: Any, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """Steps were taken again, and a machine without time for a hundred gathers was one that loses workers."""
    X, Y = problem(rng)
    sync, renew = distributed.Client.sync, Crew._renew
    calls = {"cancelled": 0, "renewed": 0}

    def cancelled(self: Any, function: Any, *arguments: Any, **options: Any) -> Any:
        if options.get("callback_timeout") and calls["cancelled"] < 2:
            calls["cancelled"] += 1
            raise error
        return sync(self, function, *arguments, **options)

    def renewed(self: Crew) -> None:
        calls["renewed"] += 1
        renew(self)

    monkeypatch.setattr(distributed.Client, "sync", cancelled)
    monkeypatch.setattr(Crew, "_renew", renewed)
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, **ARGUMENTS)
    assert calls == {"cancelled": 2, "renewed": 1}
    there.close()


def test_what_nobody_holds_any_more_is_given_back(rng: np.random.Generator, client: Any) -> None:
    """Shares of solutions that nobody closed stayed on the workers, and clusters of their own with their processes."""

    def held(dask_worker: Any) -> int:
        return len(vars(dask_worker).get(tasks._SHARES, {}))

    X, Y = problem(rng)
    before = client.run(held)
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, **ARGUMENTS)
    assert client.run(held) == {address: count + 1 for address, count in before.items()}
    closed = threading.Event()
    local = SimpleNamespace(close=closed.set)
    own = Cluster(None, (local,), "here")
    del there, own
    gc.collect()
    assert closed.wait(20)
    deadline = time.monotonic() + 20
    while client.run(held) != before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_worker_that_may_not_look_into_a_runs_folder(
    rng: np.random.Generator, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error came through with a traceback of Dask's."""
    is_file = Path.is_file

    def denied(path: Path) -> bool:
        if path.name.startswith(".seen-"):
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", denied)
    X, Y = problem(rng, 40)
    with pytest.raises(ClusterError, match=r"run_dir: the worker inproc://.* does not see .*run, expected"):
        kernelfit.solve(X, Y, engine="dask", scheduler=client, run_dir=tmp_path / "run", **ARGUMENTS)
    assert not (tmp_path / "run").exists()


def stopped(*arguments: Any) -> None:
    raise Stop


class Stop(Exception):
    """What stops a run in a test."""


@pytest.mark.parametrize("engine", ["process", "dask"])
def test_a_run_that_stopped_is_resumed_on_a_cluster_or_here(
    rng: np.random.Generator,
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counting: Any,
    engine: str,
) -> None:
    X, Y = problem(rng)
    whole = kernelfit.solve(X, Y, **ARGUMENTS)
    record = Run.record

    def until(run: Run, j: int, *arguments: Any) -> None:
        if j == 2:
            raise Stop
        record(run, j, *arguments)

    monkeypatch.setattr(Run, "record", until)
    with pytest.raises(Stop):
        kernelfit.solve(X, Y, engine="dask", scheduler=client, run_dir=tmp_path / "run", **ARGUMENTS)
    monkeypatch.setattr(Run, "record", record)
    progress = counting()
    where = {"engine": "dask", "scheduler": client} if engine == "dask" else {}
    if engine == "dask":
        with pytest.raises(InputError, match="device: got 'cuda:0' beside engine='dask'"):
            kernelfit.resume(tmp_path / "run", device="cuda:0", **where)
    resumed = kernelfit.resume(tmp_path / "run", progress=progress, **where)
    assert np.abs(resumed.alpha - whole.alpha).max() <= 1e-12 * np.abs(whole.alpha).max()
    assert resumed.certificate.log_det == pytest.approx(whole.certificate.log_det)
    assert resumed.certificate.min_pivot_row == whole.certificate.min_pivot_row
    left = sum(panel_flops(PanelLayout(301, 64), j) for j in (2, 3, 4))
    assert progress.total["factor"] == pytest.approx(left)
    assert progress.done["factor"] == pytest.approx(left, rel=0.05)
    assert any("begun on a cluster" in note for note in progress.notes) == (engine == "process")
    resumed.close()


@pytest.mark.parametrize("begun", ["cpu", "tf32", "fallen back"])
def test_a_run_of_this_process_goes_on_on_a_cluster(
    rng: np.random.Generator, client: Any, tmp_path: Path, begun: str
) -> None:
    X, Y = problem(rng, 120)
    given: dict[str, Any] = {**ARGUMENTS, "panel_width": 32, "run_dir": tmp_path / "run", "device": "cpu"}
    if begun == "tf32":
        given |= {"precision": "tf32", "device": HostDevice(16_000_000)}
    if begun == "fallen back":
        X[119] = X[118] + 1e-9
        given |= {"precision": "mixed"}
    whole = kernelfit.solve(X, Y, **given)
    whole.close()
    (tmp_path / "run" / "solution.h5").unlink()
    resumed = kernelfit.resume(tmp_path / "run", engine="dask", scheduler=client, device_memory="1GB")
    assert resumed.device == "dask, 3 workers"
    assert resumed.plan.tier == "cluster"
    assert resumed.plan.precision == ("mixed" if begun == "tf32" else "float64")
    assert resumed.certificate.backward_error <= 1e-14
    assert "device_memory: ignored, as the workers compute on their CPUs" in resumed.notes
    resumed.close()
    assert kernelfit.check(tmp_path / "run").problems == []
    if begun == "fallen back":
        (tmp_path / "run" / "solution.h5").unlink()
        given |= {"engine": "dask", "scheduler": client, "resume": True}
        again = kernelfit.solve(X, Y, **given)
        assert again.plan.precision == "float64"
        again.close()


class Closing(Silent):
    """Closes a worker when 40 % of a phase is done."""

    def __init__(self, cluster: Any, phase: str) -> None:
        super().__init__()
        self._cluster, self._phase, self._closed = cluster, phase, False

    @contextmanager
    def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Any]:
        done = 0.0

        def advance(amount: float) -> None:
            nonlocal done
            done += amount
            if name == self._phase and done > 0.4 * total and not self._closed:
                self._closed = True
                self._lose()

        yield advance

    def _lose(self) -> None:
        self._cluster.sync(self._cluster.workers[0].close, nanny=False)


@pytest.mark.parametrize("phase", ["factor", "certify", "leave-one-out"])
@pytest.mark.parametrize("stored", [False, True])
def test_what_a_lost_worker_had_is_computed_again(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, stored: bool
) -> None:
    monkeypatch.setattr("kernelfit.cluster.crew._RESTART", 0.0)
    monkeypatch.setattr("kernelfit.cluster.crew._LOOK", 0.1)
    X, Y = problem(rng)
    whole = kernelfit.solve(X, Y, **ARGUMENTS)
    with local_cluster(2) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        progress = Closing(cluster, phase)
        where = {"run_dir": tmp_path / "run"} if stored else {}
        solution = kernelfit.solve(
            X, Y, engine="dask", scheduler=client, progress=progress, **where, **ARGUMENTS
        )
        left_out = solution.leave_one_out(progress)
        (note,) = progress.notes
        assert note.startswith("worker inproc://")
        assert ("read from the run's folder" in note) == stored
        assert np.abs(solution.alpha - whole.alpha).max() <= 1e-12 * np.abs(whole.alpha).max()
        np.testing.assert_allclose(left_out, whole.leave_one_out(), rtol=1e-9)
        solution.close()


class Restarting(Closing):
    """Takes its shares from a worker when 40 % of a phase is done, as where a nanny has started it anew."""

    def _lose(self) -> None:
        next(iter(self._cluster.workers.values())).__dict__.pop("kernelfit_shares")


@pytest.mark.parametrize("upgraded", [False, True])
def test_what_a_worker_had_that_was_started_anew_is_computed_again_and_nothing_else(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, upgraded: bool
) -> None:
    monkeypatch.setattr("kernelfit.cluster.crew._RESTART", 0.0)
    X, Y = problem(rng)
    whole = kernelfit.solve(X, Y, **ARGUMENTS)
    opened, open_shares = list[list[int]](), Crew._open

    def opening(crew: Crew, shares: Any) -> None:
        opened.append(list(shares))
        open_shares(crew, opened[-1])

    monkeypatch.setattr(Crew, "_open", opening)
    with local_cluster(2) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        anew, other = (worker.address for worker in cluster.workers.values())
        calls = iter(({},))
        unlike = {anew: "another version"} if upgraded else {}
        monkeypatch.setattr(Cluster, "unlike", lambda cluster: next(calls, unlike))
        progress = Restarting(cluster, "factor")
        solution = kernelfit.solve(X, Y, engine="dask", scheduler=client, progress=progress, **ARGUMENTS)
        said = f"was lost; its share of L is computed again on {other}"
        if not upgraded:
            said = "was started anew; its share of L is computed again there"
        # Others may follow: Dask's scheduler drops a client now and then that cancels what is being released.
        assert solution.notes[0] == f"worker {anew} {said}"
        assert sorted(opened[0]) == [0, 1]
        assert len(opened[1]) == 1
        assert np.abs(solution.alpha - whole.alpha).max() <= 1e-12 * np.abs(whole.alpha).max()
        solution.close()
    whole.close()


@pytest.mark.parametrize("stored", [False, True])
def test_a_fall_back_to_float64_goes_on_after_a_worker_was_lost(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    monkeypatch.setattr("kernelfit.cluster.crew._RESTART", 0.0)
    monkeypatch.setattr("kernelfit.cluster.crew._LOOK", 0.1)
    X, Y = problem(rng)
    X[271:301:2] = X[270:300:2] + 1e-9  # pivots of float64 alone, in the last panel
    with local_cluster(2) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        where = {"run_dir": tmp_path / "run"} if stored else {}
        solution = kernelfit.solve(
            X,
            Y,
            engine="dask",
            scheduler=client,
            precision="mixed",
            progress=Closing(cluster, "factor"),
            **where,
            **ARGUMENTS,
        )
        lost, fell_back = solution.notes[:2]
        assert lost.startswith("worker inproc://")
        assert fell_back.startswith("mixed precision fell back to float64: ")
        assert solution.certificate.factor_precision == "float64"
        assert solution.device == "dask, 1 workers"
        alpha = kernelfit.solve(X, Y, **ARGUMENTS).alpha
        assert np.abs(solution.alpha - alpha).max() <= 1e-6 * np.abs(alpha).max()
        solution.close()


def test_a_stored_gram_is_sent_again_to_whoever_stands_in_for_a_lost_worker(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernelfit.cluster.crew._RESTART", 0.0)
    monkeypatch.setattr("kernelfit.cluster.crew._LOOK", 0.1)
    X, Y = problem(rng)
    K = np.exp(-0.3 * np.abs(X[:, None] - X).sum(axis=2))
    arguments = {"kernel": "precomputed", "panel_width": 64, "condition": False}
    with local_cluster(2) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        there = kernelfit.solve(
            K, Y, engine="dask", scheduler=client, progress=Closing(cluster, "factor"), **arguments
        )
        assert len(there.notes) == 1
        whole = kernelfit.solve(K, Y, **arguments)
        assert np.abs(there.alpha - whole.alpha).max() <= 1e-12 * np.abs(whole.alpha).max()
        there.close()


def test_other_versions_and_too_little_memory_are_told_before_anything_is_sent(
    rng: np.random.Generator, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = problem(rng)
    where = {"engine": "dask", "scheduler": client, **ARGUMENTS}
    monkeypatch.setattr(client, "scatter", None)
    with monkeypatch.context() as patch:
        patch.setattr("kernelfit.cluster.connect.version", lambda name: "7.7")
        with pytest.raises(
            ClusterError, match=r"the worker inproc:\S+ has kernelfit \S+, expected 7.7 as here"
        ):
            kernelfit.solve(X, Y, **where)
    little = {f"w{p}": WorkerState(10**8, 10**12, 1, "") for p in range(3)}
    monkeypatch.setattr(Cluster, "workers", lambda cluster: little)
    with pytest.raises(
        PlanError, match=r"memory: .* bytes needed on worker 0 of 3 beside its share of n = 301 on its"
    ):
        kernelfit.solve(X, Y, **where)
    with pytest.raises(PlanError, match="take more workers, or tier='disk'"):
        kernelfit.solve(X, Y, tier="ram", **where)


def test_a_worker_of_another_version_does_not_stand_in_for_a_lost_one(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernelfit.cluster.crew._RESTART", 0.0)
    monkeypatch.setattr("kernelfit.cluster.crew._LOOK", 0.1)
    X, Y = problem(rng)
    with local_cluster(3) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        lost, *left = (worker.address for worker in cluster.workers.values())
        other = min(left)
        calls = iter(({},))
        monkeypatch.setattr(Cluster, "unlike", lambda cluster: next(calls, {other: "another version"}))
        progress = Closing(cluster, "factor")
        solution = kernelfit.solve(X, Y, engine="dask", scheduler=client, progress=progress, **ARGUMENTS)
        (note,) = [line for line in solution.notes if "was lost" in line]
        assert note.startswith(f"worker {lost} was lost; its share of L is computed again on {max(left)}")
        solution.close()


def test_products_and_predictions_are_made_where_the_shares_are(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that came later may be of another version."""
    monkeypatch.setattr("kernelfit.solver.cluster_system._PAIRS_HERE", 0.0)
    ran: dict[str, set[str]] = {}

    def submitted(crew: Crew, function: Any, *arguments: Any, **options: Any) -> Any:
        ran.setdefault(function.__name__, set()).update(options["workers"])
        return submit(crew, function, *arguments, **options)

    submit = Crew._submit
    monkeypatch.setattr(Crew, "_submit", submitted)
    X, Y = problem(rng)
    with local_cluster(2) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        first = {worker.address for worker in cluster.workers.values()}
        with closing(kernelfit.solve(X, Y, engine="dask", scheduler=client, **ARGUMENTS)) as solution:
            cluster.scale(3)
            client.wait_for_workers(3)
            predictions = solution.predict(X[:40])
        assert ran["partial_product"] == ran["_predicted"] == first
    np.testing.assert_allclose(predictions, Y[:40], atol=1e-8)


def with_memory(
    monkeypatch: pytest.MonkeyPatch, points: int, of_blocks: tuple[float, ...], width: int = 64
) -> None:
    """Workers, by their addresses, that have these parts of L's bytes beside what they need in any case."""
    costs = Costs.of(n=301, d=4, n_rhs=2, bytes_points=points, panel_width=width)
    beside = ShareCosts.of(costs, Deal(costs.layout, 1), 0, 1).beside
    workers = Cluster.workers

    def limited(cluster: Cluster) -> dict[str, WorkerState]:
        states = sorted(workers(cluster).items())
        return {
            address: replace(state, memory=beside + int(part * costs.bytes_factor))
            for (address, state), part in zip(states, of_blocks, strict=True)
        }

    monkeypatch.setattr(Cluster, "workers", limited)


@pytest.mark.parametrize("tier", ["auto", "disk"])
def test_a_share_that_does_not_fit_into_memory_is_on_its_workers_disk(
    rng: np.random.Generator, client: Any, monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    X, Y = problem(rng)
    arguments = ARGUMENTS | {"panel_width": 32}
    whole = kernelfit.solve(X, Y, **arguments)
    # Panels that are begun lie in memory: a fifth of L.
    with_memory(monkeypatch, whole.problem.bytes_points, (0.4, 0.4, 0.27), width=32)
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, tier=tier, **arguments)
    assert np.abs(there.alpha - whole.alpha).max() <= 1e-12 * np.abs(whole.alpha).max()
    on_disk = [note for note in there.notes if "does not fit into their memory" in note]
    assert len(on_disk) == (tier == "auto")
    assert all(note.count("inproc://") == 1 for note in on_disk)
    there.close()


@pytest.mark.parametrize("last", [0.0, 0.25])
def test_a_worker_of_less_memory_gets_fewer_rows_or_none(
    rng: np.random.Generator, client: Any, monkeypatch: pytest.MonkeyPatch, last: float
) -> None:
    X, Y = problem(rng)
    whole = kernelfit.solve(X, Y, **ARGUMENTS)
    with_memory(monkeypatch, whole.problem.bytes_points, (1.0, 1.0, last))
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, **ARGUMENTS)
    assert np.abs(there.alpha - whole.alpha).max() <= 1e-12 * np.abs(whole.alpha).max()
    np.testing.assert_allclose(there.leave_one_out(), whole.leave_one_out(), rtol=1e-9)
    (note,) = there.notes
    assert note.startswith("workers differ in speed or memory: of L go ")
    assert (" 0% to " in note) == (last == 0.0)
    there.close()


def test_a_slow_worker_gets_fewer_rows(
    rng: np.random.Generator, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = problem(rng)
    whole = kernelfit.solve(X, Y, **ARGUMENTS)
    addresses = sorted(client.scheduler_info()["workers"])
    monkeypatch.setattr(Cluster, "rates", lambda *_: dict(zip(addresses, (3e9, 1e9, 3e9), strict=True)))
    there = kernelfit.solve(X, Y, engine="dask", scheduler=client, **ARGUMENTS)
    assert np.abs(there.alpha - whole.alpha).max() <= 1e-12 * np.abs(whole.alpha).max()
    assert len(there.notes) == 1
    there.close()


@pytest.mark.parametrize(
    "words",
    [
        "study labels --dataset digits --n 120 --n-test 50 --levels 0,1",
        "fit digits --n 120 --n-test 50 --rows 60 --no-baselines --kernels gaussian",
    ],
)
def test_commands_solve_on_the_cluster(client: Any, tmp_path: Path, words: str) -> None:
    records = []
    for where in ("", f" --engine dask --scheduler {client.scheduler.address}"):
        file = tmp_path / "record.json"
        done = CliRunner().invoke(
            root, [*f"{words}{where} --json".split(), str(file)], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        records.append(json.loads(file.read_text()))
    here, there = records
    if words.startswith("study"):
        assert [trial["test_error"] for trial in there["trials"]] == [
            trial["test_error"] for trial in here["trials"]
        ]
    else:
        assert "dask, 3 workers" in json.dumps(there)
        assert "dask" not in json.dumps(here)
