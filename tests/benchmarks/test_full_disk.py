"""The sweep over disks that end, in long steps: every writer leaves a right file, or one line and what was there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fuzz import full_disk
from benchmarks.fuzz.writers import WRITERS


@pytest.fixture(scope="module")
def mountable() -> None:
    """Skip where no file system may be mounted; errors are injected in tests/storage as well."""
    try:
        with full_disk.small_disk(2**20):
            pass
    except (PermissionError, FileNotFoundError) as error:
        pytest.skip(f"no tmpfs can be mounted: {error}")


@pytest.fixture(scope="module")
def zygote(mountable: None, pytestconfig: pytest.Config) -> Iterator[full_disk.Zygote]:
    """Without the libraries of writers that are swept with --slow alone: a process ends in a fraction of the time."""
    libraries = full_disk.LIBRARIES if pytestconfig.getoption("--slow") else ()
    with full_disk.Zygote(libraries) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "step"),
    [("run", 300_000), ("record", 32_768)]
    + [pytest.param(name, 32_768, marks=pytest.mark.slow) for name in WRITERS],
)
def test_every_outcome_is_a_right_file_or_a_refusal(name: str, step: int, zygote: full_disk.Zygote) -> None:
    if name == "network":
        pytest.importorskip("torch")
    sweep = full_disk.sweep(name, zygote, step, beyond=1)
    assert sweep.faults == []
    assert set(sweep.outcomes) == {"right", "refused"}


@pytest.mark.usefixtures("mountable")
def test_a_disk_is_filled_to_the_byte_that_is_asked_for() -> None:
    with full_disk.small_disk(2**20) as disk:
        full_disk.fill(disk, 3 * full_disk.STEP)
        descriptor = os.open(disk / "file", os.O_WRONLY | os.O_CREAT)
        try:
            assert os.write(descriptor, bytes(4 * full_disk.STEP)) == 3 * full_disk.STEP
        finally:
            os.close(descriptor)


def test_a_crash_at_exit_is_seen(tmp_path: Path, zygote: full_disk.Zygote) -> None:
    assert zygote.do("nobody", tmp_path, None)[1][-1] == "KeyError: 'nobody'"
    assert zygote.do("record", tmp_path, None) == (0, ["made"])
