"""Finished rows: taken over only where they were computed with the same parameters."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from kernelfit.errors import DataError, InputError
from kernelfit.experiments.finished_rows import FinishedRows


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    rows = FinishedRows(tmp_path / "new" / "folder")
    assert rows.read("a", {"n": 3}) is None
    rows.write("a", {"parameters": {"n": 3}, "error": np.float64(0.25), "norm": float("inf")})
    assert rows.read("a", {"n": np.int64(3)}) == {"parameters": {"n": 3}, "error": 0.25, "norm": None}
    assert [path.name for path in (tmp_path / "new" / "folder" / "rows").iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"n": 4, "seed": 0}, "n 3, not 4"),
        ({"n": 3}, "seed 0, not None"),
        ({"n": 4, "seed": 0, "m": 1}, "m None, not 1, n 3, not 4"),
    ],
)
def test_other_parameters_are_refused_by_name(tmp_path: Path, wanted: dict[str, int], named: str) -> None:
    rows = FinishedRows(tmp_path)
    rows.write("a", {"parameters": {"n": 3, "seed": 0}})
    with pytest.raises(InputError, match=f"{named}; give the same options, or another folder"):
        rows.read("a", wanted)


def test_a_row_of_a_version_that_did_not_store_a_parameter_says_so(tmp_path: Path) -> None:
    """It was called one of other options, though they were the same."""
    rows = FinishedRows(tmp_path)
    rows.write("a", {"parameters": {"n": 3}})
    assert rows.read("a", {"n": 3, "steps": None}) is not None
    with pytest.raises(
        InputError, match=r"a\.json does not say for which scales, steps it was .*; remove it to"
    ):
        rows.read("a", {"n": 3, "steps": 10, "scales": [1]})


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", '{"error": 1}', '"parameters"', '{"parameters": 3}', "\udcff"]
)
def test_a_damaged_row_is_named(tmp_path: Path, text: str) -> None:
    rows = FinishedRows(tmp_path)
    (tmp_path / "rows" / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"rows/a.json: is no finished row .* remove it"):
        rows.read("a", {"n": 3})


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^out: .* cannot be written"):
        FinishedRows(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written"):
        FinishedRows(tmp_path)
