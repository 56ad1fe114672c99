"""What a person reads: numbers in the right form, the paper's figure beside ours, what to try next."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console, RenderableType

from kernelfit.errors import InputError
from kernelfit.experiments import paper
from kernelfit.metrics import Errors
from kernelfit.report import advice, figures, table3, tables


def text_of(item: RenderableType, width: int = 140) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(item)
    return out.getvalue()


def solve_record(**changes: Any) -> dict[str, Any]:
    record: dict[str, Any] = {
        "dataset": "mnist",
        "n_train": 10_000,
        "n_test": 10_000,
        "n_features": 784,
        "features": "none",
        "kernel": {"name": "gaussian", "gamma": 0.02},
        "ridge": 0.0,
        "jitter": 0.0,
        "precision": "float64",
        "device": "cpu",
        "tier": "ram",
        "n_rhs": 10,
        "test_error": 0.0266,
        "train_error": 0.0,
        "rkhs_norm": 60.5,
        "backward_error": 3.1e-16,
        "componentwise_backward_error": 2.2e-15,
        "forward_error": 5.1e-10,
        "condition_estimate": 1.2e6,
        "min_pivot": 4.0e-3,
        "min_pivot_row": 1234,
        "log_det": -12345.6,
        "loo_error": None,
        "loo_rmse": None,
        "seconds": {"load": 0.1, "features": 0.0, "gram": 1.0, "factor": 4.0, "total": 5.5},
        "gflops_factor": 95.0,
        "peak_rss_bytes": 900_000_000,
    }
    return {**record, **changes}


@pytest.mark.parametrize(("rate", "text"), [(95.04, "95 GFLOP/s"), (0.00213, "0.00213 GFLOP/s")])
def test_the_rate_of_a_small_factor_is_not_rounded_to_nothing(rate: float, text: str) -> None:
    assert f"factor {text}   peak" in text_of(tables.solve_table(solve_record(gflops_factor=rate)))


def test_an_error_of_alpha_of_1_reads_as_no_digit() -> None:
    """It read as "1, at most about condition x rounding"."""
    (line,) = [
        each
        for each in text_of(tables.solve_table(solve_record(forward_error=1.0))).splitlines()
        if "error of alpha" in each
    ]
    assert "no digit is known" in line
    assert "at most" not in line
    assert [tables.alpha_error(each, 2) for each in (None, float("nan"), 0.5, 1.0)] == [
        "–",
        "–",
        "0.5",
        "1: no digit is known",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0123, "12 ms"),
        (0.9999, "1.00 s"),
        (12.34, "12.3 s"),
        (763, "12 min 43 s"),
        (7500, "2 h 05 min"),
        (4e5, "4.63 days"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    assert tables.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (12, "12 B"), (999_999, "1 MB"), (14_400_000_000, "14.4 GB")]
)
def test_sizes(value: float | None, text: str) -> None:
    assert tables.size(value) == text


def test_kernels_read_as_formulas() -> None:
    left = {"name": "gaussian", "gamma": 0.02}
    right = {"name": "polynomial", "degree": 3, "gamma": 1.0, "coef0": 0.0}
    assert tables.kernel_formula(left) == "gaussian(gamma=0.02)"
    both = tables.kernel_formula({"name": "sum", "left": left, "right": right})
    assert both == "gaussian(gamma=0.02) + polynomial(degree=3, gamma=1, coef0=0)"


def test_the_papers_figure_stands_beside_ours() -> None:
    text = text_of(tables.solve_table(solve_record()))
    (line,) = [line for line in text.splitlines() if line.startswith("test error")]
    assert "2.66 %" in line
    assert "1.20 %" in line
    assert "theirs from 60,000 rows" in text
    (line,) = [line for line in text.splitlines() if line.startswith("RKHS norm")]
    assert "60.5" in line
    assert "220" in line


def test_a_single_test_row_is_no_rows() -> None:
    text = text_of(tables.solve_table(solve_record(dataset="mine", n_test=1)))
    (line,) = [line for line in text.splitlines() if line.startswith("test error")]
    assert line.rstrip().endswith(" 1 row")


def test_a_ridge_is_compared_with_the_papers_ridge_row_only() -> None:
    record = solve_record(dataset="cifar10", features="random-conv", ridge=1e-3, test_error=0.2)
    text = text_of(tables.solve_table(record))
    assert "15.00 %" in text
    assert "17.00 %" not in text


def test_true_labels_of_the_paper_do_not_stand_beside_corrupted_ones() -> None:
    """90 % of errors on random labels stood beside the paper's 1.20 %."""
    choice = {"ridge": 0.1, "ridge_choice": {"ridge": 0.1}, "ridge_path": [1]}
    record = solve_record(corruption="random-labels", corruption_p=1.0)
    for shown in (record, {**record, **choice, "interpolation": solve_record()}):
        text = text_of(tables.solve_table(shown))
        assert "paper" not in text
        assert "1.20 %" not in text
        assert "random-labels" in text
    assert "--n 60000   the whole training set" in text


