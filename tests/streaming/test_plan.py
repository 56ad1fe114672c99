"""What sums of Gram matrices need: blocks of filters, memory and disk, by arithmetic alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.errors import PlanError
from kernelfit.features.random_conv import RandomConv
from kernelfit.streaming import plan as plan_module
from kernelfit.streaming.plan import (
    BLOCK_BYTES,
    GramSizes,
    SolveRequest,
    block_bytes,
    filters_per_block,
    plan_feature_gram,
    require_solvable,
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


def test_sums_and_a_factor_that_are_there_take_no_disk_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stopped run could not be resumed on a disk that it fits on; sums in a file asked for a factor's bytes too."""
    net, n = fitted(600), 20_000
    sums = plan_feature_gram(net, GramSizes.of(n, 0, 180), checkpoint=True)
    size = sums.gram + sums.cross
    free = int(2.2 * size)
    monkeypatch.setattr(plan_module, "free_disk", lambda folder: free)

    def fits(**more: Any) -> bool:
        asked = {"n_rhs": 10, "memory": 10**11, "precision": "float64", "tier": "auto", "folder": tmp_path}
        try:
            require_solvable(net, n, 0, 180, SolveRequest(**asked, **more))
        except PlanError:
            return False
        return True

    assert fits(stored=True, checkpoint=True)
    free = int(1.2 * size)
    assert not fits(stored=True, checkpoint=True)
    assert fits(stored=True, checkpoint=True, there=size)
    free = int(1.01 * size)
    assert fits(stored=False, checkpoint=True)
