"""Every file of a finished run, damaged in every way: the answer that was stored, or one line on what is wrong."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.cpu import blas_threads, environment
from kernelfit.errors import KernelfitError
from kernelfit.experiments.experiment import Experiment
from kernelfit.runs import identity

FILES = ("run.h5", "factor.h5", "journal", "solution.h5", "result.json", "lock")
ROWS = np.random.default_rng(0).integers(0, 17, (5, 64))
NOBODY = 65_534


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "missing": lambda path, other: path.unlink(),
    "empty": lambda path, other: path.write_bytes(b""),
    "truncated": lambda path, other: os.truncate(path, path.stat().st_size * 2 // 3),
    "a folder": lambda path, other: replace(path, Path.mkdir),
    "a pipe": lambda path, other: replace(path, os.mkfifo),
    "a link": lambda path, other: replace(path, lambda name: name.symlink_to(other / name.name)),
    "unreadable": lambda path, other: path.chmod(0),
    "another run's": lambda path, other: shutil.copy(other / path.name, path),
    "a bit flipped": lambda path, other: flip(path),
}
#: what `kernelfit.load` is asked for then
ANOTHER_SOLUTION = {("solution.h5", "a link"), ("solution.h5", "another run's")}


def experiment(**changes: Any) -> Experiment:
    return Experiment("digits", n_train=40, n_test=5, tier="disk", **changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    experiment().run(folder / "run")
    experiment(seed=1, corruption="random-labels", gamma=0.003).run(folder / "other")
    return folder


def alpha_of(solution: kernelfit.Solution) -> np.ndarray[Any, Any]:
    with closing(solution):
        return solution.alpha


def loaded(folder: Path) -> Any:
    result = Experiment.load(folder)
    assert result.summary().count("\n") > 5
    return result.predict(ROWS)


CALLS: dict[str, Callable[[Path], Any]] = {
    "open": lambda folder: alpha_of(kernelfit.open(folder)),
    "load": lambda folder: kernelfit.load(folder / "solution.h5").alpha,
    "predict": loaded,
    "resume": lambda folder: Experiment.resume(folder).solution.alpha,  # last: it mends
}


@pytest.fixture(scope="module", autouse=True)
def asked_once() -> Iterator[None]:
    """Versions and libraries of this process, which take longer than the answers."""
    versions, libraries = identity.versions(), blas_threads.pools()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "versions", lambda: versions)
        patch.setattr(environment, "versions", lambda: versions)
        patch.setattr(blas_threads, "pools", lambda: libraries)
        yield


@pytest.fixture(scope="module")
def answers(whole: Path) -> dict[str, Any]:
    return {name: call(name, whole / "run") for name in CALLS}


@pytest.fixture
def received() -> Iterator[Path]:
    """A folder that anybody may search, as pytest's are not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Without the rights of root, who reads what nobody may read."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def line_of(error: KernelfitError) -> str:
    assert "\n" not in str(error)
    return str(error)


def call(name: str, folder: Path) -> Any:
    """The answer, or the line in place of it."""
    try:
        return CALLS[name](folder)
    except KernelfitError as error:
        return line_of(error)


def faults(folder: Path) -> list[str]:
    """What `check` says."""
    try:
        report = kernelfit.check(folder)
    except KernelfitError as error:
        return [line_of(error)]
    assert all("\n" not in line for line in report.problems)
    return report.problems + [note for note in report.notes if "is not there" in note]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_the_right_answer_or_one_line(
    whole: Path, answers: dict[str, Any], received: Path, file: str, damage: str
) -> None:
    folder = received / "run"
    shutil.copytree(whole / "run", folder)
    DAMAGES[damage](folder / file, whole / "other")
    with as_nobody(folder) if damage == "unreadable" else nullcontext():
        found = faults(folder)
        assert found or file == "lock"
        for name, right in answers.items():
            if name == "load" and (file, damage) in ANOTHER_SOLUTION:
                continue
            answer = call(name, folder)
            if isinstance(answer, str):
                assert found or (file, damage, name) == ("lock", "unreadable", "resume"), answer
            else:
                np.testing.assert_array_equal(answer, right)
        if not isinstance(answer, str):  # of resume
            assert faults(folder) == []
            np.testing.assert_array_equal(call("predict", folder), answers["predict"])