def test_no_column_for_a_paper_that_has_no_such_row() -> None:
    text = text_of(tables.solve_table(solve_record(dataset="mine")))
    assert "paper" not in text


def test_regression_shows_its_own_measures() -> None:
    measures = {
        **Errors(rmse=0.5, r2=0.9, mae=0.4).named("test"),
        **Errors(rmse=0.0, r2=1.0, mae=0.0).named("train"),
        **Errors(rmse=0.7, r2=-0.25, mae=0.6).named("loo"),
    }
    text = text_of(tables.solve_table(solve_record(dataset="mine", **measures)))
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "0.5" in lines["test RMSE"]
    assert "R² 0.9, MAE 0.4" in lines["test RMSE"]
    assert "R² 1, MAE 0" in lines["train RMSE"]
    assert "0.7" in lines["leave-one-out RMSE"]
    assert "R² -0.25, MAE 0.6" in lines["leave-one-out RMSE"]
    assert "test error" not in text


@pytest.mark.parametrize(
    ("errors", "said"), [(Errors(error=0.125), "test error 12.50 %"), (Errors(rmse=150.5), "test RMSE 150.5")]
)
def test_what_there_is_without_a_ridge(errors: Errors, said: str) -> None:
    without = {"rkhs_norm": 3.0, "backward_error": 1e-17, **errors.named("test")}
    choice = {"ridge_choice": {"ridge": 1.0}, "ridge_path": [], "interpolation": without}
    assert f"without ridge: {said}, norm 3" in text_of(
        tables.solve_table(solve_record(dataset="mine", **choice))
    )


def test_advice_follows_from_the_result() -> None:
    assert any("--n 60000" in step for step in advice.next_steps(solve_record()))
    assert any("--features gabor" in step for step in advice.next_steps(solve_record()))
    assert not any("--n " in step for step in advice.next_steps(solve_record(n_train=60_000)))
    assert "--ridge auto" in advice.next_steps(solve_record(condition_estimate=1e15))[0]
    streamed = solve_record(condition_estimate=1e15, mean_diagonal=1e9)
    assert "--ridge 1e-8" in advice.next_steps(streamed)[0]
    assert "mnist" in advice.next_steps(solve_record(dataset="digits"))[0]
    assert len(advice.next_steps(solve_record(condition_estimate=1e15))) <= advice.MAX_STEPS
    stored = advice.next_steps({**solve_record(condition_estimate=1e15), "out": Path("my run")})
    assert stored[-1] == "kernelfit predict 'my run' --rows FILE"
    assert len(stored) <= advice.MAX_STEPS


def test_the_papers_rows_are_fractions_and_unique() -> None:
    assert len({row.name for row in paper.ROWS}) == len(paper.ROWS)
    assert all(0 < row.test_error < 1 for row in paper.ROWS)
    assert paper.find("digits", "none") is None


SUMMARY: dict[str, Any] = {
    "rows": [
        {
            "row": "cifar10-random-conv",
            "test_error": 0.2053,
            "rkhs_norm": 49.06,
            "test_error_with_ridge": 0.1853,
            "paper": {"test_error": 0.17, "rkhs_norm": None, "test_error_with_ridge": 0.15},
            "scaled_down": [],
            "kernel": {"name": "linear"},
            "ridge": 0.0,
            "remarks": [],
            "seconds": 1.0,
        }
    ],
    "missing": [],
    "paper": paper.CITATION,
}


def bench_record() -> dict[str, Any]:
    rows = [
        {
            "n": n,
            "seconds": {
                "gram": n**2 / 1e8,
                "factor": n**3 / 1e11,
                "solve": 0.0,
                "certify": n / 32_000,
                "total": n**3 / 1e11 + n**2 / 1e8,
            },
            "factor_flops_per_second": 9.0e10,
            "share_of_gemm": 0.9,
        }
        for n in (1000, 2000, 4000)
    ]
    return {
        "rows": rows,
        "precision": "mixed",
        "gemm_dtype": "float32",
        "threads": 2,
        "gemm_flops_per_second": 1e11,
        "dataset": "mnist",
        "n_features": 784,
        "n_rhs": 10,
        "kernel": {"name": "gaussian", "gamma": 0.02},
        "environment": {"processor": {"model": "a processor", "cores": 4}},
        "fit": {"exponent": 2.7, "coefficient": 1e-9},
        "predictions": [{"n": 8000, "seconds": 6.0, "bytes_memory": 600_000_000}],
    }


