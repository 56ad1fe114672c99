"""A device beside work of the CPU is said to be ignored, and one that is open is given back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import kernelfit
from kernelfit.device.host import HostDevice
from kernelfit.runs.folder import SOLUTION
from kernelfit.solver.device_ignored import OF_ITERATIONS, OF_WEIGHTS, give_back, of_sparse_rows

SPARSE = of_sparse_rows("host")


def sparse(X: Any) -> Any:
    return scipy.sparse.csr_array(np.pad(X, ((0, 0), (0, 2_000))))


def is_open(device: HostDevice) -> bool:
    return device._memory.size > 0


def test_weights_of_least_norm(rng: np.random.Generator, stand_in_gpu: list[HostDevice]) -> None:
    X, Y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    for device, note in (("cpu", []), ("auto", []), ("cuda", [OF_WEIGHTS]), ("cuda:0,cuda:1", [OF_WEIGHTS])):
        solution = kernelfit.solve(X, Y, kernel="linear", device=device)
        assert [line for line in solution.notes if line.startswith("device")] == note
        assert solution.device == "cpu"
    assert not stand_in_gpu
    solution = kernelfit.solve(X, Y, kernel="linear", engine="dask")
    assert "engine: ignored, as weights of least norm are computed in this process" in solution.notes


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    ("made", "given", "note"),
    [
        (np.asarray, {"kernel": "linear"}, OF_WEIGHTS),
        (np.asarray, {"solver": "pcg", "ridge": 0.1}, OF_ITERATIONS),
        (np.asarray, {"solver": "askotch", "ridge": 0.1}, OF_ITERATIONS),
        (sparse, {"ridge": 0.1}, SPARSE),
    ],
    ids=["primal", "pcg", "askotch", "sparse"],
)
def test_open_devices_are_closed(
    rng: np.random.Generator, made: Any, given: dict[str, Any], note: str, several: bool
) -> None:
    devices = [HostDevice(1_000_000) for _ in range(1 + several)]
    X, Y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    solution = kernelfit.solve(made(X), Y, device=devices if several else devices[0], **given)
    assert (note.replace("host", "host+host") if several else note) in solution.notes
    assert not any(map(is_open, devices))
    assert np.array_equal(solution.alpha, kernelfit.solve(made(X), Y, device="cpu", **given).alpha)


@pytest.mark.parametrize("given", [{}, {"solver": "pcg"}], ids=["finished", "iteration"])
def test_resumed_runs_close_what_they_do_not_use(
    rng: np.random.Generator, tmp_path: Path, given: dict[str, Any]
) -> None:
    X = rng.standard_normal((30, 3))
    kernelfit.solve(X, X, ridge=0.1, run_dir=tmp_path / "run", **given).close()
    if given:
        (tmp_path / "run" / SOLUTION).unlink()
    device = HostDevice(1_000_000)
    solution = kernelfit.resume(tmp_path / "run", device=device)
    assert (OF_ITERATIONS in solution.notes) == bool(given)
    assert not is_open(device)
    solution.close()


def test_the_device_that_holds_the_gram_stays_open() -> None:
    holds, other = HostDevice(1_000), HostDevice(1_000)
    give_back([holds, other], SimpleNamespace(device=holds))
    assert [is_open(holds), is_open(other)] == [True, False]
    holds.close()
