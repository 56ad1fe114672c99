"""`kernelfit deep`."""

import json

import pytest
from click.testing import CliRunner

from kernelfit.cli import root
from kernelfit.errors import InputError

pytest.importorskip("torch")

SMALL = ["--dataset", "digits", "--n", "100", "--n-test", "50", "--epochs", "2", "--device", "cpu"]


def run(*arguments):
    result = CliRunner().invoke(root, ["deep", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_names_agree_with_the_library():
    from kernelfit.cli import deep
    from kernelfit.datasets.corruptions import CORRUPTIONS
    from kernelfit.deep.models import MODELS
    from kernelfit.deep.system import PRECISIONS

    assert deep.MODEL_NAMES == MODELS
    assert set(deep.CORRUPTION_NAMES) == set(CORRUPTIONS)
    choice = next(p for p in deep.train_command.params if p.name == "precision").type
    assert tuple(choice.choices) == PRECISIONS


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


def test_the_plan_trains_nothing(tmp_path):
    result = run("reproduce", "table1", "fig1", "--plan", "--out", str(tmp_path / "none"))
    words = result.stdout.split()
    assert "49" in words
    assert "133" in words  # PFLOP
    assert not (tmp_path / "none").exists()
    record = json.loads(run("reproduce", "table4", "--plan", "--seeds", "0,1", "--json", "-").stdout)
    assert record["runs"] == len(set(record["keys"])) == 42
    with pytest.raises(InputError, match="table2's arithmetic"):
        run("reproduce", "table2", "--plan", "--images", str(tmp_path))
    with pytest.raises(InputError, match="reproduce it by itself"):
        run("reproduce", "table2", "fig1", "--images", str(tmp_path), "--out", str(tmp_path / "none"))


def test_reproduce_ends_in_time_and_says_what_is_missing(tmp_path):
    target = tmp_path / "record.json"
    arguments = ["reproduce", "table1", "fig1", *SMALL[:6], "--epochs", "1", "--device", "cpu"]
    arguments += ["--minutes", "1e-9", "--out", str(tmp_path), "--json", str(target)]
    result = run(*arguments)
    assert "19 of 19 runs are not finished: the same command goes on with them" in result.stdout
    assert "36 of 36 runs are not finished" in result.stdout
    records = json.loads(target.read_text())["reproductions"]
    assert set(records) == {"table1", "fig1"}
    assert len(records["fig1"]["unfinished"]) == 36
    assert {cell["ours"] for cell in records["table1"]["cells"]} == {None}
    assert {cell["seeds"] for cell in records["table1"]["cells"]} == {0}
    assert (tmp_path / "figures" / "fig1c.png").exists()


def test_reproduce_scaled_down(tmp_path):
    arguments = ["reproduce", "fig2", "--dataset", "digits", "--n", "24", "--n-test", "10", "--epochs", "1"]
    arguments += ["--device", "cpu", "--out", str(tmp_path)]
    result = run(*arguments)
    assert "scaled down: 1 epochs instead of 100, 24 training rows instead of all" in " ".join(
        result.stdout.split()
    )
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "fig2a-cifar10.png",
        "fig2a-cifar10.svg",
        "fig2b.png",
        "fig2b.svg",
    ]
    assert json.loads((tmp_path / "fig2.json").read_text())["scaled_down"].startswith("scaled down")


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
        (["train", "--rate", "fast"], "--rate: got 'fast'"),
        (["train", "--p", "0.5"], "--p: of use with --corruption corrupt-labels"),
        (["sweep", "--p", "0.2,0.5", "--corruption", "random-labels"], "--p: of use with"),
        (["sweep", "--seeds", "a"], "--seeds: got 'a'"),
        (["reproduce", "table2"], r"table2 needs .*\(--images\)"),
        (["reproduce", "table2", "--data-dir", "there"], "--data-dir: table2 takes"),
        (["reproduce", "table1", "--images", "there"], "--images: of use with table2"),
        (["reproduce", "table1", "--plan", "--dataset", "digits"], "--plan: .* cifar10 alone"),
        (["train", "--images", "there", "--dataset", "digits"], "--images: names the data set"),
        (["train", "--json", "/nowhere/x.json"], "--json: the folder /nowhere does not exist"),
    ],
)
def test_refusals(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run(*arguments, "--out", str(tmp_path))
