"""Time of a solve against n: what is measured, and what is predicted from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernelfit.cpu import environment
from kernelfit.errors import InputError
from kernelfit.experiments import scaling
from kernelfit.gram.layout import ONE_TILE
from kernelfit.kernels import build
from kernelfit.progress import Silent
from kernelfit.solver.solve import solve


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
