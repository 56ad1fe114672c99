"""Known data sets on hand-made files in their official formats: which pixel and which label come out where."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from kernelfit.datasets import Dataset, load, mnist
from kernelfit.datasets import locate as locate_module
from kernelfit.datasets.cifar100 import CIFAR100, CIFAR100_COARSE
from kernelfit.datasets.emnist import EMNIST_BALANCED, EMNIST_LETTERS
from kernelfit.datasets.locate import locate
from kernelfit.datasets.mnist import KMNIST, MNIST, QMNIST
from kernelfit.datasets.registry import REGISTRY
from kernelfit.datasets.spec import Spec
from kernelfit.datasets.stl10 import STL10
from kernelfit.datasets.svhn import SVHN
from kernelfit.errors import DataError, InputError


@pytest.fixture(autouse=True)
def nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERNELFIT_DATA", raising=False)
    monkeypatch.setattr(locate_module, "cache_folder", lambda: tmp_path / "cache")


def small(spec: Spec, n_train: int = 4, n_test: int = 3, **changes: Any) -> Spec:
    return dataclasses.replace(spec, n_train=n_train, n_test=n_test, **changes)


def read(spec: Spec, folder: Path) -> Dataset:
    located = locate(spec, folder)
    assert located is not None
    return spec.read(located)[0]


def pictures(rng: np.random.Generator, n: int, *shape: int) -> np.ndarray:
    return rng.integers(0, 256, (n, *shape), dtype=np.uint8)


def with_dots(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("-idx", ".idx"))


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_names_may_have_a_dot(files: Any, zipped: bool) -> None:
    folder = files.idx_set("mnist", zipped=zipped)
    expected = load(str(folder)).X_train
    with_dots(folder)
    assert {path.name for path in folder.iterdir()} >= {"train-images.idx3-ubyte" + (".gz" if zipped else "")}
    np.testing.assert_array_equal(load(str(folder)).X_train, expected)
    np.testing.assert_array_equal(read(small(MNIST, 20, 10), files.folder).X_train, expected)


def test_kmnist_in_the_place_of_mnist_is_refused(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the digests of its files as downloaded are published."""
    folder = files.idx_set("mnist")
    downloads = [
        dataclasses.replace(file, sha256=hashlib.sha256((folder / file.name).read_bytes()).hexdigest())
        for file in KMNIST.downloads
    ]
    kmnist = small(KMNIST, 20, 10, downloads=tuple(downloads))
    monkeypatch.setattr(mnist, "IDX_SETS", (MNIST, kmnist))
    with pytest.raises(DataError, match="expected mnist, found the official kmnist; put mnist into a folder"):
        read(small(MNIST, 20, 10), files.folder)
    folder.rename(files.folder / "KMNIST")
    assert read(kmnist, files.folder).notes == ()


def test_qmnist_takes_the_first_of_eight_columns_of_labels(files: Any) -> None:
    images = pictures(files.rng, 4, 28, 28)
    labels = files.rng.integers(0, 10**6, (4, 8))
    labels[:, 0] = [3, 9, 0, 1]
    for part, n in (("train", 4), ("test", 3)):
        files.bytes(f"QMNIST/raw/qmnist-{part}-images-idx3-ubyte", files.idx_bytes(images[:n]))
        content = files.idx_bytes(labels[:n].astype(">i4"), kind=0x0C)
        files.bytes(f"QMNIST/raw/qmnist-{part}-labels-idx2-int.gz", gzip.compress(content))
    dataset = read(small(QMNIST), files.folder)
    assert dataset.y_train.tolist() == [3, 9, 0, 1]
    assert dataset.y_test.tolist() == [3, 9, 0]
    np.testing.assert_array_equal(dataset.X_train, images.reshape(4, -1))


def emnist_files(images: np.ndarray, labels: np.ndarray, split: str, pack: Any) -> dict[str, bytes]:
    return {
        f"emnist-{split}-{part}-{what}-ubyte.gz": gzip.compress(pack(array[:n]))
        for part, n in (("train", 4), ("test", 3))
        for what, array in (("images-idx3", images), ("labels-idx1", labels))
    }


