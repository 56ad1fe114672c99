"""A new streaming feature map is one file and one line of the registry: `random_projections.py` and `registered`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import kernelfit
from kernelfit import features
from kernelfit.cli import root
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError, PlanError
from kernelfit.features import feature_class
from kernelfit.features.options import make
from kernelfit.gram.submatrix import submatrix
from kernelfit.progress import Silent
from kernelfit.streaming import plan as plan_module
from kernelfit.streaming import weights as feature_weights
from kernelfit.streaming.gram import feature_gram
from kernelfit.streaming.protocol import StreamingFeatures, streaming

NAME = "random-projections"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    line = (
        "tests.streaming.random_projections:RandomProjections",
        "Absolute random projections of the pixels.",
    )
    monkeypatch.setitem(features.REGISTRY, NAME, line)


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 36), dtype=np.uint8)


def fitted(rows: np.ndarray, **options: Any) -> StreamingFeatures:
    return streaming(make(NAME, scale=1 / 255, threads=2, given=options).fit(rows))


def features_of(net: Any, rows: np.ndarray) -> np.ndarray:
    return np.asarray(net.transform(rows), np.float64)


def dense(gram: Any) -> np.ndarray:
    with CpuBackend(1) as backend:
        return submatrix(gram, np.arange(gram.n), backend)


@pytest.mark.parametrize("stored", [False, True])
def test_the_gram_in_memory_and_on_disk(stored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if stored:
        monkeypatch.setattr(plan_module, "IN_MEMORY", 0)
    train, test = images(40), images(7, 1)
    net = fitted(train)
    grams = feature_gram(net, train, test, panel_width=16, per_block=9)
    z, z_test = features_of(net, train), features_of(net, test)
    assert grams.plan.stored == stored
    assert np.allclose(dense(grams.gram), z @ z.T.copy(), rtol=1e-5)
    assert np.allclose(grams.cross, z_test @ z.T, rtol=1e-5)
    grams.close()


def test_sums_are_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = images(40), images(7, 1)
    net = fitted(train)
    whole = feature_gram(net, train, test, per_block=9)
    cls: Any = feature_class(NAME)
    compute, blocks = cls.filter_block, []

    def stopped(self: Any, X: Any, start: int, stop: int, out: Any = None) -> Any:
        blocks.append(start)
        if start == 45:
            raise KeyboardInterrupt
        return compute(self, X, start, stop, out)

    monkeypatch.setattr(cls, "filter_block", stopped)
    given: dict[str, Any] = {"per_block": 9, "checkpoint": tmp_path / "sums.h5", "checkpoint_share": np.inf}
    with pytest.raises(KeyboardInterrupt):
        feature_gram(net, train, test, **given)
    monkeypatch.setattr(cls, "filter_block", compute)
    with pytest.raises(InputError, match="differ in filters, net"):
        feature_gram(fitted(train, random_state=1), train, test, **given)
    progress = Silent()
    resumed = feature_gram(net, train, test, progress=progress, **given)
    assert "resumed after 45 of 100 filters" in progress.notes[0]
    assert np.array_equal(dense(whole.gram), dense(resumed.gram))
    assert np.array_equal(whole.cross, resumed.cross)
    resumed.close()


def test_weights_and_predictions(rng: np.random.Generator) -> None:
    train, test, alpha = images(40), images(7, 1), rng.standard_normal((40, 2))
    net = fitted(train)
    z, z_test = features_of(net, train), features_of(net, test)
    w = feature_weights.weights(net, train, alpha)
    assert np.allclose(w, z.T @ alpha, rtol=1e-12, atol=1e-12)
    assert np.allclose(feature_weights.predict(net, test, w), z_test @ w, rtol=1e-12, atol=1e-12)


def test_on_a_device_without_a_program_of_its_own(make_device: Any, rng: np.random.Generator) -> None:
    train, test, targets = images(60), images(7, 1), rng.standard_normal((60, 2))
    net = fitted(train)
    mine = feature_gram(net, train, test, panel_width=16, dtype="float64")
    theirs = feature_gram(
        net, train, test, panel_width=16, dtype="float64", per_block=33, device=make_device(16_000_000)
    )
    assert np.allclose(theirs.cross, mine.cross, rtol=1e-5)
    ridge = 0.01 * mine.mean_diagonal
    solutions = [kernelfit.solve(g.gram, targets, kernel="precomputed", ridge=ridge) for g in (mine, theirs)]
    assert solutions[1].device is not None
    assert np.allclose(*(g.predict(s) for g, s in zip((mine, theirs), solutions, strict=True)), atol=1e-3)
    solutions[1].close()
    theirs.close()


def test_the_command_line_streams_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["--dataset", "digits", "--n", "300", "--n-test", "50", "--features", NAME]
    arguments += ["--filters", "600", "--ridge", "1e-3", "--out", str(out), "--json", "-"]
    done = CliRunner().invoke(root, ["solve", *arguments])
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["features"] == NAME
    assert record["kernel"] == {"name": "linear"}
    assert record["test_error"] < 0.2
    again = CliRunner().invoke(
        root, ["predict", str(out), "--dataset", "digits", "--n-test", "50", "--json", "-"]
    )
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout)["test_error"] == record["test_error"]


def test_what_it_needs_is_planned() -> None:
    train = images(40)
    net = fitted(train)
    need = feature_gram(net, train, train[:5]).plan.memory
    with pytest.raises(PlanError, match=f"memory: {need:,} bytes needed"):
        feature_gram(net, train, train[:5], memory=need - 1)


def test_features_that_do_not_stream_are_refused() -> None:
    with pytest.raises(InputError, match="features: got Whitening, expected a feature map that streams"):
        streaming(make("whitening"))
