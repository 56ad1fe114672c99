"""Pictures of feature maps: titles in words, one scale, a bar that says it."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.features import Gabor, RandomConv, Wavelet, Whitening
from kernelfit.features.images import ImageFeatures
from kernelfit.report import feature_pictures


def titles(figure: object) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]  # type: ignore[attr-defined]


@pytest.fixture
def rows(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (12, 16 * 16), dtype=np.uint8)


def test_filters_are_named_in_words_and_the_bar_says_their_unit(rows: np.ndarray) -> None:
    feature = Gabor(image_shape=(16, 16, 1), wavelengths=(3, 6), n_orientations=4).fit(rows)
    figure = feature_pictures.filters(feature)
    assert titles(figure)[:5] == ["3 px, 0°", "3 px, 45°", "3 px, 90°", "3 px, 135°", "6 px, 0°"]
    bar = figure.axes[-1]
    assert bar.get_ylabel() == "weight of a pixel / the filter's largest"
    assert bar.get_ylim() == (-1, 1)
    assert figure.get_suptitle() == "Filters of Gabor"


def test_maps_share_one_scale_and_images_keep_their_own(rows: np.ndarray) -> None:
    feature = Gabor(image_shape=(16, 16, 1), wavelengths=(3,), n_orientations=2).fit(rows)
    figure = feature_pictures.maps(feature, rows, 2)
    assert titles(figure) == ["image 0", "3 px, 0°", "3 px, 90°", "smoothed", "image 1", *titles(figure)[1:4]]
    maps = feature.transform(rows[:2])
    drawn = [axes for axes in figure.axes if axes.get_title().startswith(("3 px", "smoothed"))]
    limits = {axes.images[0].get_clim() for axes in drawn}
    ((low, high),) = limits
    assert (low, high) == pytest.approx((maps.min(), maps.max()))
    assert figure.axes[-1].get_ylim() == pytest.approx((low, high))
    image = next(axes for axes in figure.axes if axes.get_title() == "image 0").images[0].get_array()
    assert (image.min(), image.max()) == (0, 1)


@pytest.mark.parametrize(
    ("feature", "title"),
    [
        (Wavelet(image_shape=(16, 16, 1)), "horizontal, level 2"),
        (RandomConv(image_shape=(16, 16, 1), n_filters=4, pool_size=6), "filter 0, above"),
        (Whitening(image_shape=(16, 16, 1)), "whitened"),
    ],
)
def test_maps_of_every_kind_have_titles_in_words(
    feature: ImageFeatures, title: str, rows: np.ndarray
) -> None:
    feature.fit(rows)
    assert title in titles(feature_pictures.maps(feature, rows, 1))
    assert feature_pictures.filters(feature).axes[-1].get_ylabel().startswith("weight")


def test_colours_are_named_and_shown_around_grey(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (12, 8 * 8 * 3), dtype=np.uint8)
    feature = Whitening(image_shape=(8, 8, 3)).fit(rows)
    figure = feature_pictures.filters(feature)
    assert titles(figure)[:3] == ["pixel 0, 0, red", "pixel 0, 0, green", "pixel 0, 0, blue"]
    assert "grey, which is zero" in figure.get_suptitle()
    shown = figure.axes[0].images[0].get_array()
    assert max(shown.max(), 1 - shown.min()) == pytest.approx(1)
