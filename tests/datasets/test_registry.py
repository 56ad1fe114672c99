"""Data sets known by name, on small stand-ins: where they are found, and whose bytes they are."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from kernelfit import datasets
from kernelfit.cli import root
from kernelfit.datasets import Dataset, mnist
from kernelfit.datasets import locate as locate_module
from kernelfit.datasets.cifar10 import CIFAR10
from kernelfit.datasets.idx import IDX_FILES
from kernelfit.datasets.locate import data_folders, locate
from kernelfit.datasets.mnist import FASHION_MNIST, MNIST
from kernelfit.datasets.registry import REGISTRY
from kernelfit.datasets.spec import FileCheck, Located, Spec
from kernelfit.errors import DataError, InputError

SMALL_MNIST = dataclasses.replace(MNIST, n_train=20, n_test=10)
SMALL_FASHION = dataclasses.replace(FASHION_MNIST, n_train=20, n_test=10)
SMALL_CIFAR = dataclasses.replace(CIFAR10, n_train=15, n_test=4)


@pytest.fixture(autouse=True)
def nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data folder and no cache but those of the test."""
    monkeypatch.delenv("KERNELFIT_DATA", raising=False)
    monkeypatch.setattr(locate_module, "cache_folder", lambda: tmp_path / "cache")


def with_digests(spec: Spec, folder: Path) -> Spec:
    """The spec that takes the files in `folder` for the official ones."""
    downloads = []
    for file in spec.downloads:
        content = (folder / file.name).read_bytes()
        unzipped = hashlib.sha256(gzip.decompress(content)).hexdigest()
        downloads.append(
            dataclasses.replace(
                file,
                sha256=hashlib.sha256(content).hexdigest(),
                content_sha256=unzipped if file.content_sha256 else None,
            )
        )
    return dataclasses.replace(spec, downloads=tuple(downloads))


def found(spec: Spec, root: Path) -> Any:
    located = locate(spec, root)
    assert located is not None
    return located


@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw", "."])
@pytest.mark.parametrize("zipped", [True, False])
def test_mnist_is_found_in_its_usual_places(files: Any, folder: str, zipped: bool) -> None:
    files.idx_set(folder, zipped=zipped)
    dataset, checks = SMALL_MNIST.read(found(SMALL_MNIST, files.folder))
    assert dataset.X_train.shape == (20, 784)
    assert dataset.X_train.dtype == np.uint8
    assert dataset.y_train.dtype == np.int64
    assert dataset.scale == 1 / 255
    assert len(dataset.notes) == 4
    assert not any(check.official for check in checks)
    assert "is of another origin: sha256 of the unzipped content" in dataset.notes[0]


def test_official_bytes_carry_no_note_however_they_are_zipped(files: Any) -> None:
    folder = files.idx_set("mnist")
    spec = with_digests(SMALL_MNIST, folder)
    assert spec.read(found(spec, files.folder))[0].notes == ()
    for name in IDX_FILES:
        path = folder / name
        (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    dataset, checks = spec.read(found(spec, files.folder))
    assert dataset.notes == ()
    assert all(check.official for check in checks)


def test_where_only_the_digest_of_the_file_is_known_that_is_compared(files: Any) -> None:
    folder = files.idx_set("fashion-mnist")
    spec = with_digests(SMALL_FASHION, folder)
    assert spec.read(found(spec, files.folder))[0].notes == ()
    path = folder / IDX_FILES[0]
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 9, mtime=5))
    notes = spec.read(found(spec, files.folder))[0].notes
    assert len(notes) == 1
    assert "sha256 of the file" in notes[0]


