"""Which arrays are rows and which are labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kernelfit.datasets.file_options import FileOptions
from kernelfit.datasets.keys import Pair, choose
from kernelfit.datasets.npz import read_npz
from kernelfit.errors import DataError, InputError

PATH = Path("a.npz")
X, y = (9, 4), (9,)


@pytest.mark.parametrize(
    ("shapes", "pairs", "note"),
    [
        ({"X": X, "y": y}, [("X", "y")], ""),
        (
            {"x_train": X, "y_train": y, "x_test": X, "y_test": y},
            [("x_train", "y_train"), ("x_test", "y_test")],
            "",
        ),
        ({"data": X, "target": y}, [("data", "target")], "X is 'data', y is 'target'"),
        (
            {"train_images": X, "train_labels": y, "test_images": X, "test_labels": y},
            [("train_images", "train_labels"), ("test_images", "test_labels")],
            "X is 'train_images', y is 'train_labels'; X is 'test_images'",
        ),
        (
            {"train_set_x": X, "train_set_y": y, "list_classes": (2,)},
            [("train_set_x", "train_set_y")],
            "not read: list",
        ),
        (
            {"train/X": X, "train/y": y, "val/X": X, "val/y": y},
            [("train/X", "train/y"), ("val/X", "val/y")],
            "X is 'val/X', y is 'val/y'",
        ),
        (
            {
                f"{name}_{part}": shape
                for name, shape in (("x", X), ("y", y))
                for part in ("train", "val", "test")
            },
            [("x_train", "y_train"), ("x_test", "y_test")],
            "not read: x_val, y_val",
        ),
        ({"X": X, "y": y, "X_test": X, "y_test": y}, [("X", "y"), ("X_test", "y_test")], ""),
        ({"X": X, "y": y, "labels": y}, [("X", "y")], "not read: labels"),
        ({"data": X, "target": y, "target_names": (3,)}, [("data", "target")], "not read: target_names"),
        (
            {"arr_0": X, "arr_1": y},
            [("arr_0", "arr_1")],
            "by their shapes, the rows are 'arr_0', labels 'arr_1'",
        ),
        ({"pixels": (9, 2, 2), "who": (9, 1)}, [("pixels", "who")], "by their shapes"),
        ({"A": X, "b": y, "scalar": ()}, [("A", "b")], "by their shapes"),
    ],
)
def test_arrays_are_found(
    shapes: dict[str, tuple[int, ...]], pairs: list[tuple[str, str]], note: str
) -> None:
    chosen, notes = choose(PATH, shapes, {})
    assert chosen == [Pair(*pair) for pair in pairs]
    assert note in " ".join(notes)
    assert bool(notes) == bool(note)


@pytest.mark.parametrize(
    "shapes",
    [
        {"arr_0": X, "arr_1": y, "arr_2": X, "arr_3": y},
        {"a": X, "b": X},
        {"a": X, "b": y, "c": y},
        {"X": X},
        {"train_X": X, "train_y": y, "test_X": X},
        {},
    ],
)
def test_what_could_be_meant_in_two_ways_is_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(DataError, match=r"name them, as keys=\{'X': 'NAME', 'y': 'NAME'\}") as caught:
        choose(PATH, shapes, {})
    assert "\n" not in str(caught.value)


def test_rows_alone_are_predicted() -> None:
    assert choose(PATH, {"X": X}, {}, "rows")[0] == [Pair("X", None)]
    assert choose(PATH, {"images": X}, {}, "rows")[0] == [Pair("images", None)]
    assert choose(PATH, {"arr_0": X}, {}, "rows")[0] == [Pair("arr_0", None)]
    assert choose(PATH, {"rows_of_mine": X}, {"X": "other", "y": "labels"}, "rows")[0] == [
        Pair("rows_of_mine", None)
    ]
    assert choose(PATH, {"a": X, "b": X}, {"X": "b", "y": "labels"}, "rows")[0] == [Pair("b", None)]
    assert choose(PATH, {"X_test": X, "y_test": y}, {}, "rows")[0] == [Pair("X_test", "y_test")]
    # Of kernelfit predict, which has no option for names.
    with pytest.raises(DataError, match=r"; call the rows X$"):
        choose(PATH, {"a": X, "b": X}, {}, "rows")


def test_keys_are_taken_at_their_word(tmp_path: Path) -> None:
    a, b = np.arange(8.0).reshape(4, 2), np.arange(8.0, 16).reshape(4, 2)
    np.savez(tmp_path / "a.npz", a=a, b=b, c=[0, 1, 0, 1], d=[1, 1, 0, 0])
    keys = FileOptions.of(keys={"x_TRAIN": "a", "y_train": "d", "X_test": "b", "y_test": "c"}).keys
    train, test = read_npz(tmp_path / "a.npz", keys)
    assert test is not None
    assert (train.X.tolist(), train.y.tolist()) == (a.tolist(), [1, 1, 0, 0])
    assert (test.X.tolist(), test.y.tolist()) == (b.tolist(), [0, 1, 0, 1])
    with pytest.raises(DataError, match=r"the arrays of keys, X=a, y=e, found 'a' \(4, 2\)"):
        read_npz(tmp_path / "a.npz", {"X": "a", "y": "e"})
    np.savez(tmp_path / "b.npz", pixels=a, kinds=[0, 1, 0, 1])
    with pytest.raises(DataError, match=r"; did you mean 'kinds'\?$"):
        read_npz(tmp_path / "b.npz", {"X": "pixels", "y": "kind"})
    with pytest.raises(DataError, match="labels beside X=a, found none"):
        read_npz(tmp_path / "a.npz", {"X": "a"})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"Z": "a"}, "keys: got Z=a, expected X=NAME,y=NAME"),
        ({"y": "a"}, "keys: got y=a without X"),
        ({"X": "a", "X_train": "b"}, "keys: got X and X_train"),
        ({"X_test": "a"}, "keys: got X_test without X_train"),
        ({"X": 3}, "keys: got X=3"),
    ],
)
def test_keys_are_checked(keys: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FileOptions.of(keys=keys)


def test_text_labels_are_classes(tmp_path: Path) -> None:
    rows = np.arange(8.0).reshape(4, 2)
    for labels in (
        np.array(list("abca")),
        np.array([b"a", b"b", b"c", b"a"]),
        np.array([["a"], ["b"], ["c"], ["a"]]),
    ):
        np.savez(tmp_path / "a.npz", X=rows, y=labels)
        train, _ = read_npz(tmp_path / "a.npz")
        assert train.class_names == ("a", "b", "c")
        assert train.y.tolist() == [0, 1, 2, 0]
