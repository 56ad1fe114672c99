"""One row of Table 3 on small files in the official layouts: both solutions, and choices on training rows only."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import kernelfit
from kernelfit.datasets import Dataset, training_targets
from kernelfit.experiments import table3
from kernelfit.experiments.paper import ROWS, find
from kernelfit.experiments.table3 import Means, Settings, parameters, run_row
from kernelfit.features import RandomConv
from kernelfit.report import table3 as report

SIZES = {"mnist": (14, 14, 1), "cifar10": (12, 12, 3)}


@pytest.fixture
def images(rng, monkeypatch):
    """Stands in for the data sets: images of a stripe whose place is the class, a tenth of the labels wrong."""
    loaded: dict[str, Dataset] = {}

    def load(name: str, *, n_train: int | None = None, n_test: int | None = None, **_: object) -> Dataset:
        if name not in loaded:
            height, width, channels = SIZES[name]
            labels = rng.integers(0, 3, 150)
            pixels = rng.integers(0, 120, (150, height, width, channels))
            for image, label in zip(pixels, labels, strict=True):
                image[:, 2 + 3 * label : 4 + 3 * label] += 110
            labels = np.where(rng.random(150) < 0.1, rng.integers(0, 3, 150), labels)
            X = pixels.reshape(150, -1).astype(np.uint8)
            loaded[name] = Dataset(
                name, X[:110], labels[:110], X[110:], labels[110:], ("a", "b", "c"), SIZES[name], 1 / 255
            )
        whole = loaded[name]
        return replace(
            whole,
            X_train=whole.X_train[:n_train],
            y_train=whole.y_train[:n_train],
            X_test=whole.X_test[:n_test],
            y_test=whole.y_test[:n_test],
        )

    monkeypatch.setattr(kernelfit.datasets, "load", load)
    return loaded


#: one pooling window on images this small: 240 features, more than there are rows
SETTINGS = Settings(filters=120)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row(images, row):
    record = run_row(row, SETTINGS, Means(), "the command")
    without, chosen = record["interpolation"], record["chosen"]
    assert without["ridge"] == 0
    assert without["interpolates"]
    assert without["train_error"] == 0
    assert chosen["ridge"] == record["ridge_choice"]["ridge"]
    assert chosen["rkhs_norm"] <= without["rkhs_norm"]
    path = [trial for trial in record["ridge_path"] if trial["loo_rmse"] is not None]
    least = min(trial["loo_error"] for trial in path)
    equal = [t for t in path if t["loo_error"] <= least + np.sqrt(least * (1 - least) / 110)]
    mine = next(trial for trial in path if trial["ridge"] == chosen["ridge"])
    assert mine in equal
    assert mine["loo_rmse"] == pytest.approx(min(trial["loo_rmse"] for trial in equal), rel=1e-5)
    assert record["parameters"] == parameters(row, SETTINGS)
    assert (record["n_train"], record["n_test"]) == (110, 40)
    assert without["kernel"] == chosen["kernel"]
    assert without["command"] == "the command"
    assert record["filters"] == (120 if row.filters else None)
    if row.filters:
        assert without["kernel"]["name"] == ("arc-cosine" if row.chosen else "linear")
        assert record["feature_options"]["flips"] == row.chosen
        assert record["feature_options"]["power"] == (0.5 if row.chosen else 1.0)


def test_pixels_are_what_solve_gives(images):
    record = run_row(find("cifar10", "none"), SETTINGS, Means())
    data = images["cifar10"]
    gamma = record["chosen"]["kernel"]["gamma"]
    for key, ridge in (("chosen", record["chosen"]["ridge"]), ("interpolation", 0.0)):
        solution = kernelfit.solve(
            data.X_train, training_targets(data), gamma=gamma, scale=1 / 255, ridge=ridge
        )
        assert record[key]["rkhs_norm"] == pytest.approx(solution.rkhs_norm, rel=1e-8)
        wrong = solution.predict(data.X_test).argmax(axis=1) != data.y_test
        assert record[key]["test_error"] == pytest.approx(wrong.mean())


def test_rounding_to_bytes_is_a_setting_of_the_streamed_row_alone(images):
    rounded = replace(SETTINGS, quantise=True)
    row = find("cifar10", "random-conv")
    record = run_row(row, rounded, Means())
    assert record["parameters"]["quantise"]
    assert record["feature_options"]["quantise"]
    assert any("features rounded to 0 to 255 steps" in note for note in record["notes"])
    plain = run_row(row, SETTINGS, Means())
    assert plain["interpolation"]["rkhs_norm"] == pytest.approx(record["interpolation"]["rkhs_norm"], rel=0.3)
    assert plain["interpolation"]["rkhs_norm"] != record["interpolation"]["rkhs_norm"]
    assert parameters(row, SETTINGS) != parameters(row, rounded)
    pixels = find("mnist", "none")
    assert parameters(pixels, SETTINGS) == parameters(pixels, rounded)
    text = io.StringIO()
    Console(file=text, width=80).print(report.table(report.summary({row.name: record})))
    assert "features rounded to 0 to 255 steps" in " ".join(text.getvalue().split())


def test_the_streamed_row_is_the_linear_kernel_of_the_features(images):
    record = run_row(find("cifar10", "random-conv"), SETTINGS, Means())
    data = images["cifar10"]
    net = RandomConv(image_shape=SIZES["cifar10"], n_filters=120, contrast="unit", power=1).fit(data.X_train)
    z, t = net.transform(data.X_train).astype(float), net.transform(data.X_test).astype(float)
    assert record["chosen"]["kernel"] == {"name": "linear"}
    k, c = z @ z.T, t @ z.T
    alpha = np.linalg.solve(k + record["chosen"]["ridge"] * np.eye(len(k)), training_targets(data))
    wrong = (c @ alpha).argmax(axis=1) != data.y_test
    assert record["chosen"]["test_error"] == pytest.approx(wrong.mean())
    assert record["chosen"]["rkhs_norm"] == pytest.approx(np.sqrt(np.sum(alpha * (k @ alpha))), rel=1e-4)


def test_a_row_resumes_from_its_checkpoint(images, tmp_path, monkeypatch):
    row, file = find("cifar10", "random-conv"), tmp_path / "sums.h5"
    before = run_row(row, SETTINGS, Means())
    first = run_row(row, SETTINGS, Means(checkpoint=file))
    assert file.exists()
    # The sums are complete: what follows them is computed again, they are not.
    monkeypatch.setattr(RandomConv, "filter_block", None)
    again = run_row(row, SETTINGS, Means(checkpoint=file))
    for record in (first, again):
        for key in ("rkhs_norm", "test_error", "backward_error", "mean_diagonal"):
            assert record["chosen"][key] == before["chosen"][key]
            assert record["interpolation"][key] == before["interpolation"][key]
        assert record["ridge_path"] == before["ridge_path"]


def test_no_choice_looks_at_the_test_rows(images):
    row = find("cifar10", "random-conv")
    before = run_row(row, SETTINGS, Means())
    data = images["cifar10"]
    images["cifar10"] = replace(data, X_test=255 - data.X_test, y_test=(data.y_test + 1) % 3)
    after = run_row(row, SETTINGS, Means())
    assert after["ridge_path"] == before["ridge_path"]
    assert after["chosen"]["kernel"] == before["chosen"]["kernel"]
    assert after["chosen"]["test_error"] != before["chosen"]["test_error"]


def test_labels_that_nothing_fits_leave_the_ridge_alone(images):
    # Two equal images of different classes.
    kernelfit.datasets.load("cifar10")
    data = images["cifar10"]
    X, y = data.X_train.copy(), data.y_train.copy()
    X[1], y[0], y[1] = X[0], 0, 1
    images["cifar10"] = replace(data, X_train=X, y_train=y)
    record = run_row(find("cifar10", "none"), SETTINGS, Means())
    assert record["interpolation"] is None
    assert record["chosen"]["ridge"] > 0
    assert record["notes"][0].startswith("no solution without a ridge: X: equal rows")


def test_fewer_features_than_rows_have_no_interpolant(images):
    record = run_row(find("cifar10", "random-conv"), Settings(filters=30), Means())
    assert record["interpolation"] is None
    assert record["chosen"]["ridge"] > 0
    assert record["notes"][0].startswith("no solution without a ridge: K: the pivot of row")


def test_a_row_depends_on_what_it_uses_only():
    none, conv = find("cifar10", "none"), find("cifar10", "random-conv")
    assert "filters" not in parameters(none, Settings(filters=3))
    assert parameters(conv, Settings(filters=3)) != parameters(conv, Settings(filters=4))
    assert parameters(none, Settings(n_train=3)) != parameters(none, Settings())
    assert len(set(table3.names())) == len(ROWS) == 5


def test_folders_play_no_part_in_the_parameters(tmp_path: Path):
    assert not any(isinstance(value, Path) for value in parameters(ROWS[0], Settings()).values())
