"""The benchmark behind the README's picture, measured small and drawn from what is recorded."""

from __future__ import annotations

import json

from benchmarks import solve_time
from kernelfit.experiments import gemm_rate


def test_it_measures_both_solvers_and_draws_them(tmp_path, monkeypatch):
    monkeypatch.setattr(gemm_rate, "measure", lambda dtype, threads: 1e11)
    out, picture = tmp_path / "out.json", tmp_path / "picture.svg"
    words = ["--dataset", "digits", "--sizes", "100,200", "--repeats", "1"]
    solve_time.main([*words, "--out", str(out), "--picture", str(picture)])
    record = json.loads(out.read_text())
    assert [[n for n, _ in points] for points in record["seconds"].values()] == [[100, 200], [100, 200]]
    assert "<svg" in picture.read_text()


def test_what_is_recorded_reaches_the_sizes_that_the_readme_names():
    seconds = solve_time.recorded()["seconds"]
    assert [n for n, _ in seconds["kernelfit, with its certificate"]] == [
        1_000,
        2_000,
        5_000,
        10_000,
        15_000,
        30_000,
        60_000,
    ]
    assert [n for n, _ in seconds["scikit-learn's KernelRidge"]] == [1_000, 2_000, 5_000, 10_000, 15_000]
    assert all(taken > 0 for points in seconds.values() for _, taken in points)
