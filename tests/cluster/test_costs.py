"""Who gets how many rows: pure arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kernelfit.cluster.costs import Room, ShareCosts, parts_of, placed
from kernelfit.cluster.deal import Deal
from kernelfit.errors import PlanError
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import PanelLayout

COSTS = Costs.of(n=20_011, d=10, n_rhs=1, panel_width=512)
#: what a worker has beside its blocks, and blocks that all of them have together
BESIDE = ShareCosts.of(COSTS, Deal(COSTS.layout, 1), 0, 1).beside
BLOCKS = COSTS.bytes_factor
ENOUGH = Room(BESIDE + 2 * BLOCKS, 10**13, 1)


@pytest.mark.parametrize("parts", [(), (1.0, 1.0, 1.0), (0.2, 1.0, 0.5), (3.0, 1.0, 2.0)])
def test_shares_have_their_parts_below_every_row(parts: tuple[float, ...]) -> None:
    deal = Deal(PanelLayout(3_001, 50), 3, parts)
    expected = [part / sum(parts or (1.0,) * 3) for part in parts or (1.0,) * 3]
    for j in range(0, deal.layout.count - 10, 7):
        below = [sum(deal.row_elements(i) for i in deal.rows(p) if i >= j) for p in range(3)]
        for own, part in zip(below, expected, strict=True):
            assert own / sum(below) == pytest.approx(part, abs=0.06)


def test_rates_that_differ_little_and_memory_that_suffices_deal_evenly() -> None:
    assert parts_of(COSTS, [ENOUGH, replace(ENOUGH, rate=0.7)], "auto") == ()


def test_a_slow_worker_gets_as_many_rows_as_it_is_fast() -> None:
    parts = parts_of(COSTS, [replace(ENOUGH, rate=3e9), replace(ENOUGH, rate=1e9)], "auto")
    assert parts[1] / parts[0] == pytest.approx(1 / 3)


@pytest.mark.parametrize("tier", ["auto", "ram"])
def test_a_worker_of_a_third_of_the_memory_gets_the_rows_that_fit(tier: str) -> None:
    room = Room(BESIDE + BLOCKS * 6 // 10, 0, 1)
    third = replace(room, memory=BESIDE + BLOCKS * 2 // 10)
    rooms = [room, room, third]
    parts = parts_of(COSTS, rooms, tier)
    deal = Deal(COSTS.layout, 3, parts)
    assert placed(COSTS, deal, rooms, tier, seen=False) == [False, False, False]
    assert deal.elements(2) < deal.elements(0) == pytest.approx(deal.elements(1), rel=0.05)
    with pytest.raises(PlanError, match="needed on worker 2 of 3 for its share"):
        placed(COSTS, Deal(COSTS.layout, 3), rooms, "ram", seen=False)


def test_memory_that_does_not_suffice_at_all_is_refused_in_one_line() -> None:
    rooms = [Room(BESIDE + BLOCKS // 4, 0, 1), Room(BESIDE + BLOCKS // 12, 0, 1)]
    assert parts_of(COSTS, rooms, "auto") == ()
    with pytest.raises(PlanError, match=r"disk: .* bytes needed on worker 0 of 2"):
        placed(COSTS, Deal(COSTS.layout, 2), rooms, "auto", seen=False)


def test_products_of_many_targets_count_where_they_are_more_than_block_rows() -> None:
    many = Costs.of(n=20_011, d=10, n_rhs=1_000, panel_width=512)
    share = ShareCosts.of(many, Deal(many.layout, 1), 0, 1)
    # alpha, what is multiplied and what comes of it twice, and three that are done.
    assert share.beside >= (1 + 5 * 2) * many.n * 1_000 * 8
