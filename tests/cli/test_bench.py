"""`kernelfit bench`: how long solves take here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kernelfit.errors import InputError
from kernelfit.experiments import scaling
from tests.cli.conftest import invoke, read

pytestmark = pytest.mark.usefixtures("small_products")


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
