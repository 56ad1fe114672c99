"""What is told of the machine."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.cpu import environment
from kernelfit.experiments import gemm_rate
from kernelfit.storage import json_output


def test_the_description_is_plain_and_complete() -> None:
    record = environment.describe()
    assert record["versions"]["kernelfit"] == kernelfit.__version__
    assert record["versions"]["numpy"] == np.__version__
    assert record["processor"]["cores"] >= 1
    assert record["processor"]["memory_bytes"] > 2**28
    assert record["blas"]
    assert all(pool["threads"] >= 1 for pool in record["blas"])
    json_output.dumps(record)


def test_peak_memory_follows_an_allocation() -> None:
    code = (
        "from kernelfit.cpu.environment import peak_rss_bytes\n"
        "import numpy as np\n"
        "before = peak_rss_bytes(); block = np.ones(50_000_000); print(peak_rss_bytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert 380e6 < int(done.stdout) < 480e6


def test_peak_memory_is_the_childs_own() -> None:
    block = np.ones(100_000_000)  # 800 MB that a child must not count as its own
    code = "from kernelfit.cpu.environment import peak_rss_bytes; print(peak_rss_bytes())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) < block.nbytes / 2


def test_gpus_are_read_from_the_drivers_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: Any, **__: Any) -> SimpleNamespace:
        return SimpleNamespace(stdout="NVIDIA H200, 143771, 550.54, 9.0\n")

    monkeypatch.setattr(environment.shutil, "which", lambda name: "/bin/nvidia-smi")
    monkeypatch.setattr(environment.subprocess, "run", answer)
    (device,) = environment.gpus()
    assert device["name"] == "NVIDIA H200"
    assert device["memory_bytes"] == 143771 * 2**20
    assert device["compute_capability"] == "9.0"


@pytest.mark.parametrize("memory", ["[N/A]", "[Insufficient Permissions]", "[Unknown Error]"])
def test_a_gpu_whose_memory_is_not_told(monkeypatch: pytest.MonkeyPatch, memory: str) -> None:
    """`info` and `bench` ended in a traceback, the latter after all was measured."""
    lines = (
        f"NVIDIA GB10, {memory}, 580.95, 12.1\nA warning of the tool's\nOf, two names, 81920, 580.95, 9.0\n"
    )
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/bin/nvidia-smi")
    monkeypatch.setattr(environment.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=lines))
    untold, told = environment.gpus()
    assert (untold["name"], untold["memory_bytes"]) == ("NVIDIA GB10", None)
    assert (told["name"], told["memory_bytes"]) == ("Of, two names", 81920 * 2**20)


def test_a_broken_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise subprocess.CalledProcessError(9, "nvidia-smi")

    monkeypatch.setattr(environment.shutil, "which", lambda name: "/bin/nvidia-smi")
    monkeypatch.setattr(environment.subprocess, "run", fail)
    assert environment.gpus() == []


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_gemm_rate_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch, dtype: Any) -> None:
    readings = iter([0.0, 2.0, 10.0, 10.5, 20.0, 21.0])
    monkeypatch.setattr(gemm_rate, "time", SimpleNamespace(perf_counter=lambda: next(readings)))
    assert gemm_rate.measure(dtype, threads=1, order=32) == 2.0 * 32**3 / 0.5
    assert next(readings, None) is None
