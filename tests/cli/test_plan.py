"""`kernelfit plan`: what a solve will take."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from kernelfit.cli import root
from kernelfit.errors import InputError, PlanError
from kernelfit.experiments import gemm_rate
from tests.cli.conftest import invoke, read

pytestmark = pytest.mark.usefixtures("small_products")


def test_a_plan_of_the_whole_of_mnist_needs_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERNELFIT_DATA", str(tmp_path))
    plan = read("plan", "--dataset", "mnist", "--no-gemm", "--memory", "24GB")
    assert (plan["n"], plan["d"], plan["n_rhs"], plan["tier"]) == (60_000, 784, 10, "ram")
    assert plan["bytes_memory"] <= 16.6e9
    assert plan["flops_factor"] == pytest.approx(60_000**3 / 3)
    assert plan["predicted_seconds"] is None


def test_a_plan_of_one_target_has_one_right_hand_side() -> None:
    lines = invoke("plan", "--n", "500", "--d", "30", "--no-gemm").stdout.splitlines()
    assert lines[0].split() == ["rows,", "features", "500", "x", "30", "1", "right-hand", "side"]


def test_a_plan_from_numbers_alone() -> None:
    plan = read("plan", "--n", "5000", "--d", "30", "--rhs", "3", "--no-gemm")
    assert (plan["n"], plan["d"], plan["n_rhs"]) == (5000, 30, 3)


def test_a_plan_is_the_plan_of_the_solve() -> None:
    plan = read("plan", "--n", "300", "--no-gemm", "--memory", "2GB")
    solved = read("solve", "--n", "300", "--memory", "2GB")["plan"]
    for key in ("n", "d", "n_rhs", "tier", "panels", "panel_width", "bytes_factor", "flops_factor"):
        assert plan[key] == solved[key]


def test_a_measured_rate_predicts_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    text = invoke("plan", "--n", "300").stdout
    assert "predicted time" in text
    monkeypatch.setattr(gemm_rate, "measure", lambda *_, **__: 1e11)
    plan = read("plan", "--dataset", "mnist", "--memory", "24GB")
    # 7.2e13 flops of the factor take 720 s at that rate, and the rest is less.
    assert 720 < plan["predicted_seconds"] < 1000


def test_a_plan_that_does_not_fit_says_what_would() -> None:
    with pytest.raises(PlanError, match=r"[\d,]+ missing; .*fit"):
        invoke("plan", "--dataset", "mnist", "--no-gemm", "--memory", "2GB", "--tier", "ram")


def test_a_plan_for_a_gpu_says_that_it_is_of_the_cpu() -> None:
    result = invoke("plan", "--n", "100", "--d", "5", "--no-gemm", "--device", "cuda")
    assert "a plan is of the CPU" in result.stderr


@pytest.mark.parametrize(
    "options", [["--d", "5"], ["--n", "0", "--d", "5"], ["--n", "70000", "--dataset", "mnist"]]
)
def test_plans_of_nothing_are_refused(options: list[str]) -> None:
    with pytest.raises(InputError, match="--n"):
        invoke("plan", "--no-gemm", *options)


def test_rows_of_a_data_set_are_what_they_are() -> None:
    with pytest.raises(InputError, match="--bytes: got True for a data set"):
        invoke("plan", "--no-gemm", "--bytes")


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--ridge", "nan", "--ridge: got 'nan', expected a finite number >= 0 or 'auto'$"),
        ("--jitter", "-1", "--jitter: got -1.0, expected a finite number >= 0"),
        ("--device", "tpu", "--device: got 'tpu', expected auto, cpu, cuda"),
        ("--device-memory", "much", "--device-memory: got 'much', expected a size"),
        ("--precision", "tf32", "--precision: got tf32, which GPUs alone have"),
        ("--train", "rows.csv", "--d: got 5 beside train"),
        ("--rhs", "-3", "--rhs: got -3, expected an integer >= 1"),
    ],
)
def test_a_plan_refuses_what_solve_would_refuse(option, value, says):
    with pytest.raises(InputError, match=f"^{says}"):
        invoke("plan", "--n", "100", "--d", "5", "--no-gemm", option, value)


@pytest.mark.parametrize("words", [["--bandwidth", "1Gbit"], ["--rate", "1e9"]])
def test_what_is_of_workers_wants_workers(words):
    with pytest.raises(InputError, match=rf"{words[0]}: got .* for a plan of one process; give --workers"):
        CliRunner().invoke(root, ["plan", "--n", "100", "--d", "5", *words], catch_exceptions=False)


def test_a_plan_of_workers_measures_nothing_where_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It did, and took seconds."""
    monkeypatch.setattr(gemm_rate, "measure", None)
    words = ["--n", "100", "--d", "5", "--workers", "2", "--no-gemm"]
    with pytest.raises(InputError, match=r"^--rate: got none beside --no-gemm, .*; give --rate"):
        invoke("plan", *words)
    assert read("plan", *words, "--rate", "1e9")["workers"] == 2


def test_what_a_plan_of_workers_ignores_is_said():
    words = ["plan", "--n", "100", "--d", "5", "--workers", "2", "--rate", "1e9", "--memory", "1GB"]
    result = CliRunner().invoke(root, words)
    assert result.exit_code == 0
    assert "--memory and --tier change nothing in it" in result.output
