"""The random convolution net and its Gram on a device, on the stand-in, against the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import kernelfit
from kernelfit.device.gram import fetch
from kernelfit.errors import DeviceError, InputError
from kernelfit.features import RandomConv
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import PanelGram
from kernelfit.kernels import Cosine, Gaussian, Linear, NeuralTangent
from kernelfit.progress import Silent
from kernelfit.streaming import gram
from kernelfit.streaming.device_random_conv import DeviceNet
from kernelfit.streaming.device_sums import DeviceSums
from kernelfit.streaming.gram import feature_gram
from tests.streaming.random_projections import RandomProjections


def images(rng, n, dtype=np.uint8):
    rows = rng.integers(0, 256, (n, 10 * 12 * 3)).astype(dtype)
    rows[n // 2] = 7  # flat patches
    return rows


def fitted(rows, **options):
    given = {
        "n_filters": 30,
        "patch_size": 4,
        "pool_size": 4,
        "pool_stride": 3,
        "threads": 1,
        "threshold": 0.2,
    }
    return RandomConv((10, 12, 3), n_patches=400, **{**given, **options}).fit(rows)


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (np.uint8, {}),
        (np.float32, {}),
        (np.uint8, {"power": 0.5}),
        (np.uint8, {"contrast": "var10", "power": 0.5}),
    ],
)
def test_features_are_those_of_the_transformer(rng, make_device, dtype, options):
    rows = images(rng, 11, dtype)
    net = fitted(rows, pooling="quadrants", **options)
    values = DeviceNet(make_device(4_000_000), net, dtype).transform(rows, rows_at_once=4)
    expected = net.transform(rows)
    assert np.abs(values - expected).max() <= 2e-5 * np.abs(expected).max()


def test_quantised_features_are_those_of_the_transformer(rng, make_device):
    rows = images(rng, 11)
    net = fitted(rows, quantise=True)
    values = DeviceNet(make_device(4_000_000), net, np.uint8).transform(rows)
    expected = net.transform(rows)
    assert expected.max() >= 100 * net.step_
    # Where sums in another order fall on the other side of the middle between two steps, a step apart.
    assert np.abs(values - expected).max() <= net.step_
    assert (values == expected).mean() > 0.99
    assert np.array_equal(values / net.step_, np.rint(values / net.step_))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("per_block", [7, None])
def test_the_gram_is_that_of_the_cpu_and_is_solved_where_it_lies(rng, make_device, dtype, per_block):
    train, test = images(rng, 70), images(rng, 9)
    net = fitted(train)
    targets = rng.standard_normal((70, 3))
    given = {"dtype": dtype, "per_block": per_block, "panel_width": 16}
    mine = feature_gram(net, train, test, **given)
    device = make_device(16_000_000)
    theirs = feature_gram(net, train, test, device=device, **given)
    assert theirs.mean_diagonal == pytest.approx(mine.mean_diagonal, rel=1e-5)
    assert np.abs(theirs.cross - mine.cross).max() <= 1e-5 * mine.mean_diagonal
    # What stays in memory and what a file takes, as planned: K is on the device, and the images are the caller's.
    held = theirs.cross.nbytes + train.nbytes + test.nbytes
    stored = sum(block.nbytes for block in theirs.gram.blocks) + theirs.cross.nbytes
    assert (theirs.plan.held, theirs.plan.gram + theirs.plan.cross) == (held, stored)
    for ridge in (0.1 * mine.mean_diagonal, 0.01 * mine.mean_diagonal):
        expected = kernelfit.solve(mine.gram, targets, kernel="precomputed", ridge=ridge, device="cpu")
        progress = Silent()
        solution = kernelfit.solve(theirs.gram, targets, kernel="precomputed", ridge=ridge, progress=progress)
        assert solution.device == device.name
        assert any("where the Gram matrix lies" in note for note in progress.notes)
        assert solution.certificate.backward_error <= 1e-14
        values = solution.predict(theirs.cross)
        assert np.allclose(values, expected.predict(mine.cross), rtol=0, atol=1e-3)
        solution.close()
        # Images, weights and right-hand sides go in, never K.
        assert getattr(device, "bytes_in", 0) < 10 * 70 * 360
    on_cpu = kernelfit.solve(theirs.gram, targets, kernel="precomputed", ridge=ridge, device="cpu")
    assert np.allclose(on_cpu.alpha, solution.alpha, rtol=1e-9, atol=1e-9)
    theirs.gram.close()


class Steps(RandomProjections):
    """Features in steps of a quarter: bytes near 255, whose squares pass 2^24 after 260 of them."""

    step_ = 0.25

    def _block_task(self, start, stop):
        def task(rows, features, backend):
            pixels = rows.astype(np.int64)
            for column, f in enumerate(range(start, stop)):
                steps = 255 - (pixels * np.arange(f, f + pixels.shape[1])).sum(axis=1) % 13
                features[:, column] = steps if features.dtype == np.uint8 else self.step_ * steps

        return task


@pytest.mark.parametrize("per_block", [400, None])
def test_quantised_sums_are_exact(rng, make_device, per_block):
    train, test = images(rng, 20), images(rng, 3)
    net = Steps((10, 12, 3), n_filters=600, threads=1).fit(train)
    z, z_test = (net.transform(rows).astype(np.float64) for rows in (train, test))
    device = make_device(16_000_000)
    sums = feature_gram(net, train, test, device=device, panel_width=16, per_block=per_block)
    stream = device.stream("main")
    panels = [fetch(device, stream, block) for block in sums.gram.blocks]
    expected = z @ z.T
    assert (expected.astype(np.float32) != expected).any()
    assert np.array_equal(panels[0], expected[:, :16])
    assert np.array_equal(panels[1], expected[16:, 16:])
    assert np.array_equal(sums.test_sq_norms, (z_test**2).sum(axis=1))
    sums.close()


def test_sums_are_taken_up_again(rng, make_device, monkeypatch, tmp_path):
    train, test = images(rng, 40), images(rng, 5)
    net = fitted(train)
    given = {"panel_width": 16, "per_block": 8, "checkpoint": tmp_path / "sums.h5"}
    whole = feature_gram(net, train, test, device=make_device(16_000_000), panel_width=16, per_block=8)

    device, blocks = make_device(16_000_000), []
    random_conv = device.random_conv

    def lost(*arguments):
        blocks.append(arguments)
        if len(blocks) > 2:
            raise DeviceError("device: lost")
        random_conv(*arguments)

    monkeypatch.setattr(device, "random_conv", lost)
    with pytest.raises(DeviceError, match="lost"):
        feature_gram(net, train, test, device=device, checkpoint_share=np.inf, **given)
    assert not np.any(device._memory)
    progress = Silent()
    again = feature_gram(net, train, test, device=make_device(16_000_000), progress=progress, **given)
    assert "resumed after 16 of 30 filters" in progress.notes[0]
    assert np.array_equal(again.cross, whole.cross)
    assert np.array_equal(again.gram.diagonal(), whole.gram.diagonal())


def test_complete_sums_of_the_cpu_are_solved_on_a_device(rng, make_device):
    layout, device = PanelLayout(40, 16), make_device(16_000_000)
    z, targets = rng.standard_normal((40, 60)), rng.standard_normal((40, 2))
    lower = np.tril(z @ z.T)  # of K a CPU forms this triangle, and some of the other
    panels = [lower[layout.start(j) :, layout.start(j) : layout.stop(j)].copy() for j in range(layout.count)]
    expected = kernelfit.solve(
        PanelGram(layout, panels), targets, kernel="precomputed", ridge=5.0, device="cpu"
    )
    sums = DeviceSums(device, layout, 0, np.dtype(np.float64))
    sums.restore(panels, np.zeros((0, 40)), np.zeros(0))
    solution = kernelfit.solve(sums.gram(), targets, kernel="precomputed", ridge=5.0)
    assert solution.device == device.name
    assert solution.certificate.norm == pytest.approx(expected.certificate.norm, rel=1e-12)
    assert solution.certificate.backward_error <= 1e-14
    assert np.allclose(solution.alpha, expected.alpha, rtol=1e-9, atol=1e-9)
    solution.close()
    device.slab.take(1, device.slab.capacity - device.slab.used - 1_000, np.uint8)  # no room for the factor
    again = kernelfit.solve(sums.gram(), targets, kernel="precomputed", ridge=5.0)
    assert again.device == "cpu"
    assert any(f"device auto: cpu, as {device.name} cannot do it (device: " in note for note in again.notes)
    assert np.allclose(again.alpha, expected.alpha, rtol=1e-12, atol=1e-12)
    sums.release()


def test_sums_of_either_are_taken_up_by_the_other(rng, make_device, monkeypatch, tmp_path):
    train, test = images(rng, 40), images(rng, 5)
    net = fitted(train)
    monkeypatch.setattr(gram, "_DEVICE_WIDTH", 16)
    for number, (here, there) in enumerate((("cpu", "device"), ("device", "cpu"))):
        file = tmp_path / f"sums{number}.h5"
        where = {"cpu": "cpu", "device": make_device(16_000_000)}
        begun = feature_gram(net, train, test, device=where[here], checkpoint=file)
        progress = Silent()
        again = feature_gram(net, train, test, device=where[there], checkpoint=file, progress=progress)
        assert progress.notes == [f"{file}: K is complete, taken from there"]
        assert again.gram.layout == begun.gram.layout
        assert np.array_equal(again.gram.diagonal(), begun.gram.diagonal())
        assert np.array_equal(again.cross, begun.cross)
        begun.close()
        again.close()


def test_float_test_images_beside_bytes_are_not_truncated(rng, make_device):
    train = images(rng, 30)
    net = fitted(train, contrast="unit")
    test = (train[:6] / 255).astype(np.float32)  # of the same contrast: the same features
    theirs = feature_gram(net, train, test, device=make_device(16_000_000), panel_width=16)
    mine = feature_gram(net, train, test, panel_width=16)
    assert np.allclose(theirs.cross, mine.cross, rtol=0, atol=1e-4 * mine.mean_diagonal)
    assert np.diagonal(mine.cross).min() > 0
    theirs.close()


def test_a_formula_that_a_device_cannot_evaluate_is_left_to_the_cpu(rng, make_device, tmp_path):
    class Mine(Gaussian):
        """Of no number in the table."""

    train, targets = images(rng, 40), rng.standard_normal((40, 2))
    device = make_device(16_000_000)
    sums = feature_gram(fitted(train), train, train[:2], device=device, panel_width=16)
    formed = sums.of(Mine(0.5 / sums.mean_diagonal))
    given = {"kernel": "precomputed", "ridge": 0.1, "run_dir": tmp_path / "run"}
    with pytest.raises(InputError, match="has no formula for a device"):
        kernelfit.solve(formed.gram, targets, device=device, **given)
    assert not (tmp_path / "run").exists()
    solution = kernelfit.solve(formed.gram, targets, **given)
    assert solution.device == "cpu"
    assert any(
        f"device auto: cpu, as {device.name} cannot do it (kernel: " in note for note in solution.notes
    )
    expected = kernelfit.solve(
        sums.of(Gaussian(0.5 / sums.mean_diagonal)).gram, targets, kernel="precomputed", ridge=0.1
    )
    assert expected.device == device.name
    assert np.allclose(solution.alpha, expected.alpha, rtol=1e-8, atol=1e-8)
    solution.close()
    expected.close()
    sums.close()


def test_too_small_a_device_and_too_wide_images_are_refused(rng, make_device):
    train = images(rng, 40)
    net = fitted(train)
    with pytest.raises(DeviceError, match="bytes"):
        feature_gram(net, train, train[:2], device=make_device(60_000))
    wide = rng.integers(0, 256, (4, 140 * 6)).astype(np.uint8)
    net = RandomConv((6, 140, 1), n_filters=3, patch_size=3, n_patches=50, threads=1).fit(wide)
    with pytest.raises(InputError, match="at most 16 and 128 on a device"):
        DeviceNet(make_device(4_000_000), net, np.uint8)


@pytest.mark.parametrize("kernel", [NeuralTangent(2), Gaussian(0.05) + Linear() * Cosine()], ids=repr)
def test_other_kernels_of_the_same_sums_are_formed_where_they_lie(rng, make_device, kernel):
    """Of sums that are exact, and so the same on both sides."""
    train, test = images(rng, 70), images(rng, 9)
    net = Steps((10, 12, 3), n_filters=60, threads=1).fit(train)
    targets = rng.standard_normal((70, 3))
    options = {"per_block": 7, "panel_width": 16, "dtype": "float64"}
    mine = feature_gram(net, train, test, **options).of(kernel)
    device = make_device(16_000_000)
    summed = feature_gram(net, train, test, device=device, **options)
    assert np.array_equal(summed.test_sq_norms, (net.transform(test).astype(float) ** 2).sum(axis=1))
    theirs = summed.of(kernel)
    assert np.abs(theirs.cross - mine.cross).max() <= 1e-6 * mine.mean_diagonal  # float32
    ridge = 0.1 * mine.mean_diagonal
    expected = kernelfit.solve(mine.gram, targets, kernel="precomputed", ridge=ridge, device="cpu")
    solution = kernelfit.solve(theirs.gram, targets, kernel="precomputed", ridge=ridge)
    assert solution.device == device.name
    assert solution.certificate.backward_error <= 1e-14
    size = np.abs(expected.alpha).max()
    assert np.allclose(solution.alpha, expected.alpha, rtol=0, atol=1e-9 * size)
    assert np.allclose(solution.leave_one_out(), expected.leave_one_out(), rtol=0, atol=1e-9)
    assert np.allclose(theirs.predict(solution), mine.predict(expected), rtol=0, atol=1e-6)
    on_cpu = kernelfit.solve(theirs.gram, targets, kernel="precomputed", ridge=ridge, device="cpu")
    assert np.allclose(on_cpu.alpha, solution.alpha, rtol=0, atol=1e-9 * size)
    assert getattr(device, "bytes_in", 0) < 10 * 70 * 360
    solution.close()
