"""`kernelfit.report.studies`: means over draws."""

import pytest

from kernelfit.report.studies import averages


def test_means_and_deviations_over_seeds():
    rows = [
        {"n": 10, "seed": 0, "error": 0.1, "refused": None},
        {"n": 10, "seed": 1, "error": 0.3, "refused": None},
        {"n": 20, "seed": 0, "error": 0.2, "refused": None},
        {"n": 20, "seed": 1, "error": None, "refused": "singular"},
    ]
    first, second = averages(rows, "n")
    assert (first["n"], first["seeds"], first["error"]) == (10, 2, pytest.approx(0.2))
    assert first["error_std"] == pytest.approx(0.1414213562)
    assert (second["seeds"], second["error"], second["error_std"]) == (1, 0.2, 0.0)