@pytest.mark.parametrize("packed", [False, True])
def test_emnist_stands_upright_and_its_letters_begin_with_a(files: Any, packed: bool) -> None:
    images, labels = pictures(files.rng, 4, 28, 28), np.array([1, 26, 2, 1], np.uint8)
    contents = emnist_files(images, labels, "letters", files.idx_bytes)
    if packed:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, content in contents.items():
                archive.writestr(f"gzip/{name}", content)
        files.bytes("emnist/gzip.zip", stream.getvalue())
    else:
        for name, content in contents.items():
            files.bytes(f"EMNIST/raw/{name.removesuffix('.gz')}", gzip.decompress(content))
    dataset = read(small(EMNIST_LETTERS), files.folder)
    assert [dataset.classes[code] for code in dataset.y_train] == ["a", "z", "b", "a"]
    np.testing.assert_array_equal(dataset.X_train.reshape(4, 28, 28), images.transpose(0, 2, 1))
    expected = "is of another origin" if packed else "no digest of it is published"
    assert expected in dataset.notes[0]


def test_a_damaged_emnist_archive_is_refused(files: Any) -> None:
    images, labels = pictures(files.rng, 4, 28, 28), np.array([1, 27, 2, 1], np.uint8)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in emnist_files(images, labels, "letters", files.idx_bytes).items():
            archive.writestr(f"gzip/{name}", content)
    path = files.bytes("emnist/gzip.zip", stream.getvalue())
    with pytest.raises(DataError, match="labels 1 to 26, found label 27 in row 1"):
        read(small(EMNIST_LETTERS), files.folder)
    with pytest.raises(DataError, match="emnist-balanced-train-images"):
        read(small(EMNIST_BALANCED), files.folder)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="zip archive"):
        read(small(EMNIST_LETTERS), files.folder)


def test_balanced_emnist_has_the_lower_case_letters_that_look_like_no_capital() -> None:
    """Code 36 is a, 46 is t: emnist-balanced-mapping.txt."""
    assert len(EMNIST_BALANCED.classes) == 47
    assert [EMNIST_BALANCED.classes[code] for code in (0, 9, 10, 35, 36, 37, 38, 46)] == list("09AZabdt")


def cifar100_batches(files: Any, layout: str) -> tuple[dict[str, bytes], np.ndarray]:
    planes = pictures(files.rng, 4, 3072)
    coarse, fine = np.array([19, 0, 4, 4]), np.array([99, 5, 42, 0])
    contents = {}
    for name, n in (("train", 4), ("test", 3)):
        if layout == "binary":
            columns = [coarse[:n, None], fine[:n, None], planes[:n]]
            contents[f"{name}.bin"] = np.concatenate(columns, axis=1).astype(np.uint8).tobytes()
        else:
            batch = {
                "data": planes[:n],
                "fine_labels": fine[:n].tolist(),
                "coarse_labels": coarse[:n].tolist(),
            }
            contents[name] = pickle.dumps(batch, protocol=2)
    return contents, planes


@pytest.mark.parametrize("layout", ["binary", "python"])
@pytest.mark.parametrize("packed", [False, True])
def test_cifar100_has_fine_and_coarse_classes(files: Any, layout: str, packed: bool) -> None:
    contents, planes = cifar100_batches(files, layout)
    folder = f"cifar-100-{layout}"
    if packed:
        files.bytes(f"{folder}.tar.gz", files.tar_gz({f"{folder}/{k}": v for k, v in contents.items()}))
    else:
        for name, content in contents.items():
            files.bytes(f"{folder}/{name}", content)
    fine, coarse = (read(small(spec), files.folder) for spec in (CIFAR100, CIFAR100_COARSE))
    assert fine.y_train.tolist() == [99, 5, 42, 0]
    assert coarse.y_train.tolist() == [19, 0, 4, 4]
    assert fine.classes is not None
    assert coarse.classes is not None
    assert (len(fine.classes), fine.classes[99], fine.classes[42]) == (100, "worm", "leopard")
    assert (len(coarse.classes), coarse.classes[19], coarse.classes[4]) == (
        20,
        "vehicles_2",
        "fruit_and_vegetables",
    )
    expected = planes.reshape(4, 3, 32, 32).transpose(0, 2, 3, 1)
    for dataset in (fine, coarse):
        np.testing.assert_array_equal(dataset.X_train.reshape(4, 32, 32, 3), expected)
    unknown = layout == "binary" and not packed
    assert ("no digest of it is published" if unknown else "of another origin") in fine.notes[0]


