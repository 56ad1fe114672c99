"""How K is cut into panels and panels into strips of rows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelfit.errors import InputError
from kernelfit.gram.layout import PanelLayout

orders = st.integers(1, 100_000)


def covered(strips):
    return sorted(row for a, b in strips for row in range(a, b))


@pytest.mark.parametrize("n", [1, 2, 19, 111, 128, 129, 1500, 1501, 4001])
def test_panels_cover_every_column_once(n):
    layout = PanelLayout.of_order(n)
    columns = [c for j in range(layout.count) for c in range(layout.start(j), layout.stop(j))]
    assert columns == list(range(n))
    assert all(
        layout.panel_of(c) == j for j in range(layout.count) for c in range(layout.start(j), layout.stop(j))
    )


@settings(deadline=None)
@given(orders, st.integers(1, 5000))
def test_panels_hold_the_lower_triangle_and_no_more_than_half_a_panel_beside(n, width):
    layout = PanelLayout(n, min(width, n))
    exact = sum((n - layout.start(j)) * (layout.stop(j) - layout.start(j)) for j in range(layout.count))
    assert layout.elements == exact
    assert n * (n + 1) // 2 <= layout.elements <= n * (n + layout.width) // 2


@given(orders)
def test_the_layout_depends_on_n_alone_and_is_sane(n):
    layout = PanelLayout.of_order(n)
    assert layout == PanelLayout.of_order(n)
    assert 1 <= layout.width <= min(n, 2048)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 9000), st.integers(0, 9000), st.integers(1, 3000))
def test_strips_cover_every_row_once(first, rows, width):
    n = first + rows
    if n == 0:
        return
    layout = PanelLayout(n, min(width, n))
    assert covered(layout.strips(first)) == list(range(first, n))
    heights = [b - a for a, b in layout.strips(first)]
    assert all(0 < height <= 1024 for height in heights)
    j = layout.count - 1 if first == 0 else layout.panel_of(min(first, n - 1))
    assert covered(layout.panel_strips(j)) == list(range(layout.start(j), n))


def test_no_order_below_one():
    with pytest.raises(InputError, match=r"^n: got 0 rows, expected at least 1$"):
        PanelLayout.of_order(0)
