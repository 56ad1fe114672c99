"""`load`: from a name or a path to a Dataset."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kernelfit.datasets import digits, load
from kernelfit.datasets.new_rows import read_rows
from kernelfit.errors import DataError, InputError
from kernelfit.progress import Silent

X = np.random.default_rng(0).normal(size=(50, 3))
y = np.arange(50) % 3


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    return tmp_path / "mine.npz"


def test_more_training_rows_than_are_not_held_out(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("a,y\n" + "\n".join(f"{i},{i / 8}" for i in range(50)))
    with pytest.raises(
        InputError, match=r"got 50, expected 1 to 40, .*; 10 are held out to test, n_test=0 takes"
    ):
        load(str(path), n_train=50)
    assert load(str(path), n_train=50, n_test=0).n_train == 50


@pytest.mark.parametrize("apart", [False, True])
def test_rows_know_where_they_stand_in_the_users_files(tmp_path: Path, npz: Path, apart: bool) -> None:
    train, test = (tmp_path / "photos" / part if apart else tmp_path / "photos" for part in ("train", "test"))
    for part, offset in ((train, 0), (test, 100)):
        for value in range(20):
            path = part / "ab"[value % 2] / f"{value + offset}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((2, 2), value + offset, np.uint8)).save(path)
    for size in (None, 5):
        images = load(str(tmp_path / "photos"), n_test=size)
        for rows, names in ((images.X_train, images.origin), (images.X_test, images.test_origin)):
            assert [int(Path(str(name)).stem) for name in names or ()] == rows[:, 0].tolist()
    table = load(str(npz), n_train=30, n_test=7)
    assert np.array_equal(X[np.asarray(table.origin)], table.X_train)
    assert np.array_equal(X[np.asarray(table.test_origin)], table.X_test)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_digits_are_those_of_scikit_learn(elsewhere: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if elsewhere:  # the package as in an archive, without files of its own
        monkeypatch.setattr(digits, "find_spec", lambda name: None)
    expected = load_digits()
    assert np.array_equal(digits.read_table(), np.column_stack([expected.data, expected.target]))


def test_digits_need_no_file_and_split_at_1437() -> None:
    dataset = load("digits")
    assert dataset.X_train.shape == (1437, 64)
    assert dataset.X_test.shape == (360, 64)
    assert dataset.X_train.dtype == np.uint8
    assert (dataset.X_train.min(), dataset.X_train.max()) == (0, 16)
    assert dataset.scale == 1 / 16
    assert dataset.image_shape == (8, 8, 1)
    assert dataset.classes == tuple("0123456789")


def test_the_first_rows_are_taken(npz: Path) -> None:
    whole, part = load("digits"), load("digits", n_train=100, n_test=7)
    np.testing.assert_array_equal(part.X_train, whole.X_train[:100])
    np.testing.assert_array_equal(part.y_train, whole.y_train[:100])
    np.testing.assert_array_equal(part.X_test, whole.X_test[:7])
    assert part.X_train.base is None, "a view would keep all the rows in memory"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_train": 1438}, "n_train: got 1438, expected 1 to 1437, the train rows of digits"),
        ({"n_train": 0}, "n_train: got 0"),
        ({"n_train": 1}, "X_train: got 1 row"),
        ({"n_train": 2.5}, "n_train: got 2.5"),
        ({"n_test": -1}, "n_test: got -1"),
        ({"n_test": 361}, "n_test: got 361, expected 0 to 360"),
        ({"seed": -1}, "seed: got -1"),
        ({"test": Path("x.npz")}, "test: got x.npz without train"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load("digits", **arguments)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'mnist'"):
        load("mnits")
    with pytest.raises(InputError, match="or a path that exists; check the spelling"):
        load("/no/such/file.npz")


@pytest.mark.parametrize("label", [0, 0.5])
def test_one_row_has_nothing_to_hold_out(tmp_path: Path, label: float) -> None:
    path = tmp_path / "one.npz"
    np.savez(path, X=np.ones((1, 3)), y=np.array([label]))
    with pytest.raises(
        InputError, match=r"1 row and no test part, expected 3 rows or more.* none with n_test=0"
    ):
        load("mine", train=path)
    with pytest.raises(InputError, match=r"X_train: got 1 row"):
        load("mine", train=path, test=path)


def test_one_file_holds_out_a_fifth_by_seed_and_says_so(npz: Path) -> None:
    report = Silent()
    dataset = load(str(npz), seed=3, progress=report)
    assert (dataset.name, dataset.n_train, dataset.n_test) == ("mine", 40, 10)
    assert dataset.notes == (
        "mine.npz has no test part: 10 of 50 rows (20 %), chosen by seed 3, are held out",
        "mine.npz: y holds 3 different integers in 50 rows, taken as classes; task='regression' takes them as numbers",
    )
    assert report.notes == list(dataset.notes)
    together = np.concatenate([dataset.X_train, dataset.X_test])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(X, axis=0))
    for rows, codes in ((dataset.X_train, dataset.y_train), (dataset.X_test, dataset.y_test)):
        for row, code in zip(rows, codes, strict=True):
            assert y[np.flatnonzero((row == X).all(axis=1))[0]] == code
    np.testing.assert_array_equal(load(npz, seed=3).X_test, dataset.X_test)
    assert (load(npz, seed=4).X_test != dataset.X_test).any()


def test_two_files_keep_their_order(npz: Path, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "test.csv", np.column_stack([X[:5], y[:5]]), delimiter=",")
    for dataset in (
        load("digits", train=npz, test=tmp_path / "test.csv"),
        load(npz, test=tmp_path / "test.csv"),
    ):
        assert dataset.name == "mine"
        np.testing.assert_array_equal(dataset.X_train, X)
        np.testing.assert_allclose(dataset.X_test, X[:5])
        assert [note.split(":")[0] for note in dataset.notes] == [
            "test.csv",
            "mine.npz",
            "5 of 5 test rows equal a training row",
        ]
    assert load("my title", train=npz).name == "my title"


def test_hdf5_with_both_parts(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["X_train"], file["y_train"], file["X_test"], file["y_test"] = X, X[:, 0], X[:4], X[:4, 0]
    dataset = load(tmp_path / "a.hdf5")
    assert dataset.classes is None
    assert dataset.scale == 1.0
    np.testing.assert_array_equal(dataset.y_test, X[:4, 0])


def test_an_idx_folder_is_read_whatever_its_sizes(files: Any) -> None:
    dataset = load(files.idx_set("kuzushiji", 30, 10, zipped=False))
    assert (dataset.name, dataset.n_train, dataset.n_test) == ("kuzushiji", 30, 10)
    assert dataset.scale == 1 / 255
    assert dataset.image_shape == (28, 28, 1)


def test_a_table_of_text_labels_keeps_its_order(tmp_path: Path) -> None:
    """Image folders stand class by class and are mixed; tables stand as their owner left them."""
    (tmp_path / "train.csv").write_text("a,label\n1,x\n2,x\n3,y\n4,x\n")
    (tmp_path / "test.csv").write_text("a,label\n5,y\n")
    dataset = load("mine", train=tmp_path / "train.csv", test=tmp_path / "test.csv")
    assert dataset.X_train[:, 0].tolist() == [1, 2, 3, 4]
    assert not any("order" in note for note in dataset.notes)


def test_image_folders_are_mixed_by_seed(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name, value in (("cat", 10), ("dog", 200)):
            for index in range(10):
                path = tmp_path / "pets" / part / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((4, 4), value + index, np.uint8)).save(path)
    dataset = load(tmp_path / "pets", n_train=10)
    assert dataset.classes == ("cat", "dog")
    assert 0 < dataset.y_train.sum() < 10, "the first rows hold both classes"
    assert ((dataset.X_train[:, 0] >= 200) == dataset.y_train).all()
    assert "an order drawn by seed 0" in dataset.notes[0]


def test_test_images_of_a_folder_are_drawn_by_seed_in_their_order(tmp_path: Path) -> None:
    for part, count in (("train", 2), ("test", 20)):
        for code, name in enumerate(("cat", "dog")):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for index in range(count):
                path = tmp_path / "pets" / part / name / f"{index:02}.png"
                Image.fromarray(np.full((2, 2), 100 * code + index + 1, np.uint8)).save(path)
    every = load(tmp_path / "pets")
    assert every.y_test.tolist() == [0] * 20 + [1] * 20  # in the order of the files
    few, again, other = (load(tmp_path / "pets", n_test=12, seed=seed) for seed in (0, 0, 1))
    assert set(few.y_test.tolist()) == {0, 1}
    assert "12 test images are drawn by seed 0" in few.notes
    assert (np.diff(few.X_test[:, 0].astype(int)) > 0).all()
    np.testing.assert_array_equal(few.X_test, again.X_test)
    assert (few.X_test != other.X_test).any()
    fewer = load(tmp_path / "pets", n_test=5)
    assert set(fewer.X_test[:, 0].tolist()) < set(few.X_test[:, 0].tolist())
    np.testing.assert_array_equal(load(tmp_path / "pets", n_test=40).X_test, every.X_test)
    with pytest.raises(InputError, match=r"^n_test: got 41, expected 0 to 40"):
        load(tmp_path / "pets", n_test=41)


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"X": X, "y": np.ones(50, int)}, InputError, "y_train: got 40 rows of one class \\('1'\\)"),
        ({"X": X[:1], "y": y[:1]}, InputError, "1 row and no test part"),
        ({"X": X[:2], "y": y[:2]}, InputError, "2 rows and no test part"),
        ({"X_train": X, "y_train": y, "X_test": X[:0], "y_test": y[:0]}, DataError, "X_test .* found shape"),
        (
            {"X_train": X, "y_train": y, "X_test": X[:, :2], "y_test": y},
            InputError,
            "X_test: got 2 columns in a, expected 3",
        ),
        ({"X": X, "y": np.array(["a"] * 50)}, InputError, "y_train: got 40 rows of one class \\('a'\\)"),
        ({"X": np.where(X[7, 1] == X, np.nan, X), "y": y}, DataError, "found nan in row 7, column 1"),
    ],
)
def test_bad_data_is_one_line(
    tmp_path: Path, arrays: dict[str, Any], error: type[Exception], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(error, match=message) as caught:
        load(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


def test_files_that_do_not_fit_each_other_are_refused(npz: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "bytes.npz", X=np.zeros((4, 3), np.uint8), y=y[:4])
    with pytest.raises(InputError, match="bytes are scaled by 1/255 and other numbers are not"):
        load("", train=npz, test=tmp_path / "bytes.npz")
    np.savez(tmp_path / "two.npz", X_train=X, y_train=y, X_test=X[:4], y_test=y[:4])
    with pytest.raises(InputError, match="with a training and a test part of its own"):
        load("", train=npz, test=tmp_path / "two.npz")
    assert "left aside for mine.npz" in load("", train=tmp_path / "two.npz", test=npz).notes[0]
    np.savez(tmp_path / "wide.npz", X=np.zeros((4, 2, 6), np.uint8), y=y[:4])
    np.savez(tmp_path / "high.npz", X=np.zeros((4, 6, 2), np.uint8), y=y[:4])
    with pytest.raises(InputError, match="expected one shape"):
        load("", train=tmp_path / "wide.npz", test=tmp_path / "high.npz")


def test_that_bytes_are_scaled_is_said_where_they_may_be_no_pixels(tmp_path: Path) -> None:
    """Ages that were stored as bytes were divided by 255 without a word, and --gamma meant something else."""
    rng = np.random.default_rng(0)
    said = (
        "a.npz: rows of bytes are taken as pixels and scaled by 1/255; store other numbers as int16 or floats"
    )
    for shape, noted in (((9, 4), True), ((9, 2, 2), False)):
        np.savez(tmp_path / "a.npz", X=rng.integers(0, 99, shape, dtype=np.uint8), y=np.arange(9) / 2)
        dataset = load(tmp_path / "a.npz")
        assert (dataset.scale, said in dataset.notes) == (1 / 255, noted)


def test_unknown_formats_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.xls").write_bytes(b"x")
    with pytest.raises(InputError, match=r"with the suffix \.xls, expected one of \.npz"):
        load(tmp_path / "a.xls")
    with pytest.raises(InputError, match="expected a file or folder that exists"):
        load("digits", train=tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("a.json", "write it as CSV, with pandas.read_json"),
        ("a.svm", "load_svmlight_file"),
        ("a.png", "put images into one folder for each class"),
        ("a", "call it by what it holds"),
    ],
)
def test_other_formats_have_a_remedy(tmp_path: Path, name: str, remedy: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=f"or a folder of images; .*{remedy}"):
        load(tmp_path / name)


def test_a_class_without_training_rows_is_said(tmp_path: Path) -> None:
    held = np.random.default_rng(0).permutation(10)[0]  # by seed 0
    names = ["emu" if row == held else "cat" if row % 2 else "dog" for row in range(10)]
    (tmp_path / "a.csv").write_text("a,y\n" + "".join(f"{row},{name}\n" for row, name in enumerate(names)))
    assert "test rows hold the class 'emu', which no training row has" in load(tmp_path / "a.csv").notes
    first = load("digits", n_train=5)
    assert "the first 5 training rows hold 5 of 10 classes: the others are not predicted" in first.notes


def test_test_rows_that_were_trained_on_are_said(npz: Path) -> None:
    assert (
        "50 of 50 test rows equal a training row: an interpolant has seen them"
        in load("", train=npz, test=npz).notes
    )
    assert not any("equal a training row" in note for note in load(npz).notes)


def test_an_address_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file or folder on this machine; fetch it first"):
        load("", train=Path("https://example.org/a.csv"))
    (tmp_path / "a.csv").write_text("a,y\n1,2\n")
    with pytest.raises(DataError, match=r"of tables and arrays name the file$"):
        load(tmp_path)


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".h5", ".parquet", ".npy"])
def test_a_file_that_git_lfs_did_not_fetch_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DataError, match="the pointer of Git LFS to it; fetch it with git lfs pull"):
        read_rows(path)
    if suffix != ".npy":
        with pytest.raises(DataError, match="git lfs pull"):
            load(path)


def test_a_folder_of_images_has_no_columns(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"target: got y, but .* is a folder, whose sub-folders are the classes"
    ):
        load(tmp_path, target="y")


def test_importing_the_room_is_cheap() -> None:
    code = (
        "import sys, kernelfit.datasets, kernelfit.datasets.corruptions; "
        "print(sorted({'sklearn', 'h5py', 'PIL', 'pooch', 'requests', 'torch', 'numba', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
