"""What sums of Gram matrices need: blocks of filters, memory and disk, by arithmetic alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernelfit.features.random_conv import RandomConv
from kernelfit.streaming.plan import (
    BLOCK_BYTES,
    GramSizes,
    block_bytes,
    filters_per_block,
    plan_feature_gram,
)


def fitted(n_filters: int, **options: Any) -> RandomConv:
    rows = np.random.default_rng(0).integers(0, 256, (4, 180), dtype=np.uint8)
    return RandomConv(
        (10, 9, 2), n_filters, pooling="quadrants", n_patches=300, threshold=0.3, threads=2, **options
    ).fit(rows)


def test_blocks_fit_their_memory() -> None:
    quantised = fitted(600, quantise=True)
    assert block_bytes(quantised, 100, 10) == 2 * quantised.n_windows_ * 210
    net = fitted(600)
    assert filters_per_block(net, 10, 2) == 512
    rows = 10_000_000
    assert filters_per_block(net, rows, 0) * 4 * 2 * net.n_windows_ * rows <= BLOCK_BYTES
    assert filters_per_block(net, 10**12, 0) == 1


def test_blocks_are_whole_groups_of_filters_or_parts_of_one() -> None:
    net = fitted(3000)
    per_row = 4 * 2 * net.n_windows_
    for fitting, expected in ((600, 512), (511, 256), (256, 256), (255, 128), (100, 64), (3, 2), (1, 1)):
        assert filters_per_block(net, BLOCK_BYTES // (fitting * per_row), 0) == expected


@pytest.mark.parametrize(("n", "filters"), [(50_000, 32_000), (5_000, 3_000), (50_000, 3_000)])
def test_full_size_fits_into_the_grams_and_two_gigabytes(n: int, filters: int) -> None:
    net = RandomConv(image_shape=(32, 32, 3), n_filters=filters)
    net.n_windows_ = 9
    plan = plan_feature_gram(net, GramSizes.of(n, 10_000, 3072))
    assert plan.memory <= plan.gram + plan.cross + 1.7e9
    assert plan.stored == (n == 50_000)
