"""HDF5 files: data in this very file, as much of it as the shape claims."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from kernelfit.datasets.hdf5 import read_hdf5
from kernelfit.errors import DataError

X = np.arange(12.0).reshape(4, 3)
y = np.array([0, 1, 0, 1])


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 2)}, {"compression": "gzip"}, {"compression": "lzf"}])
def test_one_part(tmp_path: Path, options: dict[str, object]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("X", data=X.astype(">f4"), **options)
        file["y"] = y
    train, test = read_hdf5(tmp_path / "a.h5")
    assert test is None
    assert train.X.dtype == np.float32
    assert train.X.dtype.isnative
    np.testing.assert_array_equal(train.X, X)


def test_text_of_one_length_is_utf_8(tmp_path: Path) -> None:
    names = np.array(["café".encode(), b"tea"])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X"], file["y"] = X, names[y]
    train, _ = read_hdf5(tmp_path / "a.h5")
    assert train.class_names == ("café", "tea")
    assert train.y.tolist() == y.tolist()


def test_both_parts(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X_train"], file["y_train"] = np.zeros((4, 2, 2, 3), np.uint8), y
        file["X_test"], file["y_test"] = np.zeros((1, 2, 2, 3), np.uint8), y[:1]
    train, test = read_hdf5(tmp_path / "a.h5")
    assert train.image_shape == (2, 2, 3)
    assert test is not None
    assert test.X.shape == (1, 12)


def external_link(file: h5py.File) -> None:
    file["X"] = h5py.ExternalLink("/etc/passwd", "/X")


def external_storage(file: h5py.File) -> None:
    Path(file.filename).with_name("raw").write_bytes(X.tobytes())
    file.create_dataset(
        "X", (4, 3), "<f8", external=[(str(Path(file.filename).with_name("raw")), 0, X.nbytes)]
    )


def virtual(file: h5py.File) -> None:
    other = Path(file.filename).with_name("other.h5")
    with h5py.File(other, "w") as source:
        source["X"] = X
    layout = h5py.VirtualLayout((4, 3), "<f8")
    layout[:] = h5py.VirtualSource(str(other), "X", (4, 3))
    file.create_virtual_dataset("X", layout)


def group(file: h5py.File) -> None:
    file.create_group("X")


def dangling(file: h5py.File) -> None:
    file["X"] = h5py.SoftLink("/nowhere")


def empty(file: h5py.File) -> None:
    file["X"] = h5py.Empty("f8")


def never_written(file: h5py.File) -> None:
    file.create_dataset("X", (10**9, 10**3), "f8", chunks=(100, 100), compression="gzip")


def partly_written(file: h5py.File) -> None:
    file.create_dataset("X", (4, 3000), "f8", chunks=(4, 30))[:, :30] = 1


def text(file: h5py.File) -> None:
    file["X"] = np.array([[b"a"] * 3] * 4)


def nan(file: h5py.File) -> None:
    file["X"] = np.where(X == 4, np.nan, X)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (external_link, "X in the file itself, found a link to another file"),
        (external_storage, "X in the file itself, found data kept in other files"),
        (virtual, "X in the file itself, found data kept in other files"),
        (group, r"the arrays X and y, .* found 'y' \(4,\)"),
        (dangling, "X, an array, found a link that leads nowhere"),
        (empty, "X, an array, found Dataset without a shape"),
        (never_written, "8000000000000 bytes for X .* found 0 stored"),
        (partly_written, "96000 bytes for X .* found 960 stored"),
        (text, "numbers in X"),
        (nan, "found nan in row 1, column 1"),
    ],
)
def test_wrong_content_is_named(tmp_path: Path, write: Callable[[h5py.File], None], message: str) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        write(file)
        file["y"] = y
    with pytest.raises(DataError, match=message) as caught:
        read_hdf5(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", [["cat", "dog", "cat", "ox"], np.array([b"cat", b"dog", b"cat", b"ox"])])
def test_text_labels_are_classes(tmp_path: Path, labels: Any) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X"] = X
        file["y"] = labels
    rows, _ = read_hdf5(tmp_path / "a.h5")
    assert rows.class_names == ("cat", "dog", "ox")
    assert rows.y.tolist() == [0, 1, 0, 2]


def test_arrays_in_groups(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/images"], file["train/labels"] = X, y
        file["test/images"], file["test/labels"] = X[:2] + 1, y[:2]
        file["test/soft"] = h5py.SoftLink("/train/images")
    train, test = read_hdf5(tmp_path / "a.h5")
    assert test is not None
    np.testing.assert_array_equal(train.X, X)
    np.testing.assert_array_equal(test.X, X[:2] + 1)
    assert train.notes == (
        "a.h5: X is 'train/images', y is 'train/labels'; X is 'test/images', y is 'test/labels'",
    )
    train, test = read_hdf5(tmp_path / "a.h5", {"X": "/test/images", "y": "/test/labels"})
    assert test is None
    np.testing.assert_array_equal(train.X, X[:2] + 1)


def frame(file: h5py.File) -> None:
    """As `DataFrame.to_hdf("a.h5", key="df")` writes columns of floats."""
    group = file.create_group("df")
    group.attrs["pandas_type"] = np.bytes_("frame")
    group["axis0"] = group["block0_items"] = np.array([b"a", b"b", b"y"])
    group["axis1"], group["block0_values"] = np.arange(4), X


def test_a_frame_of_pandas_is_no_rows_with_its_index_as_labels(tmp_path: Path) -> None:
    """It was: the label one of the columns of X, and y the numbers of the rows."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        frame(file)
    with pytest.raises(DataError, match=r"found a frame that pandas wrote, 'df'; write it .* to_parquet"):
        read_hdf5(tmp_path / "a.h5")
    rows, _ = read_hdf5(tmp_path / "a.h5", {"X": "df/block0_values", "y": "df/axis1"})
    np.testing.assert_array_equal(rows.X, X)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["mine"], file["codes"] = X + 1, y
    rows, _ = read_hdf5(tmp_path / "a.h5")
    np.testing.assert_array_equal(rows.X, X + 1)
    assert rows.notes == (
        "a.h5: by their shapes, the rows are 'mine', labels 'codes'",
        "a.h5: not read: what pandas wrote, df",
    )


