"""`solve(engine="dask")` on workers that are threads of this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import ClusterError, InputError, NotPositiveDefiniteError

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=3,
        threads_per_worker=1,
        processes=False,
        dashboard_address=None,
        worker_dashboard_address=None,
        memory_limit=0,
        silence_logs=50,
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Any) -> Iterator[Any]:
    with distributed.Client(cluster, set_as_default=False) as client:
        yield client


def problem(rng: np.random.Generator, n: int = 301) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((n, 4)), rng.standard_normal((n, 2))


ARGUMENTS: dict[str, Any] = {"kernel": "laplacian", "gamma": 0.3, "panel_width": 48}


@pytest.mark.parametrize("precision", ["float64", "float32", "mixed"])
def test_the_solution_is_that_of_one_process(
    rng: np.random.Generator, client: Any, tmp_path: Path, precision: str
) -> None:
    X, Y = problem(rng)
    arguments = {**ARGUMENTS, "precision": precision}
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


def test_not_positive_definite(rng: np.random.Generator, client: Any) -> None:
    X, Y = problem(rng)
    X[200] = X[100] + 1e-16
    with pytest.raises(NotPositiveDefiniteError, match="its nearest row is") as caught:
        kernelfit.solve(
            X * 1e-9, Y, kernel="gaussian", gamma=1e-3, engine="dask", scheduler=client, panel_width=48
        )
    assert caught.value.row >= 0


def test_what_a_cluster_cannot_do_is_one_line(rng: np.random.Generator, client: Any) -> None:
    X, Y = problem(rng, 40)
    with pytest.raises(InputError, match="engine: got dask for a Gram matrix that is stored"):
        kernelfit.solve(X @ X.T + np.eye(40), Y, kernel="precomputed", engine="dask", scheduler=client)
    with pytest.raises(InputError, match="engine: got 'spark', expected process or dask"):
        kernelfit.solve(X, Y, engine="spark")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="scheduler: got one for the engine process"):
        kernelfit.solve(X, Y, scheduler="tcp://127.0.0.1:1")
    with pytest.raises(InputError, match="scheduler: got 3, expected an address"):
        kernelfit.solve(X, Y, engine="dask", scheduler=3)
    with pytest.raises(ClusterError, match="scheduler: got 'nowhere', expected an address"):
        kernelfit.solve(X, Y, engine="dask", scheduler="nowhere")
