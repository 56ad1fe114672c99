"""Wavelet features against PyWavelets itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pywt

from kernelfit.errors import InputError
from kernelfit.features.wavelet import Wavelet


@pytest.mark.parametrize("wavelet", ["haar", "db3", "bior2.2"])
@pytest.mark.parametrize("mode", ["zero", "symmetric", "periodization"])
def test_discrete_coefficients(wavelet: str, mode: str, rng: np.random.Generator) -> None:
    rows = rng.random((3, 23 * 29))
    feature = Wavelet(image_shape=(23, 29), wavelet=wavelet, mode=mode, levels=2, modulus=False).fit(rows)
    expected = []
    for image in rows.reshape(3, 23, 29):
        coefficients = pywt.wavedec2(image, wavelet, mode=mode, level=2)
        bands = [coefficients[0], *[band for triple in coefficients[1:] for band in triple]]
        expected.append(np.concatenate([band.ravel() for band in bands]))
    assert np.allclose(feature.transform(rows), expected, atol=1e-5)
    names = feature.get_feature_names_out()
    assert names[0] == "wavelet_approximation_y0_x0_c0"
    assert names[-1].startswith("wavelet_diagonal1_")


def test_stationary_moduli_pooled(rng: np.random.Generator) -> None:
    rows = rng.random((4, 16 * 16))
    feature = Wavelet(transform_kind="stationary", wavelet="db2", levels=2, pool=3, mode="periodic").fit(rows)
    got = feature.transform(rows)
    for index, image in enumerate(rows.reshape(4, 16, 16)):
        coefficients = pywt.swt2(image, "db2", level=2, trim_approx=True)
        bands = [coefficients[0], *[np.abs(band) for triple in coefficients[1:] for band in triple]]
        expected = [
            band[y : y + 3, x : x + 3].mean()
            for band in bands
            for y in range(0, 16, 3)
            for x in range(0, 16, 3)
        ]
        assert np.allclose(got[index], expected, atol=1e-5)


@pytest.mark.parametrize("mode", pywt.Modes.modes)
def test_stationary_images_are_continued_in_every_mode(mode: str, rng: np.random.Generator) -> None:
    """Sides 7, 5 and 8 want 1, 3 and no more pixels, as `pywt.pad` gives them to each line by itself."""
    for height, width in ((7, 5), (8, 6)):
        rows = rng.random((2, height * width * 2)).astype(np.float32)
        shape = (height, width, 2)
        feature = Wavelet(
            shape, transform_kind="stationary", wavelet="haar", levels=2, mode=mode, modulus=False
        )
        got = feature.fit_transform(rows)
        for index, image in enumerate(rows.reshape(2, *shape)):
            padded = np.apply_along_axis(_line, 0, image, -(-height // 4) * 4, mode)
            padded = np.apply_along_axis(_line, 1, padded, -(-width // 4) * 4, mode)
            bands = pywt.swt2(padded, "haar", level=2, trim_approx=True, axes=(0, 1))
            flat = [bands[0], *[band for triple in bands[1:] for band in triple]]
            assert np.allclose(got[index], np.concatenate([band.ravel() for band in flat]), atol=1e-5)


def _line(pixels: Any, length: int, mode: str) -> Any:
    if mode == "periodization" and len(pixels) % 2:
        pixels = np.append(pixels, pixels[-1])
    return pixels if len(pixels) == length else pywt.pad(pixels, (0, length - len(pixels)), mode)


def test_stationary_moduli_of_a_shifted_image_are_shifted(rng: np.random.Generator) -> None:
    image = np.zeros((16, 16))
    image[4:7, 5:9] = rng.random((3, 4))
    rows = np.stack([image.ravel(), np.roll(image, (1, 2), axis=(0, 1)).ravel()])
    kind = Wavelet(transform_kind="stationary", wavelet="haar", levels=2, mode="periodic").fit(rows)
    maps = kind.transform(rows).reshape(2, -1, 16, 16)
    assert np.allclose(np.roll(maps[0], (1, 2), axis=(1, 2)), maps[1], atol=1e-6)


def test_channels_are_transformed_apart(rng: np.random.Generator) -> None:
    images = rng.random((3, 12, 10, 2)).astype(np.float32)
    both = Wavelet(image_shape=(12, 10, 2), levels=1).fit(images.reshape(3, -1))
    one = Wavelet(image_shape=(12, 10, 1), levels=1).fit(images[..., 1].reshape(3, -1))
    assert np.allclose(
        both.transform(images.reshape(3, -1)).reshape(3, -1, 2)[..., 1],
        one.transform(images[..., 1].reshape(3, -1)),
    )


def test_no_level_is_the_image_and_none_the_most(rng: np.random.Generator) -> None:
    rows = rng.random((2, 256))
    for kind in ("discrete", "stationary"):
        assert np.allclose(Wavelet(levels=0, transform_kind=kind).fit(rows).transform(rows), rows)
        assert Wavelet(levels=None, wavelet="haar", transform_kind=kind).fit(rows).levels_ == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wavelet": "db99"}, "wavelet: got 'db99', expected a discrete wavelet"),
        (
            {"transform_kind": "dual-tree"},
            "transform_kind: got 'dual-tree', expected one of discrete, stationary",
        ),
        ({"mode": "wrap"}, "mode: got 'wrap', expected one of zero"),
        ({"levels": -1}, "levels: got -1, expected an integer >= 0"),
        ({"levels": 9}, r"levels: got 9, expected 2\^levels <= 2 x 10 pixels"),
        ({"pool": 0}, "pool: got 0"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Wavelet(**options).fit(np.zeros((2, 100)))


@pytest.mark.parametrize(("shape", "levels"), [((1, 7), 1), ((8, 8), 4)])
def test_a_line_of_one_pixel_has_no_reflection(shape: tuple[int, int], levels: int) -> None:
    rows = np.ones((2, shape[0] * shape[1]))
    options = {"image_shape": shape, "wavelet": "haar", "levels": levels}
    assert np.isfinite(Wavelet(**options, mode="symmetric").fit_transform(rows)).all()
    with pytest.raises(InputError, match="mode: got 'antireflect', which continues no line of one pixel"):
        Wavelet(**options, mode="antireflect").fit(rows)
