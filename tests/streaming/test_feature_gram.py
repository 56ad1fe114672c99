"""Gram matrices of streamed features: solver, checkpoints, peak memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import DataError, InputError, Interrupted, PlanError, StorageError
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.points import Points
from kernelfit.gram.source import StoredGram
from kernelfit.gram.submatrix import submatrix
from kernelfit.kernels import Gaussian, Kernel, Linear, NeuralTangent, Polynomial
from kernelfit.progress import Silent
from kernelfit.streaming import checkpoint, gram_file, new_rows
from kernelfit.streaming import plan as module
from kernelfit.streaming.gram import feature_gram
from kernelfit.streaming.host_sums import HostSums
from kernelfit.streaming.plan import GramSizes, plan_feature_gram
from kernelfit.streaming.sums import FeaturePass


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 100), dtype=np.uint8)


def fitted(rows: np.ndarray, **options: Any) -> RandomConv:
    return RandomConv(**{"n_filters": 40, "n_patches": 400, "threshold": 0.2, "threads": 2, **options}).fit(
        rows
    )


def dense(gram: Any) -> np.ndarray:
    with CpuBackend(1) as backend:
        return submatrix(gram, np.arange(gram.n), backend)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stored", [False, True])
def test_the_solver_interpolates_it(
    dtype: str, stored: bool, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    if stored:
        monkeypatch.setattr(module, "IN_MEMORY", 0)
    train, test, targets = images(50), images(8, 1), rng.standard_normal((50, 3))
    net = fitted(train)
    streamed = feature_gram(net, train, test, dtype=dtype, panel_width=16, per_block=7)
    assert isinstance(streamed.gram, StoredGram) == stored == streamed.plan.stored
    assert streamed.n_features == net.n_features_out_
    z, z_test = (net.transform(rows).astype(np.float64) for rows in (train, test))
    assert streamed.mean_diagonal == pytest.approx((z**2).sum(axis=1).mean(), rel=1e-5)
    ridge = 0.01 * streamed.mean_diagonal
    solution = kernelfit.solve(streamed.gram, targets, kernel="precomputed", ridge=ridge)
    assert solution.certificate.backward_error < 1e-15
    alpha = np.linalg.solve(z @ z.T.copy() + ridge * np.eye(50), targets)
    expected = z_test @ z.T @ alpha
    assert np.allclose(streamed.predict(solution), expected, atol=1e-3 * np.abs(expected).max())
    streamed.close()


def test_a_gram_on_the_disk_gives_the_same_bits(tmp_path: Path, rng: np.random.Generator) -> None:
    train, targets = images(90), rng.standard_normal(90)
    net = fitted(train, threshold=0.05)
    given = {"panel_width": 32, "per_block": 16}
    held = feature_gram(net, train, train[:5], **given)
    kept = feature_gram(net, train, train[:5], **given, checkpoint=tmp_path / "sums.h5")
    assert not isinstance(held.gram, StoredGram)
    assert isinstance(kept.gram, StoredGram)
    choose = [kernelfit.solve(g.gram, targets, kernel="precomputed", ridge="auto") for g in (held, kept)]
    assert choose[0].ridge_choice is not None
    assert choose[1].ridge_choice is not None
    assert choose[0].ridge_choice.trials == choose[1].ridge_choice.trials
    assert np.array_equal(choose[0].alpha, choose[1].alpha)
    assert np.array_equal(choose[0].leave_one_out(), choose[1].leave_one_out())
    assert np.array_equal(held.gram.diagonal(), kept.gram.diagonal())


def test_a_large_gram_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    train, there = images(30), list[Path]()

    def watched(write: Callable[..., int], *arguments: Any) -> int:  # a kill would leave what is there now
        there.extend(path for path in tmp_path.iterdir() if path.stat().st_size)
        return write(*arguments)

    for name in ("write", "pwritev"):
        monkeypatch.setattr(os, name, partial(watched, getattr(os, name)))
    streamed = feature_gram(fitted(train), train, train[:2], scratch=tmp_path)
    assert list(tmp_path.iterdir()) == there == []
    held = feature_gram(fitted(train), train, train[:2], scratch=tmp_path)
    assert np.array_equal(streamed.gram.diagonal(), held.gram.diagonal())
    assert streamed.gram.diagonal().shape == (30,)


@pytest.mark.parametrize("option", ["scratch", "checkpoint"])
def test_a_folder_that_is_not_there_is_made_or_found_out_before_the_sums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    train, net = images(30), fitted(images(30))

    def named(folder: Path) -> dict[str, Path]:
        return {option: folder / "sums.h5" if option == "checkpoint" else folder}

    feature_gram(net, train, train[:2], **named(tmp_path / "new" / "folder")).close()
    (tmp_path / "file").touch()
    monkeypatch.setattr("kernelfit.streaming.gram._Job.run", lambda *others: pytest.fail("hours of sums"))
    with pytest.raises(StorageError, match="cannot make the folder"):
        feature_gram(net, train, train[:2], **named(tmp_path / "file" / "folder"))


def test_no_test_rows() -> None:
    train = images(20)
    streamed = feature_gram(fitted(train), train, train[:0])
    assert streamed.cross.shape == (0, 20)


SUMS = """
import sys
import numpy as np
from kernelfit.streaming.gram import feature_gram
from kernelfit.features.random_conv import RandomConv
rows = np.random.default_rng(0).integers(0, 256, (30, 100), dtype=np.uint8)
options = {"quantise": len(sys.argv) > 2}
net = RandomConv(n_filters=4000, n_patches=400, threshold=0.2, threads=2, **options).fit(rows)
feature_gram(net, rows, rows[:5], per_block=8, checkpoint=sys.argv[1], checkpoint_share=np.inf)
"""


@pytest.mark.parametrize("quantise", [False, True])
def test_killed_at_any_moment_it_is_resumed_with_the_same_bits(tmp_path: Path, quantise: bool) -> None:
    file = tmp_path / "sums.h5"
    process = subprocess.Popen([sys.executable, "-c", SUMS, str(file), *["quantise"] * quantise])
    while not file.exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    begun = gram_file.read(file)
    assert 0 < begun.done < begun.of == 4000
    assert begun.done % 8 == 0
    train = images(30)
    net = fitted(train, n_filters=4000, quantise=quantise)
    progress = Silent()
    again = feature_gram(net, train, train[:5], per_block=8, checkpoint=file, progress=progress)
    assert progress.notes == [f"{file}: resumed after {begun.done} of 4000 filters"]
    # Sums of bytes are exact: the block does not matter to K.
    whole = feature_gram(net, train, train[:5], per_block=100 if quantise else 8)
    assert np.array_equal(dense(whole.gram), dense(again.gram))
    if quantise:
        assert np.allclose(whole.cross, again.cross, rtol=1e-5, atol=0)
    else:
        assert np.array_equal(whole.cross, again.cross)
    assert again.seconds["features"] > begun.seconds["features"] > 0


@pytest.mark.parametrize(("block", "done"), [(1, 10), (3, 30), (4, 40)])
def test_what_is_said_to_be_finished_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, done: int
) -> None:
    """Asked to stop within the last block, it lost all since the last checkpoint, and said that all was there."""
    train, file = images(30), tmp_path / "sums.h5"
    net, computed = fitted(train), 0
    real = net.filter_block

    def asked(*arguments: Any, **options: Any) -> Any:
        nonlocal computed
        computed += 1
        if computed == 2 * block:  # of the training and of the test rows
            signal.raise_signal(signal.SIGINT)
        return real(*arguments, **options)

    monkeypatch.setattr(net, "filter_block", asked)
    with pytest.raises(Interrupted, match=f"after {done} of 40 filters"):
        feature_gram(net, train, train[:4], per_block=10, checkpoint=file, checkpoint_share=0.0)
    assert gram_file.read(file).done == done


def test_finished_sums_are_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, file = images(30), tmp_path / "sums.h5"
    net = fitted(train)
    first = feature_gram(net, train, train[:4], checkpoint=file)
    monkeypatch.setattr(RandomConv, "filter_block", None)
    second = feature_gram(net, train, train[:4], checkpoint=file)
    assert np.array_equal(first.cross, second.cross)
    assert np.array_equal(dense(first.gram), dense(second.gram))
    assert [path.name for path in tmp_path.iterdir()] == ["sums.h5"]


class Stopped(Exception):
    pass


def test_checkpoints_cost_no_more_than_their_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    written: list[tuple[int, float]] = []

    def write(*arguments: Any) -> None:
        nonlocal clock
        written.append((arguments[-1].done, clock))
        clock += 6.0

    def take_time(sums: HostSums, features: FeaturePass) -> None:
        nonlocal clock
        for done in range(1, 1000):
            clock += 1.0
            features.finished(done)
        raise Stopped

    monkeypatch.setattr(gram_file, "write", write)
    monkeypatch.setattr(HostSums, "add", take_time)
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock)
    train = images(30)
    with pytest.raises(Stopped):
        feature_gram(fitted(train, n_filters=1000), train, train, checkpoint=tmp_path / "sums.h5")
    # The first is cheap by estimate and comes at once; then 6 seconds of writing want 200 between.
    assert [done for done, _ in written] == [1, 201, 401, 601, 801]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": images(30, 7)}, "differ in train, expected"),
        ({"test": images(6, 1)}, "differ in test, expected"),
        ({"net": {"random_state": 3}}, "differ in filters, net, expected"),
        ({"net": {"threshold": 0.5}}, "differ in net, expected"),
        ({"per_block": 9}, "differ in per_block, expected"),
        ({"dtype": "float32"}, "differ in dtype, expected"),
        ({"net": {"quantise": True}}, "differ in net, expected"),
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
    with pytest.raises(DataError, match="remove it to begin again"):
        feature_gram(net, train, train[:2], checkpoint=file)


def test_refuses() -> None:
    train = images(10)
    with pytest.raises(InputError, match="dtype: got int64, expected float32 or float64"):
        feature_gram(fitted(train), train, train, dtype=int)
    with pytest.raises(ValueError, match="NaN"):
        feature_gram(fitted(train), train * np.nan, train)
    with pytest.raises(ValueError, match="99 features"):
        feature_gram(fitted(train), train, train[:, :99])
    with pytest.raises(InputError, match="lower threshold: no response"):
        feature_gram(fitted(train, threshold=1e6), train, train)


def test_what_does_not_fit_is_refused_before_it_is_summed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = images(60)
    net = fitted(train)
    plan = plan_feature_gram(net, GramSizes.of(60, 20, 100), checkpoint=True)
    monkeypatch.setattr(HostSums, "add", None)
    with pytest.raises(PlanError, match=rf"memory: {plan.memory:,} bytes needed .* n = 60 and 20 test rows"):
        feature_gram(net, train, train[:20], memory=plan.memory - 1)
    monkeypatch.setattr(module, "free_disk", lambda folder: plan.disk - 1)
    with pytest.raises(PlanError, match=r"disk: .* bytes needed in .*: 1 missing"):
        feature_gram(net, train, train[:20], memory=plan.memory, checkpoint=tmp_path / "sums.h5")


def test_the_plan_counts_what_there_is(tmp_path: Path) -> None:
    train = images(60)
    net = fitted(train)
    held = feature_gram(net, train, train[:20], panel_width=16, per_block=7)
    plan = held.plan
    assert plan.gram == sum(panel.nbytes for panel in held.gram.panels)
    assert plan.cross == held.cross.nbytes
    assert plan.rows == 80 * 100
    assert plan.block == net.filter_block(images(80), 0, 7).nbytes
    assert plan.memory == plan.gram + plan.cross + plan.rows + plan.block
    assert (plan.disk, plan.held) == (0, plan.gram + plan.cross + plan.rows)
    kept = feature_gram(net, train, train[:20], panel_width=16, checkpoint=tmp_path / "sums.h5")
    size = (tmp_path / "sums.h5").stat().st_size
    assert size <= kept.plan.disk // 2 + 100_000
    assert kept.plan.held == plan.cross + plan.rows


PEAK = """
import resource, sys
import numpy as np
import kernelfit.streaming.plan as module
from kernelfit import solve
from kernelfit.streaming.gram import feature_gram
from kernelfit.features.random_conv import RandomConv
n, m = 6000, 500
module.IN_MEMORY = 0
rows = np.random.default_rng(0).integers(0, 256, (n, 144), dtype=np.uint8)
options = {"quantise": len(sys.argv) > 1}
net = RandomConv(n_filters=96, n_patches=2000, threads=2, threshold=0.3, **options).fit(rows)
small = feature_gram(net, rows[:300], rows[:9], per_block=32)
solve(small.gram, np.ones(300), kernel="precomputed", ridge=1.0, threads=2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
grams = feature_gram(net, rows, rows[:m], per_block=32)
summed = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
solution = solve(grams.gram, np.eye(10)[np.arange(n) % 10], kernel="precomputed", ridge=1.0, threads=2)
grams.predict(solution)
solved = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(summed - before, grams.plan.memory, solved - before, grams.plan.gram)
"""


@pytest.mark.parametrize("options", [[], ["quantise"]])
def test_peak_memory_is_the_packed_gram_and_one_block(options: list[str]) -> None:
    command = [sys.executable, "-c", PEAK, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    summed, planned, solved, packed = map(int, done.stdout.split())
    # Two threads' tiles and one temporary pass over a panel come on top.
    assert summed <= planned + 60_000_000
    # The factor takes the place of the sums: one packed triangle at a time, not two.
    assert solved <= packed + 120_000_000
    assert planned < 1.5 * packed < 6000 * 6000 * 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize("kernel", [NeuralTangent(), Gaussian(0.3), Polynomial(2)], ids=repr)
def test_another_kernel_of_the_same_sums(
    kernel: Kernel,
    quantise: bool,
    dtype: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rng: np.random.Generator,
) -> None:
    """Against the kernel of all features at once; nothing is summed again, and what is stored stays as it was."""
    train, test, targets = images(50), images(8, 1), rng.standard_normal((50, 3))
    net, file = fitted(train, quantise=quantise), tmp_path / "sums.h5"
    given = {"dtype": dtype, "panel_width": 16, "per_block": 7}
    linear = feature_gram(net, train, test, checkpoint=file, **given)
    z, z_test = (net.transform(rows).astype(np.float64) for rows in (train, test))
    assert np.allclose(linear.test_sq_norms, (z_test**2).sum(axis=1), rtol=0 if quantise else 1e-6, atol=0)
    stored = file.read_bytes()
    monkeypatch.setattr(HostSums, "add", None)
    streamed = feature_gram(net, train, test, checkpoint=file, **given).of(kernel)
    assert streamed.cross.dtype == np.float32
    assert streamed.mean_diagonal == pytest.approx(kernel.diagonal(Points(z)).mean(), rel=1e-5)
    for ridge in (0.0, 0.1 * streamed.mean_diagonal):
        mine = kernelfit.solve(streamed.gram, targets, kernel="precomputed", ridge=ridge)
        theirs = kernelfit.solve(z, targets, kernel=kernel, ridge=ridge)
        assert mine.certificate.backward_error < 1e-14
        bound = 1e-9 if quantise and dtype == "float64" else 2e-3
        assert np.allclose(mine.alpha, theirs.alpha, rtol=0, atol=bound * np.abs(theirs.alpha).max())
        assert np.allclose(streamed.predict(mine), theirs.predict(z_test), rtol=0, atol=2e-3)
        assert np.allclose(mine.leave_one_out(), theirs.leave_one_out(), rtol=0, atol=2e-3)
    assert file.read_bytes() == stored
    assert linear.of(Linear()) is linear
    with pytest.raises(InputError, match="expected that of inner products"):
        streamed.of(kernel)


@pytest.mark.parametrize("quantise", [False, True])
def test_a_solution_at_new_rows(
    quantise: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for the test rows of the sums, whatever number of new rows there is room for at a time."""
    train, test, kernel = images(50), images(23, 1), NeuralTangent()
    net = fitted(train, quantise=quantise)
    grams = feature_gram(net, train, test).of(kernel)
    solution = kernelfit.solve(grams.gram, rng.standard_normal(50), kernel="precomputed", ridge=1.0)
    expected = grams.predict(solution)
    for memory in (10**9, 8 * 50 * 4 * 7):
        monkeypatch.setattr(new_rows, "available_memory", lambda memory=memory: memory)
        values = new_rows.predict(net, kernel, train, test, solution)
        assert np.allclose(values, expected, rtol=0, atol=1e-12 if quantise else 1e-3)


def test_numbers_of_numpy_are_options_like_others(tmp_path: Path) -> None:
    train, file = images(12), tmp_path / "sums.h5"
    options = {"n_filters": 8, "threshold": 0.25, "image_shape": (10, 10, 1)}
    of_numpy = {"n_filters": np.int64(8), "threshold": np.float32(0.25), "image_shape": np.array([10, 10, 1])}
    for given, one in ((of_numpy, np.int64(1)), (options, 1)):
        feature_gram(
            fitted(train, **given), train, train[:2], per_block=4 * one, panel_width=8 * one, checkpoint=file
        ).close()
    assert gram_file.read(file).finished