def test_matlab_stores_columns_first(tmp_path: Path) -> None:
    images = np.arange(4 * 2 * 3 * 5, dtype=np.uint8).reshape(
        4, 2, 3, 5
    )  # n, channels, width, height in the file
    for name, stored, expected in (
        ("X", X.T, X),
        ("images", images, images.transpose(0, 3, 2, 1).reshape(4, -1)),
    ):
        with h5py.File(tmp_path / "a.mat", "w") as file:
            file[name], file["y"] = stored, y[None, :].astype(float)  # y is 4 x 1 in MATLAB
            for node in file.values():
                node.attrs["MATLAB_class"] = np.bytes_("double")
        rows, _ = read_hdf5(tmp_path / "a.mat")
        np.testing.assert_array_equal(rows.X, expected)
        assert rows.y.reshape(-1).tolist() == y.tolist()
        assert "a.mat: MATLAB stores columns first; its arrays are turned" in rows.notes


def of_matlab(path: Path, **arrays: tuple[Any, str]) -> Path:
    """Matrices by name with their classes, as `save -v7.3` stores them."""
    with h5py.File(path, "w") as file:
        for name, (values, matlab) in arrays.items():
            file[name] = np.asarray(values).T
            file[name].attrs["MATLAB_class"] = np.bytes_(matlab)
    return path


def letters(*words: str) -> tuple[Any, str]:
    width = max(map(len, words))
    return np.array([[ord(letter) for letter in word.ljust(width)] for word in words], np.uint16), "char"


@pytest.mark.parametrize("name", ["y", "kind"])
def test_letters_of_matlab_are_text(tmp_path: Path, name: str) -> None:
    """They were numbers, a target for each letter."""
    for words in (("setosa", "größer", "setosa", "x"), ("A", "C", "A", "B")):
        path = of_matlab(tmp_path / "a.mat", X=(X, "double"), **{name: letters(*words)})
        rows, _ = read_hdf5(path)
        assert rows.class_names is not None
        assert [rows.class_names[code] for code in rows.y] == list(words)
    row = np.array([[65, 67, 65, 66]], np.uint16)  # 'ACAB'
    rows, _ = read_hdf5(of_matlab(tmp_path / "a.mat", X=(X, "double"), y=(row, "char")))
    assert rows.class_names == ("A", "B", "C")


