"""The benchmark of kernels of features, on random images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import feature_kernels
from kernelfit.datasets import Dataset, load
from kernelfit.experiments.specs import DataSpec
from kernelfit.features.random_conv import RandomConv

WORDS = ["--n", "80", "--n-test", "30", "--filters", "40", "--draws", "2"]


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    data = load("digits", n_train=200, n_test=60)
    monkeypatch.setattr(DataSpec, "load", lambda *_, **__: data)
    return data


def test_rows_that_are_stored_are_not_computed_again(
    images: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rows = tmp_path / "out.json", ["--rows", "unit:linear,var10-root:ntk", "--sums", str(tmp_path)]
    feature_kernels.main([*WORDS, *rows, "--out", str(out)])
    record = json.loads(out.read_text())
    assert record["faults"] == []
    assert [(line["features"], line["kernel"], line["draws"]) for line in record["summary"]] == [
        ("unit", "linear", 2),
        ("var10-root", "ntk", 2),
    ]
    for line in record["summary"]:
        same = [row for row in record["rows"] if row["features"] == line["features"]]
        errors = [row["best"]["loo_error"] for row in same]
        assert line["best_loo_error"] == pytest.approx(np.mean(errors))
        assert line["best_loo_error_deviation"] == pytest.approx(np.std(errors, ddof=1))
        for row in same:
            known = [trial["loo_error"] for trial in row["trials"] if trial["loo_error"] is not None]
            assert row["best"]["loo_error"] == min(known)
    monkeypatch.setattr(RandomConv, "filter_block", None)
    feature_kernels.main([*WORDS, *rows, "--out", str(out)])
    assert json.loads(out.read_text())["rows"] == record["rows"]
    # Another kernel of the same sums.
    feature_kernels.main([*WORDS, "--rows", "unit:ntk", "--sums", str(tmp_path), "--out", str(out)])
    assert [row["kernel"] for row in json.loads(out.read_text())["rows"]] == ["ntk", "ntk"]


def test_unknown_rows_are_refused(images: Dataset) -> None:
    with pytest.raises(SystemExit, match="--rows: got 'unit:cubic', expected FEATURES:KERNEL"):
        feature_kernels.main([*WORDS, "--rows", "unit:cubic"])
