"""Tables that are never cut: columns left out, or blocks, where there is no room."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from kernelfit.report.grid import Filled, Grid, Pairs


def lines(item: RenderableType, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, markup=False, highlight=False).print(item)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.fixture
def grid() -> Grid:
    grid = Grid(("Name", "Meaning", "Count"), right=(2,), words=(1,), optional=(1,))
    grid.add_row("first", "what comes before all", "1,234")
    grid.add_row("[red]", "", "5")
    return grid


def test_with_room_every_row_is_a_line(grid: Grid) -> None:
    assert lines(grid, 60) == [
        "Name   Meaning                Count",
        "first  what comes before all  1,234",
        "[red]                             5",
    ]


def test_words_are_wrapped_before_anything_is_left_out(grid: Grid) -> None:
    assert lines(grid, 31) == [
        "Name   Meaning            Count",
        "first  what comes before  1,234",
        "       all",
        "[red]                         5",
    ]


def test_what_matters_least_is_left_out_and_named(grid: Grid) -> None:
    assert lines(grid, 25) == ["Name   Count", "first  1,234", "[red]      5", "no room for: Meaning"]


def test_where_that_is_not_enough_rows_are_blocks_with_all_columns(grid: Grid) -> None:
    grid.optional = ()
    assert lines(grid, 20) == [
        "first",
        "  Meaning: what",
        "  comes before all",
        "  Count: 1,234",
        "[red]",
        "  Count: 5",
    ]


def test_pairs_wrap_their_values() -> None:
    pairs = Pairs("title")
    pairs.add_row("path", "a" * 30)
    assert lines(pairs, 20) == ["title", "path  " + "a" * 14, "      " + "a" * 14, "      aa"]


def test_phrases_stay_whole() -> None:
    filled = Filled(("gram 1.02 s", "factor 10 ms", "solve 3 ms"), "  ")
    assert lines(filled, 30) == ["  gram 1.02 s, factor 10 ms,", "  solve 3 ms"]
    assert max(map(len, lines(Filled(("ten chars!",) * 50), 10_000))) <= 80
