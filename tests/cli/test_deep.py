"""`kernelfit deep`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kernelfit.cli import root
from kernelfit.errors import DataError, InputError

pytest.importorskip("torch")

SMALL = ["--dataset", "digits", "--n", "100", "--n-test", "50", "--epochs", "2", "--device", "cpu"]


def run(*arguments):
    result = CliRunner().invoke(root, ["deep", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_train_resumes_reports_and_analyses(tmp_path):
    arguments = ["train", *SMALL, "--side", "8", "--corruption", "corrupt-labels", "--p", "0.5", "--norms"]
    arguments += ["--kernels", "30", "--rademacher", "2", "--weight-decay", "default", "--out", str(tmp_path)]
    record = json.loads(run(*arguments, "--json", "-").stdout)
    assert record["recipe"]["weight_decay"] == 5e-4
    assert record["recipe"]["p"] == 0.5
    assert len(record["history"]) == 2
    assert record["history"][-1]["corrupted_accuracy"] is not None
    error = 1 - record["test_accuracy"]
    assert record["corrupted_test_error"] == pytest.approx(1 - (0.5 * (1 - error) + 0.05))
    assert set(record["analysis"]) == {"norms", "margins", "kernels", "rademacher"}
    assert [(k["network"], k["kernel"]) for k in record["analysis"]["kernels"]] == [
        (state, kernel) for state in ("fresh", "trained") for kernel in ("tangent", "conjugate")
    ]
    assert {choice["name"] for choice in record["choices"]} >= {"batch", "weight_decay", "augmentation"}
    result = run(*arguments)
    for word in ("finished", "memorisation", "tangent, trained", "path norm", "standard error"):
        assert word in result.stdout
    assert str(tmp_path / record["key"]) in "".join(result.stdout.split())  # folded, not cut


def test_analyses_of_a_finished_run_leave_its_result_and_each_other(tmp_path):
    arguments = ["train", *SMALL[:2], "--n", "40", "--n-test", "10", "--epochs", "1", "--side", "8"]
    arguments += ["--device", "cpu", "--out", str(tmp_path)]
    run(*arguments, "--precision", "bf16")
    (path,) = tmp_path.glob("*/result.json")
    before = path.read_bytes()
    first = json.loads(run(*arguments, "--kernels", "10", "--json", "-").stdout)
    second = json.loads(run(*arguments, "--norms", "--json", "-").stdout)
    assert path.read_bytes() == before
    assert first["system"]["precision"] == second["system"]["precision"] == "bf16"
    assert "trained in bf16, not in float32" in " ".join(run(*arguments).stderr.split())
    stored = json.loads((path.parent / "analysis.json").read_text())
    assert set(stored) == set(second["analysis"]) == {"kernels", "norms", "margins"}
    assert stored["kernels"] == first["analysis"]["kernels"]
    (path.parent / "analysis.json").write_text("[1]")
    with pytest.raises(DataError, match=r"analysis\.json is not one of this program; delete it"):
        run(*arguments, "--norms")


def test_a_finished_run_of_a_file_that_has_changed_is_refused(tmp_path):
    path, rows = (
        tmp_path / "mine.npz",
        {"X": np.arange(160, dtype=np.uint8).reshape(10, 4, 4, 1), "y": [0, 1] * 5},
    )
    np.savez(path, **rows)
    arguments = ["train", "--dataset", str(path), "--epochs", "1", "--device", "cpu", "--out", str(tmp_path)]
    run(*arguments)
    assert "this run is finished in" in run(*arguments).stderr
    np.savez(path, **rows | {"y": [1, 0] * 5})
    with pytest.raises(DataError, match=r"trained on other data than .*mine\.npz holds now"):
        run(*arguments)


def test_sweep(tmp_path):
    target = tmp_path / "sweep.json"
    arguments = ["sweep", *SMALL, "--side", "8", "--corruption", "true", "--corruption", "corrupt-labels"]
    arguments += ["--p", "0,0.5", "--seeds", "0,1", "--out", str(tmp_path), "--json", str(target)]
    run(*arguments)
    runs = json.loads(target.read_text())["runs"]
    # true, and p = 0.5; p = 0 is the true labels again
    assert sorted((r["recipe"]["corruption"], r["recipe"]["seed"]) for r in runs) == [
        ("corrupt-labels", 0),
        ("corrupt-labels", 1),
        ("true", 0),
        ("true", 1),
    ]


def test_a_sweep_over_weight_decays(tmp_path):
    target = tmp_path / "sweep.json"
    arguments = ["sweep", *SMALL, "--side", "8", "--weight-decay", "off,default", "--weight-decay", "0.1"]
    run(*arguments, "--precision", "bf16", "--out", str(tmp_path), "--json", str(target))
    runs = json.loads(target.read_text())["runs"]
    assert sorted(r["recipe"]["weight_decay"] for r in runs) == [0.0, 5e-4, 0.1]
    assert {r["system"]["precision"] for r in runs} == {"bf16"}
    assert "--weight-decay off,default --weight-decay 0.1" in json.loads(target.read_text())["command"]


class Called(Exception):
    """Instead of a training: its arguments."""


# Of every option of a recipe and of the hardware a value that is not its default, and what becomes of it.
RECIPE = {
    "--dataset": ("digits", {"dataset": "digits"}),
    "--n": ("90", {"n": 90}),
    "--n-test": ("40", {"n_test": 40}),
    "--epochs": ("7", {"epochs": 7}),
    "--side": ("6", {"side": 6}),
    "--batch": ("32", {"batch": 32}),
    "--rate": ("0.2,0.05", {"rates": (0.2, 0.05)}),
    "--optimizer": ("rmsprop", {"optimizer": "rmsprop"}),
    "--label-smoothing": ("0.15", {"label_smoothing": 0.15}),
    "--rate-decay": ("0.9", {"rate_decay": 0.9}),
    "--dropout": ("0.25", {"dropout": 0.25}),
    "--crop": (None, {"crop": True}),
    "--augment": (None, {"augment": True}),
    "--plateau": ("11", {"plateau": 11}),
    "--stop-when-fitted": (None, {"stop_when_fitted": True}),
}
HARDWARE = {
    "--device": ("cuda:1", {"device": "cuda:1"}),
    "--precision": ("bf16", {"precision": "bf16"}),
    "--compile": (None, {"compile": True}),
    "--cuda-graph": (None, {"graph": True}),
    "--checkpoint-seconds": ("5", {"checkpoint_seconds": 5.0}),
    "--evaluate-every": ("3", {"evaluate_every": 3}),
    "--tensorboard": (None, {"tensorboard": True}),
    "--workers": ("2", {"workers": 2}),
}
OF_TRAIN = {
    "--model": "mlp-3x512",
    "--corruption": "corrupt-labels",
    "--p": "0.3",
    "--weight-decay": "default",
}
OF_TRAIN |= {"--seed": "4"}
OF_SWEEP = OF_TRAIN | {"--p": "0.3,0.6", "--weight-decay": "0.1", "--seeds": "4,5"}
OF_SWEEP |= {"--stack": "3", "--at-once": "2", "--minutes": "1.5"}
OF_SWEEP.pop("--seed")


@pytest.mark.parametrize(
    ("name", "own", "beside"),
    [
        ("train", OF_TRAIN, {"--images", "--norms", "--kernels", "--rademacher", "--json"}),
        ("sweep", OF_SWEEP, {"--json"}),
    ],
)
def test_every_option_reaches_the_training(monkeypatch, tmp_path, name, own, beside):
    from kernelfit.cli.deep import command
    from kernelfit.deep import Hardware
    from kernelfit.deep.recipe import Recipe

    def call(*positional, **named):
        raise Called(*positional, named)

    threads = []
    monkeypatch.setattr(f"kernelfit.deep.{name}", call, raising=False)
    monkeypatch.setattr(Hardware, "use_threads", lambda self, count: threads.append(count))
    shared = {option: value for option, (value, _) in (RECIPE | HARDWARE).items()}
    shared |= {"--threads": "3", "--data-dir": str(tmp_path / "data"), "--out": str(tmp_path / "out")}
    (tmp_path / "data").mkdir()
    options = own | shared
    assert {
        option for each in command.commands[name].params for option in each.opts
    } == options.keys() | beside
    with pytest.raises(Called) as called:
        run(name, *(word for pair in options.items() for word in pair if word is not None))
    recipes, folder, named = called.value.args
    fields = {field: value for _, changes in RECIPE.values() for field, value in changes.items()}
    fields |= {"model": "mlp-3x512", "corruption": "corrupt-labels"}
    expected = {
        "hardware": Hardware(
            **{field: value for _, given in HARDWARE.values() for field, value in given.items()}
        ),
        "data_dir": tmp_path / "data",
    }
    if name == "train":
        assert recipes == [Recipe(**fields, p=0.3, weight_decay=5e-4, seed=4)]
    else:
        expected |= {"stack": 3, "at_once": 2, "minutes": 1.5}
        assert recipes == [
            Recipe(**fields, p=p, weight_decay=0.1, seed=seed) for seed in (4, 5) for p in (0.3, 0.6)
        ]
    assert folder == tmp_path / "out"
    assert threads == [3]
    named.pop("progress")
    assert named == expected


@pytest.mark.parametrize("option", ["--kernels", "--rademacher"])
def test_fewer_rows_or_draws_than_none_are_refused(option, tmp_path):
    result = run("train", option, "-5", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert option in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--weight-decay", "much"], "--weight-decay: got 'much'"),
        (["train", "--weight-decay", "off,0.1"], "--weight-decay: got 'off,0.1'"),
        (["train", "--p", "0.5"], "--p: got a share without --corruption corrupt-labels"),
        (["sweep", "--p", "0.2,0.5", "--corruption", "random-labels"], "--p: got a share without"),
        (["train", "--device", "cpu:5"], "device: got 'cpu:5', expected auto, cpu or cuda"),
        (["train", "--rademacher", "1"], "--rademacher: got 1, expected at least 2"),
        (["train", "--kernels", "50", "--n", "20"], "--kernels: got 50, expected at most the 20"),
        (["train", "--device", "meta"], "device: got 'meta', expected auto, cpu or cuda"),
        (["train", "--dataset", "digits", "--crop"], "crop: got images of 8 x 8 in digits"),
        (["sweep", "--dataset", "digits", "--crop"], "crop: got images of 8 x 8 in digits"),
        (["train", "--images", "there", "--dataset", "digits"], "--images: names the data set"),
        (["train", "--json", "/nowhere/x.json"], "--json: the folder /nowhere does not exist"),
    ],
)
def test_refusals(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run(*arguments, "--out", str(tmp_path))


@pytest.mark.parametrize("name", ["train", "sweep"])
def test_a_folder_whose_name_is_too_long_is_refused_in_one_line(name):
    with pytest.raises(InputError, match=r"out: got 'aaa.*, expected a path that is not as long"):
        run(name, *SMALL, "--out", "a" * 300)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--rate", "fast"], "'--rate': got 'fast', expected numbers"),
        (["sweep", "--p", "0;1"], "'--p': got '0;1', expected numbers"),
        (["sweep", "--seeds", "a"], "'--seeds': got 'a', expected integers"),
        (
            ["sweep", "--seeds", str(2**63)],
            "'--seeds': got '9223372036854775808', expected distinct integers",
        ),
        (["sweep", "--seeds", "1,0,1"], "'--seeds': got '1,0,1', expected distinct"),
        (["sweep", "--seeds", "1_0"], "'--seeds': got '1_0', expected distinct"),
        (["sweep", "--seeds", "-1"], "'--seeds': got '-1', expected distinct integers >= 0"),
    ],
)
def test_what_is_no_list_of_numbers_is_refused(arguments, message, tmp_path):
    result = run(*arguments, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert message in result.stderr


OWN = """
from torch import nn

