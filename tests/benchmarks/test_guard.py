"""The guard: what is a collapse, where it is judged, and that every ratio can be measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import guard


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One ratio, recorded as 2 on this machine."""
    path = tmp_path / "guard.json"
    path.write_text(json.dumps({"machine": guard.machine(), "ratios": {"speed": 2.0}}))
    monkeypatch.setattr(guard, "RECORDED", path)
    return path


def measured(monkeypatch: pytest.MonkeyPatch, *medians: float) -> list[float]:
    """Measurements of the ratio one after the other, four pairs each."""
    values = [value for median in medians for value in [median] * 4]
    monkeypatch.setattr(guard, "RATIOS", {"speed": lambda: guard.Ratio("speed", lambda: values.pop(0))})
    return values


def ends_with(words: list[str]) -> int:
    try:
        guard.main(words)
    except SystemExit as stopped:
        return 1 if str(stopped.code).startswith("speed: ") else 2
    return 0


@pytest.mark.parametrize(
    ("medians", "code", "unused"),
    [((1.5,), 0, 0), ((1.3, 1.6), 0, 0), ((0.1, 0.2, 1.39), 1, 0), ((1.41, 9.0), 0, 4)],
)
def test_a_collapse_is_measured_three_times(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, medians: tuple[float, ...], code: int, unused: int
) -> None:
    left = measured(monkeypatch, *medians)
    assert ends_with([]) == code
    assert len(left) == unused


def test_on_another_machine_it_is_only_shown(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.write_text(json.dumps({"machine": {"model": "another"}, "ratios": {"speed": 2.0}}))
    left = measured(monkeypatch, 0.1, 0.1)
    assert ends_with([]) == 0
    assert len(left) == 4
    assert "only shown" in capsys.readouterr().out


def test_it_records(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, 0.25)
    guard.main(["--record"])
    assert json.loads(recorded.read_text())["ratios"] == {"speed": 0.25}


def test_the_recorded_ratios_are_those_that_are_measured() -> None:
    if guard.RECORDED.exists():
        assert set(json.loads(guard.RECORDED.read_text())["ratios"]) == set(guard.RATIOS)


def test_every_kind_of_ratio_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard.gemm_rate, "measure", lambda dtype, order: 1e9)
    monkeypatch.setattr(guard.harness, "REST", 0.0)
    monkeypatch.setattr(guard.harness, "_TURN", 0.0)
    pairs = [
        guard.share_of_gemm(80, "float64"),
        guard.share_of_gemm(80, "mixed"),
        guard.factor_beside_lapack(80),
        guard.fit_beside_scikit_learn(80),
        guard.predictions_beside_scikit_learn(80, 1),
    ]
    assert all(pair() > 0 for pair in pairs)


def test_a_wrong_answer_has_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_BACKWARD_ERROR", 0.0)
    monkeypatch.setattr(guard.harness, "REST", 0.0)
    with pytest.raises(SystemExit, match=r"guard: backward error \S+ at n = 40"):
        guard.fit_beside_scikit_learn(40)()
