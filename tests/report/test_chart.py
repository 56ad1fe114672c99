"""Charts: what is drawn, listed and said is the same; what has no place is left out."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from kernelfit.report import feature_pictures, figures, plot
from kernelfit.report.chart import Axis, Chart, Rule, Series, values_of
from kernelfit.report.html.drawing import Drawings


def chart(**changes: object) -> Chart:
    fields: dict[str, object] = {
        "name": "errors",
        "title": "Errors",
        "x": Axis("n", log=True),
        "y": Axis("error, %"),
        "series": (
            Series("ours", (10.0, 0.0, 1000.0, 100.0), (1.0, 2.0, None, 1 / 3), spread=(0.1, 0.1, 0.1, 0.2)),
            Series("=theirs()", (10.0,), (5.0,), "dots", texts=("\tpoint",)),
        ),
    }
    return Chart(**{**fields, **changes})  # type: ignore[arg-type]


def test_values_that_are_none_stay_away() -> None:
    assert values_of([1, None, float("nan"), float("inf"), "2", True, 0.5], 10.0) == (
        10.0,
        None,
        None,
        None,
        None,
        None,
        5.0,
    )
    drawn = chart().drawable().series[0]
    assert drawn.x == (10.0, 100.0)
    assert drawn.y == (1.0, 1 / 3)
    assert drawn.spread == (0.1, 0.2)


def test_points_without_a_place_on_a_logarithm_are_counted() -> None:
    """Zeros were dropped without a word: a learning curve that reached 0 seemed to end."""
    assert chart().unplaced == "not drawn on a logarithmic axis: 1 point at 0 or below"  # None is no point
    assert chart(x=Axis("n")).unplaced == ""
    assert plot.figure([chart()]).axes[0].get_title() == f"Errors\n{chart().unplaced}"
    page = str(Drawings().draw([chart()], "errors"))
    assert f"<small>{chart().unplaced}; the numbers below have them</small>" in page


def test_csv_has_every_row_in_full_and_no_formula() -> None:
    rows = list(csv.reader(io.StringIO(chart().csv())))
    assert rows[0] == ["series", "point", "n", "error, %", "plus or minus"]
    assert rows[3] == ["ours", "", "1000.0", "", "0.1"]
    assert float(rows[4][3]) == 1 / 3
    assert rows[5] == ["'=theirs()", "'\tpoint", "10.0", "5.0", ""]


def test_a_point_in_words() -> None:
    shown = chart().drawable()
    assert shown.says(0, 1) == "ours; n 100; error, % 0.333333 ± 0.2"
    names = Axis(names=("cat", "dog"))
    bars = chart(x=Axis("norm"), y=names, series=(Series("", (2.5, 3.0), (0.0, 1.0), "bars"),))
    assert bars.says(0, 1) == "dog; norm 3"
    assert bars.table()[1] == [("cat", 2.5), ("dog", 3.0)]


def test_bars_stand_side_by_side() -> None:
    series = tuple(Series(name, (1.0,), (0.0,), "bars") for name in "abc")
    bars = chart(x=Axis("norm"), y=Axis(names=("only",)), series=series)
    assert [bars.offset(number) for number in range(3)] == pytest.approx([-0.8 / 3, 0.0, 0.8 / 3])


def test_names_are_shown_as_they_are_and_fit() -> None:
    assert plot.literal("$x^2$ \\$ \x00") == "\\$x^2\\$ \\$ \ufffd"
    persian, mark = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "(a)\u200f"
    assert plot.literal(persian) == persian
    assert plot.literal(mark) == mark
    assert plot.literal("a\u202eb\u2067c") == "a\ufffdb\ufffdc"
    assert len(plot.shortened("long " * 50)) <= 26
    lines = plot.in_lines("word " * 50).split("\n")
    assert len(lines) == 2
    assert max(map(len, lines)) <= 26
    odd = ("$\\frac{", "x" * 500, "", "\ud800")
    values = tuple(float(k) for k in range(len(odd)))
    bars = Series("$_{$", values, values, "bars")
    figure = plot.figure([chart(x=Axis("$"), y=Axis(names=odd), series=(bars, bars))], "$\\sqrt{")
    figure.canvas.draw()
    assert figure.axes[0].yaxis.get_ticklabels()[0].get_text() == "\\$\\frac{"


def test_names_of_a_page_are_no_colours_and_no_identifiers() -> None:
    """Colours and identifiers of the drawing are the page's; classes called like one lost their names."""
    names = ("#000000", plot.PALETTE[0], 'id="x" url(#y)')
    values = tuple(float(k) for k in range(len(names)))
    bars = chart(x=Axis("norm"), y=Axis(names=names), series=(Series("", values, values, "bars"),))
    page = str(Drawings().draw([bars], "three names"))
    svg = page[page.index("<svg") : page.index("</svg>")]
    assert all(f">{name}<" in svg for name in names)
    assert "var(--c0)" in svg
    assert 'id="f1-' in svg
    assert 'data-series="0"' in svg
    assert "system-ui" in svg
    assert plot.PALETTE[0] not in svg.replace(f">{plot.PALETTE[0]}<", "")


def test_ticks_that_have_no_room_are_left_out() -> None:
    assert plot._apart(Axis(log=True, ticks=(1000.0, 1900.0, 2000.0))) == [2000.0, 1000.0]
    assert plot.short_number(20_000) == "20k"
    assert plot.short_number(1.5e6) == "1.5M"
    assert plot.short_number(0.1 + 0.2) == "0.3"
    assert plot.short_number(1e-7) == "1e-7"


def test_whiskers_that_reach_zero_do_not_leave_a_logarithmic_axis() -> None:
    series = Series("", (1.0, 10.0), (1.0, 2.0), spread=(3.0, 0.5))
    figure = plot.figure(
        [chart(y=Axis("seconds", log=True), series=(series,), rules=(Rule("one", "y", 1.0),))]
    )
    (bars,) = figure.axes[0].collections
    assert [path.vertices[:, 1].tolist() for path in bars.get_paths()] == [[1.0, 4.0], [1.5, 2.5]]


def test_a_users_settings_of_matplotlib_change_no_figure(tmp_path: Path) -> None:
    """LaTeX was started, and failed where there was none."""

    def drawn() -> tuple[str, bytes, bytes]:
        figures.save(plot.figure([chart()], "a title"), tmp_path / "a.png")
        figures.save(feature_pictures._sheet([("a", np.eye(3))], "a sheet", "a unit"), tmp_path / "b.png")
        page = Drawings().draw([chart()], "errors")
        return str(page), *((tmp_path / name).read_bytes() for name in ("a.png", "b.png"))

    plain, setting = drawn(), {"text.usetex": True, "font.size": 40.0, "axes.grid": True}
    with matplotlib.rc_context(setting):
        assert drawn() == plain
        assert {name: matplotlib.rcParams[name] for name in setting} == setting
