"""The fused convolution kernel against a plain NumPy reference in float64."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from kernelfit.cpu import bytes_product
from kernelfit.errors import InputError
from kernelfit.features.random_conv import FILTERS_PER_GROUP, RandomConv, as_bytes, group_edges
from kernelfit.features.whitening import Whitening, zca


def reference(net: RandomConv, rows: np.ndarray) -> np.ndarray:
    """The documented formula, patch by patch, in float64."""
    height, width, channels = net.image_shape_
    down, across, _ = net.patch_shape_
    whitened = []
    for image in rows.astype(np.float64).reshape(len(rows), height, width, channels):
        for y in range(height - down + 1):
            for x in range(width - across + 1):
                patch = image[y : y + down, x : x + across].ravel()
                patch = patch - patch.mean()
                length = np.linalg.norm(patch)
                if net.contrast_ == "var10":
                    patch = patch / np.sqrt(patch.var() + 10)
                else:
                    patch = patch / length if length > 1e-9 else np.zeros_like(patch)
                whitened.append((patch - net.mean_) @ net.whitening_)
    shape = (len(rows), height - down + 1, width - across + 1, net.n_filters)
    responses = (np.array(whitened) @ net.filters_.T).reshape(shape)
    features = []
    for sign in (1, -1):
        active = np.maximum(sign * responses - net.threshold, 0)
        for top, bottom in reference_windows(net, shape[1]):
            for left, right in reference_windows(net, shape[2]):
                features.append(active[:, top:bottom, left:right].mean(axis=(1, 2)))
    # (sign and window, n, filter) -> (n, filter, sign and window)
    return np.array(features).transpose(1, 2, 0).reshape(len(rows), -1) ** net.power


def reference_windows(net: RandomConv, length: int) -> list[tuple[int, int]]:
    if net.pooling == "quadrants":
        middle = -(-length // 2)
        return [(0, middle), (middle, length)] if length > 1 else [(0, 1)]
    if length <= net.pool_size:
        return [(0, length)]
    return [(start, start + net.pool_size) for start in range(0, length - net.pool_size + 1, net.pool_stride)]


CASES = {
    "colour, the paper's sizes": ((32, 32, 3), 2, {"n_filters": 5}),
    "grey, quadrants, odd": ((19, 17, 1), 3, {"n_filters": 7, "pooling": "quadrants"}),
    "one image, one filter": ((32, 32, 3), 1, {"n_filters": 1, "n_patches": 50}),
    "many filters, several products": ((13, 11, 1), 2, {"n_filters": 600, "pool_size": 5, "pool_stride": 2}),
    "image smaller than the patch": ((1, 10, 1), 4, {"n_filters": 3}),
    "patch as large as the image": ((6, 6, 3), 5, {"n_filters": 4}),
    "windows that leave a rest": ((28, 28, 1), 2, {"n_filters": 9}),
    "windows with gaps": ((16, 16, 1), 2, {"n_filters": 4, "pool_size": 2, "pool_stride": 5}),
    "no threshold, gaussian": (
        (12, 12, 2),
        3,
        {"n_filters": 8, "threshold": 0.0, "draw": "gaussian", "power": 1},
    ),
    "faint patches stay faint": ((14, 14, 3), 3, {"n_filters": 8, "contrast": "var10", "power": 1}),
    "square roots": ((14, 14, 1), 3, {"n_filters": 8, "contrast": "unit", "threshold": 0.5}),
    "neither": ((14, 14, 1), 3, {"n_filters": 8, "contrast": "unit", "power": 1}),
    "both": ((14, 14, 3), 3, {"n_filters": 8, "contrast": "var10", "power": 0.5, "zca": 0.05}),
    "laplace, even patch": (
        (12, 9, 1),
        3,
        {"n_filters": 8, "threshold": 0.3, "draw": "laplace", "patch_size": 4},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_plain_numpy(case: str, rng: np.random.Generator) -> None:
    shape, n, options = CASES[case]
    rows = rng.integers(0, 256, (n, int(np.prod(shape))), dtype=np.uint8)
    net = RandomConv(image_shape=shape, threads=2, **{"n_patches": 500, **options}).fit(rows)
    expected = reference(net, rows)
    got = net.transform(rows)
    assert got.dtype == np.float32
    assert got.shape == expected.shape == (n, net.n_features_out_)
    assert expected.max() > 0
    # A root of what rounding leaves of 0 is as large as the root of rounding.
    allowed = 1e-5 if net.power == 1 else 3e-3
    assert np.abs(got - expected).max() <= allowed * np.abs(expected).max()
    assert np.abs(got ** (1 / net.power) - expected ** (1 / net.power)).max() <= 1e-5 * expected.max() ** (
        1 / net.power
    )


def test_threshold_is_active(rng: np.random.Generator) -> None:
    """The cases above would miss an error in t if no response ever passed or failed it."""
    rows = rng.integers(0, 256, (5, 27 * 27), dtype=np.uint8)
    dense, sparse = (
        RandomConv(n_filters=20, threshold=t, n_patches=500, pool_size=1, pool_stride=1, power=1)
        .fit(rows)
        .transform(rows)
        for t in (0.0, 1.0)
    )
    assert 0.05 < (sparse > 0).mean() < (dense > 0).mean()
    assert np.allclose(sparse, np.maximum(dense - 1, 0), atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 32, 3), (9, 11, 1)])
def test_quantised_features_are_whole_multiples_of_the_step(
    shape: tuple[int, ...], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        bytes_product, "available", lambda: False
    )  # responses are then the same with and without
    rows = rng.integers(0, 256, (30, int(np.prod(shape))), dtype=np.uint8)
    options = {"image_shape": shape, "n_filters": 40, "n_patches": 500}
    plain = RandomConv(**options).fit(rows)
    net = RandomConv(**options, quantise=True).fit(rows)
    assert np.array_equal(net.filters_, plain.filters_)
    assert plain.step_ == 0
    assert net.step_ == 2.0 ** round(np.log2(net.step_))
    exact, rounded = plain.transform(rows), net.transform(rows)
    assert np.array_equal(rounded, net.step_ * np.minimum(np.rint(exact / net.step_), 255))
    assert (exact > 255 * net.step_).mean() <= 1e-3
    assert (exact > 255 * net.step_ / 2).mean() > 1e-3  # a smaller step would cut more
    steps = np.empty(rounded.shape, np.uint8)
    net.filter_block(rows, 0, 40, out=steps)
    assert np.array_equal(steps * np.float32(net.step_), rounded)
    with pytest.raises(InputError, match=r"out: got uint8 .*, expected C-ordered float32"):
        plain.filter_block(rows, 0, 40, out=steps)


def test_features_beyond_255_steps_stay_there(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (300, 12 * 12), dtype=np.uint8)
    net = RandomConv(n_filters=200, n_patches=500, threshold=0.0, pooling="quadrants", quantise=True).fit(
        rows
    )
    net.step_ /= 4
    steps = np.empty((300, net.n_features_out_), np.uint8)
    net.filter_block(rows, 0, 200, out=steps)
    assert steps.max() == 255
    assert (steps == 255).sum() > 10
    assert net.transform(rows).max() == 255 * net.step_


def test_a_step_without_any_feature(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (5, 100), dtype=np.uint8)
    net = RandomConv(n_filters=3, n_patches=300, threshold=1e3, quantise=True).fit(rows)
    assert net.step_ == 1
    assert not net.transform(rows).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_dtypes_and_strides_agree(dtype: type, rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (6, 2 * 12 * 12), dtype=np.uint8)[:, ::2]
    net = RandomConv(n_filters=6, n_patches=300).fit(rows)
    expected = net.transform(np.ascontiguousarray(rows))
    unit = 1.0 if dtype is np.uint8 else 1.0 / 255
    assert np.allclose(net.transform((rows * unit).astype(dtype)), expected, rtol=1e-5, atol=1e-6)


def test_flat_patches_give_the_response_of_zero(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (4, 100), dtype=np.uint8)
    net = RandomConv(n_filters=5, n_patches=300, contrast="unit").fit(rows)
    flat = np.stack([np.zeros(100), np.full(100, 0.1), np.full(100, 1e6 / 3)])
    features = net.transform(flat)
    assert np.isfinite(features).all()
    assert np.array_equal(features[0], features[1])
    assert np.array_equal(features[0], features[2])


def test_blocks_of_filters_join_to_the_transform(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (5, 20 * 20 * 3), dtype=np.uint8)
    net = RandomConv(image_shape=(20, 20, 3), n_filters=10, pooling="quadrants", n_patches=300).fit(rows)
    parts = list(net.blocks(rows, filters_per_block=4))
    assert [(part.start, part.stop) for part, _ in parts] == [(0, 32), (32, 64), (64, 80)]
    joined = np.hstack([block for _, block in parts])
    assert np.allclose(joined, net.transform(rows), rtol=1e-6, atol=1e-7)
    out = np.empty((5, 32), np.float32)
    assert net.filter_block(rows, 4, 8, out=out) is out
    assert np.array_equal(out, parts[1][1])
    with pytest.raises(InputError, match=r"out: got float64"):
        net.filter_block(rows, 4, 8, out=out.astype(np.float64))


def test_the_answer_does_not_depend_on_threads_and_the_seed_fixes_it(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (40, 144), dtype=np.uint8)
    one, three, other = (
        RandomConv(n_filters=6, n_patches=300, threads=threads, random_state=seed).fit(rows).transform(rows)
        for threads, seed in ((1, 0), (3, 0), (1, 1))
    )
    assert np.array_equal(one, three)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("draw", ["patches", "gaussian", "laplace"])
def test_filters_have_length_one_and_patches_are_white(draw: str, rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (50, 20 * 20), dtype=np.uint8)
    net = RandomConv(n_filters=12, n_patches=5000, zca=1e-9, draw=draw).fit(rows)
    assert np.allclose(np.linalg.norm(net.filters_, axis=1), 1)
    d = len(net.mean_)
    patches = net._draw_patches(rows, 20_000, np.random.default_rng(5))
    whitened = (patches - net.mean_) @ net.whitening_
    # One direction (the constant patch) has been removed by the contrast normalisation.
    assert np.trace(np.cov(whitened.T)) == pytest.approx(d - 1, rel=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_filters": 0}, "n_filters: got 0, expected an integer >= 1"),
        ({"threshold": -1}, "threshold: got -1, expected a number >= 0"),
        ({"zca": float("nan")}, "zca: got nan"),
        ({"random_state": -1}, "random_state: got -1, expected an integer >= 0"),
        ({"power": 2}, "power: got 2, expected 1 or 0.5"),
        ({"contrast": "var10"}, "contrast: got var10 with rows of float64, expected bytes"),
        ({"draw": "kmeans"}, "draw: got 'kmeans', expected one of patches, gaussian, laplace"),
        ({"pooling": "max"}, "pooling: got 'max', expected one of grid, quadrants"),
        ({"image_shape": (3, 5)}, r"image_shape: got \(3, 5\) with 15 values, expected 100"),
    ],
)
def test_refuses(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        RandomConv(**options).fit(np.full((2, 100), 0.3))


def test_which_rows_are_bytes(rng: np.random.Generator) -> None:
    """Whatever their dtype; only of others is the contrast another, which is said."""
    pixels = rng.integers(0, 256, (1100, 36), dtype=np.uint8)
    for rows in (pixels, pixels.astype(float), pixels / 255, pixels.astype(np.float32) / np.float32(255)):
        read = as_bytes(rows)
        assert read is not None
        assert read.dtype == np.uint8
        assert np.array_equal(read, pixels)
    for rows in (
        pixels - 1.0,
        pixels + 0.5,
        pixels * 2.0,
        rng.random((3, 36)),
        np.full((1, 36), np.nan),
        pixels * 1e-9,
    ):
        assert as_bytes(rows) is None
    net = RandomConv(n_filters=3, n_patches=300).fit(pixels / 255)
    assert (net.contrast_, net.notes) == ("var10", ())
    with pytest.raises(
        InputError, match="X: got float64 that are no bytes, expected pixels of 0 to 255 as fitted on"
    ):
        net.transform(rng.random((3, 36)))
    other = RandomConv(n_filters=3, n_patches=300).fit(rng.random((20, 36)))
    assert other.contrast_ == "unit"
    assert other.notes == ("contrast unit: that of bytes, var10, is not for rows that are no bytes",)


def test_dark_rows_are_in_the_unit_of_the_rows_fitted_on(rng: np.random.Generator) -> None:
    """Levels 0 and 1 of 255 alone were taken for 0 and 255, wherever no brighter row stood beside them."""
    pixels = rng.integers(0, 256, (40, 36), dtype=np.uint8)
    pixels[7] = rng.integers(0, 2, 36)
    for fitted in (pixels, pixels.astype(float), pixels / 255):
        net = RandomConv(n_filters=5, n_patches=300, threshold=0.0).fit(fitted)
        expected = net.transform(fitted)
        assert np.array_equal(net.transform(fitted[7:8]), expected[7:8])
    black_and_white = np.where(pixels > 99, 1.0, 0.0)
    net = RandomConv(n_filters=5, n_patches=300, threshold=0.0).fit(black_and_white)
    assert np.array_equal(net.transform(black_and_white), net.transform(255 * black_and_white))
    net.fit(255 * black_and_white)
    assert np.array_equal(
        net.transform(black_and_white[:1]), net.transform(black_and_white[:1].astype(np.uint8))
    )


@pytest.mark.parametrize("kind", [RandomConv, Whitening])
def test_fitting_keeps_to_its_threads(
    kind: type, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def recording(*arguments: Any) -> Any:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return zca(*arguments)

    monkeypatch.setattr(sys.modules[kind.__module__], "zca", recording)
    rows = rng.integers(0, 256, (40, 100), dtype=np.uint8)
    first, second = (kind(threads=threads).fit(rows) for threads in (1, 2))
    assert set(seen) == {1}
    assert np.array_equal(first.whitening_, second.whitening_)
    assert np.array_equal(first.mean_, second.mean_)


@pytest.mark.parametrize("n_filters", [1, 3, 70, 257, 600])
@pytest.mark.parametrize("quantise", [False, True])
def test_a_filter_has_the_same_bits_in_every_block(
    rng: np.random.Generator, n_filters: int, quantise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BLAS adds up in another order at the end of a product: with OpenBLAS's Haswell kernels in the last columns."""
    monkeypatch.setattr(bytes_product, "available", lambda: False)
    rows = rng.integers(0, 256, (8, 180), dtype=np.uint8)
    net = RandomConv((10, 9, 2), n_filters, n_patches=300, threshold=0.2, quantise=quantise).fit(rows)
    whole = net.transform(rows)
    for per_block in (7, 33, 256, 512):
        for columns, block in net.blocks(rows, per_block):
            assert np.array_equal(block, whole[:, columns])


