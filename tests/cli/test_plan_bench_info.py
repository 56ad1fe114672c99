"""`kernelfit plan`, `bench` and `info`: figures about a solve and about the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kernelfit.cli import root
from kernelfit.cpu import environment
from kernelfit.errors import InputError, PlanError
from kernelfit.experiments import gemm_rate, scaling
from kernelfit.gram.layout import ONE_TILE
from kernelfit.kernels import build
from kernelfit.progress import Silent
from kernelfit.solver.solve import solve


@pytest.fixture(autouse=True)
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """GEMM rates from products of order 256: their value is not what is tested here."""
    monkeypatch.setattr(gemm_rate.measure, "__defaults__", (np.float64, None, 256))


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(root, list(arguments), catch_exceptions=False)


def read(*arguments: str) -> dict[str, Any]:
    result = invoke(*arguments, "--json", "-")
    assert result.exit_code == 0, result.stderr
    record: dict[str, Any] = json.loads(result.stdout)
    return record


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


def test_bench_measures_checks_and_predicts(tmp_path: Path) -> None:
    figure = tmp_path / "bench.svg"
    options = [
        "--sizes",
        "300,150,300",
        "--d",
        "20",
        "--repeats",
        "2",
        "--n",
        "5000",
        "--figure",
        str(figure),
    ]
    record = read("bench", *options)
    assert [row["n"] for row in record["rows"]] == [150, 300]
    for row in record["rows"]:
        phases = [row["seconds"][name] for name in scaling.PHASES]
        assert all(value >= 0 for value in phases)
        assert row["backward_error"] < 1e-13
        assert row["share_of_gemm"] == pytest.approx(
            row["factor_flops_per_second"] / record["gemm_flops_per_second"]
        )
        assert len(row["seconds_total_all"]) == 2
    assert [prediction["n"] for prediction in record["predictions"]] == [600, 5000]
    assert record["environment"]["versions"]["numpy"] == np.__version__
    assert record["command"].endswith("--json -")
    assert figure.stat().st_size > 5000


def test_bench_beside_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--sizes", "60,90", "--d", "5", "--repeats", "2", "--beside", "scikit-learn,lapack"]
    monkeypatch.setattr(scaling, "why_not", lambda n, memory: "too large" if n > 80 else None)
    small, large = read("bench", *options)["rows"]
    assert set(small["beside"]) == {"scikit-learn", "lapack"}
    for other in small["beside"].values():
        assert other["times_ours"] == pytest.approx(other["seconds"] / small["seconds_call"])
        assert len(other["seconds_all"]) == 2
        assert other["backward_error"] < 1e-14
    assert large["beside"]["lapack"] == {"left_out": "too large"}
    shown = invoke("bench", *options).stdout
    for words in ("scikit-learn", "lapack", "left out: too large", "in brackets: times the whole call"):
        assert words in shown


def test_bench_on_a_data_set_by_name() -> None:
    record = read("bench", "--sizes", "200", "--dataset", "digits", "--gamma", "0.1", "--repeats", "1")
    assert record["kernel"] == {"name": "gaussian", "gamma": 0.1}
    assert record["fit"] is None
    assert "n = 400" in invoke("bench", "--sizes", "200", "--dataset", "digits", "--repeats", "1").stdout


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--beside", "matlab"], "--beside: got matlab, expected some of scikit-learn, lapack"),
        (["--sizes", "many"], "--sizes"),
        (["--sizes", "1"], "--sizes"),
        (["--repeats", "0"], "--repeats"),
        (["--n", "0"], "--n"),
        (["--d", "0"], "--d"),
        (["--d", "20", "--dataset", "digits"], "--d: of synthetic rows"),
        (["--figure", "bench.txt"], "--figure"),
        (["--dataset", "digits", "--sizes", "3000"], "^--sizes: got 3000, expected at most 1437"),
    ],
)
def test_bench_refuses_what_it_cannot_measure(options: list[str], match: str) -> None:
    with pytest.raises(InputError, match=match):
        invoke("bench", *options)


def test_bench_predicts_one_size() -> None:
    """`300,600` was taken for 300 600."""
    result = invoke("bench", "--n", "300,600")
    assert result.exit_code == 2
    assert "got '300,600', expected one integer without commas; several go to --sizes" in result.stderr


def synthetic_row(n: int, factor: float, rest: float) -> dict[str, Any]:
    return {"n": n, "seconds": {"factor": factor, "total": factor + rest}}


def test_the_fitted_exponent_of_a_pure_power() -> None:
    rows = [synthetic_row(n, 3e-9 * n**2.5, 0.0) for n in (1000, 2000, 4000, 8000)]
    fit = scaling.fit_power(rows)
    assert fit is not None
    assert fit["exponent"] == pytest.approx(2.5)
    assert fit["coefficient"] == pytest.approx(3e-9)


def test_predictions_follow_the_powers_of_their_phases() -> None:
    work = scaling.Workload(np.zeros((10, 4)), 1.0, "gaussian")
    rows = [synthetic_row(1000, 2.0, 3.0), synthetic_row(500, 9.0, 9.0)]
    prediction = scaling.predict(rows, 2000, work, memory_limit=10**6, threads=2)
    assert prediction["seconds"] == pytest.approx(2.0 * 8 + 3.0 * 4)
    assert prediction["fits"] is False
    assert scaling.predict(rows, 2000, work, memory_limit=10**10, threads=2)["fits"] is True


def test_every_size_is_solved_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a GPU the large sizes were solved there, and the small ones on the CPU."""
    devices: list[Any] = []

    def solved(*rows: Any, device: Any = "auto", **options: Any) -> Any:
        devices.append(device)
        return solve(*rows, device=device, **options)

    monkeypatch.setattr(scaling, "solve", solved)
    scaling.measure(
        scaling.Workload(scaling.synthetic_rows(50, 3, 0), 1.0, build("gaussian", gamma=1.0)), 50, 1, Silent()
    )
    assert devices == ["cpu", "cpu"]


