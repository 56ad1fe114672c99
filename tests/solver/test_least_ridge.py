"""singular="ridge": a factor where there is none in floating point, and never in silence."""

from __future__ import annotations

import shutil
from contextlib import closing

import numpy as np
import pytest
from numpy.testing import assert_allclose

import kernelfit
from kernelfit.errors import DuplicateRowsError, InputError, NotPositiveDefiniteError, StorageError
from kernelfit.solver import least_ridge
from kernelfit.solver.cpu_system import CpuSystem


def test_a_hundred_points_in_a_line():
    x = np.linspace(0, 1, 100)[:, None]
    y = np.sin(6 * x[:, 0])
    with pytest.raises(NotPositiveDefiniteError):
        kernelfit.solve(x, y)
    solution = kernelfit.solve(x, y, singular="ridge")
    assert solution.ridge == 1e-12
    assert solution.notes[0].startswith(
        "singular: K is not positive definite in floating point; ridge = 1e-12"
    )
    assert_allclose(solution.predict(x), y, atol=1e-5)


def test_equal_rows_with_different_targets_are_met_in_their_mean():
    x = np.array([[0.0], [1.0], [2.0], [1.0]])
    with pytest.raises(DuplicateRowsError, match="1, 3"):
        kernelfit.solve(x, [0.0, 1.0, 2.0, 5.0], gamma=1.0)
    solution = kernelfit.solve(x, [0.0, 1.0, 2.0, 5.0], gamma=1.0, singular="ridge")
    assert "equal rows carry different targets, rows 1, 3; ridge = " in solution.notes[0]
    assert_allclose(solution.predict(x), [0.0, 3.0, 2.0, 3.0], atol=1e-6)
    assert len(solution.kept) == 4


def test_a_ridge_that_is_not_needed_is_not_added(rng):
    x, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    solution = kernelfit.solve(x, y, gamma=1.0, singular="ridge")
    assert solution.ridge == 0
    assert np.array_equal(solution.alpha, kernelfit.solve(x, y, gamma=1.0).alpha)
    with pytest.raises(InputError, match="singular: got 'ignore'"):
        kernelfit.solve(x, y, singular="ignore")


def test_the_run_of_a_singular_matrix_has_the_ridge(tmp_path):
    x = np.linspace(0, 1, 60)[:, None]
    solution = kernelfit.solve(x, x[:, 0], singular="ridge", run_dir=tmp_path / "run")
    ridge = solution.ridge
    solution.close()
    opened = kernelfit.open(tmp_path / "run")
    assert opened.ridge == ridge > 0
    opened.close()
    # A smaller one would be tried only to be passed over, which a run that is stored cannot be.
    twice = kernelfit.solve(
        np.vstack([x[::9], x[::9]]),
        np.arange(14.0),
        gamma=500.0,
        singular="ridge",
        run_dir=tmp_path / "twice",
    )
    assert twice.ridge == 1e-8
    twice.close()


def test_a_run_that_has_a_ridge_is_taken_up_with_it(tmp_path):
    """The call that made it was refused for the ridge that it had found itself."""
    x = np.linspace(0, 1, 60)[:, None]
    kernelfit.solve(x, x[:, 0], singular="ridge", run_dir=tmp_path / "run").close()
    other = kernelfit.solve(x, np.cos(x[:, 0]), singular="ridge", run_dir=tmp_path / "run", resume=True)
    assert other.traffic["factor_written"] == 0
    expected = kernelfit.solve(x, np.cos(x[:, 0]), singular="ridge")
    assert np.array_equal(other.alpha, expected.alpha)
    assert other.notes[0] == expected.notes[0]
    other.close()
    with pytest.raises(StorageError, match=r"holds another run: kernel\.gamma"):
        kernelfit.solve(2 * x, x[:, 0], singular="ridge", run_dir=tmp_path / "run", resume=True)


@pytest.mark.parametrize("killed_at", [0, 1, 2])
@pytest.mark.parametrize("by", [kernelfit.resume, None])
def test_a_run_that_was_killed_tries_the_ridges_that_were_left(tmp_path, monkeypatch, killed_at, by):
    """It was deleted, as no factor exists for the ridge that it was killed at."""
    x = np.linspace(0, 1, 60)[:, None]
    y, attempts, factorise = x[:, 0], [], CpuSystem.factorise
    monkeypatch.setattr(least_ridge, "RIDGES", (1e-17, 1e-12))

    def killed(*arguments):
        attempts.append(arguments)
        if len(attempts) == killed_at + 1:
            raise KeyboardInterrupt
        factorise(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(CpuSystem, "factorise", killed)
        with pytest.raises(KeyboardInterrupt):
            kernelfit.solve(x, y, gamma=1.0, singular="ridge", run_dir=tmp_path / "run")
    if by is None:
        again = kernelfit.solve(x, y, gamma=1.0, singular="ridge", run_dir=tmp_path / "run", resume=True)
    else:
        again = by(tmp_path / "run")
    whole = kernelfit.solve(x, y, gamma=1.0, singular="ridge", run_dir=tmp_path / "whole")
    assert again.ridge == whole.ridge == 1e-12
    assert np.array_equal(again.alpha, whole.alpha)
    assert again.notes == whole.notes
    assert kernelfit.check(tmp_path / "run").finished
    for solution in (again, whole):
        solution.close()


@pytest.mark.parametrize("tier", ["disk", "ram"])
def test_further_ridges_keep_to_the_memory_and_the_disk_of_the_run(tmp_path, monkeypatch, tier):
    """They took all memory that was free, and the ram tier where the run had asked for the disk."""
    x = np.linspace(0, 1, 60)[:, None]
    options = {"gamma": 1.0, "singular": "ridge", "run_dir": tmp_path / "run", "tier": tier}
    with monkeypatch.context() as patch:
        patch.setattr(CpuSystem, "factorise", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            kernelfit.solve(x, x[:, 0], **options, memory=600_000_000)
    for free in (2 * 10**9, 500_000_000):
        shutil.copytree(tmp_path / "run", tmp_path / f"{free}")
        monkeypatch.setattr("kernelfit.solver.resume.available_memory", lambda free=free: free)
        with closing(kernelfit.resume(tmp_path / f"{free}")) as again:
            assert again.ridge > 0
            assert (again.plan.tier, again.plan.memory_limit) == (tier, min(free, 600_000_000))


def test_a_run_for_which_no_ridge_was_left_says_so(tmp_path, monkeypatch):
    x = np.linspace(0, 1, 60)[:, None]

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CpuSystem, "factorise", killed)
        with pytest.raises(KeyboardInterrupt):
            kernelfit.solve(x, x[:, 0], gamma=1.0, run_dir=tmp_path / "run")
    with pytest.raises(NotPositiveDefiniteError):
        kernelfit.resume(tmp_path / "run")


def test_an_open_device_is_tried_once(make_device):
    """The second attempt wrote into the memory of a device that the first had given back."""
    x = np.linspace(0, 1, 80)[:, None]
    with pytest.raises(NotPositiveDefiniteError):
        kernelfit.solve(x, x[:, 0], singular="ridge", device=make_device(2**22))
    twice = np.vstack([x[::9], x[::9]]), np.arange(18.0)
    solution = kernelfit.solve(*twice, gamma=500.0, singular="ridge", device=make_device(2**22))
    assert solution.ridge == 1e-8
    solution.close()
    with pytest.raises(InputError, match="device: got an open one for a ridge for each target"):
        kernelfit.solve(x, np.eye(80)[:, :2], ridge=[1.0, 2.0], device=make_device(2**22))
