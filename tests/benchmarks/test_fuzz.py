"""A few damaged inputs for every reader and the command line; `python -m benchmarks.fuzz` reads many."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kernelfit.errors import DataError, KernelfitError
from kernelfit.runs import identity

ROOT = Path(__file__).parents[2]
READERS = (
    "idx",
    "cifar binary",
    "cifar pickle",
    "cifar archive",
    "npz",
    "npy",
    "hdf5",
    "csv",
    "rows csv",
    "image folder",
    "solution",
    "solution, damaged",
    "solution, forged HDF5",
    "panels",
    "journal",
    "run",
    "result",
)


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(identity, "versions", identity.versions)  # a target may replace it
    from benchmarks.fuzz import targets as fuzz_targets

    return fuzz_targets


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_input_is_read_or_refused_in_one_line(fuzz: ModuleType, tmp_path: Path, name: str) -> None:
    target = fuzz.targets()[name]
    target.prepare(tmp_path)
    for path in tmp_path.rglob(fuzz.CANARY):
        path.unlink()
    refused, messages = 0, []
    for index in range(30):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # forged numbers overflow
                refused += not target.run(random.Random(f"suite/{name}/{index}"))
        except KernelfitError as error:
            messages.append(str(error))
    assert not list(tmp_path.rglob(fuzz.CANARY))
    assert all("\n" not in message for message in messages)
    assert refused + len(messages)


def test_the_readers_are_all_of_them(fuzz: ModuleType) -> None:
    assert set(fuzz.targets()) == {*READERS, "command line"}


def test_command_lines_and_pickles_in_a_guarded_process(tmp_path: Path) -> None:
    out = tmp_path / "fuzz.json"
    words = ["--inputs", "60", "--targets", "cifar pickle;command line", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fuzz", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(out.read_text())["targets"]
    assert list(rows) == ["cifar pickle", "command line"]
    for row in rows.values():
        assert sum(row["outcomes"].values()) == row["inputs"] == 60
        assert row["wrong"] == []


class _Raising:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def run(self, rng: random.Random) -> bool:
        raise self._error


def _after(cause: BaseException) -> DataError:
    error = DataError("file: too large")
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (DataError("file: damaged"), "refused"),
        (DataError("two\nlines"), "long message"),
        (_after(MemoryError()), "memory"),
        (ValueError("whatever"), "escaped"),
        (SystemExit(0), "escaped"),
    ],
)
def test_what_counts_as_wrong(fuzz: ModuleType, error: BaseException, outcome: str) -> None:
    from benchmarks.fuzz import reader

    target: Any = _Raising(error)
    assert reader._outcome(target, random.Random(0))[0] == outcome
