"""The benchmark of mirror images, patches and grids of random convolution features, on digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import random_conv_levers
from benchmarks.random_conv_levers import FEATURES, Sided, lengths, own_products, quarters, with_mirrors
from kernelfit.cpu.pool import CpuBackend
from kernelfit.datasets import Dataset, load
from kernelfit.experiments.specs import DataSpec
from kernelfit.features.random_conv import RandomConv
from kernelfit.kernels import Gaussian, Linear

WORDS = ["--n", "60", "--n-test", "20", "--filters", "40", "--draws", "2"]


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    data = load("digits", n_train=120, n_test=40)
    monkeypatch.setattr(DataSpec, "load", lambda *_, **__: data)
    return data


def test_rows_that_are_stored_are_not_computed_again(
    images: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*WORDS, "--stored", str(tmp_path), "--out", str(tmp_path / "out.json")]
    random_conv_levers.main(words)
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["faults"] == []
    draws = {line["lever"]: line["draws"] for line in record["summary"]}
    assert draws["flips-pairs"] == draws["flips-features"] == 2
    assert draws["patch-5"] == draws["grids-2-3-4"] == 1
    monkeypatch.setattr(RandomConv, "filter_block", None)
    random_conv_levers.main(words)
    assert json.loads((tmp_path / "out.json").read_text())["rows"] == record["rows"]


def test_means_over_mirror_images_are_those_of_their_features(images: Dataset) -> None:
    net = RandomConv(image_shape=(8, 8, 1), n_filters=20, **FEATURES).fit(images.X_train)
    rows = with_mirrors(images.X_test[:5], (8, 8, 1))
    u, v = np.split(net.transform(rows).astype(float), 2)
    z, mirrored = np.hstack([u, v]) / np.sqrt(2), np.hstack([v, u]) / np.sqrt(2)
    both = np.vstack([u, v])
    own = own_products(net, rows)
    assert np.allclose(own, np.sum(u * v, axis=1), rtol=1e-6)
    known = lengths(np.sum(both * both, axis=1), own)
    sided = Sided(quarters(both @ both.T), known, known)
    gaussian, scale = Gaussian(0.1), 0.1
    with CpuBackend() as backend:
        k = [np.exp(-scale * np.sum((z[:, None] - side[None]) ** 2, axis=2)) for side in (z, mirrored)]
        assert np.allclose(sided.pairs(gaussian, backend), (k[0] + k[1]) / 2, rtol=1e-6)
        s = (u + v) / 2
        assert np.allclose(sided.features(Linear(), backend), s @ s.T, rtol=1e-6)
        # Of the linear kernel both means are the same.
        assert np.allclose(sided.pairs(Linear(), backend), s @ s.T, rtol=1e-6)


def test_unknown_levers_are_refused() -> None:
    with pytest.raises(SystemExit, match="--levers: got depth, expected flips, screened"):
        random_conv_levers.main([*WORDS, "--levers", "depth"])
