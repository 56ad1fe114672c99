"""Gabor features against direct convolution, and what the filters promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import convolve2d

from kernelfit.errors import InputError
from kernelfit.features.gabor import Gabor, gabor_filter
from kernelfit.features.pooling import grid


def reference(gabor: Gabor, rows: np.ndarray) -> np.ndarray:
    """The documented steps one image and one map at a time, in float64, convolving in the plane."""
    height, width, channels = gabor.image_shape_
    result = []
    for image in rows.astype(np.float64).reshape(len(rows), height, width, channels) * gabor.scale:
        features = []
        for channel in range(channels):
            plane = image[:, :, channel]
            maps = [
                np.abs(
                    convolve2d(
                        plane, gabor_filter(wavelength, np.pi * k / gabor.n_orientations, gabor.bandwidth)
                    )
                )
                for wavelength in gabor.wavelengths
                for k in range(gabor.n_orientations)
            ]
            # `full` output: keep the part centred on the image.
            maps = [m[_centre(m.shape[0], height), _centre(m.shape[1], width)] for m in maps]
            maps += [plane] if gabor.low_pass else []
            for index, each in enumerate(maps):
                pooled = _pool(each, gabor.pool_sigma, gabor.stride) / gabor.scales_[channel, index]
                features.append(np.sign(pooled) * np.abs(pooled) ** gabor.power)
        row = np.concatenate([each.ravel() for each in features])
        result.append(row / np.linalg.norm(row) if gabor.normalize else row)
    return np.array(result)


def _centre(full: int, length: int) -> slice:
    start = (full - length) // 2
    return slice(start, start + length)


def _pool(image: np.ndarray, sigma: float, stride: int) -> np.ndarray:
    """Gaussian means at the grid's positions, with a normalisation over the whole plane."""
    far = np.arange(-200, 201)
    total = np.exp(-(far**2) / (2 * sigma**2)).sum() ** 2
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array(
        [
            [
                (image * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * sigma**2))).sum() / total
                for b in grid(image.shape[1], stride)
            ]
            for a in grid(image.shape[0], stride)
        ]
    )


CASES: dict[str, tuple[tuple[int, int, int], int, dict[str, Any]]] = {
    "defaults": ((28, 28, 1), 2, {}),
    "plain moduli": ((28, 28, 1), 2, {"power": 1.0, "normalize": False, "low_pass": False}),
    "colour, odd": (
        (13, 17, 3),
        3,
        {"wavelengths": (2.0, 5.5), "n_orientations": 3, "power": 0.3, "stride": 3},
    ),
    "one image, one filter": ((9, 9, 1), 1, {"wavelengths": (3,), "n_orientations": 1, "low_pass": False}),
    "filters larger than the image": (
        (8, 6, 1),
        3,
        {"wavelengths": (30.0,), "bandwidth": 0.5, "normalize": False},
    ),
    "several tasks": (
        (8, 8, 1),
        150,
        {"wavelengths": (3.0,), "n_orientations": 2, "stride": 1, "pool_sigma": 0.7},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_direct_convolution(case: str, rng: np.random.Generator) -> None:
    shape, n, options = CASES[case]
    rows = rng.integers(0, 256, (n, int(np.prod(shape))), dtype=np.uint8)
    gabor = Gabor(image_shape=shape, scale=1 / 255, threads=2, **options).fit(rows)
    expected = reference(gabor, rows)
    got = gabor.transform(rows)
    assert got.shape == expected.shape
    # A square root makes an absolute error e near zero sqrt(e); compare before it.
    error = np.abs(got.astype(np.float64) ** (1 / gabor.power) - np.abs(expected) ** (1 / gabor.power))
    assert error.max() <= 1e-5 * np.abs(expected).max()


def test_negative_pixels_keep_their_sign_in_the_low_pass(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((3, 100)) - 1
    gabor = Gabor(wavelengths=(3.0,), n_orientations=1, normalize=False).fit(rows)
    got, expected = gabor.transform(rows), reference(gabor, rows)
    assert (expected < -0.1).any()
    assert np.allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("wavelength", [2.0, 3.0, 8.0])
@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2])
def test_filters_have_no_mean_and_unit_mass(wavelength: float, angle: float) -> None:
    psi = gabor_filter(wavelength, angle, 0.56)
    assert abs(psi.sum()) < 1e-12
    assert np.abs(psi).sum() == pytest.approx(1)
    assert psi.shape[0] == psi.shape[1]
    assert psi.shape[0] % 2 == 1


def test_a_wave_answers_in_its_own_map() -> None:
    """A grating of 4 pixels at 45 degrees is found by the filter of 4 pixels at 45 degrees."""
    y, x = np.mgrid[:32, :32]
    wave = np.cos(2 * np.pi * (x + y) / np.sqrt(2) / 4)
    gabor = Gabor(
        wavelengths=(2.5, 4.0, 8.0),
        n_orientations=4,
        low_pass=False,
        normalize=False,
        power=1,
        pool_sigma=2.0,
    )
    gabor.fit(wave.reshape(1, -1))
    # One training image: undo the division by its own root mean squares.
    maps = gabor.transform(wave.reshape(1, -1)).reshape(12, -1).mean(axis=1) * gabor.scales_[0]
    assert maps.argmax() == 1 * 4 + 1
    assert np.sort(maps)[-2] < 0.5 * maps.max()


def test_scales_are_root_mean_squares_of_the_maps(rng: np.random.Generator) -> None:
    rows = rng.random((200, 144))
    gabor = Gabor(wavelengths=(3.0,), n_orientations=3, power=1, normalize=False).fit(rows)
    maps = gabor.transform(rows).reshape(200, 4, -1)
    assert np.allclose(np.sqrt((maps**2).mean(axis=(0, 2))), 1, rtol=1e-5)
    blank = np.zeros((3, 144))
    assert np.array_equal(
        Gabor().fit(blank).transform(blank), np.zeros((3, Gabor().fit(blank).n_features_out_))
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wavelengths": ()}, "wavelengths: got none"),
        ({"wavelengths": (1.0,)}, "wavelengths: got 1.0, expected at least 2 pixels"),
        ({"n_orientations": 2.5}, "n_orientations: got 2.5, expected an integer >= 1"),
        ({"stride": 0}, "stride: got 0"),
        ({"bandwidth": -1}, "bandwidth: got -1"),
        ({"pool_sigma": 0}, "pool_sigma: got 0"),
        # Rounding alone was left of such filters, and nothing of such pooling: NaN, and features that are all 0.
        (
            {"bandwidth": 0.02},
            r"bandwidth: got 0.02, an envelope of 0.06 pixels at the wavelength 3, .* give 0.0667",
        ),
        (
            {"pool_sigma": 0.01},
            "pool_sigma: got 0.01, expected at least 0.1 pixels, as maps are read between",
        ),
        ({"power": 1.5}, r"power: got 1.5, expected a number in \(0, 1\]"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Gabor(**options).fit(np.zeros((2, 100)))


def test_pooling_may_be_left_out_where_maps_are_read_at_pixels(rng: np.random.Generator) -> None:
    rows = rng.random((3, 36))
    plain = Gabor(pool_sigma=1e-3, stride=1, power=1.0, normalize=False, low_pass=True).fit(rows)
    low = plain.transform(rows).reshape(3, -1, 36)[:, -1]
    assert np.allclose(low * plain.scales_[0, -1], rows, rtol=1e-5)