def svhn(files: Any, labels: list[int], **changes: Any) -> np.ndarray:
    images = pictures(files.rng, 4, 32, 32, 3)
    for part, n in (("train", 4), ("test", 3)):
        arrays = {"X": images[:n].transpose(1, 2, 3, 0), "y": np.array(labels[:n], np.uint8)[:, None]}
        path = files.path(f"svhn/{part}_32x32.mat")
        savemat(path, arrays | changes, do_compression=True)
    return images


def test_svhn_calls_zero_ten(files: Any) -> None:
    images = svhn(files, [10, 1, 9, 10])
    dataset = read(small(SVHN), files.folder)
    assert dataset.y_train.tolist() == [0, 1, 9, 0]
    np.testing.assert_array_equal(dataset.X_train.reshape(4, 32, 32, 3), images)


@pytest.mark.parametrize(
    ("labels", "changes", "message"),
    [
        ([10, 0, 1, 1], {}, "labels 1 to 10, found label 0 in row 1"),
        (
            [1, 2, 3, 4],
            {"X": np.zeros((32, 32, 3, 5), np.uint8)},
            r"X of shape \(32, 32, 3, 4\), found \(32, 32, 3, 5",
        ),
        ([1, 2, 3, 4], {"X": np.zeros((32, 32, 3, 4))}, "X of bytes, found double"),
        ([1, 2, 3, 4], {"y": np.zeros((1, 4), np.uint8)}, r"y of shape \(4, 1\), found \(1, 4\)"),
    ],
)
def test_a_wrong_svhn_file_is_named(
    files: Any, labels: list[int], changes: dict[str, Any], message: str
) -> None:
    svhn(files, labels, **changes)
    with pytest.raises(DataError, match=message):
        read(small(SVHN), files.folder)


def test_an_svhn_file_that_is_none_is_refused(files: Any) -> None:
    svhn(files, [1, 2, 3, 4])
    path = files.folder / "svhn/train_32x32.mat"
    whole = path.read_bytes()
    for content in (b"", b"<html>", whole[: len(whole) // 2], whole[:200] + b"\xff" * 400 + whole[600:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"train_32x32\.mat"):
            read(small(SVHN), files.folder)


@pytest.mark.parametrize("packed", [False, True])
def test_stl10_is_stored_column_by_column(files: Any, packed: bool) -> None:
    images, labels = pictures(files.rng, 4, 96, 96, 3), np.array([1, 10, 3, 1], np.uint8)
    contents = {}
    for part, n in (("train", 4), ("test", 3)):
        contents[f"{part}_X.bin"] = images[:n].transpose(0, 3, 2, 1).tobytes()
        contents[f"{part}_y.bin"] = labels[:n].tobytes()
    if packed:
        further = {"unlabeled_X.bin": files.rng.bytes(50_000)}
        members = {"fold_indices.txt": b"x" * 5000, **contents, **further}
        content = files.tar_gz({f"stl10_binary/{k}": v for k, v in members.items()})
        files.bytes("stl10_binary.tar.gz", content[:-30_000])  # what follows the labelled images is not read
    else:
        for name, content in contents.items():
            files.bytes(f"stl10_binary/{name}", content)
    dataset = read(small(STL10), files.folder)
    np.testing.assert_array_equal(dataset.X_train.reshape(4, 96, 96, 3), images)
    assert [STL10.classes[code] for code in dataset.y_train] == ["airplane", "truck", "car", "airplane"]
    assert "of another origin" in dataset.notes[0]
    with pytest.raises(DataError, match=r"train_X\.bin: expected 138240 bytes, found 110592"):
        read(small(STL10, 5), files.folder)


def test_a_root_of_torchvision_is_understood(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for spec in (MNIST, KMNIST):
        monkeypatch.setitem(REGISTRY, spec.name, small(spec, 20, 10))
    root = files.idx_set("root/KMNIST/raw").parents[1]
    dataset = load(str(root))
    assert dataset.name == "kmnist"
    assert dataset.classes is not None
    assert dataset.classes[1] == "ki"
    assert dataset.notes[0] == f"{root} holds kmnist"
    assert load("mine", train=root).name == "kmnist"
    files.idx_set("root/MNIST/raw")
    with pytest.raises(
        InputError, match=r"dataset: got .*root, which holds mnist, kmnist, expected one data set; give"
    ):
        load(str(root))


def test_four_idx_files_in_the_folder_itself_are_the_users_own(files: Any) -> None:
    folder = files.idx_set("MNIST/raw", 12, 4)
    assert load(str(folder)).n_train == 12
