"""`kernelfit features`: list and show."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kernelfit.cli import root
from kernelfit.errors import InputError
from kernelfit.features import RandomConv, names
from kernelfit.report import feature_pictures


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(root, ["features", *map(str, arguments)])


def answer(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_list_names_every_map_and_its_options() -> None:
    records = answer("list")
    assert tuple(record["name"] for record in records) == names()
    options = {record["name"]: record["options"] for record in records}
    assert options["random-conv"]["n_filters"] == 3000
    assert options["random-conv"]["draw"] == "patches"
    assert "scale" not in options["gabor"]
    text = run("list").stdout
    assert "threshold=1.0" in text
    assert "PyWavelets" in text


@pytest.mark.parametrize("name", names())
def test_show_draws_filters_and_maps(name: str, tmp_path: Path) -> None:
    from PIL import Image

    options = ["-o", "n_filters=10", "-o", "n_patches=500"] if name == "random-conv" else []
    out = tmp_path / "pictures"
    record = answer("show", name, "--n", "60", "--images", "2", "--out", out, *options)
    assert record["name"] == name
    assert record["dataset"] == "digits"
    assert record["image_shape"] == [8, 8, 1]
    assert record["n_features"] > 0
    assert record["default_gamma_factor"] > 0
    assert sorted(record["pictures"]) == sorted(str(out / picture) for picture in ("filters.png", "maps.png"))
    for picture in record["pictures"]:
        with Image.open(picture) as image:
            pixels = np.asarray(image.convert("L"))
        assert pixels.shape[0] > 100
        assert len(np.unique(pixels)) > 20
    assert not [path for path in tmp_path.iterdir() if path != out]


def test_show_tells_values_defaults_and_meanings() -> None:
    result = run("show", "gabor", "--n", "20", "-o", "stride=3", "-o", "wavelengths=3,5")
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if line.startswith("stride"))
    assert line.split()[1] == "3"
    assert "features of 8 x 8 x 1 images (digits)" in result.stdout
    assert "median squared distance" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gabor", "-o", "size=3"), "gabor: got option 'size', expected one of wavelengths"),
        (("gabor", "-o", "stride"), "option: got 'stride', expected NAME=VALUE"),
        (("gabor", "-o", "stride=x"), "stride: got 'x', expected an integer"),
        (("random-conv", "-o", "n_filters=0"), "n_filters: got 0, expected an integer >= 1"),
        (("gabor", "--dataset", "nowhere"), "nowhere"),
    ],
)
def test_show_refuses(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = run("show", *arguments, "--out", tmp_path / "out")
    assert isinstance(result.exception, InputError), result.output
    assert message in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_show_keeps_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    result = run("show", "gabor", "--out", tmp_path)
    assert isinstance(result.exception, InputError)
    assert "is not an empty folder" in str(result.exception)
    assert (tmp_path / "mine").read_text() == "kept"


def test_rows_that_are_no_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "rows.npz", X=rng.random((20, 7)), y=np.arange(20) % 2)
    result = run("show", "gabor", "--dataset", tmp_path / "rows.npz")
    assert isinstance(result.exception, InputError), result.output
    assert "holds no images" in str(result.exception)


def test_the_shell_gets_one_line_and_exit_code_2() -> None:
    command = [sys.executable, "-m", "kernelfit", "features", "show", "gabor", "-o", "size=3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("kernelfit: gabor: got option 'size'")
    assert len(done.stderr.strip().splitlines()) == 1


def test_every_image_begins_a_line_of_its_maps(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (6, 144), dtype=np.uint8)
    feature = RandomConv(n_filters=40, n_patches=300, threads=1).fit(rows)
    figure = feature_pictures.maps(feature, rows, 3)
    first = [axes.get_title() for axes in figure.axes[:: feature_pictures.ACROSS]]
    assert [title for title in first if title.startswith("image")] == ["image 0", "image 1", "image 2"]
    assert sum(axes.get_title().startswith("image") for axes in figure.axes) == 3
