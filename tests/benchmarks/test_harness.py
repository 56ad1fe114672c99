"""What every benchmark shares, and that every benchmark is on the list and uses it."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import benchmarks
from benchmarks import harness, learning_curve, random_conv
from benchmarks.__main__ import BENCHMARKS, about, main

ROOT = Path(__file__).parents[2]


def test_the_warm_up_does_not_count_and_what_comes_before_is_called_each_time():
    calls: list[str] = []
    timing = harness.timed(
        lambda: calls.append("work"), repeats=3, warm_up=2, before=lambda: calls.append("before")
    )
    assert calls == ["before", "work"] * 5
    assert len(timing.seconds) == 3


def test_median_and_spread():
    timing = harness.Timing((4.0, 1.0, 2.0))
    assert timing.median == 2.0
    assert timing.spread == 1.5
    assert timing.describe() == {"seconds": 2.0, "seconds_spread": 1.5, "seconds_all": [4.0, 1.0, 2.0]}


def test_a_record_has_the_command_the_versions_and_the_hardware(tmp_path):
    out = tmp_path / "out.json"
    harness.finish("benchmarks.peers.compare", ["--n", "a b"], out, {"rows": [1]}, [])
    record = json.loads(out.read_text())
    assert record["benchmark"] == "compare"
    assert record["command"] == "python -m benchmarks.peers.compare --n 'a b'"
    assert (record["rows"], record["faults"]) == ([1], [])
    assert {"date", "versions", "processor", "gpu", "blas"} <= set(record["environment"])


def test_a_wrong_result_is_recorded_and_ends_with_exit_code_one(tmp_path, capsys):
    out = tmp_path / "out.json"
    code = (
        "from benchmarks import harness; from pathlib import Path\n"
        f"harness.finish('benchmarks.x', [], Path({str(out)!r}), {{}}, ['one', 'two'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "one\ntwo\n")
    assert json.loads(out.read_text())["faults"] == ["one", "two"]


def test_every_benchmark_is_on_the_list():
    """A file of `benchmarks` with `main(words)` that is neither a child nor a `__main__`."""
    files = {
        "benchmarks." + ".".join(path.relative_to(ROOT / "benchmarks").with_suffix("").parts)
        for path in (ROOT / "benchmarks").rglob("*.py")
        if "def main(words:" in path.read_text(encoding="utf-8") and path.name != "__main__.py"
    }
    assert files == set(BENCHMARKS.values())


def test_the_command_of_a_record_runs_its_benchmark():
    for module in BENCHMARKS.values():
        text = (ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
        assert '\n\nif __name__ == "__main__":\n' in text, module


def test_filters_that_cannot_be_halved_three_times_are_refused(capsys):
    with pytest.raises(SystemExit):
        learning_curve.main(["--filters", "2500"])
    assert "--filters: got 2500, expected a multiple of 8" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name != "corruptions"])
def test_every_benchmark_shows_its_options(name, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["run", name, "--help"])
    assert caught.value.code == 0
    assert "--out" in capsys.readouterr().out
    module = BENCHMARKS[name]
    assert about(module) == importlib.import_module(module).__doc__.splitlines()[0]


def test_the_list_has_a_line_for_each(capsys):
    main(["list"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(BENCHMARKS)


def test_an_unknown_name_is_one_line():
    with pytest.raises(SystemExit, match=r"got 'run nothing', expected `list`, `run NAME`"):
        main(["run", "nothing"])


def test_a_benchmark_at_small_size(tmp_path, monkeypatch):
    monkeypatch.setattr(random_conv.gemm_rate, "measure", lambda dtype: 1e9)
    out = tmp_path / "out.json"
    words = ["--n", "9", "--filters", "16", "--gram-rows", "64", "--repeats", "1", "--out", str(out)]
    random_conv.main(words)
    record = json.loads(out.read_text())
    assert [row["quantise"] for row in record["rows"]] == [False, True]
    assert record["products"]["bytes"]["exact"] is True
    assert record["faults"] == []


def test_a_record_is_shown_again_as_a_table_and_drawn(tmp_path, capsys):
    results = ROOT / "benchmarks" / "results"
    main(["table", str(results / "draws.json")])
    out = capsys.readouterr().out
    assert "filters: 3000" in out
    assert "first_row" in out
    main(["plot", str(results / "learning_curve.json"), str(tmp_path / "curve.png")])
    assert (tmp_path / "curve.png").stat().st_size > 5_000


def test_a_comparison_is_shown_and_drawn(tmp_path, capsys):
    row = {
        "exact": True,
        "fit_seconds": 0.5,
        "predict_seconds": 2.0,
        "peak_rss_bytes": 3e8,
        "test_error": 0.1,
    }
    rows = [
        {"n": 50, "peer": "kernelfit", **row, "backward_error": 1e-17},
        {"n": 50, "peer": "keops", **row, "backward_error": None, "exact": False, "largest_difference": 0.1},
        {"n": 50, "peer": "jax", "failed": "no answer"},
    ]
    path = tmp_path / "peers.json"
    path.write_text(
        json.dumps({"benchmark": "compare", "rows": rows, "missing": {"cuml": "needs a CUDA device"}})
    )
    main(["table", str(path)])
    out = capsys.readouterr().out
    for words in (
        "kernelfit  500.00 ms",
        "2.00 s",
        "jax   no answer",
        "cuml: needs a CUDA device",
        "1.0e-17",
    ):
        assert words in out
    main(["plot", str(path), str(tmp_path / "peers.svg")])
    assert "keops" in (tmp_path / "peers.svg").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table", "nowhere.json"], "nowhere.json cannot be read"),
        (["plot", "FILE", "x.png"], "draws has no figure; `table` shows its rows"),
        (["draw"], "expected `list`, `run NAME`, `table FILE`"),
    ],
)
def test_what_cannot_be_shown_is_one_line(words, message):
    words = [
        str(ROOT / "benchmarks" / "results" / "draws.json") if word == "FILE" else word for word in words
    ]
    with pytest.raises(SystemExit, match=message):
        main(words)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_process_of_its_own_ends_with_the_run_that_started_it(tmp_path):
    (tmp_path / "runs_asleep.py").write_text(
        "from benchmarks.children import isolated\ndef main(words):\n    isolated.run('asleep')\n"
    )
    (tmp_path / "asleep.py").write_text(
        "import os, pathlib, time\n"
        f"pathlib.Path({str(tmp_path / 'started')!r}).write_text(str(os.getpid()))\n"
        f"pathlib.Path({str(tmp_path / 'started')!r}).rename({str(tmp_path / 'process')!r})\n"
        "time.sleep(120)\n"
    )
    script = (
        "import benchmarks.__main__ as b; b.BENCHMARKS['asleep'] = 'runs_asleep'; b.main(['run', 'asleep'])"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(benchmarks.__path__[0]).parent)]),
        },
    )
    try:
        while not (tmp_path / "process").exists():
            assert run.poll() is None
            time.sleep(0.05)
    finally:
        run.terminate()
    assert run.wait(60) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "process").read_text()), 0)
