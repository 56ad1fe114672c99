"""The programs of examples/ run as they stand, and draw the pictures of the gallery."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_draws_its_picture(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(example), run_name="__main__")
    assert [path.name for path in tmp_path.iterdir()] == [f"{example.stem}.png"]
    assert (tmp_path / f"{example.stem}.png").read_bytes().startswith(b"\x89PNG")
