"""Rows to predict: an NPY file of images is read as one of any other format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kernelfit import Experiment
from kernelfit.datasets.new_rows import read_rows
from kernelfit.errors import DataError, InputError
from kernelfit.experiments.predictions import predict
from kernelfit.experiments.result import Result
from kernelfit.progress import Silent


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with their channels first."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    X = rng.integers(0, 256, (12, 3, 8, 8), dtype=np.uint8)
    np.savez(folder / "a.npz", X=X, y=rng.standard_normal(12))
    np.save(folder / "new.npy", X[:4])
    np.savez(folder / "new.npz", X=X[:4])
    return folder


@pytest.fixture(scope="module")
def result(files: Path) -> Result:
    return Experiment(train=files / "a.npz", n_test=0).run()


def test_images_with_channels_first_are_turned_as_those_that_were_trained_on(
    files: Path, result: Result
) -> None:
    """They were flattened channel by channel, beside pixels of three channels."""
    progress = Silent()
    scores = [predict(result, read_rows(files / name), progress).scores for name in ("new.npy", "new.npz")]
    np.testing.assert_array_equal(*scores)
    np.testing.assert_allclose(scores[0][:, 0], np.load(files / "a.npz")["y"][:4], rtol=1e-8)
    assert "new.npy: the array has shape (4, 3, 8, 8), read as (n, channels, height, width)" in progress.notes


@pytest.mark.parametrize("shape", [(4, 12, 16), (4, 24, 8), (4, 4, 16, 3)])
def test_images_of_another_size_are_refused(tmp_path: Path, result: Result, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "new.npy", np.zeros(shape, np.uint8))
    with pytest.raises(
        InputError, match=r"^rows: got images of .* in new\.npy, expected 8 x 8 RGB as trained"
    ):
        predict(result, read_rows(tmp_path / "new.npy"), Silent())


def test_an_array_of_more_axes_holds_no_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 2, 2, 2, 2)))
    with pytest.raises(
        DataError, match=r"expected the array of shape \(n, d\).*, found shape \(2, 2, 2, 2, 2\)"
    ):
        read_rows(tmp_path / "a.npy")
