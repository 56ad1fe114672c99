"""Responses by SGEMM and by products of bytes, against the formula in float64 and integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelfit.cpu import bytes_product
from kernelfit.cpu.pool import CpuBackend
from kernelfit.features.byte_responses import LONGEST_PATCH, PackedFilters, integer_filters, patch_words
from kernelfit.features.responses import ByteResponses, FilterGroup, FloatResponses

needs_vnni = pytest.mark.skipif(
    not bytes_product.available(), reason="this CPU, or Numba's target, has no AVX-512 VNNI"
)
SHAPES = [  # image, patch, filters
    ((32, 32, 3), (6, 6, 3), 40),
    ((5, 9, 1), (3, 2, 1), 16),  # runs of two bytes: words of two rows
    ((7, 7, 1), (7, 1, 1), 5),  # runs of one byte
    ((6, 6, 2), (6, 6, 2), 1),  # one position
    ((1, 30, 1), (1, 6, 1), 17),
    ((20, 20, 1), (15, 15, 1), 33),
]


def group_of(filters: np.ndarray, patch: tuple[int, int, int]) -> FilterGroup:
    by_channel = filters.reshape(-1, *patch).transpose(3, 1, 2, 0).reshape(-1, len(filters))
    packed = PackedFilters(*integer_filters(filters))
    nothing = np.zeros(len(filters), np.float32)
    folded = np.ascontiguousarray(by_channel, np.float32)
    return FilterGroup(0, len(filters), folded, packed, nothing, nothing)


# Patches of length 1.
UNIT = (1.0, 0.0)


def patches_of(image: np.ndarray, patch: tuple[int, int, int]) -> np.ndarray:
    height, width, _ = image.shape
    return np.array(
        [
            image[y : y + patch[0], x : x + patch[1]].astype(float).ravel()
            for y in range(height - patch[0] + 1)
            for x in range(width - patch[1] + 1)
        ]
    )


@pytest.mark.parametrize("form", ["float", pytest.param("bytes", marks=needs_vnni)])
@pytest.mark.parametrize(("shape", "patch", "count"), SHAPES)
def test_are_those_of_the_formula(rng, form, shape, patch, count):
    filters = rng.standard_normal((count, int(np.prod(patch)))) * 10.0 ** rng.integers(-3, 4, (count, 1))
    group = group_of(filters, patch)
    with CpuBackend(1) as backend:
        responses = (
            ByteResponses(shape, patch, UNIT, *patch_words(shape, patch), group.packed.width, backend)
            if form == "bytes"
            else FloatResponses(shape, patch, UNIT, count, backend)
        )
        for low in (0, 250):  # the second image has little contrast: a bright, nearly flat one
            image = rng.integers(low, 256, shape, dtype=np.uint8)
            patches = patches_of(image, patch)
            centred = patches - patches.mean(axis=1, keepdims=True)
            lengths = np.linalg.norm(centred, axis=1, keepdims=True)
            unit = centred / np.where(lengths > 0, lengths, 1)
            responses.take(image.reshape(-1))
            computed = responses.to(group)[: len(patches), :count]
            # Patches have length 1: what rounding does to a filter bounds what it does to a response.
            moved = 1e-6 * np.linalg.norm(filters, axis=1)
            if form == "float":  # whose means are rounded before they are taken off
                moved = moved * (1 + np.linalg.norm(patches, axis=1, keepdims=True) / np.maximum(lengths, 1))
            if form == "bytes":
                whole, units = integer_filters(filters)
                zero_mean = filters - filters.mean(axis=1, keepdims=True)
                moved += np.linalg.norm(whole * units[:, None] - zero_mean, axis=1)
            assert (np.abs(computed - unit @ filters.T) <= moved).all()


@needs_vnni
def test_the_longest_patches_do_not_overflow():
    shape = patch = (1, LONGEST_PATCH, 1)
    filters = np.where(np.arange(LONGEST_PATCH) < LONGEST_PATCH // 2, 1.0, -1.0)[None]
    group = group_of(filters, patch)
    with CpuBackend(1) as backend:
        responses = ByteResponses(shape, patch, UNIT, *patch_words(shape, patch), group.packed.width, backend)
        for sign in (1, -1):
            image = np.where(sign * filters[0] > 0, 255, 0).astype(np.uint8)
            responses.take(image)
            assert responses.to(group)[0, 0] == pytest.approx(sign * np.sqrt(LONGEST_PATCH), rel=1e-5)


@given(st.integers(1, 5), st.integers(1, 120), st.integers(-30, 30), st.integers(0, 2**32 - 1))
def test_integer_filters_add_up_to_zero_and_are_near(count, d, scale, seed):
    filters = np.random.default_rng(seed).laplace(size=(count, d)) * 2.0**scale
    filters[0] = filters[0, 0]  # constant: nothing is left of it
    whole, units = integer_filters(filters)
    assert whole.dtype == np.int16
    assert (whole.sum(axis=1, dtype=np.int64) == 0).all()
    assert np.abs(whole.astype(int)).max() <= 32_639
    zero_mean = filters - filters.mean(axis=1, keepdims=True)
    lost = 1e-9 * np.abs(filters).max(axis=1, keepdims=True)  # of a constant filter
    assert (np.abs(whole * units[:, None] - zero_mean) <= 1.01 * units[:, None] + lost).all()
    assert (units <= np.abs(zero_mean).max(axis=1) / 32_599 + 1e-38).all()
    assert not whole[0].any()


def test_packed_filters_are_two_signed_bytes(rng):
    whole = rng.integers(-32_639, 32_640, (19, 10)).astype(np.int16)
    packed = PackedFilters(whole, np.ones(19, np.float32))
    assert packed.width == 32
    assert packed.values.ctypes.data % 64 == 0
    high, low = (packed.values[:, :, part].astype(int) for part in (0, 1))
    joined = (256 * high + low).transpose(0, 2, 1, 3).reshape(32, 12)
    assert np.array_equal(joined[:19, :10], whole)
    assert not joined[19:].any()
    assert not joined[:, 10:].any()


@needs_vnni
@pytest.mark.parametrize("shape", [(32, 32, 3), (17, 12, 1)])
def test_quantised_features_hardly_depend_on_the_way(rng, shape, monkeypatch):
    from kernelfit.features import RandomConv

    rows = rng.integers(0, 256, (20, int(np.prod(shape))), dtype=np.uint8)
    net = RandomConv(shape, n_filters=50, n_patches=1000, threshold=0.3, quantise=True).fit(rows)
    by_bytes = net.transform(rows)
    monkeypatch.setattr(bytes_product, "available", lambda: False)
    by_floats = net.transform(rows)
    assert by_bytes.max() >= 100 * net.step_
    assert np.abs(by_bytes - by_floats).max() <= net.step_
    assert (by_bytes == by_floats).mean() > 0.995
