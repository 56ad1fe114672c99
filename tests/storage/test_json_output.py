"""Strict JSON, written whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelfit.errors import InputError
from kernelfit.storage import json_output


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any


def strict(text: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.text()
    | st.floats(width=32).map(np.float32)
    | st.integers(-(2**31), 2**31 - 1).map(np.int64)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner)
)


@given(VALUES)
def test_anything_plain_becomes_strict_json(value: Any) -> None:
    assert strict(json_output.dumps(value)) == json_output.plain(value)


def test_numpy_dataclasses_and_paths_are_converted() -> None:
    record = {
        "array": np.arange(3, dtype=np.int32),
        "nan": float("nan"),
        "infinity": np.float32("inf"),
        "flag": np.bool_(True),
        "path": Path("a") / "b",
        "point": Point(np.float64(0.1), (1, 2)),
        3: "key",
    }
    assert strict(json_output.dumps(record)) == {
        "array": [0, 1, 2],
        "nan": None,
        "infinity": None,
        "flag": True,
        "path": str(Path("a") / "b"),
        "point": {"x": 0.1, "y": [1, 2]},
        "3": "key",
    }


def test_float64_survives_the_round_trip_exactly() -> None:
    value = float(np.nextafter(0.1, 1.0))
    assert strict(json_output.dumps([value])) == [value]


def test_what_has_no_plain_form_is_named() -> None:
    with pytest.raises(InputError, match="object has no JSON form"):
        json_output.dumps({"a": object()})


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    json_output.write({"a": 1}, target)
    assert strict(target.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")

    def full(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        json_output.write({"a": 1}, target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_pipes_and_devices_are_written_to_and_stay(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    json_output.check_target(str(pipe))
    json_output.write({"a": 1}, pipe)
    assert json.loads(os.read(reader, 100)) == {"a": 1}
    os.close(reader)
    assert pipe.is_fifo()


def test_a_dash_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    json_output.check_target("-")
    json_output.write([1], "-")
    assert capsys.readouterr().out == "[\n  1\n]\n"


def test_bad_targets_are_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        json_output.check_target(str(tmp_path / "none" / "a.json"))
    with pytest.raises(InputError, match="is a folder"):
        json_output.check_target(str(tmp_path))
    json_output.check_target(None)
    json_output.check_target(str(tmp_path / "a.json"))
    assert list(tmp_path.iterdir()) == []
