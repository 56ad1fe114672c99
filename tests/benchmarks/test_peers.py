"""Peers without a network: the catalogue, the models that this environment has, environments, and the comparison."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import approximate, compare, environments
from benchmarks.peers.catalogue import PEERS, Peer, chosen
from benchmarks.peers.models import MODELS, SETTINGS, model
from benchmarks.peers.models import Problem as Given

ROW = {
    "n": 45,
    "peer": "kernelfit",
    "fit_seconds": 1.0,
    "predict_seconds": 1.0,
    "peak_rss_bytes": 1,
    "test_error": 0.0,
}
ROW |= {"backward_error": 0.0, "largest_difference": 0.0}

EXACT_HERE = ("kernelfit", "kernelfit-mixed", "scikit-learn", "scikit-learn-gp", "scipy", "torch")


@pytest.fixture
def problem(rng: np.random.Generator) -> compare.Problem:
    rows = rng.integers(0, 256, (60, 16), dtype=np.uint8)
    classes = np.arange(60) % 3
    return compare.Problem(rows[:45], np.eye(3)[classes[:45]], rows[45:], classes[45:], 1 / 255, 0.5, 0.0)


def given(problem: compare.Problem, rows: Any) -> Given:
    return Given(rows, problem.targets, problem.scale, problem.gamma, problem.ridge)


def test_every_peer_has_a_model_and_requirements_or_a_reason() -> None:
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    for peer in PEERS:
        assert peer.name in MODELS or peer.missing, peer
        installable = peer.name in MODELS and not peer.ours
        assert bool(peer.requirements) == bool(peer.environment) == installable, peer
    assert [peer.name for peer in chosen("scipy, kernelfit")] == ["kernelfit", "scipy"]
    with pytest.raises(ValueError, match="--peers: got matlab, expected some of askotch"):
        chosen("matlab")


@pytest.mark.parametrize("name", EXACT_HERE)
def test_exact_models_solve_the_same_system(name: str, problem: compare.Problem) -> None:
    if name == "torch":
        pytest.importorskip("torch")
    training = given(problem, problem.rows)
    fitted = MODELS[name]()(training)
    assert training.holds_floats != name.startswith("kernelfit")
    gram, cross = (
        np.exp(-0.5 * ((rows[:, None].astype(float) - problem.rows) ** 2).sum(-1) / 255**2)
        for rows in (problem.rows, problem.test_rows)
    )
    expected = cross @ np.linalg.solve(gram, problem.targets)
    np.testing.assert_allclose(fitted.predict(given(problem, problem.test_rows)), expected, atol=1e-8)
    assert problem.backward_error(np.asarray(fitted.alpha)) < 1e-14


def test_nystroem_features_of_all_rows_nearly_interpolate(problem: compare.Problem) -> None:
    fitted = MODELS["scikit-learn-nystroem"]()(given(problem, problem.rows))
    assert np.abs(fitted.predict(given(problem, problem.rows)) - problem.targets).max() < 1e-3


def test_an_environment_is_made_once_and_anew_for_other_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str]) -> None:
        commands.append(command)
        (tmp_path / "peer").mkdir(exist_ok=True)

    monkeypatch.setenv("KERNELFIT_PEERS", str(tmp_path))
    monkeypatch.setattr(environments, "_run", run)
    for _ in range(2):
        assert environments.interpreter("peer", ("a", "b")) == tmp_path / "peer" / "bin" / "python"
    assert len(commands) == 2
    assert commands[0][:3] == [sys.executable, "-m", "venv"]
    assert commands[1][-4:] == ["--constraint", str(environments.CONSTRAINTS), "a", "b"]
    environments.interpreter("peer", ("a", "b"), checkout=tmp_path / "source")
    assert len(commands) == 5
    assert commands[-2][-4:] == ["a", "b", "setuptools", "wheel"]
    assert commands[-1][-2:] == ["--no-build-isolation", str(tmp_path / "source")]


def test_what_cannot_be_installed_is_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def interpreter(name: str, requirements: Any, *, checkout: Path | None = None) -> Path:
        if name == "jax":
            raise environments.NotInstalledError("ERROR: no matching distribution")
        return Path("/somewhere", name, "python")

    monkeypatch.setattr(environments, "interpreter", interpreter)
    interpreters, missing = compare.installed(chosen("kernelfit,scipy,jax,cuml"), {})
    assert interpreters == {"kernelfit": sys.executable, "scipy": "/somewhere/scipy/python"}
    assert missing == {"jax": "ERROR: no matching distribution", "cuml": "needs a CUDA device"}


def test_the_last_line_of_an_installer_is_the_reason() -> None:
    with pytest.raises(environments.NotInstalledError, match=r"^why$"):
        environments._run([sys.executable, "-c", "import sys; print('much'); sys.exit('more\\nwhy')"])


def test_a_peer_in_a_process_of_its_own_and_one_that_is_not_there(problem: compare.Problem) -> None:
    interpreters = {"scipy": sys.executable, "jax": sys.executable, "kernelfit": sys.executable}
    peers = list(chosen("kernelfit,scipy,jax"))
    ours, theirs, absent = compare.compare(problem, peers, interpreters, rounds=1, limit=60.0)
    for row in (ours, theirs):
        assert 100 >= min(len(row["fit_seconds_all"]), len(row["predict_seconds_all"])) >= 7
        assert row["backward_error"] < 1e-14
        assert row["largest_difference"] < 1e-9
        assert 0 <= row["test_error"] <= 1
        assert row["peak_rss_bytes"] > 30_000_000
    assert "No module named 'jax'" in absent["failed"]
    assert compare.faults([ours, theirs, absent]) == []


def test_a_peer_that_takes_too_long_is_left_out_with_the_reason() -> None:
    slow = next(peer for peer in PEERS if peer.largest is not None)
    assert slow.largest is not None
    assert compare.left_out(slow, slow.largest) is None
    row = compare.left_out(slow, slow.largest + 1)
    assert row is not None
    assert row["failed"].startswith(f"left out beyond {slow.largest:,} rows: ")
    assert compare.faults([row]) == []
    assert all(bool(peer.beyond) == (peer.largest is not None) for peer in PEERS)


def test_what_was_measured_stays_where_a_run_is_interrupted(
    problem: compare.Problem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def load(dataset: str, n: int, *_: Any) -> compare.Problem:
        if n > 45:
            raise KeyboardInterrupt
        return problem

    monkeypatch.setattr(compare, "load", load)
    monkeypatch.setattr(compare, "compare", lambda *_, **__: [ROW])
    monkeypatch.setattr(compare.gemm_rate, "measure", lambda: 1e11)
    out = tmp_path / "peers.json"
    with pytest.raises(KeyboardInterrupt):
        compare.main(["--n", "45,90", "--peers", "kernelfit", "--out", str(out)])
    assert [row["n"] for row in json.loads(out.read_text())["rows"]] == [45]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"failed": "killed by signal 9"}, "n 45, kernelfit: killed by signal 9"),
        ({"backward_error": 1e-9}, "n 45, kernelfit: backward error 1.0e-09"),
        ({"backward_error": float("nan")}, "n 45, kernelfit: backward error nan"),
        ({"largest_difference": 1e-3}, "n 45, kernelfit: predictions differ by 1.0e-03"),
    ],
)
def test_what_is_wrong_with_our_answer(change: dict[str, Any], fault: str) -> None:
    row = {"n": 45, "peer": "kernelfit", "backward_error": 1e-17, "largest_difference": 1e-12}
    assert compare.faults([row]) == []
    assert compare.faults([row | change]) == [fault]
    assert compare.faults([row | change | {"peer": "scipy"}]) == []


def test_a_checkout_may_stand_in_for_what_no_index_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = []
    monkeypatch.setattr(
        environments,
        "interpreter",
        lambda name, needs, *, checkout: seen.append((name, checkout)) or tmp_path,
    )
    mine = Peer("scipy", "a fork of it", missing="in no package index")
    assert compare.installed([mine], {}) == ({}, {"scipy": "in no package index"})
    assert compare.installed([mine], {"scipy": tmp_path})[0] == {"scipy": str(tmp_path)}
    assert seen == [("scipy", tmp_path)]


def test_methods_that_stop_anywhere_are_measured_drawn_and_listed(problem: compare.Problem) -> None:
    assert set(approximate.MEANING) == set(SETTINGS)
    assert set(approximate.SETTINGS) == set(SETTINGS) | {"kernelfit", "kernelfit-mixed"}
    for name in ("kernelfit-pcg@1e-3", "kernelfit-askotch@1e-3", "kernelfit"):
        fitted = model(name)(given(problem, problem.rows))
        residual = approximate._residual(fitted.predict(given(problem, problem.rows)), problem)
        assert residual < 1e-3
        assert (residual < 1e-12) == (name == "kernelfit")
    row = {"setting": "1e-3", "seconds": 2.0, "test_error": 0.02, "peak_rss_bytes": 1e9}
    rows = [
        {"method": "kernelfit-pcg", "relative_residual": 1e-3, **row},
        {"method": "falkon", "setting": "500", "failed": "stopped after 60 s"},
    ]
    record = {"rows": rows, "missing": {"askotch": "no checkout"}, "dataset": "mnist", "n": 45, "threads": 2}
    text = approximate.table(record)
    assert "2.00 s" in text
    assert "askotch: no checkout" in text
    assert "stopped after 60 s" in text
    assert approximate.faults(rows) == []
    assert approximate.faults([{**rows[1], "method": "kernelfit"}]) == ["kernelfit 500: stopped after 60 s"]
    errors, residuals = approximate.plot(record).axes
    assert errors.lines[0].get_ydata()[0] == pytest.approx(2.0)
    assert residuals.lines[0].get_ydata()[0] == pytest.approx(1e-3)
