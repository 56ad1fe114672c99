"""One system is solved alike wherever it is placed: in memory, on the disk, by workers of a cluster, on a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.cluster.connect import Cluster
from kernelfit.device.host import HostDevice
from kernelfit.errors import InputError
from kernelfit.kernels import Gaussian, Kernel

N, WIDTH = 90, 32
#: figures of a certificate that are the same numbers
SAME = (
    "min_pivot_row",
    "weak_pivots",
    "jitter",
    "interpolates",
    "factor_precision",
    "rank",
    "consistent",
)


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


@pytest.fixture(autouse=True)
def alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers count as equally fast."""
    monkeypatch.setattr(Cluster, "rates", lambda cluster, dtype, gpus: {})


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


def require_alike(
    mine: kernelfit.Solution, theirs: kernelfit.Solution, new: np.ndarray, bound: float, of_factor: float
) -> None:
    """Coefficients, predictions and norms differ by at most `bound` of their size, what the factor alone tells by
    `of_factor`."""
    ours, others = mine.certificate, theirs.certificate
    np.testing.assert_allclose(theirs.alpha, mine.alpha, rtol=0, atol=bound * np.abs(mine.alpha).max())
    for first, second, allowed in (
        (mine.fitted, theirs.fitted, bound),
        (mine.predict(new), theirs.predict(new), bound),
        (mine.leave_one_out(), theirs.leave_one_out(), of_factor),
    ):
        np.testing.assert_allclose(second, first, rtol=0, atol=allowed * np.abs(mine.targets).max())
    for name in SAME:
        assert getattr(others, name) == getattr(ours, name), name
    assert others.norm == pytest.approx(ours.norm)
    for name in ("condition_estimate", "min_pivot", "log_det"):
        assert getattr(others, name) == pytest.approx(getattr(ours, name), rel=of_factor), name
    near = bound + ours.rkhs_norm_error + others.rkhs_norm_error
    if near < 0.5:  # else no digit is known for sure, and either may be NaN
        assert others.rkhs_norm == pytest.approx(ours.rkhs_norm, rel=near)
        assert others.rkhs_norm_per_column == pytest.approx(ours.rkhs_norm_per_column, rel=near)


@pytest.mark.parametrize("placed", ["disk", "cluster", "device"], indirect=True)
@pytest.mark.parametrize("precision", ["float64", "float32", "mixed"])
def test_every_place_gives_the_same_answer(
    rng: np.random.Generator, placed: dict[str, Any], any_kernel: Kernel, precision: Any
) -> None:
    X, Y, new = rows(rng)
    options: dict[str, Any] = {
        "kernel": any_kernel,
        "ridge": 0.1,
        "precision": precision,
        "panel_width": WIDTH,
    }
    with (
        closing(kernelfit.solve(X, Y, tier="ram", **options)) as mine,
        closing(kernelfit.solve(X, Y, **placed, **options)) as theirs,
    ):
        amplified = 4.0 * mine.certificate.condition_estimate
        double, single = (float(np.finfo(dtype).eps) for dtype in (np.float64, np.float32))
        roundoff = single if precision == "float32" else double
        of_factor = amplified * (double if precision == "float64" else single)
        require_alike(mine, theirs, new, amplified * roundoff, of_factor)
        assert theirs.certificate.backward_error <= 8 * N * roundoff


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
