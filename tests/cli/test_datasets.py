"""`kernelfit datasets`: list, fetch, verify, path."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kernelfit.cli import root
from kernelfit.datasets import locate as locate_module
from kernelfit.datasets.idx import IDX_FILES
from kernelfit.datasets.registry import REGISTRY
from kernelfit.errors import DataError, InputError


@pytest.fixture(autouse=True)
def nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERNELFIT_DATA", raising=False)
    monkeypatch.setattr(locate_module, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("COLUMNS", "400")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(root, ["datasets", *map(str, arguments)])


def answer(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A folder with an MNIST of zeros: the official sizes, another origin."""
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name, n in zip(IDX_FILES, (60000, 60000, 10000, 10000), strict=True):
        shape = (n, 28, 28) if "images" in name else (n,)
        header = bytes((0, 0, 8, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape)
        rows = np.zeros(shape, np.uint8) if "images" in name else (np.arange(n) % 10).astype(np.uint8)
        (folder / name).write_bytes(gzip.compress(header + rows.tobytes(), 1))
    return folder


def test_list_names_every_set_and_its_place(mnist: Path) -> None:
    records = {record["name"]: record for record in answer("list", "--data-dir", mnist.parent)}
    assert list(records) == list(REGISTRY)
    assert [records[name]["place"] for name in records] == [
        "embedded",
        str(mnist),
        *["missing"] * (len(REGISTRY) - 2),
    ]
    assert records["cifar10"]["image_shape"] == [32, 32, 3]
    assert records["mnist"]["layout"] == "idx"
    text = run("list", "--data-dir", mnist.parent).stdout
    assert "60,000" in text
    assert str(mnist) in text


def test_list_and_show_name_size_licence_and_whom_to_cite() -> None:
    record = answer("show", "stl10")
    assert record["download_bytes"] == 2640397119
    assert record["licence"] == "none stated"
    assert "Coates" in record["citation"]
    listed = next(line for line in run("list").stdout.splitlines() if line.startswith("svhn"))
    assert "246 MB" in listed
    assert "non-commercial use only" in listed
    text = run("show", "kmnist").stdout
    for expected in (
        "60,000 to train on, 10,000 to test",
        "10: o, ki, su",
        "CC BY-SA 4.0",
        "arXiv:1812.01718",
    ):
        assert expected in text


def test_verify_tells_official_from_other_origin_and_damaged(mnist: Path) -> None:
    place = ("--data-dir", mnist.parent)
    digits, record = answer("verify", *place)
    assert (digits["name"], digits["status"]) == ("digits", "official")
    assert (record["name"], record["status"]) == ("mnist", "other origin")
    assert [len(file["found"]) for file in record["files"]] == [64] * 4
    assert run("verify", *place).exit_code == 0
    strict = run("verify", "--strict", "mnist", *place)
    assert isinstance(strict.exception, DataError)
    assert "mnist: other origin" in str(strict.exception)

    labels = mnist / IDX_FILES[1]
    labels.write_bytes(labels.read_bytes()[:-100])
    damaged = run("verify", *place, "--json", "-")
    assert isinstance(damaged.exception, DataError)
    assert json.loads(damaged.stdout)[1]["status"] == "damaged"
    assert IDX_FILES[1] in str(damaged.exception)


def test_the_real_mnist_verifies_as_official(mnist_dir: Path) -> None:
    (record,) = answer("verify", "--strict", "mnist", "--data-dir", mnist_dir)
    assert record["status"] == "official"
    assert all(file["official"] for file in record["files"])


def test_verify_of_a_missing_set_fails() -> None:
    result = run("verify", "cifar10")
    assert isinstance(result.exception, DataError)
    assert "kernelfit datasets fetch cifar10" in str(result.exception)


def test_path_prints_a_folder_or_says_how_to_get_it(mnist: Path, tmp_path: Path) -> None:
    assert run("path", "mnist", "--data-dir", mnist.parent).stdout == f"{mnist}\n"
    assert run("path", "digits").stdout == "embedded\n"
    assert run("path", "--data-dir", mnist.parent).stdout.splitlines() == [
        str(mnist.parent),
        str(tmp_path / "cache"),
    ]
    assert answer("path", "mnist", "--data-dir", mnist.parent)["place"] == str(mnist)
    missing = run("path", "mnist")
    assert isinstance(missing.exception, DataError)
    assert "mnist: not here; run `kernelfit datasets fetch mnist`" in str(missing.exception)


def test_fetch_leaves_alone_what_is_there(mnist: Path) -> None:
    for arguments in (("mnist", "--data-dir", mnist.parent), ("digits",)):
        (record,) = answer("fetch", *arguments)
        assert record["fetched"] is False
    assert "it was there" in run("fetch", "digits").stdout


def test_json_goes_to_a_file_beside_the_table(tmp_path: Path) -> None:
    target = tmp_path / "list.json"
    result = run("list", "--json", target)
    assert "digits" in result.stdout
    assert len(json.loads(target.read_text())) == len(REGISTRY)
    assert isinstance(run("list", "--json", tmp_path).exception, InputError)


def test_wrong_arguments_are_one_line_and_exit_2(tmp_path: Path) -> None:
    assert isinstance(run("list", "--data-dir", tmp_path / "none").exception, InputError)
    assert run("path", "imagenet").exit_code == 2
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("kernelfit")),
            "datasets",
            "list",
            "--data-dir",
            str(tmp_path / "none"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"kernelfit: --data-dir: got {tmp_path / 'none'}, expected a folder that exists\n"
