"""Runs that are killed, interrupted, starved of disk and crowded, in processes of their own."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import StorageError
from kernelfit.storage import journal

_SOLVER = Path(__file__).with_name("forking_solver.py")
_spec = importlib.util.spec_from_file_location("forking_solver", _SOLVER)
assert _spec is not None
assert _spec.loader is not None
forking_solver = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(forking_solver)


@dataclass
class Child:
    """A solve in a process of its own."""

    pid: int
    folder: Path
    out: IO[str]
    message: str = ""

    def wait(self) -> int:
        """Exit code, or minus the signal that ended it."""
        status, self.message = json.loads(self.out.readline())
        return os.waitstatus_to_exitcode(status)

    def kill(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(self.pid, number)

    def panels(self) -> int:
        return len(journal.read(self.folder / "journal").panels)

    def wait_for_panels(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while self.panels() < count:
            assert time.monotonic() < deadline
            time.sleep(0.001)


class SolverProcess:
    """Starts children one after the other."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(_SOLVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def start(self, action: str, folder: Path, tier: str = "disk", limit: int | None = None) -> Child:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {"action": action, "folder": str(folder), "tier": tier, "limit": limit}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Child(int(self.process.stdout.readline()), folder, self.process.stdout)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def solvers() -> Iterator[SolverProcess]:
    made = SolverProcess()
    yield made
    made.close()


@pytest.fixture(scope="module")
def alpha() -> np.ndarray[Any, Any]:
    """The answer of a run without a break."""
    solution = kernelfit.solve(**forking_solver.problem())
    return solution.alpha


