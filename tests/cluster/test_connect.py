"""What is told of a scheduler, a client or workers that cannot be reached or used, before anything is sent."""

from __future__ import annotations

import asyncio
import copy
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.cluster.connect import Cluster, Engine, connect, in_time
from kernelfit.errors import ClusterError, InputError, PlanError

from .conftest import local_cluster

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with local_cluster(1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Any) -> Iterator[Any]:
    with distributed.Client(cluster, set_as_default=False) as client:
        yield client


def test_what_a_cluster_cannot_do_is_one_line(rng: np.random.Generator, client: Any) -> None:
    X, Y = rng.standard_normal((40, 4)), rng.standard_normal((40, 2))
    with pytest.raises(InputError, match="engine: got 'spark', expected process or dask"):
        kernelfit.solve(X, Y, engine="spark")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="scheduler: got one for the engine process"):
        kernelfit.solve(X, Y, scheduler="tcp://127.0.0.1:1")
    for given in (3, client.cluster, ThreadPoolExecutor()):
        with pytest.raises(
            InputError, match=r"scheduler: got .*, expected an address .* give its get_client\(\)"
        ):
            kernelfit.solve(X, Y, engine="dask", scheduler=given)
    with pytest.raises(ClusterError, match="scheduler: got 'nowhere', expected an address"):
        kernelfit.solve(X, Y, engine="dask", scheduler="nowhere")
    with pytest.raises(ClusterError, match=r"scheduler: got tls://127.0.0.1:1, expected certificates"):
        kernelfit.solve(X, Y, engine="dask", scheduler="tls://127.0.0.1:1")
    with pytest.raises(PlanError, match=r"memory: got 1,000 bytes for 2 workers, .* expected more than"):
        kernelfit.solve(X, Y, engine="dask", memory=1000, threads=2)
    # A cluster that runs is not this process's to limit, which is said.
    solution = kernelfit.solve(X, Y, engine="dask", scheduler=client, memory=1000, device_memory="1GB")
    assert [note.partition(":")[0] for note in solution.notes if ": ignored" in note] == [
        "memory",
        "device_memory",
    ]
    solution.close()


def test_a_scheduler_without_the_package_is_one_line(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads every task on its way, and Dask's error of that has many lines."""
    there = copy.deepcopy(client.get_versions(packages=["kernelfit", "numpy", "scipy", "numba"]))
    there["scheduler"]["packages"]["kernelfit"] = None
    monkeypatch.setattr(client, "get_versions", lambda packages: there)
    with pytest.raises(
        ClusterError, match=r"scheduler: that of the cluster of the client has no kernelfit, expected"
    ):
        kernelfit.solve(np.eye(3), np.ones(3), engine="dask", scheduler=client, gamma=1.0)


@pytest.mark.parametrize("contents", ["", "{}", "[]", '{"address": null}'])
def test_a_file_that_no_scheduler_wrote(tmp_path: Path, contents: str) -> None:
    """Dask's assertion came through of one without an address."""
    path = tmp_path / "scheduler.json"
    path.write_text(contents)
    with pytest.raises(ClusterError, match=r"scheduler: got the file .*, which holds no address"):
        kernelfit.solve(np.eye(3), np.ones(3), engine="dask", scheduler=path, gamma=1.0)


def test_a_client_that_is_closed_or_asynchronous(cluster: Any) -> None:
    where = {"engine": "dask", "gamma": 1.0}
    client = distributed.Client(cluster, set_as_default=False)
    client.close()
    with pytest.raises(
        ClusterError, match="scheduler: got a client that is closed, expected one that is open"
    ):
        kernelfit.solve(np.eye(3), np.ones(3), scheduler=client, **where)

    async def asked() -> None:
        async with distributed.Client(
            cluster.scheduler.address, asynchronous=True, set_as_default=False
        ) as client:
            kernelfit.solve(np.eye(3), np.ones(3), scheduler=client, **where)

    with pytest.raises(InputError, match="scheduler: got an asynchronous client"):
        asyncio.run(asked())


def test_workers_that_do_not_start_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a script whose call is not under its main guard: Dask's traceback came through."""

    def failing(**options: Any) -> None:
        raise RuntimeError("Nanny failed to start.") from OSError("no process")

    monkeypatch.setattr(distributed, "LocalCluster", failing)
    with pytest.raises(
        ClusterError, match=r"2 workers do not start on this machine \(no process\).*__main__"
    ):
        kernelfit.solve(np.eye(3), np.ones(3), engine="dask", threads=2, gamma=1.0)


def test_a_server_that_says_nothing_is_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask has no time limit for the first words on a connection: it was waited for without end."""
    monkeypatch.setattr("kernelfit.cluster.connect._PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterError, match=r"does not answer \(whoever listens there .* says nothing\)"):
            connect(Engine("dask", address), 1, 10**9, Path(), print)


@pytest.mark.parametrize("error", [TimeoutError, KeyboardInterrupt])
def test_a_client_that_comes_too_late_is_closed(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """It stayed connected, with its threads, for as long as this process ran."""
    asked, closed = threading.Event(), threading.Event()

    def make() -> str:
        asked.wait(10.0)
        return "late"

    def release(late: str) -> None:
        assert late == "late"
        closed.set()

    if error is KeyboardInterrupt:

        def interrupted(*arguments: Any) -> None:
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr("kernelfit.cluster.connect._taken", interrupted)
    with pytest.raises(error):
        in_time(make, 0.01, release)
    assert not closed.is_set()
    asked.set()
    assert closed.wait(10.0)


def test_a_cluster_that_gets_no_client_is_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed = threading.Event()
    started = SimpleNamespace(close=closed.set)

    def refused(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(distributed, "LocalCluster", lambda **options: started)
    monkeypatch.setattr(distributed, "Client", refused)
    with pytest.raises(KeyboardInterrupt):
        connect(Engine("dask"), 1, 10**9, tmp_path, print)
    assert closed.is_set()


def test_a_worker_that_fails_is_named_and_one_that_is_gone_is_left_out(client: Any) -> None:
    """It had no part in the work, and nobody was told."""
    address = next(iter(client.scheduler_info()["workers"]))
    cluster = Cluster(client, (), "the scheduler")
    assert cluster.on_each(int, "x") == {}  # before it is known which workers can take part
    cluster.alike = frozenset([address])
    with pytest.raises(
        ClusterError, match=rf"the worker {address} of the scheduler fails \(invalid literal for int"
    ):
        cluster.on_each(int, "x")
    assert cluster.on_each(open, "/nowhere/at/all") == {}


def test_workers_of_our_own_leave_an_interrupt_to_this_process(tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to all: they ended, and a run that was to stop after its panel failed in the midst."""
    cluster = connect(Engine("dask"), 1, 10**9, tmp_path, lambda line: None)
    try:
        assert list(cluster.on_each(signal.getsignal, signal.SIGINT).values()) == [signal.SIG_IGN]
    finally:
        cluster.close()