@pytest.mark.parametrize("n_filters", [1, 255, 256, 257, 512, 513, 3000, 32_000])
def test_groups_cover_the_filters_once(n_filters: int) -> None:
    edges = group_edges(n_filters)
    assert [a for a, _ in edges] == [0, *(b for _, b in edges[:-1])]
    assert edges[-1][1] == n_filters
    assert max(b - a for a, b in edges) <= FILTERS_PER_GROUP


@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize("vnni", [False, True])
def test_flips_are_means_of_an_image_and_its_mirror_image(
    quantise: bool, vnni: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not vnni:
        monkeypatch.setattr(bytes_product, "available", lambda: False)
    rows = rng.integers(0, 256, (6, 12 * 11 * 3), dtype=np.uint8)
    mirrored = rows.reshape(6, 12, 11, 3)[:, :, ::-1].reshape(6, -1)
    options = {"image_shape": (12, 11, 3), "n_filters": 9, "n_patches": 300, "pool_size": 4, "threshold": 0.3}
    net = RandomConv(**options, flips=True, quantise=quantise).fit(rows)
    plain = RandomConv(**options).fit(rows)
    features = net.transform(rows)
    assert np.array_equal(features, net.transform(mirrored))
    expected = (plain.transform(rows) + plain.transform(mirrored)) / 2
    assert np.abs(features - expected).max() <= 1e-6 + 0.51 * net.step_
    assert np.abs(features - plain.transform(rows)).max() > 0.1 * features.max()
    assert np.array_equal(net.filter_block(rows, 2, 7), features[:, net.columns(2, 7)])
    assert net.flops_per_image == 2 * plain.flops_per_image
