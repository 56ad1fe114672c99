"""Errors about training rows name them as their file does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kernelfit import Experiment
from kernelfit.errors import DuplicateRowsError, NotPositiveDefiniteError

# Holds out neither of the two rows.
SEED = 3


def table(path: Path, twins: tuple[int, int], apart: float) -> Path:
    """A table whose rows differ, but for two; the other one of these has another target."""
    a = np.arange(40.0)
    a[twins[1]] = a[twins[0]] + apart
    path.write_text("a,y\n" + "".join(f"{value!r},{row}.5\n" for row, value in enumerate(a.tolist())))
    return path


def test_equal_rows_are_those_of_the_table(tmp_path: Path) -> None:
    experiment = Experiment(train=table(tmp_path / "a.csv", (7, 31), 0.0), kernel="laplacian", seed=SEED)
    with pytest.raises(DuplicateRowsError, match=r"; in a these are (7, 31|31, 7), counted from 0$"):
        experiment.run()
    experiment = Experiment(train=tmp_path / "a.csv", kernel="laplacian", n_test=0)
    with pytest.raises(
        DuplicateRowsError, match=r"rows 7, 31; drop all but one of each, or give .*'auto'\)$"
    ):
        experiment.run()


def test_rows_that_are_too_close_are_those_of_the_table(tmp_path: Path) -> None:
    experiment = Experiment(train=table(tmp_path / "a.csv", (7, 31), 1e-9), n_train=31, gamma=10.0, seed=SEED)
    with pytest.raises(NotPositiveDefiniteError, match=r"; in a these are (7, 31|31, 7), counted from 0$"):
        experiment.run()


def test_images_are_named(tmp_path: Path) -> None:
    for name, value in (("cat/1", 1), ("cat/2", 2), ("dog/1", 3), ("dog/2", 1)):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((3, 5), value, np.uint8)).save(path)
    message = rf"in {tmp_path.name} these are (cat/1.png, dog/2.png|dog/2.png, cat/1.png)$"
    with pytest.raises(DuplicateRowsError, match=message):
        Experiment(train=tmp_path, n_test=0).run()
