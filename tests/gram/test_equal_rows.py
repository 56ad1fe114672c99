"""Equal rows, of every dtype and width, also where hashes agree by chance."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.device.gram import _centred
from kernelfit.gram import equal_rows as module
from kernelfit.gram.equal_rows import equal_rows
from kernelfit.gram.points import Points


def by_comparison(values: np.ndarray) -> tuple[tuple[int, ...], ...]:
    groups: dict[tuple, list[int]] = {}
    for row, entries in enumerate(values.tolist()):
        groups.setdefault(tuple(entries), []).append(row)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 3, 8, 13])
def test_groups_are_those_of_a_comparison(rng, dtype, d):
    values = rng.integers(0, 3, (1_500, d)).astype(dtype)
    if values.dtype.kind == "f":
        values[rng.random(values.shape) < 0.3] *= -1  # 0.0 and -0.0
    assert equal_rows(values) == by_comparison(values)
    assert equal_rows(values[:0]) == ()
    assert equal_rows(values[::2]) == by_comparison(values[::2])


def test_rows_whose_hashes_agree_are_compared(rng, monkeypatch):
    monkeypatch.setattr(module, "_hash", lambda words, out: out.fill(7) is None)
    values = rng.integers(0, 4, (200, 2))
    assert equal_rows(values.astype(np.uint8)) == by_comparison(values)


@pytest.mark.parametrize(("dtype", "low"), [(np.uint8, 0), (np.int16, -300)])
def test_centred_bytes_wrap_around(rng, dtype, low):
    points = Points(rng.integers(low, low + 250, (70, 5)).astype(dtype))
    rows = _centred(points, 10, 60, 64)
    assert np.array_equal(rows[:, :5], points.values[10:60].astype(int) - points.centre)
    assert not rows[:, 5:].any()