def test_one_set_in_the_place_of_another_is_refused(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files.idx_set("fashion-mnist")
    monkeypatch.setattr(mnist, "IDX_SETS", (with_digests(SMALL_MNIST, folder), FASHION_MNIST))
    with pytest.raises(
        DataError, match="expected fashion-mnist, found the official mnist; put fashion-mnist into"
    ):
        SMALL_FASHION.read(found(SMALL_FASHION, files.folder))


def test_wrong_shapes_and_labels_are_named(files: Any) -> None:
    folder = files.idx_set("mnist")
    with pytest.raises(DataError, match=r"images of shape \(60000, 28, 28\), found \(20, 28, 28\)"):
        MNIST.read(found(MNIST, files.folder))
    labels = np.zeros(20, np.uint8)
    labels[13] = 10
    (folder / IDX_FILES[1]).write_bytes(gzip.compress(files.idx_bytes(labels)))
    with pytest.raises(DataError, match=r"labels 0 to 9, found label 10 in row 13"):
        SMALL_MNIST.read(found(SMALL_MNIST, files.folder))


def cifar_files(files: Any, layout: str) -> dict[str, bytes]:
    make = files.cifar_binary if layout == "binary" else files.cifar_pickle
    names = next(entry.files for entry in CIFAR10.layouts if entry.kind == layout)
    files.rng = np.random.default_rng(8)
    return {name: make(4 if name.startswith("test") else 3) for name in names}


@pytest.mark.parametrize("layout", ["binary", "python"])
@pytest.mark.parametrize("packed", [False, True])
def test_cifar10_is_read_alike_from_all_four_layouts(files: Any, layout: str, packed: bool) -> None:
    folder = "cifar-10-batches-bin" if layout == "binary" else "cifar-10-batches-py"
    contents = cifar_files(files, layout)
    if packed:
        archive = files.tar_gz({f"{folder}/{name}": content for name, content in contents.items()})
        files.bytes(f"cifar-10-{layout}.tar.gz", archive)
    else:
        for name, content in contents.items():
            files.bytes(f"{folder}/{name}", content)
    located = found(SMALL_CIFAR, files.folder)
    assert located.layout.kind == layout + ("-archive" if packed else "")
    dataset, checks = SMALL_CIFAR.read(located)
    expected = next(iter(cifar_files(files, "binary").values()))[1:3073]
    planes = np.frombuffer(expected, np.uint8).reshape(3, 32, 32)
    np.testing.assert_array_equal(dataset.X_train[0].reshape(32, 32, 3), planes.transpose(1, 2, 0))
    assert dataset.y_train.tolist() == [0, 1, 2] * 5
    assert dataset.n_test == 4
    assert len(checks) == (1 if packed else 6)
    assert len(dataset.notes) == 1
    assert "of another origin" in dataset.notes[0]
    assert "rows may stand in another order" in dataset.notes[0]


def test_official_cifar_batches_carry_no_note(files: Any) -> None:
    digests = []
    for name, content in cifar_files(files, "binary").items():
        files.bytes(f"cifar-10-batches-bin/{name}", content)
        digests.append((name, "md5:" + hashlib.md5(content).hexdigest()))
    layout = dataclasses.replace(CIFAR10.layouts[0], digests=tuple(digests))
    spec = dataclasses.replace(SMALL_CIFAR, layouts=(layout,))
    dataset, checks = spec.read(found(spec, files.folder))
    assert dataset.notes == ()
    assert all(check.official for check in checks)


def test_a_batch_of_another_length_is_refused(files: Any) -> None:
    for name, content in cifar_files(files, "binary").items():
        files.bytes(f"cifar-10-batches-bin/{name}", content)
    files.bytes("cifar-10-batches-bin/data_batch_3.bin", files.cifar_binary(2))
    with pytest.raises(DataError, match="3 images in batch 3, found 2"):
        SMALL_CIFAR.read(found(SMALL_CIFAR, files.folder))


def test_the_folders_are_searched_in_order(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locate(SMALL_MNIST) is None
    in_cache = files.idx_set("cache/mnist")
    assert found(SMALL_MNIST, None).folder == in_cache
    by_variable = files.idx_set("variable/mnist")
    monkeypatch.setenv("KERNELFIT_DATA", str(files.folder / "variable"))
    assert found(SMALL_MNIST, None).folder == by_variable
    named = files.idx_set("named/mnist")
    assert found(SMALL_MNIST, files.folder / "named").folder == named
    (named / IDX_FILES[2]).unlink()
    assert found(SMALL_MNIST, files.folder / "named").folder == by_variable, (
        "an incomplete set does not count"
    )
    assert [folder.name for folder in data_folders(files.folder / "named")] == ["named", "variable", "cache"]


def test_the_cache_folder_is_asked_for_only_where_nothing_is_found(files, monkeypatch) -> None:
    """What finds it is a package that a machine without a network may lack."""

    def absent() -> Path:
        raise ImportError("No module named 'pooch'")

    monkeypatch.setattr(locate_module, "cache_folder", absent)
    named = files.idx_set("named/mnist")
    assert found(SMALL_MNIST, files.folder / "named").folder == named
    with pytest.raises(ImportError, match="pooch"):
        locate(SMALL_MNIST)


def test_a_folder_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"data_dir: got .*nowhere, expected a folder"):
        locate(MNIST, tmp_path / "nowhere")
    monkeypatch.setenv("KERNELFIT_DATA", str(tmp_path / "gone"))
    with pytest.raises(InputError, match=r"\$KERNELFIT_DATA: got .*gone, expected a folder"):
        locate(MNIST)


def test_the_registry_is_whole() -> None:
    assert {"digits", "mnist", "fashion-mnist", "cifar10"} <= set(REGISTRY)
    assert all(name == spec.name for name, spec in REGISTRY.items())
    for spec in REGISTRY.values():
        assert len(spec.classes) == len(set(spec.classes)) > 1
        assert spec.citation
        for file in spec.downloads:
            assert len(file.sha256) == 64
            assert file.size > 0
            assert file.mirrors
            assert all(url.startswith("http") and url.endswith("/" + file.name) for url in file.mirrors)
        for layout in spec.layouts:
            assert not layout.digests or [name for name, _ in layout.digests] == list(layout.files)
    files = {file.sha256: file for spec in REGISTRY.values() for file in spec.downloads}
    assert (
        len({(spec.folder or spec.name, file.name) for spec in REGISTRY.values() for file in spec.downloads})
        == 22
    )
    assert len(files) == 22


def test_a_data_set_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec with its reader, and its line in the registry: `load` and the command know it."""
    rng = np.random.default_rng(5)

    def read_toy(spec: Spec, located: Located | None) -> tuple[Dataset, tuple[FileCheck, ...]]:
        assert located is None
        parts = [
            (rng.integers(256, size=(rows, 4), dtype=np.uint8), np.arange(rows) % 2)
            for rows in (spec.n_train, spec.n_test)
        ]
        return spec.dataset(parts[0], parts[1], ("made up",)), ()

    toy = Spec("toy", "a toy", 30, 6, (2, 2, 1), ("even", "odd"), "nowhere", read_toy)
    monkeypatch.setitem(REGISTRY, "toy", toy)
    dataset = datasets.load("toy", n_train=20)
    assert (dataset.n_train, dataset.n_test, dataset.classes) == (20, 6, ("even", "odd"))
    assert datasets.training_targets(dataset).shape == (20, 2)
    listed = CliRunner().invoke(root, ["datasets", "list", "--json", "-"], catch_exceptions=False)
    assert [record["place"] for record in json.loads(listed.stdout) if record["name"] == "toy"] == [
        "embedded"
    ]
    solved = CliRunner().invoke(root, ["solve", "--dataset", "toy", "--json", "-"], catch_exceptions=False)
    assert json.loads(solved.stdout)["dataset"] == "toy"
