"""`kernelfit info`: figures about the machine."""

from __future__ import annotations

import pytest

from kernelfit.cpu import environment
from tests.cli.conftest import invoke, read

pytestmark = pytest.mark.usefixtures("small_products")


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
