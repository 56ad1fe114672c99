"""Sums of streamed features on workers that are threads of this process, beside those of one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.cluster.connect import Cluster, Engine
from kernelfit.cluster.crew import Crew
from kernelfit.cluster.tasks import WorkerState
from kernelfit.cpu.memory import INTERPRETER
from kernelfit.errors import ClusterError, InputError, PlanError
from kernelfit.experiments.experiment import Experiment
from kernelfit.features.random_conv import RandomConv
from kernelfit.streaming.cluster_sums import ClusterSums, Division
from kernelfit.streaming.gram import FeatureGram, feature_gram

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    local = distributed.LocalCluster(
        n_workers=3,
        threads_per_worker=1,
        processes=False,
        dashboard_address=":0",
        memory_limit=0,
        silence_logs=50,
    )
    with local, distributed.Client(local, set_as_default=False) as client:
        yield client


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (150, 64), dtype=np.uint8)


def fitted(images: np.ndarray, quantise: bool) -> RandomConv:
    net = RandomConv(
        image_shape=(8, 8),
        n_filters=23,
        patch_size=3,
        quantise=quantise,
        pool_size=3,
        pool_stride=3,
        threads=1,
    )
    return net.fit(images[:130])


def grams(net: RandomConv, images: np.ndarray, **options: Any) -> FeatureGram:
    return feature_gram(net, images[:130], images[130:], per_block=3, panel_width=48, **options)


def lower(gram: FeatureGram) -> np.ndarray:
    return np.concatenate([np.tril(panel).ravel() for panel in gram.gram.panels])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize("flops_of_a_byte", [0.0, 1e9], ids=["filters", "tiles"])
def test_sums_are_those_of_one_process(
    images: np.ndarray,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    flops_of_a_byte: float,
    quantise: bool,
    dtype: Any,
) -> None:
    monkeypatch.setattr("kernelfit.streaming.cluster_sums._FLOPS_OF_A_BYTE", flops_of_a_byte or 1e-9)
    net = fitted(images, quantise)
    here = grams(net, images, dtype=dtype)
    there = grams(net, images, dtype=dtype, engine=Engine("dask", client))
    if quantise and dtype == np.float64:
        np.testing.assert_array_equal(lower(there), lower(here))
    bound = 1e-14 if dtype == np.float64 else 1e-6
    np.testing.assert_allclose(lower(there), lower(here), rtol=bound, atol=bound * lower(here).max())
    np.testing.assert_allclose(there.cross, here.cross, rtol=1e-5)
    np.testing.assert_allclose(there.test_sq_norms, here.test_sq_norms, rtol=1e-14)
    assert there.mean_diagonal == pytest.approx(here.mean_diagonal)


class Stop(Exception):
    """What stops sums in a test."""


def test_sums_that_stopped_are_resumed_with_and_without_a_cluster(
    images: np.ndarray, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "kernelfit.streaming.cluster_sums._FLOPS_OF_A_BYTE", 1e-9
    )  # as many rounds as there are
    net, where = fitted(images, True), Engine("dask", client)
    whole = grams(net, images)
    options = {"checkpoint": tmp_path / "sums.h5", "checkpoint_share": 1e9}
    rounds = 0

    def once(self: Any, *arguments: Any) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            raise Stop
        original(self, *arguments)

    original = ClusterSums._add_filters
    monkeypatch.setattr(ClusterSums, "_add_filters", once)
    with pytest.raises(Stop):
        grams(net, images, engine=where, **options)
    monkeypatch.setattr(ClusterSums, "_add_filters", original)
    resumed = grams(net, images, **options)
    assert rounds == 2
    stored = [np.empty(whole.gram.layout.shape(j)) for j in range(whole.gram.layout.count)]
    for j, panel in enumerate(stored):
        resumed.gram.reader.read(j, (resumed.gram.layout.start(j), 130), panel)
        np.testing.assert_array_equal(np.tril(panel), np.tril(whole.gram.panels[j]))
    resumed.close()


def test_sums_end_where_the_last_worker_is_lost(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernelfit.cluster.crew._RESTART", 0.0)
    monkeypatch.setattr("kernelfit.cluster.crew._LOOK", 0.1)
    look = iter(range(50))  # instead of for ever
    looked = Crew._look
    monkeypatch.setattr(Crew, "_look", lambda crew: (next(look), looked(crew))[1])
    wait = Crew.wait
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", memory_limit=0
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):

        def lost(crew: Crew, *arguments: Any) -> None:
            if client.nthreads():
                local.sync(local.workers[0].close, nanny=False)
            wait(crew, *arguments)

        monkeypatch.setattr(Crew, "wait", lost)
        with pytest.raises(ClusterError, match="has no workers left; start some"):
            grams(fitted(images, True), images, engine=Engine("dask", client))


def test_what_moves_less_decides_and_memory_bounds_it() -> None:
    many, few = 1e15, 1e9
    division = Division.of(0.1 * many, many, 1e9, 4, 10, 1e11)
    assert division.by_filters
    assert division.rounds > 1
    assert not Division.of(0.1 * few, few, 1e9, 4, 10, 1e11).by_filters
    assert not Division.of(0.1 * many, many, 1e9, 4, 10, 2e9).by_filters
    one_block = Division.of(0.1 * many, many, 1e9, 4, 1, 1e11)
    assert (one_block.by_filters, one_block.workers) == (False, 4)
    blocks = [(k, k + 1) for k in range(10)]
    rounds = division.cut(blocks)
    assert [block for own in rounds for block in own] == blocks
    assert all(len(own) >= 4 for own in rounds)


def test_workers_without_memory_and_devices_beside_them_are_refused(
    images: np.ndarray, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = fitted(images, True)
    little = {"w": WorkerState(10**7, 10**12, 1, "")}
    with monkeypatch.context() as patch:
        patch.setattr(Cluster, "workers", lambda cluster: little)
        with pytest.raises(
            PlanError, match=r"memory: .* bytes needed on each of 1 workers for the Grams of n = 130"
        ):
            grams(net, images, engine=Engine("dask", client))
    with pytest.raises(InputError, match="device: got 'cuda:1' beside engine='dask'"):
        Engine("dask", client).require_device("cuda:1")


def test_what_the_solve_cannot_do_on_the_cluster_is_told_before_anything_is_summed(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {
        "features": "random-conv",
        "feature_options": {"n_filters": 40, "quantise": True},
        "kernel": "linear",
        "ridge": 1e-3,
        "n_train": 120,
        "n_test": 40,
        "engine": "dask",
        "scheduler": client.scheduler.address,
    }

    def summed(*_: Any) -> None:
        raise AssertionError("summed")

    monkeypatch.setattr(ClusterSums, "add", summed)
    # Room for the sums, but not for a share of the factor and the blocks of K that it is made from.
    little = {"w": WorkerState(INTERPRETER + 700_000, 0, 1, "")}
    with monkeypatch.context() as patch:
        patch.setattr(Cluster, "workers", lambda cluster: little)
        with pytest.raises(PlanError, match=r"memory: .* bytes needed on worker 0 of 1"):
            Experiment("digits", **arguments).run()
    with pytest.raises(InputError, match="engine: got dask with solver 'pcg', expected process"):
        Experiment("digits", solver="pcg", **arguments).run()
    with pytest.raises(InputError, match="precision: got tf32 beside engine='dask', whose workers"):
        Experiment("digits", precision="tf32", **arguments).run()


def test_an_experiment_streams_and_solves_on_the_cluster(client: Any) -> None:
    arguments = {
        "features": "random-conv",
        "feature_options": {"n_filters": 40, "quantise": True},
        "kernel": "linear",
        "ridge": 1e-3,
        "n_train": 120,
        "n_test": 40,
    }
    here = Experiment("digits", **arguments).run()
    with pytest.raises(InputError, match=r"scheduler: got .*, expected an address or a scheduler file"):
        Experiment("digits", engine="dask", scheduler=client, **arguments)
    address = client.scheduler.address
    there = Experiment("digits", engine="dask", scheduler=address, **arguments).run()
    assert there.solution.device == "dask, 3 workers"
    assert there.record["test_error"] == here.record["test_error"]
    assert (
        np.abs(there.solution.alpha - here.solution.alpha).max() <= 1e-12 * np.abs(here.solution.alpha).max()
    )
