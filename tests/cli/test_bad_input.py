"""Bad input at the command line: one clear line, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kernelfit.cli
from kernelfit.errors import InputError


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Run the command as the console script does, in an empty folder; (exit code, output, error lines)."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> tuple[int, str, list[str]]:
        with pytest.raises(SystemExit) as stop:
            kernelfit.cli.main(list(arguments))
        captured = capfd.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err.splitlines()

    return invoke


def dataset(folder: Path, **changes: np.ndarray) -> str:
    rng = np.random.default_rng(0)
    arrays = {
        "X_train": rng.standard_normal((30, 3)),
        "y_train": np.arange(30) % 3,
        "X_test": rng.standard_normal((10, 3)),
        "y_test": np.arange(10) % 3,
    }
    path = folder / "data.npz"
    np.savez(path, **{**arrays, **changes})
    return str(path)


def with_conflict(folder: Path) -> str:
    X = np.random.default_rng(0).standard_normal((30, 3))
    X[9] = X[5]
    return dataset(folder, X_train=X)


def with_nan(folder: Path) -> str:
    X = np.random.default_rng(0).standard_normal((30, 3))
    X[4, 1] = np.nan
    return dataset(folder, X_train=X)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (with_conflict, ["5, 9", "different"]),
        (with_nan, ["nan", "row 4"]),
        (lambda folder: dataset(folder, y_train=np.zeros(30, int), y_test=np.zeros(10, int)), ["class"]),
        (
            lambda folder: dataset(folder, X_train=np.ones((1, 3)), y_train=np.zeros(1, int)),
            ["X_train: got 1 row"],
        ),
        (lambda folder: dataset(folder, X_test=np.empty((0, 3)), y_test=np.empty(0, int)), ["(0, 3)"]),
        (
            lambda folder: dataset(folder, y_train=np.array(["a", "b", "c"] * 10)),
            ["names its classes"],
        ),
        (lambda folder: dataset(folder, X_test=np.ones((10, 4))), ["3", "4", "columns"]),
    ],
    ids=["conflict", "nan", "one class", "one row", "no test rows", "strings", "other width"],
)
def test_data_that_cannot_be_solved(run, tmp_path: Path, make, words: list[str]) -> None:  # type: ignore[no-untyped-def]
    path = make(tmp_path)
    code, out, errors = run("solve", "--train", path, "--out", "kept", "--json", "result.json")
    assert (code, out) == (2, "")
    assert len([line for line in errors if not line.startswith("note:")]) == 1
    assert errors[-1].startswith("kernelfit: ")
    for word in words:
        assert word in errors[-1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.npz"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gamma", "-1"], ["gamma", "-1", "> 0"]),
        (["--gamma", "wide"], ["gamma", "'wide'", "median"]),
        (["--gamma", "nan"], ["gamma", "nan"]),
        (["--ridge", "-0.5"], ["ridge", "-0.5", ">= 0"]),
        (["--jitter", "-1"], ["jitter", "-1"]),
        (["--n", "0"], ["0", "1437"]),
        (["--n", "1"], ["X_train: got 1 row"]),
        (["--n", "5000"], ["5000", "1437"]),
        (["--n", "many"], ["--n", "many"]),
        (["--memory", "1MB"], ["1,000,000", "missing"]),
        (["--memory", "much"], ["memory", "'much'", "8GB"]),
        (["--kernel", "gausian"], ["gausian", "gaussian"]),
        (["--kernel", "linear", "--gamma", "1"], ["--gamma", "linear"]),
        (["--kernel", "linear", "--gamma-factor", "2"], ["--gamma-factor", "linear"]),
        (["--kernel", "gaussian", "--nu", "1.5"], ["--nu", "gaussian"]),
        (["--kernel", "matern", "--nu", "2"], ["nu", "0.5, 1.5, 2.5"]),
        (["--precision", "half"], ["half", "float32"]),
        (["--dataset", "minst"], ["minst", "mnist"]),
        (["--device", "abacus"], ["device", "abacus"]),
        (["--threads", "0"], ["threads", "0"]),
        (["--json", "no/such/folder.json"], ["--json", "no/such"]),
        (["--frobnicate"], ["--frobnicate"]),
        (["--features", "sift"], ["sift", "gabor"]),
        (["--features", "gabor", "--filters", "9"], ["--filters", "gabor"]),
        (
            ["--features", "random-conv", "--filters", "9", "--option", "n-filters=8"],
            ["--filters", "9", "n_filters=8"],
        ),
        (["--features", "gabor", "--option", "stride=2", "--option", "stride=3"], ["stride", "twice"]),
        (["--features", "gabor", "--option", "stride"], ["stride", "NAME=VALUE"]),
        (["--features", "gabor", "--option", "strid=2"], ["strid", "stride"]),
        (["--option", "stride=2"], ["--option", "stride"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0].startswith("--") else None,
)
def test_options_that_make_no_sense(run, tmp_path: Path, arguments: list[str], words: list[str]) -> None:  # type: ignore[no-untyped-def]
    code, out, errors = run("solve", "--out", "kept", *arguments)
    assert (code, out) == (2, "")
    assert len(errors) == 1
    for word in words:
        assert word in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_in_use_is_left_alone(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "notes.txt").write_text("mine")
    code, out, errors = run("solve", "--out", "kept")
    assert (code, out, len(errors)) == (2, "", 1)
    assert "kept" in errors[0]
    assert (tmp_path / "kept" / "notes.txt").read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


def test_a_folder_that_cannot_be_made_stops_before_the_work(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").write_text("")
    code, out, errors = run("solve", "--out", "file/kept", "--dataset", "nothing is loaded")
    assert (code, out, len(errors)) == (2, "", 1)
    assert "--out" in errors[0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_read_only_place_stops_before_the_work(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    # The refusal is injected: permission bits do not bind a super-user, who may be running this.
    from kernelfit.storage import folders

    def refuse(**_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folders.tempfile, "mkdtemp", refuse)
    code, out, errors = run("solve", "--out", "kept", "--dataset", "nothing is loaded")
    assert (code, out, len(errors)) == (2, "", 1)
    assert "Permission denied" in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_saving_leaves_a_run_to_resume(
    run,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kernelfit.errors import StorageError
    from kernelfit.runs import solution_file

    def fail(*_: object) -> None:
        raise StorageError("kept/solution.h5: cannot write: No space left on device; free space")

    with monkeypatch.context() as broken:
        broken.setattr(solution_file, "write", fail)
        code, out, errors = run("solve", "--n", "100", "--out", "kept", "--json", "result.json")
    assert (code, out, len(errors)) == (2, "", 1)
    assert "No space left" in errors[0]
    assert f"continue with kernelfit resume {tmp_path / 'kept'}" in errors[0]
    assert not (tmp_path / "result.json").exists()
    code, out, errors = run("solve", "--n", "100", "--out", "kept")
    assert (code, out, len(errors)) == (2, "", 1)
    assert "holds an unfinished run (1 of 1 panels)" in errors[0]
    code, out, errors = run("resume", "kept", "--json", "-")
    assert code == 0
    assert (tmp_path / "kept" / "result.json").exists()
    assert run("check", "kept")[0] == 0


def test_an_interrupt_is_one_line_and_130(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from kernelfit.experiments import experiment

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "solve", interrupt)
    code, out, errors = run("solve", "--out", "kept")
    assert (code, out) == (130, "")
    assert errors[-1] == "kernelfit: interrupted"
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_not_a_traceback() -> None:
    line = f"{sys.executable} -m kernelfit solve --n 100 --json - | head -c 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_a_character_gets_the_result(tmp_path: Path, encoding: str) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "caf\u00e9.npz", X=rng.normal(size=(40, 3)), y=rng.normal(size=40))
    command = [sys.executable, "-m", "kernelfit", "solve", "--train", str(tmp_path / "caf\u00e9.npz")]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert b"test R" in done.stdout  # R with a superscript
    if encoding == "ascii":
        command += ["--json", "-"]
        done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, check=False)
        assert json.loads(done.stdout.decode(encoding))["dataset"] == "caf\u00e9"


def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    try:
        Path(name + ".npz").write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    rng = np.random.default_rng(0)
    with open(name + ".npz", "wb") as file:
        np.savez(file, X=rng.normal(size=(40, 3)), y=rng.normal(size=40))
    command = [sys.executable, "-m", "kernelfit", "solve", "--train", name + ".npz", "--out", name]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((Path(name) / "result.json").read_text())["experiment"]["train"] == name + ".npz"


def test_square_brackets_in_names_are_no_markup(run, tmp_path: Path, rng: np.random.Generator) -> None:  # type: ignore[no-untyped-def]
    folder = "a[b]c[/d]"
    for name in ("cat [x]", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for k in range(6):
            pixels = rng.integers(0, 255, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{k}.png")
    assert run("solve", "--train", "pictures", "--out", f"{folder}/run")[0] == 0
    code, out, _ = run("check", f"{folder}/run")
    assert code == 0
    assert folder in "".join(out.split())
    assert "cat [x]" in run("predict", f"{folder}/run", "--dataset", "pictures")[1]
    assert run("datasets", "list", "--data-dir", folder)[0] == 0


def test_a_missing_command_and_no_command(run) -> None:  # type: ignore[no-untyped-def]
    code, _, errors = run("slove")
    assert code == 2
    assert len(errors) == 1
    code, _, errors = run()
    assert code == 2
    assert any("solve" in line for line in errors)


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["solve", "--n", "0"], "--n"),
        (["solve", "--dataset", "nowhere"], "--dataset"),
        (["solve", "--nu", "1"], "--nu: the gaussian kernel does not have it"),
        (["solve", "--features", "random-conv", "--filters", "0"], "--filters: got 0"),
        (["solve", "--option", "stride=2"], "--option: got stride"),
        (["solve", "--corruption-p", "0.5"], "--corruption-p: got 0.5"),
        (["solve", "--out", "."], "--out: "),
        (["predict", ".", "--rows", "none.npy"], "DIR: "),
        (["datasets", "list", "--data-dir", "none"], "--data-dir"),
    ],
)
def test_errors_name_what_was_typed(run, tmp_path: Path, arguments: list[str], start: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").touch()
    code, out, errors = run(*arguments)
    assert (code, out, len(errors)) == (2, "", 1)
    assert errors[0].startswith(f"kernelfit: {start}")


def test_errors_are_one_line_however_they_were_raised(run, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from kernelfit.cli import info

    def fail(measure: bool) -> None:
        raise InputError("first\nsecond")

    monkeypatch.setattr(info, "gather", fail)
    code, out, errors = run("info")
    assert (code, out, errors) == (2, "", ["kernelfit: first second"])


@pytest.mark.parametrize(
    "words",
    [
        "solve --train mine.csv --json mine.csv",
        "solve --dataset mine.csv --report mine.csv",
        "fit mine.csv --json mine.csv",
        "study labels --train mine.csv --figure mine.csv",
        "report run mine.csv -o mine.csv",
        "expressivity --dataset mine.csv --json mine.csv",
        "solve --features random-conv --sums mine.csv --json mine.csv",
        "study norms --features random-conv --sums mine.csv --json mine.csv",
        "predict mine.csv --dataset digits --json mine.csv",
    ],
)
def test_what_is_read_is_not_written_over(run, words: str) -> None:  # type: ignore[no-untyped-def]
    Path("mine.csv").write_text("a,y\n1,0.5\n2,1.5\n")
    code, out, lines = run(*words.split())
    assert (code, out, len(lines)) == (2, "", 1)
    assert "got mine.csv, which is read and would be lost; name another file" in lines[0]
    assert Path("mine.csv").read_text() == "a,y\n1,0.5\n2,1.5\n"


@pytest.mark.parametrize(
    "words", ["resume kept", "check kept", "report kept", "predict kept --dataset digits"]
)
def test_what_a_run_that_is_read_consists_of_is_not_written_over(run, words: str) -> None:  # type: ignore[no-untyped-def]
    Path("kept").mkdir()
    Path("kept/result.json").write_text("{}")
    target = "-o" if words.startswith("report") else "--json"
    code, out, lines = run(*words.split(), target, "kept/result.json")
    assert (code, out, len(lines)) == (2, "", 1)
    assert "got kept/result.json, which is read and would be lost" in lines[0]
    assert Path("kept/result.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("solve --out new --json new/result.json", "--out, --json: got new/result.json for both"),
        ("solve --out new --report new/journal", "--out, --report: got new/journal for both"),
        ("fit digits --out new --json new/./solution.h5", "--out, --json: got new/./solution.h5 for both"),
        ("resume new --json new/result.json", "DIR, --json: got new/result.json for both"),
        ("predict new --dataset digits --out a.csv --json a.csv", "--out, --json: got a.csv for both"),
        ("solve --json a.csv --report ./a.csv", "--json, --report: got a.csv for both"),
        ("bench --sizes 1000 --figure a.svg --json a.svg", "--json, --figure: got a.svg for both"),
        ("solve --features random-conv --sums a.h5 --json a.h5", "--json, --sums: got a.h5 for both"),
    ],
)
def test_no_result_is_written_over_another(run, words: str, said: str) -> None:  # type: ignore[no-untyped-def]
    Path("new").mkdir()
    code, out, lines = run(*words.split())
    assert (code, out) == (2, "")
    assert lines == [f"kernelfit: {said}, of which one would be lost; name another file"]
    assert os.listdir("new") == []
    assert os.listdir() == ["new"]


@pytest.mark.parametrize("words", ["info --no-gemm --json /dev/null", "datasets list --json -"])
def test_a_stream_may_be_named_for_any_result(run, words: str) -> None:  # type: ignore[no-untyped-def]
    assert run(*words.split())[0] == 0


def test_a_data_set_beside_ones_own_rows_is_refused(run) -> None:  # type: ignore[no-untyped-def]
    Path("mine.csv").write_text("a,y\n1,0.5\n2,1.5\n")
    code, _, lines = run("solve", "--dataset", "mnist", "--train", "mine.csv")
    assert code == 2
    assert lines == [
        "kernelfit: --dataset, --train: got mnist and mine.csv, expected one of them; leave the other out"
    ]


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_a_folder_that_does_not_exist_is_named_before_the_solve(option: str, run) -> None:  # type: ignore[no-untyped-def]
    code, out, lines = run("solve", "--n", "50", option, "none/x.html")
    assert (code, out) == (2, "")
    assert lines == [f"kernelfit: {option}: the folder none does not exist; make it first"]


@pytest.mark.parametrize(
    "words",
    [
        ["deep", "train", "--n", "50", "--out", ""],
        ["study", "curve", "--n", "50", "--sizes", "20,50", "--out", ""],
        ["solve", "--scratch", ""],
        ["report", ""],
    ],
)
def test_an_empty_word_is_not_the_current_folder(run, words: list[str], tmp_path: Path) -> None:
    """A variable of the shell that is not set: studies and training were stored where the shell was."""
    code, _, lines = run(*words)
    assert code == 2
    assert "got '', expected a path; . is the current folder" in lines[-1]
    assert list(tmp_path.iterdir()) == []