@pytest.fixture(scope="module")
def duration(solvers: SolverProcess, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds of an undisturbed run."""
    started = time.perf_counter()
    assert solvers.start("solve", tmp_path_factory.mktemp("whole") / "run").wait() == 0
    return time.perf_counter() - started


def test_a_killed_run_goes_on_to_the_same_bits(
    solvers: SolverProcess, alpha: np.ndarray[Any, Any], duration: float, tmp_path: Path
) -> None:
    """Half of the kills come at a random time, half after a random number of panels; some runs are killed again.

    Twelve are one of each: when, on which tier, and how often.
    """
    landed = [_kill_and_resume(solvers, alpha, duration, tmp_path / str(seed), seed) for seed in range(12)]
    assert sum(landed) >= 10


def _kill_and_resume(
    solvers: SolverProcess, alpha: np.ndarray[Any, Any], duration: float, folder: Path, seed: int
) -> int:
    """How many kills came before the end of the run."""
    rng = np.random.default_rng(seed)
    action, tier, landed = "solve", ("disk", "ram")[seed // 2 % 2], 0
    for _ in range(1 + seed % 3):
        child = solvers.start(action, folder, tier)
        if seed % 2:
            child.wait_for_panels(min(forking_solver.PANELS, child.panels() + int(rng.integers(0, 6))))
            time.sleep(rng.uniform(0, 0.01))
        else:
            time.sleep(rng.uniform(0, 0.8 * duration))
        child.kill(signal.SIGKILL)
        code = child.wait()
        assert code in (-signal.SIGKILL, 0), f"seed {seed}: {child.message}"
        landed += code != 0
        if (folder / "run.h5").exists():
            action = "resume"
    before = (folder / "journal").read_bytes() if action == "resume" else b""
    last = solvers.start(action, folder, tier)
    assert last.wait() == 0, f"seed {seed}: {last.message}"
    # No panel that was recorded is made again: the journal only grows.
    after = (folder / "journal").read_bytes()
    assert after.startswith(before[: journal.parse(before).length]), seed
    assert len(journal.parse(after).panels) == forking_solver.PANELS, seed
    solution = kernelfit.open(folder)
    np.testing.assert_array_equal(solution.alpha, alpha, f"seed {seed}")
    solution.close()
    report = kernelfit.check(folder)
    assert report.ok, f"seed {seed}: {report.problems}"
    assert report.finished, seed
    files = {"factor.h5", "journal", "lock", "run.h5", "solution.h5"}
    assert {path.name for path in folder.iterdir()} == files, seed
    return landed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("tier", ["disk", "ram"])
def test_a_signal_stops_after_the_panel(
    solvers: SolverProcess, alpha: np.ndarray[Any, Any], tmp_path: Path, number: int, code: int, tier: str
) -> None:
    folder = tmp_path / "run"
    child = solvers.start("solve", folder, tier)
    child.wait_for_panels(2)
    child.kill(number)
    assert child.wait() == code
    assert "\n" not in child.message
    assert f"kernelfit resume {folder}" in child.message
    assert 2 <= child.panels() <= forking_solver.PANELS
    with pytest.raises(StorageError, match="unfinished run"):
        kernelfit.open(folder)
    report = kernelfit.check(folder)
    assert report.ok, report.problems
    assert (report.finished, report.panels_verified) == (False, child.panels())
    assert solvers.start("resume", folder).wait() == 0
    np.testing.assert_array_equal(kernelfit.open(folder).alpha, alpha)


def test_a_second_writer_is_refused_and_a_reader_sees_finished_panels(
    solvers: SolverProcess, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    child = solvers.start("solve", folder)
    child.wait_for_panels(1)
    child.kill(signal.SIGSTOP)
    for attempt in (
        lambda: kernelfit.solve(**forking_solver.problem(), run_dir=folder),
        lambda: kernelfit.solve(**forking_solver.problem(), run_dir=folder, resume=True),
        lambda: kernelfit.resume(folder),
    ):
        with pytest.raises(StorageError, match=f"process {child.pid} is working") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    seen = kernelfit.check(folder)
    assert seen.ok, seen.problems
    assert seen.panels_verified >= 1
    child.kill(signal.SIGCONT)
    finished = [seen.panels_verified]
    while finished[-1] < forking_solver.PANELS:
        report = kernelfit.check(folder)
        assert report.ok, report.problems
        finished.append(report.panels_verified)
    assert finished == sorted(finished)
    assert child.wait() == 0


def test_many_readers_of_one_factor(
    solvers: SolverProcess, alpha: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert solvers.start("solve", folder).wait() == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code = (
        "import sys, numpy as np, kernelfit\n"
        "solution = kernelfit.open(sys.argv[1])\n"
        "again = solution.solve(solution.targets)\n"
        "assert np.array_equal(again.alpha, solution.alpha)\n"
        "print(np.abs(solution.leave_one_out()).sum(), solution.certificate.log_det)\n"
    )
    readers = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = {reader.communicate(timeout=120)[0] for reader in readers}
    assert [reader.returncode for reader in readers] == [0, 0, 0]
    assert len(said) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_files_that_may_not_grow(solvers: SolverProcess, alpha: np.ndarray[Any, Any], tmp_path: Path) -> None:
    """The system refuses writes beyond a limit, wherever in a new run or in a continued one that falls."""
    whole = tmp_path / "whole"
    assert solvers.start("solve", whole).wait() == 0
    largest = (whole / "factor.h5").stat().st_size
    begun = tmp_path / "begun"
    child = solvers.start("solve", begun)
    child.wait_for_panels(2)
    child.kill(signal.SIGKILL)
    child.wait()
    codes = []
    for index, limit in enumerate(np.geomspace(64, 1.01 * largest, 6).astype(int)):
        fresh, continued = tmp_path / f"fresh{index}", tmp_path / f"continued{index}"
        shutil.copytree(begun, continued)
        for action, folder in (("solve", fresh), ("resume", continued)):
            child = solvers.start(action, folder, limit=int(limit))
            codes.append(child.wait())
            if codes[-1] != 0:
                assert codes[-1] == 2, child.message
                assert "\n" not in child.message
                assert "File too large" in child.message
            if folder == fresh and not (folder / "run.h5").exists():
                assert not folder.exists()  # untouched: it was not there before
                continue
            again = solvers.start("resume", folder)
            assert again.wait() == 0, again.message
            np.testing.assert_array_equal(kernelfit.open(folder).alpha, alpha)
    assert set(codes) == {0, 2}
    assert len(list(tmp_path.glob("fresh*"))) < len(list(tmp_path.glob("continued*")))


def test_a_disk_that_is_full(solvers: SolverProcess, alpha: np.ndarray[Any, Any], tmp_path: Path) -> None:
    """On a small file system of its own, where this process may mount one."""
    whole = tmp_path / "whole"
    assert solvers.start("solve", whole).wait() == 0
    needed = sum(path.stat().st_size for path in whole.iterdir())
    mounted = tmp_path / "small"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={4 * needed}", "tmpfs", str(mounted)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this process may not mount a file system")
    try:
        codes = set()
        for share in (0.1, 0.9, 0.97, 1.02, 1.1, 1.5):
            ballast = mounted / "ballast"
            with open(ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, int((4 - share) * needed))
            folder = mounted / "run"
            child = solvers.start("solve", folder)
            code = child.wait()
            codes.add(code)
            ballast.unlink()
            if code != 0:
                assert code == 2, child.message
                assert "\n" not in child.message
                assert "space" in child.message or "free" in child.message
                if (folder / "run.h5").exists():
                    assert solvers.start("resume", folder).wait() == 0
            if folder.exists():
                solution = kernelfit.open(folder)
                np.testing.assert_array_equal(solution.alpha, alpha)
                solution.close()
                shutil.rmtree(folder)
        assert codes == {0, 2}
    finally:
        subprocess.run(["umount", "--lazy", str(mounted)], check=True)