def test_a_machine_that_cannot_be_described_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was measured was lost."""
    measured: list[int] = []

    def fails() -> None:
        raise RuntimeError("no description")

    monkeypatch.setattr(environment, "describe", fails)
    monkeypatch.setattr(scaling, "measure", lambda work, n, *_: measured.append(n))
    with pytest.raises(RuntimeError, match="no description"):
        scaling.Scaling(sizes=(50,), n_features=3).run()
    assert not measured


def test_a_wrong_answer_has_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "LARGEST_BACKWARD_ERROR", -1.0)
    work = scaling.Workload(scaling.synthetic_rows(50, 3, 0), 1.0, "gaussian")
    with pytest.raises(InputError, match="backward error"):
        scaling.measure(work, 50, 1, Silent())


def test_the_first_solve_that_counts_finds_its_code_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    solved: list[int] = []

    def counted(work: scaling.Workload, n: int, progress: Silent) -> dict[str, Any]:
        solved.append(n)
        one = dict.fromkeys((*scaling.PHASES, "total"), 1.0)
        return {"seconds": one, "backward_error": 0.0, "bytes_memory": 1, "tier": "ram", "seconds_call": 1.0}

    monkeypatch.setattr(scaling, "_solve", counted)
    work = scaling.Workload(scaling.synthetic_rows(1000, 3, 0), 1.0, "gaussian")
    for n in (100, 1000):
        scaling.measure(work, n, 1, Silent())
    assert solved == [100, 100, 600, 1000]
    assert ONE_TILE < 600


def test_info_in_both_forms() -> None:
    record = read("info", "--no-gemm")
    assert record["processor"]["cores"] >= 1
    assert "gemm_gflops" not in record
    text = invoke("info", "--no-gemm").stdout
    for word in ("Processor", "BLAS", "GPU", "Versions", "numpy"):
        assert word in text
    assert "GEMM" not in text


def test_info_of_a_gpu_whose_memory_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended in a traceback."""
    device = {"name": "NVIDIA GB10", "memory_bytes": None, "driver": "580.95", "compute_capability": "12.1"}
    monkeypatch.setattr(environment, "gpus", lambda: [device])
    assert "NVIDIA GB10, driver 580.95" in invoke("info", "--no-gemm").stdout


def test_info_measures_both_rates() -> None:
    record = read("info")
    assert set(record["gemm_gflops"]) == {"float64", "float32"}
    assert all(0.1 < rate < 1e5 for rate in record["gemm_gflops"].values())


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
