"""A folder of a run that came from elsewhere: links and pipes in it are refused, and nothing outside is touched."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import KernelfitError, StorageError

NAMES = ["run.h5", "factor.h5", "journal", "solution.h5", "lock"]
CALLS: dict[str, Callable[[Path], Any]] = {
    "resume": kernelfit.resume,
    "open": kernelfit.open,
    "check": kernelfit.check,
    "solve": lambda folder: kernelfit.solve(*problem(), run_dir=folder, resume=True, panel_width=16),
}


def problem() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(4)
    return rng.normal(size=(50, 3)), rng.normal(size=(50, 1))


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sent") / "run"
    kernelfit.solve(*problem(), run_dir=folder, panel_width=16).close()
    return folder


@pytest.fixture
def received(sent: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sent, tmp_path / "run"))


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Opening a pipe that nobody writes to waits for ever."""

    def late(*_: Any) -> None:
        raise TimeoutError("still waiting")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", NAMES)
def test_a_link_is_refused_and_what_it_points_to_stays(
    received: Path, tmp_path: Path, name: str, call: str
) -> None:
    outside = tmp_path / "precious"
    shutil.move(received / name, outside) if (received / name).exists() else outside.write_bytes(b"precious")
    before = outside.read_bytes()
    (received / name).symlink_to(outside)
    with pytest.raises(
        StorageError, match=rf"{name}: is a symbolic link, expected a regular file; remove it"
    ):
        CALLS[call](received)
    assert outside.read_bytes() == before
    assert (received / name).is_symlink()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_is_refused_at_once(received: Path, name: str, call: str) -> None:
    (received / name).unlink(missing_ok=True)
    os.mkfifo(received / name)
    # Without run.h5 the folder holds no run that could be resumed, and a new one is refused for the old solution.
    with pytest.raises(KernelfitError, match=r"is a pipe|holds solution\.h5 already|holds no run") as caught:
        CALLS[call](received)
    assert "\n" not in str(caught.value)
    assert (received / name).is_fifo()


@pytest.mark.parametrize("name", ["factor.h5", "journal", "lock", ".run.h5.1"])
def test_links_in_a_vacant_folder_are_replaced_and_what_they_point_to_stays(
    tmp_path: Path, name: str
) -> None:
    """What a start that was killed leaves may be started again; the lock alone is written in place."""
    outside = tmp_path / "precious"
    outside.write_bytes(b"precious")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / name).symlink_to(outside)
    if name == "lock":
        with pytest.raises(StorageError, match="lock: is a symbolic link"):
            kernelfit.solve(*problem(), run_dir=folder, panel_width=16)
    else:
        kernelfit.solve(*problem(), run_dir=folder, panel_width=16).close()
        assert kernelfit.check(folder).ok
    assert outside.read_bytes() == b"precious"


def test_a_new_target_that_does_not_fit_on_the_disk_leaves_the_solution(
    received: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = problem()
    alpha = kernelfit.open(received).alpha

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", full)
        with pytest.raises(StorageError, match="No space left"):
            kernelfit.solve(X, 2 * Y, run_dir=received, resume=True, panel_width=16)
    np.testing.assert_array_equal(kernelfit.open(received).alpha, alpha)


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644)])
def test_the_umask_decides_who_reads_a_run(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        solution = kernelfit.solve(*problem(), run_dir=tmp_path / "run", panel_width=16)
        solution.save(tmp_path / "run" / "copy.h5")
    finally:
        os.umask(before)
    solution.close()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").iterdir()}
    assert set(modes.values()) == {mode}, modes
