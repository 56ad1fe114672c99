"""Gram matrices of streamed features: scale, solver, checkpoints, peak memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit import feature_gram as module
from kernelfit.errors import DataError, InputError
from kernelfit.feature_gram import feature_gram
from kernelfit.features.random_conv import RandomConv
from kernelfit.progress import Silent


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 100), dtype=np.uint8)


def fitted(rows: np.ndarray, **options: Any) -> RandomConv:
    return RandomConv(**{"n_filters": 40, "n_patches": 400, "threshold": 0.2, "threads": 2, **options}).fit(
        rows
    )


def dense(gram: Any) -> np.ndarray:
    whole = np.zeros((gram.n, gram.n))
    for j, panel in enumerate(gram.panels):
        whole[gram.layout.start(j) :, gram.layout.start(j) : gram.layout.stop(j)] = panel
    return np.tril(whole) + np.tril(whole, -1).T


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_solver_interpolates_it(dtype: str, rng: np.random.Generator) -> None:
    train, test, targets = images(50), images(8, 1), rng.standard_normal((50, 3))
    net = fitted(train)
    streamed = feature_gram(net, train, test, dtype=dtype, panel_width=16, per_block=7)
    assert streamed.n_features == net.n_features_out_
    assert np.diagonal(dense(streamed.gram)).mean() == pytest.approx(1)
    z, z_test = (net.transform(rows).astype(np.float64) for rows in (train, test))
    assert streamed.mean_diagonal == pytest.approx((z**2).sum(axis=1).mean(), rel=1e-5)
    solution = kernelfit.solve(streamed.gram, targets, kernel="precomputed", ridge=0.01, panel_width=16)
    gram = z @ z.T.copy() / streamed.mean_diagonal
    alpha = np.linalg.solve(gram + 0.01 * np.eye(50), targets)
    expected = z_test @ z.T / streamed.mean_diagonal @ alpha
    assert np.allclose(solution.predict(streamed.cross), expected, atol=1e-3 * np.abs(expected).max())


def test_no_test_rows() -> None:
    train = images(20)
    streamed = feature_gram(fitted(train), train, train[:0])
    assert streamed.cross.shape == (0, 20)


class Killed(Exception):
    pass


def test_goes_on_from_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = images(30), images(5, 1)
    net, file = fitted(train), tmp_path / "sums.h5"
    whole = feature_gram(net, train, test, per_block=8)
    save = module._save

    def killed_after(*arguments: Any) -> None:
        save(*arguments)
        if arguments[2] == 24:
            raise Killed

    monkeypatch.setattr(module, "_save", killed_after)
    with pytest.raises(Killed):
        feature_gram(net, train, test, per_block=8, checkpoint=file, checkpoint_seconds=0)
    monkeypatch.setattr(module, "_save", save)
    progress = Silent()
    again = feature_gram(net, train, test, per_block=8, checkpoint=file, progress=progress)
    assert progress.notes == [f"{file}: going on after 24 of 40 filters"]
    assert np.array_equal(dense(whole.gram), dense(again.gram))
    assert np.array_equal(whole.cross, again.cross)
    # The finished sums are there too: nothing is left to compute.
    monkeypatch.setattr(RandomConv, "filter_block", None)
    assert np.array_equal(feature_gram(net, train, test, per_block=8, checkpoint=file).cross, whole.cross)
    assert [path.name for path in tmp_path.iterdir()] == ["sums.h5"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": images(30, 7)}, "differ in train;"),
        ({"test": images(6, 1)}, "differ in test;"),
        ({"net": {"random_state": 3}}, "differ in filters, net;"),
        ({"net": {"threshold": 0.5}}, "differ in net;"),
        ({"per_block": 9}, "differ in per_block;"),
        ({"dtype": "float32"}, "differ in dtype;"),
    ],
)
def test_refuses_other_sums(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"train": images(30), "test": images(5, 1), "per_block": 8, "dtype": "float64"}
    file = tmp_path / "sums.h5"
    feature_gram(fitted(given["train"]), **given, checkpoint=file)
    options = change.pop("net", {})
    net = fitted(images(30), **options)
    with pytest.raises(InputError, match=message):
        feature_gram(net, **{**given, **change}, checkpoint=file)


def test_a_damaged_checkpoint_is_an_error(tmp_path: Path) -> None:
    train, file = images(30), tmp_path / "sums.h5"
    net = fitted(train)
    feature_gram(net, train, train[:2], checkpoint=file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="delete it to begin again"):
        feature_gram(net, train, train[:2], checkpoint=file)


def test_refuses() -> None:
    train = images(10)
    with pytest.raises(InputError, match="dtype: got int64, expected float32 or float64"):
        feature_gram(fitted(train), train, train, dtype=int)
    with pytest.raises(ValueError, match="NaN"):
        feature_gram(fitted(train), train * np.nan, train)
    with pytest.raises(ValueError, match="99 features"):
        feature_gram(fitted(train), train, train[:, :99])
    with pytest.raises(InputError, match="features: all are zero"):
        feature_gram(fitted(train, threshold=1e6), train, train)


PEAK = """
import resource
import numpy as np
from kernelfit.feature_gram import feature_gram
from kernelfit.features.random_conv import RandomConv
n, m = 6000, 500
rows = np.random.default_rng(0).integers(0, 256, (n, 144), dtype=np.uint8)
net = RandomConv(n_filters=64, n_patches=2000, threads=2).fit(rows)
feature_gram(net, rows[:300], rows[:9], per_block=32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
gram = feature_gram(net, rows, rows[:m], per_block=32, dtype=np.float32)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
packed = sum(panel.nbytes for panel in gram.gram.panels) + gram.cross.nbytes
block = (n + m) * 32 * 2 * net.n_windows_ * 4
print(peak - before, packed + block)
"""


def test_peak_memory_is_the_packed_gram_and_one_block() -> None:
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    used, held = map(int, done.stdout.split())
    # Two threads' tiles and one temporary pass over a panel come on top.
    assert used <= held + 60_000_000
    assert held < 6000 * 6000 * 4, "the test must tell a packed Gram from a full one"
