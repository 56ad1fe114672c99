"""NPZ files: keys, types, and sizes that must agree before anything is allocated."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.datasets.npz import read_npz
from kernelfit.errors import DataError

X = np.arange(12.0).reshape(4, 3)
y = np.array([0, 1, 0, 1])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_one_part(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "a.npz", X=X, y=y)
    train, test = read_npz(tmp_path / "a.npz")
    assert test is None
    np.testing.assert_array_equal(train.X, X)
    np.testing.assert_array_equal(train.y, y)


def test_both_parts_images_and_orders(tmp_path: Path) -> None:
    images = np.arange(4 * 2 * 5, dtype=np.uint8).reshape(4, 2, 5)
    np.savez(
        tmp_path / "a.npz", x_train=np.asfortranarray(images), y_train=y, x_test=images[:1], y_test=y[:1]
    )
    train, test = read_npz(tmp_path / "a.npz")
    assert train.image_shape == (2, 5, 1)
    assert train.X.dtype == np.uint8
    np.testing.assert_array_equal(train.X, images.reshape(4, 10))
    assert test is not None
    assert len(test.X) == 1


def test_channels_first_is_turned_with_a_note(tmp_path: Path) -> None:
    images = np.arange(4 * 3 * 8 * 6, dtype=np.uint16).astype(np.uint8).reshape(4, 3, 8, 6)
    np.savez(tmp_path / "a.npz", X=images, y=y)
    train, _ = read_npz(tmp_path / "a.npz")
    assert train.image_shape == (8, 6, 3)
    np.testing.assert_array_equal(train.X[1].reshape(8, 6, 3), images[1].transpose(1, 2, 0))
    assert "channels, height, width" in train.notes[0]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("<f4", np.float32),
        (">f8", np.float64),
        ("<f2", np.float32),
        ("i1", np.float32),
        ("<u2", np.float32),
        (">i4", np.float64),
        ("?", np.float32),
        ("u1", np.uint8),
    ],
)
def test_every_type_of_number_comes_in_its_working_type(tmp_path: Path, dtype: str, expected: type) -> None:
    np.savez(tmp_path / "a.npz", X=(X > 3).astype(dtype), y=y)
    train, _ = read_npz(tmp_path / "a.npz")
    assert train.X.dtype == expected
    assert train.X.dtype.isnative
    np.testing.assert_array_equal(train.X, X > 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, "expected the arrays X and y"),
        (
            {"a": X, "b": y, "c": y},
            r"found 'a' \(4, 3\), 'b' \(4,\), 'c' \(4,\); name them, as keys=\{'X': 'NAME', 'y': 'NAME'\}",
        ),
        (
            {"X_train": X, "y_train": y, "X_test": X},
            r"found 'X_test' \(4, 3\), 'X_train' \(4, 3\), 'y_train'",
        ),
        (
            dict.fromkeys(("data", "indices", "indptr", "shape"), y),
            r"store a sparse matrix as numpy\.savez\(FILE, X=matrix\.toarray\(\), y=y\)",
        ),
        ({"X": X, "x": X, "y": y}, "both 'X' and 'x'"),
        ({"X": X, "y": y[:2]}, r"y with 4 rows like X, found shape \(2,\)"),
        ({"X": X.T, "y": y}, r"y with 3 rows like X, found shape \(4,\); X has shape \(3, 4\): turn it"),
        ({"X": X[0], "y": y}, r"X of shape \(n, d\).*found shape \(3,\)"),
        ({"X": X[:0], "y": y[:0]}, r"found shape \(0, 3\)"),
        ({"X": X, "y": np.array([["a", "b"]] * 4)}, r"one label a row in y, found text of shape \(4, 2\)"),
        (
            {"X": np.full((4, 3), 2**53 + 1), "y": y},
            "up to 2\\^53 in X, .*found 9007199254740993; subtract an offset",
        ),
        ({"X": X.astype("U"), "y": y}, "numbers in X, found dtype"),
        (
            {"X": np.array(object()), "y": y},
            r"numbers in X, found dtype object; .* a sparse matrix as X\.toarray",
        ),
        ({"X": X.astype(complex), "y": y}, "numbers in X, found dtype complex128"),
        ({"X": np.where(X == 7, np.nan, X), "y": y}, "finite numbers in X, found nan in row 2, column 1"),
        ({"X": X, "y": np.array([0, np.inf, 1, 2])}, "finite numbers in y, found inf in row 1"),
        (
            {"X": X, "y": np.array([b"a", b"caf\xe9", b"a", b"b"])},
            r"text as UTF-8 in y, found the byte 0xe9 in 'caf.'; store it as np\.asarray",
        ),
    ],
)
def test_wrong_content_is_named(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        read_npz(tmp_path / "a.npz")
    assert str(tmp_path / "a.npz") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_object_arrays_are_refused_without_unpickling(tmp_path: Path) -> None:
    class Alarm:
        def __reduce__(self) -> tuple[Any, ...]:
            return exec, ("raise SystemExit('unpickled')",)

    objects = np.empty(4, dtype=object)
    objects[:] = [Alarm() for _ in range(4)]
    np.savez(tmp_path / "a.npz", X=X, y=objects)
    with pytest.raises(DataError, match="numbers in y, found dtype object; such arrays are pickled"):
        read_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", X=objects.reshape(4, 1), y=y)
    with pytest.raises(DataError, match="numbers in X, found dtype object"):
        read_npz(tmp_path / "a.npz")


def member(array: np.ndarray, shape: str | None = None) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    content = stream.getvalue()
    if shape is not None:
        old = f"'shape': {array.shape}, }}".encode()
        new = f"'shape': {shape}, }}".encode()
        padded = content.replace(old, new)
        # Keep the header's length: take the padding that the longer shape needs.
        content = padded.replace(b" " * (len(new) - len(old)) + b"\n", b"\n", 1)
        assert len(content) == len(stream.getvalue())
    return content


def test_a_forged_shape_allocates_nothing(tmp_path: Path, memory_below: Any) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", member(X, "(400000000, 3000)"))
        archive.writestr("y.npy", member(y))
    with (
        memory_below(4 << 20),
        pytest.raises(DataError, match=r"9600000000000 bytes for X of shape \(400000000, 3000\), found 96"),
    ):
        read_npz(path)


def test_a_forged_size_in_the_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, X=X, y=y)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24  # the unpacked size in the first entry of the central directory
    content[at : at + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match="by the size of the file, found 2147483648 claimed"):
        read_npz(path)


def test_a_flipped_bit_in_the_data_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, X=X, y=y)
    content = bytearray(path.read_bytes())
    content[content.index(X.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged member .*CRC"):
        read_npz(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_checksum_that_does_not_fit_is_found(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "a.npz"
    save(path, X=X, y=y)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 16] ^= (
        1  # the checksum in the first entry of the central directory
    )
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged member .*CRC"):
        read_npz(path)


@pytest.mark.parametrize("keep", [0, 10, 300, -30])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, X=X, y=y)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="expected an NPZ file, found"):
        read_npz(path)


def test_an_unusual_compression_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("X.npy", member(X))
        archive.writestr("y.npy", member(y))
    with pytest.raises(DataError, match="X stored or deflated, found zip method 12"):
        read_npz(path)


def test_missing_labels_of_text_are_refused_or_said(tmp_path: Path) -> None:
    """They were classes in silence."""
    path = tmp_path / "a.npz"
    for labels in (["a", "", "b", " "], [b"a", b"", b"b", b""]):
        np.savez(path, X=np.eye(4), y=labels)
        with pytest.raises(
            DataError,
            match=r"a label in every row of y, found an empty one in row 1 \(counted from 0\) and 1 more",
        ):
            read_npz(path)
    np.savez(path, X=np.eye(4), y=np.array(["a", np.nan, "b", None], dtype=object).astype(str))
    rows, _ = read_npz(path)
    assert rows.class_names == ("None", "a", "b", "nan")
    assert rows.notes == ("a.npz: taken as classes, not as missing labels: None, nan",)
