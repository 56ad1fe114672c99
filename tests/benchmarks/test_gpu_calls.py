"""The three calls of docs/gpu.md: what travels with each, and that one is complete on a bare machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.children import isolated
from benchmarks.gpu import acceptance, call, rows

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path):
    """A folder as `--carry` takes it: MNIST, ten mosaics of 1,000 bytes, and a script that wants all of them."""
    folder = tmp_path / "data"
    for name in (
        "mnist/train.gz",
        "cifar10/train_labels.npy",
        *(f"cifar10/train_{i}.webp" for i in range(10)),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(1_000))
    (folder / "unpack_cifar10.py").write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "target = Path(sys.argv[1]) / 'cifar-10-batches-bin'\n"
        "target.mkdir()\n"
        "assert len(list((Path(__file__).resolve().parent / 'cifar10').glob('*.webp'))) == 10\n"
    )
    return folder


@pytest.fixture
def checkout(tmp_path):
    """A repository with a file that is tracked, one that is not, and one that is ignored."""
    root = tmp_path / "checkout"
    (root / "kernelfit").mkdir(parents=True)
    for name, size in (("tracked", 100), ("new", 20), ("ignored", 3)):
        (root / name).write_bytes(bytes(size))
    (root / ".gitignore").write_text("ignored\n/.carry-*/\n")
    for words in (["init", "-q"], ["add", "tracked", ".gitignore"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


def test_calls_are_those_of_the_documentation_and_name_every_row_once():
    text = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    table = re.findall(
        r"^\| (\d) \| `python -m benchmarks\.gpu --rows (\S+) --out (\w+)\.json`", text, re.MULTILINE
    )
    assert {int(number): (name, names) for number, names, name in table} == call.CALLS
    named = [name for _, names in call.CALLS.values() for name in names.split(",")]
    assert sorted(named) == sorted(row.name for row in rows.ROWS)


def test_a_call_ends_within_its_time():
    assert call.ROWS_SECONDS == acceptance.BUDGET
    # The last process is stopped at the end of the budget, and the log is printed.
    assert isolated.PATIENCE < call.END_SECONDS
    for _, names in call.CALLS.values():
        limits = sum(row.limit for row in rows.chosen(names))
        assert limits + acceptance._MIN_LEFT <= call.CALL_SECONDS - call.END_SECONDS - 40  # for installing


def test_what_travels_is_counted_and_limited(data, checkout, capsys, monkeypatch):
    assert call.carry(1, data, checkout) == 0
    mosaics = {path.name for path in (checkout / ".carry-1" / "cifar10").glob("*.webp")}
    assert len(mosaics) == 4
    assert (checkout / ".carry-1" / "mnist" / "train.gz").is_file()
    files = 100 + 20 + (checkout / ".gitignore").stat().st_size
    assert f"checkout {files} bytes" in capsys.readouterr().out  # not what is carried, which git ignores
    assert call.carry(2, data, checkout) == 0
    others = {path.name for path in (checkout / ".carry-2" / "cifar10").iterdir()}
    assert mosaics | others == {path.name for path in (data / "cifar10").glob("*.webp")}
    assert not mosaics & others
    monkeypatch.setattr(call, "MAX_BYTES", 5_000)
    assert call.carry(1, data, checkout) == 1


def test_halves_are_put_together_and_one_alone_is_no_data_set(data, checkout):
    call.carry(1, data, checkout)
    folder = call.together(checkout)
    assert (folder / "mnist" / "train.gz").is_file()
    assert not (folder / "cifar-10-batches-bin").exists()
    call.carry(2, data, checkout)
    assert (call.together(checkout) / "cifar-10-batches-bin").is_dir()
    assert call.together(checkout) == folder  # once more, in the third call


@pytest.mark.parametrize("code", [0, 1])
def test_workers_take_wheels_along(data, checkout, monkeypatch, code):
    """On a machine without a network the row of workers could not import Dask."""
    asked = []

    def pip(command, **options):
        asked.append(command[3:])
        if "download" in command:
            folder = Path(command[command.index("-d") + 1])
            folder.mkdir(parents=True)
            (folder / "dask.whl").write_bytes(bytes(10))
        return subprocess.CompletedProcess(command, code)

    with monkeypatch.context() as patch:
        patch.setattr(call, "checkout_bytes", lambda root: 100)
        patch.setattr(call.subprocess, "run", pip)
        assert call.carry(3, data, checkout) == code
        assert {"dask-cuda==26.10.0", "distributed==2026.7.1"} <= set(asked[0])
        site = call.install_wheels(checkout)
        assert site == ([] if code else [str(checkout / ".carry-site")])
        assert asked[1][-1] == str(checkout / ".carry-3" / "wheels" / "dask.whl")
    assert not list(call.together(checkout).rglob("*.whl"))


@pytest.mark.parametrize("code", [0, 1])
def test_where_pip_cannot_install_rooms_are_linked(checkout, monkeypatch, code):
    asked = []

    def pip(command, **options):
        asked.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(call.subprocess, "run", pip)
    for _ in range(2):
        call.install(checkout)
    assert asked[0][1:] == ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", "."]
    links = {path.name: str(path.readlink()) for path in (checkout / "kernelfit").iterdir()}
    assert links == ({"cli": "../cli", "cuda_kernels": "../cuda_kernels"} if code else {})


def test_rows_run_with_the_time_that_is_left_and_their_exit_code_is_that_of_the_call(
    checkout, monkeypatch, tmp_path, capsys
):
    asked, now = [], iter([0.0, 70.0])

    def benchmark(command, *, cwd, env, stdout, stderr):
        asked.append((command, env))
        stdout.write("rates: failed\n")
        stdout.flush()
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(call, "install", lambda root: None)
    monkeypatch.setattr(call.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(call.subprocess, "run", benchmark)
    monkeypatch.setenv("OUT", str(tmp_path))
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("KERNELFIT_DATA", raising=False)
    assert call.run(1, "host", checkout) == 1
    (command, environment) = asked[0]
    assert command[:3] == [sys.executable, "-m", "benchmarks.gpu"]
    assert command[command.index("--budget") + 1] == "485"
    assert command[command.index("--out") + 1] == str(tmp_path / "first.json")
    assert environment["CUDA_HOME"] == "/usr/local/cuda"
    assert environment["KERNELFIT_DATA"] == str(checkout / ".carry-data")
    assert (tmp_path / "first.log").read_text() == "rates: failed\n"
    assert "rates: failed" in capsys.readouterr().out