def test_logical_values_of_matlab_are_no_pixels(tmp_path: Path) -> None:
    """They were bytes, which are scaled by 1/255."""
    path = of_matlab(tmp_path / "a.mat", X=((X > 3).astype(np.uint8), "logical"), y=(y[:, None], "double"))
    rows, _ = read_hdf5(path)
    assert rows.X.dtype == np.float32
    np.testing.assert_array_equal(rows.X, X > 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"X": letters("ab", "cd"), "y": ([[0], [1]], "double")},
            r"numbers in X, found MATLAB's char; store it",
        ),
        ({"X": (X, "double"), "y": (y[:, None], "categorical")}, r"found MATLAB's categorical; .* char\(y\)"),
        ({"X": (X, "double"), "y": (y[:, None], "cell")}, r"numbers or char in y, found MATLAB's cell"),
    ],
)
def test_what_stands_for_something_else_in_matlab_is_refused(
    tmp_path: Path, arrays: dict[str, tuple[Any, str]], message: str
) -> None:
    path = of_matlab(tmp_path / "a.mat", **arrays)
    with pytest.raises(DataError, match=message):
        read_hdf5(path, {"X": "X", "y": "y"})


def test_an_older_matlab_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file, Platform: GLNXA64")
    with pytest.raises(DataError, match=r"a MATLAB file of an older format; save it with -v7\.3"):
        read_hdf5(tmp_path / "a.mat")
    scipy.io.savemat(tmp_path / "4.mat", {"X": X, "y": y}, format="4")
    with pytest.raises(DataError, match=r"a MATLAB file of an older format; save it with -v7\.3"):
        read_hdf5(tmp_path / "4.mat")


def test_labels_of_another_encoding_are_named(tmp_path: Path) -> None:
    """They were a file that does not decode."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X"], file["y"] = X, np.array([b"a", b"caf\xe9", b"a", b"b"])
    with pytest.raises(DataError, match=r"text as UTF-8 in y, found the byte 0xe9 in 'caf.'; store it as np"):
        read_hdf5(tmp_path / "a.h5")


@pytest.mark.parametrize("keep", [0, 100, -200])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = np.zeros((100, 10)), np.arange(100) % 2
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="expected an HDF5 file, found"):
        read_hdf5(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no such file"):
        read_hdf5(tmp_path / "a.h5")


def test_soft_links_are_followed_within_the_file_alone(tmp_path: Path) -> None:
    path, other = tmp_path / "a.h5", tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["X"] = np.arange(8.0).reshape(4, 2)
    with h5py.File(path, "w") as file:
        file["deep/X"] = np.arange(8.0).reshape(4, 2)
        file["X"] = h5py.SoftLink("/also/X")
        file["also"] = h5py.SoftLink("deep")
        file["y"] = [0, 1, 0, 1]
    rows, _ = read_hdf5(path)
    np.testing.assert_array_equal(rows.X, np.arange(8.0).reshape(4, 2))
    with h5py.File(path, "r+") as file:
        del file["also"]
        file["also"] = h5py.ExternalLink(str(other), "/")
    with pytest.raises(DataError, match="expected X in the file itself, found a link to another file"):
        read_hdf5(path)
    with h5py.File(path, "r+") as file:
        del file["also"]
        file["also"] = h5py.SoftLink("/also")
    with pytest.raises(DataError, match="found a link that leads nowhere"):
        read_hdf5(path)


def test_a_file_system_without_locks_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, honest = tmp_path / "a.h5", h5py.File
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = X, y

    def refused(*given: Any, locking: bool | None = None) -> h5py.File:
        if locking is False:
            return honest(*given, locking=False)
        raise OSError(errno.ENOLCK, "Unable to synchronously open file (unable to lock file, errno = 37)")

    monkeypatch.setattr(h5py, "File", refused)
    np.testing.assert_array_equal(read_hdf5(path)[0].X, X)


@pytest.mark.parametrize("locking", [None, False, True])
def test_a_file_that_this_process_has_open_is_read(tmp_path: Path, locking: bool | None) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X"], file["y"] = X, y
    with h5py.File(tmp_path / "a.h5", "r", locking=locking):
        np.testing.assert_array_equal(read_hdf5(tmp_path / "a.h5")[0].X, X)


def test_a_file_that_is_being_written_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X"], file["y"] = X, y
    with open(tmp_path / "a.h5", "r+b") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="unable to lock file"):
            read_hdf5(tmp_path / "a.h5")
