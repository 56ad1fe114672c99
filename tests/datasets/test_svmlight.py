"""svmlight files are named, with what reads them, whatever they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_svmlight_file

from kernelfit.datasets import load
from kernelfit.datasets.svmlight import REMEDY, are_sparse
from kernelfit.errors import DataError, InputError

RAGGED = "+1 1:0.5 3:1\n-1 2:2 # a comment\n+1 1:1 2:1e-3 7:-4\n"


@pytest.mark.parametrize(
    "text", [RAGGED, "+1 1:0.5 3:1\n" * 40 + "-1 2:2\n", "2 qid:1 1:0.5 2:1\n1 qid:1 1:3\n"]
)
@pytest.mark.parametrize("name", ["a.txt", "a.dat", "a.data", "a9a", "a9a.t", "a.svm"])
def test_rows_of_other_lengths_are_no_lines_to_mend(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises((DataError, InputError)) as caught:
        load(tmp_path / name)
    assert str(caught.value).endswith(f"; {REMEDY}")
    assert "\n" not in str(caught.value)


def test_what_the_remedy_gives_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.svm").write_text(RAGGED)
    rows, labels = load_svmlight_file(str(tmp_path / "a.svm"))
    assert "X=X.toarray(), y=y)" in REMEDY
    np.savez(tmp_path / "mine.npz", X=rows.toarray(), y=labels)
    dataset = load(tmp_path / "mine.npz", n_test=0)
    assert dataset.X_train[:, [0, 1, 6]].tolist() == [[0.5, 0, 0], [0, 2, 0], [1, 1e-3, -4]]


def test_tables_are_not_taken_for_such_files(tmp_path: Path) -> None:
    assert not are_sparse(["1 2 3", "4 5"])
    assert not are_sparse(["", "1", "a b:c"])
    (tmp_path / "a.txt").write_text("1 2 3\n4 5 6\n7 8\n")
    with pytest.raises(DataError, match="3 columns as in the first line, found 2 in line 3; mend the line"):
        load(tmp_path / "a.txt")