def test_the_bench_table_names_sizes_shares_and_predictions() -> None:
    text = text_of(tables.bench_table(bench_record()))
    assert "4,000" in text
    assert "90.00 %" in text
    assert "n^2.70" in text
    assert "n = 8,000" in text
    assert text.index("solve") < text.index("certificate") < text.index("total")
    assert "125 ms" in text
    assert "GEMM 100.0 GFLOP/s (float32, 2 threads)" in text


def test_one_thread_is_no_threads() -> None:
    assert "(float32, 1 thread)" in text_of(tables.bench_table(bench_record() | {"threads": 1}))


def test_a_share_above_the_rate_of_gemm_is_explained() -> None:
    record = bench_record()
    assert "above 100 %" not in text_of(tables.bench_table(record))
    record["rows"][0]["share_of_gemm"] = 1.24
    assert text_of(tables.bench_table(record)).count("above 100 %") == 1


def test_a_narrow_terminal_folds_figures_and_drops_none() -> None:
    assert "\u2026" not in text_of(tables.bench_table(bench_record()), width=40)
    assert "\u2026" not in text_of(table3.table(SUMMARY), width=40)


@pytest.mark.parametrize("ending", figures.FORMATS)
def test_the_bench_figure_is_written_whole(tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"bench{ending}"
    figures.check_target(target)
    figures.save(figures.bench(bench_record()), target)
    assert target.stat().st_size > 5000
    assert list(tmp_path.iterdir()) == [target]


def test_peers_stand_beside_in_table_and_figure() -> None:
    record = bench_record()
    for row in record["rows"]:
        row["beside"] = {"lapack": {"seconds": 2e-11 * row["n"] ** 3, "times_ours": 1.5}}
    record["rows"][2]["beside"] = {"lapack": {"left_out": "no room"}}
    text = text_of(tables.bench_table(record))
    assert "160 ms (1.50x)" in text
    assert "left out: no room" in text
    drawn = {line.get_label(): line.get_xydata().tolist() for line in figures.bench(record).axes[0].lines}
    assert drawn["total, lapack"] == [[1000, 0.02], [2000, 0.16]]


def test_the_bench_figure_draws_nothing_fitted_beyond_what_was_measured() -> None:
    figure = figures.bench(bench_record())
    times = figure.axes[0]
    labels = [line.get_label() for line in times.lines]
    assert [text.get_text() for text in times.get_legend().get_texts()] == labels
    drawn = dict(zip(labels, times.lines, strict=True))
    fitted = drawn["total, fitted: n^2.70"].get_xdata()
    assert (fitted.min(), fitted.max()) == (1000, 4000)
    x, y = drawn["n³/3 flops at 100.0 GFLOP/s, the GEMM's"].get_data()
    np.testing.assert_allclose(y, x**3 / 3 / 1e11)
    assert x.max() == 8000
    assert drawn["total, predicted"].get_xydata().tolist() == [[8000, 6.0]]
    said = figure.get_suptitle()
    for expected in (
        "mnist rows of 784 features",
        "gaussian(gamma=0.02)",
        "mixed",
        "a processor, 2 of 4 cores",
    ):
        assert expected in said


def test_a_figure_of_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf"):
        figures.check_target(tmp_path / "bench.txt")
    with pytest.raises(InputError, match="not a folder"):
        figures.check_target(tmp_path / "none" / "bench.png")


def test_a_norm_without_digits_is_said_to_be_unresolved() -> None:
    for value in (None, float("nan")):
        assert "not resolved" in text_of(tables.solve_table(solve_record(rkhs_norm=value)))
    assert "not resolved" not in text_of(tables.solve_table(solve_record()))


def test_errors_are_explained() -> None:
    text = text_of(tables.solve_table(solve_record()))
    for words in ("exact for K and Y changed by this fraction", "2.2e-15", "5.1e-10", "condition x rounding"):
        assert words in text


def test_blocks_are_not_called_a_rank() -> None:
    assert tables._size_of({"method": "sketch-and-project", "rank": 1_250}) == "blocks of 1,250 rows"
    assert tables._size_of({"method": "conjugate gradients", "rank": 1_250}) == "rank 1,250"
