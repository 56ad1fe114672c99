"""All feature maps as scikit-learn transformers."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import kernelfit
from kernelfit import features
from kernelfit.errors import DuplicateRowsError, InputError
from kernelfit.features import Gabor, RandomConv, Wavelet, Whitening
from kernelfit.features.images import ImageFeatures

SMALL: dict[str, dict[str, Any]] = {
    "gabor": {"wavelengths": (3.0, 5.0), "n_orientations": 4},
    "wavelet": {"levels": 1},
    "whitening": {},
    "random-conv": {"n_filters": 6, "n_patches": 400},
}


def small(name: str, **options: Any) -> Any:
    return features.feature_class(name)(**{**SMALL[name], "threads": 2, **options})


@parametrize_with_checks([small(name) for name in SMALL])
def test_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_registry_is_lazy_and_complete() -> None:
    assert features.names() == ("gabor", "wavelet", "whitening", "random-conv")
    assert [features.feature_class(name) for name in features.names()] == [
        Gabor,
        Wavelet,
        Whitening,
        RandomConv,
    ]
    code = (
        "import sys, kernelfit.features as f; f.names();"
        "print([m for m in ('numba', 'sklearn', 'pywt', 'scipy') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
    with pytest.raises(InputError, match=r"features: got 'sift', expected one of gabor, wavelet"):
        features.feature_class("sift")
    with pytest.raises(AttributeError):
        features.Sift  # noqa: B018


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 7, 1), (11, 12, 3), (1, 10, 1), (12, 1, 2), (1, 1, 1)])
def test_shapes_names_and_single_rows(
    name: str, shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    rows = rng.integers(0, 256, (5, int(np.prod(shape))), dtype=np.uint8)
    options = {} if name == "random-conv" else {"scale": 1 / 255}
    feature = small(name, image_shape=shape, **options).fit(rows)
    out = feature.transform(rows)
    assert out.dtype == np.float32
    assert out.shape == (5, feature.n_features_out_)
    assert np.isfinite(out).all()
    names = feature.get_feature_names_out()
    assert len(names) == len(set(names)) == feature.n_features_out_
    assert np.array_equal(feature.transform(rows[2:3]), out[2:3])


@pytest.mark.parametrize("name", SMALL)
def test_blocks_join_to_the_transform(name: str, rng: np.random.Generator) -> None:
    rows = rng.random((23, 144))
    feature = small(name).fit(rows)
    joined = np.full((23, feature.n_features_out_), np.nan, np.float32)
    for part, block in feature.blocks(rows, 5):
        joined[(slice(None), part) if name == "random-conv" else part] = block
    assert np.allclose(joined, feature.transform(rows), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_pickle_clone_and_progress(name: str, rng: np.random.Generator) -> None:
    rows = rng.random((300, 64))
    feature = small(name).fit(rows)
    expected = feature.transform(rows)
    assert np.array_equal(pickle.loads(pickle.dumps(feature)).transform(rows), expected)
    assert np.array_equal(clone(feature).fit(rows).transform(rows), expected)

    from contextlib import contextmanager

    done: dict[str, list[float]] = {}

    class Record:
        @contextmanager
        def phase(self, phase: str, total: float, unit: str = "flop") -> Any:
            done[phase] = [total, 0.0]

            def advance(amount: float) -> None:
                done[phase][1] += amount

            yield advance

        def note(self, message: str) -> None: ...

    feature.transform(rows, progress=Record())
    assert done == {"features": [300, 300]}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((7, 8, 1), r"image_shape: got \(7, 8, 1\) with 56 values, expected 64"),
        ((64,), r"image_shape: got \(64,\), expected \(height, width, channels\)"),
        ((-8, -8), "integers >= 1"),
    ],
)
def test_refuses_shapes(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small(name, image_shape=shape).fit(np.zeros((2, 64)))


@pytest.mark.parametrize("name", ["gabor", "wavelet", "whitening"])
@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), "big"])
def test_refuses_scales(name: str, scale: Any) -> None:
    with pytest.raises(InputError, match="scale: got"):
        small(name, scale=scale).fit(np.zeros((2, 64)))


@pytest.mark.parametrize("name", SMALL)
def test_refuses_pixels_that_float32_loses(name: str, rng: np.random.Generator) -> None:
    """They gave NaN, or zeros for all images."""
    rows = rng.random((10, 64))
    for factor in (1e39, -1e155, 1e-50, 1e-170):
        with pytest.raises(
            InputError, match=r"X: got numbers up to .*, expected the largest between 1e-30 and 1e"
        ):
            small(name).fit(factor * rows)
    feature = small(name).fit(rows)
    assert np.isfinite(feature.transform(1e-50 * rows)).all()
    with pytest.raises(InputError, match="X: got numbers up to"):
        feature.transform(1e39 * rows)


@pytest.mark.parametrize("name", ["gabor", "wavelet", "whitening"])
def test_large_images_are_computed_a_few_at_a_time(name: str, rng: np.random.Generator) -> None:
    options = {"whiten": False} if name == "whitening" else {}
    little, large = (
        small(name, **options).fit(rng.random((3, side * side)))._rows_per_task for side in (8, 400)
    )
    assert 64 <= little <= 256
    assert large <= 4


@pytest.mark.parametrize("options", [{"name": name} for name in SMALL] + [{"name": "wavelet", "pool": 3}])
@pytest.mark.parametrize("shape", [(28, 28, 1), (10, 9, 2), (9, 13, 3)])
def test_equal_images_have_equal_features(
    options: dict[str, Any], shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    """They differed in their last bits by where an image stood among the others: equal rows passed for different ones,
    and a training row was predicted from other features than it was trained on."""
    rows = rng.integers(0, 256, (150, int(np.prod(shape))), dtype=np.uint8)
    feature = small(**options, image_shape=shape).fit(rows)
    out = feature.transform(rows)
    for count in (1, 2, 3, 7, 100):
        assert np.array_equal(feature.transform(rows[:count]), out[:count])
    assert len(np.unique(feature.transform(np.repeat(rows[:1], 150, axis=0)), axis=0)) == 1


def test_equal_images_with_other_labels_are_found_behind_features(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (150, 784), dtype=np.uint8)
    rows[149] = rows[3]
    features = small("gabor").fit_transform(rows)
    with pytest.raises(DuplicateRowsError, match="rows 3, 149"):
        kernelfit.solve(features, np.arange(150.0))


def test_filters_are_counted_also_those_that_have_no_picture(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (30, 64), dtype=np.uint8)
    for feature, count, shown in (
        (RandomConv(n_filters=70), 70, 64),
        (Whitening(), 64, 16),
        (Whitening(whiten=False), 1, 1),
        (Gabor(wavelengths=(3,), n_orientations=2), 2, 2),
    ):
        feature.fit(rows)
        assert feature.filter_count == count
        assert len(feature.filter_pictures()) == shown


def test_a_map_without_pictures_says_so(rng: np.random.Generator) -> None:
    class Plain(ImageFeatures):
        pass

    for pictures in (Plain().filter_pictures, lambda: Plain().map_pictures(np.zeros((1, 4)))):
        with pytest.raises(InputError, match=r"^features: Plain has no pictures"):
            pictures()