def build(shape, n_classes):
    height, width, channels = shape
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
        nn.Linear(4 * height * width, n_classes))
"""
DYING = """
import os, signal, sys
from kernelfit.cli import main
from kernelfit.deep.training import checkpoint
honest = checkpoint.save
def save_then_die(state, path):
    honest(state, path)
    if (state["epoch"], state["step"]) == (1, 2):
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save = save_then_die
main(sys.argv[1:])
"""


def test_a_network_of_ones_own_killed_inside_an_epoch_resumes_with_the_same_bits(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "nets.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    arguments = ["train", "--model", "mine.nets:build", *SMALL[:6], "--epochs", "3", "--batch", "32"]
    arguments += ["--device", "cpu", "--threads", "1", "--checkpoint-seconds", "0", "--out"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", DYING, "deep", *arguments, "killed"]
    dead = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    try:
        for out in ("killed", "full"):
            assert ("resumed" in run(*arguments, out).stderr) == (out == "killed")
    finally:
        for name in ("mine", "mine.nets"):
            sys.modules.pop(name, None)
    killed, full = (
        torch.load(next((tmp_path / out).rglob("checkpoint.pt")), weights_only=True)["model"]
        for out in ("killed", "full")
    )
    assert killed.keys() == full.keys()
    assert all(torch.equal(killed[name], full[name]) for name in full)
