"""Iterations and weights of least norm beside every place: the same answer, or a line that says why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.device.host import HostDevice
from kernelfit.errors import InputError
from kernelfit.kernels import Gaussian

N = 90


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address=":0",
            memory_limit=0,
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def placed(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What of `solve` says where; the device is the solution's to close."""
    if request.param == "device":
        return {"device": HostDevice(4_000_000)}
    if request.param == "cluster":
        return {"engine": "dask", "scheduler": request.getfixturevalue("client")}
    return {"tier": request.param, "scratch": request.getfixturevalue("tmp_path")}


def rows(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rng.standard_normal((N, 4)), rng.standard_normal((N, 2)), rng.standard_normal((7, 4))


@pytest.mark.parametrize("placed", ["ram", "disk", "cluster", "device"], indirect=True)
@pytest.mark.parametrize("solver", ["pcg", "askotch"])
def test_an_iteration_gives_the_answer_of_a_factor_or_is_refused(
    rng: np.random.Generator, placed: dict[str, Any], solver: Any
) -> None:
    X, Y, new = rows(rng)
    options: dict[str, Any] = {"kernel": Gaussian(gamma=0.3), "ridge": 0.1}
    refused = {"disk": "tier: got 'disk'"} | ({"ram": "tier: got 'ram'"} if solver == "askotch" else {})
    line = "engine: got dask" if "engine" in placed else refused.get(placed.get("tier", ""))
    if line is not None:
        with pytest.raises(InputError, match=line):
            kernelfit.solve(X, Y, solver=solver, **placed, **options)
        return
    with closing(kernelfit.solve(X, Y, **options)) as mine:
        theirs = kernelfit.solve(X, Y, solver=solver, **placed, **options)
        bound = 4.0 * mine.certificate.condition_estimate * np.finfo(np.float64).eps
        assert np.abs(theirs.alpha - mine.alpha).max() <= bound * np.abs(mine.alpha).max()
        assert np.abs(theirs.predict(new) - mine.predict(new)).max() <= bound * np.abs(Y).max()
        assert theirs.certificate.rkhs_norm == pytest.approx(mine.certificate.rkhs_norm, rel=bound)
        assert theirs.certificate.norm == pytest.approx(mine.certificate.norm)
        assert theirs.certificate.backward_error <= 8 * N * np.finfo(np.float64).eps


@pytest.mark.parametrize("placed", ["ram", "disk", "cluster", "device"], indirect=True)
def test_weights_of_least_norm_have_the_same_bits_and_say_what_is_ignored(
    rng: np.random.Generator, placed: dict[str, Any]
) -> None:
    X, Y, new = rows(rng)
    mine, theirs = (kernelfit.solve(X, Y, kernel="linear", **where) for where in ({}, placed))
    assert np.array_equal(theirs.alpha, mine.alpha)
    assert np.array_equal(theirs.predict(new), mine.predict(new))
    assert theirs.certificate == mine.certificate
    asked = {"disk": "tier disk"}.get(placed.get("tier", ""), next(iter(placed)))
    assert any(note.startswith(f"{asked}: ") for note in theirs.notes) == (placed.get("tier") != "ram")
