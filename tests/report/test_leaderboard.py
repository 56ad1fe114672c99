"""`kernelfit.report.leaderboard`: what is printed of a comparison fits into 80 columns, and into fewer."""

import io

import pytest
from rich.console import Console

from kernelfit.report.leaderboard import table


def record(**more):
    kernel = {"name": "rational-quadratic", "length_scale": 0.398038123, "mixture": 1.5}
    entry = {
        "by": "leave-one-out",
        "loo_error": 0.0208,
        "test_error": 0.0833,
        "loo_rmse": 0.1,
        "failed": None,
    }
    entry |= {
        "rkhs_norm": 1234.5,
        "ridge": 0.0178,
        "kernel": kernel,
        "seconds": 1234.0,
        "settings": "306 settings",
    }
    entries = [
        {**entry, "name": "rational-quadratic", "library": "kernelfit"},
        {**entry, "name": "KernelRidge grid", "library": "scikit-learn"},
        {
            **entry,
            "name": "ntk",
            "library": "kernelfit",
            "failed": "K has no factor, as rows 3 and 5 are equal, " * 3,
        },
    ]
    result = {**entry, "kernel": kernel, "n_train": 20_000, "n_test": 5_000, "seconds": {"total": 763.0}}
    board = {"task": "classification", "rows": 2_000, "of": 20_000, "entries": entries, "code": ["model = 1"]}
    return {**board, "result": result, **more}


def shown(width, **more):
    console = Console(width=width, file=io.StringIO())
    console.print(table(record(**more)), crop=False)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [10_000, 80, 40])
def test_lines_are_at_most_as_wide_as_80_columns(width):
    """Sentences took 117 columns, and a narrow terminal cut the table."""
    text = shown(width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= min(width, 84)
    for said in ("rational-quadratic", "2.08 %", "left out", "scikit-learn's"):
        assert said in text
    assert "…" not in text


def test_what_predicts_is_said_of_a_run_that_is_stored():
    assert "next: kernelfit predict 'my run' --rows FILE" in shown(80, out="my run")
    assert "next:" not in shown(80)
