"""Columns of mean 0 and standard deviation 1, as scikit-learn's StandardScaler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from kernelfit import Experiment
from kernelfit.errors import InputError
from kernelfit.experiments.standardisation import Standardisation
from kernelfit.progress import Silent
from kernelfit.typing import Corruption


def test_a_constant_column_is_only_centred_though_its_mean_is_rounded(rng: np.random.Generator) -> None:
    rows = np.column_stack([rng.normal(size=1000), np.full(1000, 0.1), np.full(1000, 1e9 / 3)])
    assert rows.std(axis=0)[1] > 0  # what is to be seen through
    new = rows[:5] + 1
    standardised = Standardisation.of(rows).apply(new)
    np.testing.assert_allclose(standardised, StandardScaler().fit(rows).transform(new), atol=1e-6)
    np.testing.assert_allclose(standardised[:, 1:], 1, atol=1e-6)


@pytest.mark.parametrize("size", [1.5e308, 1e160, 1e-160, 1e-300])
def test_numbers_whose_squares_are_none_are_standardised(rng: np.random.Generator, size: float) -> None:
    """Their scale was infinite, or 1 as if they were constant, and the stored run could not be opened."""
    rows = rng.uniform(-1, 1, (50, 2))
    expected = Standardisation.of(rows)
    scaled = Standardisation.of(rows * [size, 1.0])
    np.testing.assert_allclose(scaled.apply(rows * [size, 1.0]), expected.apply(rows), rtol=1e-9)
    again = Standardisation.from_dict(scaled.to_dict())
    np.testing.assert_array_equal(again.apply(rows * [size, 1.0]), scaled.apply(rows * [size, 1.0]))


def test_new_rows_are_not_rounded_in_silence() -> None:
    standardisation = Standardisation.of(np.arange(4.0)[:, None])
    with pytest.raises(InputError, match=r"^X: got the integer 1152921504606846977 at row 0, column 0"):
        standardisation.apply(np.array([[2**60 + 1]]))


@pytest.mark.parametrize(
    ("factor", "standardise", "said"), [(1000.0, False, True), (1000.0, True, False), (10.0, False, False)]
)
def test_columns_of_different_scales_are_said(
    tmp_path: Path, rng: np.random.Generator, factor: float, standardise: bool, said: bool
) -> None:
    X = rng.normal(size=(40, 3)) * [1, factor, 0] + 0.1
    np.savetxt(
        tmp_path / "a.csv", np.column_stack([X, X[:, 0]]), delimiter=",", header="a,b,c,y", comments=""
    )
    report = Silent()
    result = Experiment(train=tmp_path / "a.csv", standardise=standardise, ridge=1.0).run(progress=report)
    for notes in (report.notes, result.record["notes"]):
        assert any("standardise=True brings all to 1" in note for note in notes) == said


@pytest.mark.parametrize("corruption", ["true", "shuffled-pixels", "random-pixels", "gaussian"])
def test_numbers_are_standardised_and_words_are_not_wherever_a_corruption_puts_them(
    tmp_path: Path, rng: np.random.Generator, corruption: Corruption
) -> None:
    words, prices = np.array(["red", "green", "blue"])[np.arange(60) % 3], 1e4 + 1e3 * rng.normal(size=60)
    lines = [
        f"{a!r},{word},{i % 7}.5" for i, (a, word) in enumerate(zip(prices.tolist(), words, strict=True))
    ]
    (tmp_path / "a.csv").write_text("\n".join(["price,colour,y", *lines]))
    experiment = Experiment(
        train=tmp_path / "a.csv",
        n_test=0,
        corruption=corruption,
        standardise=True,
        ridge=1.0,
        seed=3,
        threads=1,
    )
    with experiment.solved() as solved:
        X = solved.prepared.X_train
    if corruption in ("true", "shuffled-pixels"):
        assert sorted(X.std(axis=0).round(6).tolist()) == pytest.approx([0.471405, 0.471405, 0.471405, 1])
        assert sorted(len(np.unique(column)) for column in X.T) == [2, 2, 2, 60]
        position = [len(np.unique(column)) for column in X.T].index(60)
        assert (position == 0) == (corruption == "true")  # the seed is one that moves the price
    else:  # no column is one of words any more
        np.testing.assert_allclose(X.std(axis=0), 1)


def test_pixels_in_a_table_keep_their_scales(tmp_path: Path, rng: np.random.Generator) -> None:
    X = rng.integers(0, 256, (40, 3))
    X[:, 0] = np.arange(40) == 7
    np.savetxt(tmp_path / "a.csv", np.column_stack([X, np.arange(40) % 2]), delimiter=",", fmt="%d")
    result = Experiment(train=tmp_path / "a.csv", ridge=1.0).run()
    assert not any("standardise" in note for note in result.record["notes"])
