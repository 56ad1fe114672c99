"""`kernelfit reproduce` for tables and figures of networks: the plan, an end in time, scaled-down runs, refusals."""

import json

import pytest
from click.testing import CliRunner

from kernelfit.cli import root
from kernelfit.errors import InputError

pytest.importorskip("torch")

from kernelfit.deep.paper import plan


def reproduce(*arguments):
    result = CliRunner().invoke(root, ["reproduce", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_plan_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "images_per_second", lambda *_: 1000.0)
    result = reproduce("table1", "fig1", "--plan", "--out", str(tmp_path / "none"))
    words = result.stdout.split()
    assert "49" in words
    assert "133" in words  # PFLOP
    assert not (tmp_path / "none").exists()
    record = json.loads(reproduce("table4", "--plan", "--seeds", "0,1", "--json", "-").stdout)
    assert record["runs"] == len(set(record["keys"])) == 42
    with pytest.raises(InputError, match="table2's arithmetic"):
        reproduce("table2", "--plan", "--images", str(tmp_path))
    with pytest.raises(InputError, match="reproduce it by itself"):
        reproduce("table2", "fig1", "--images", str(tmp_path), "--out", str(tmp_path / "none"))


def test_reproduce_ends_in_time_and_says_what_is_missing(tmp_path):
    target = tmp_path / "record.json"
    arguments = ["table1", "fig1", "--dataset", "digits", "--n", "100", "--n-test", "50", "--epochs", "1"]
    arguments += [
        "--side",
        "6",
        "--device",
        "cpu",
        "--minutes",
        "1e-9",
        "--out",
        str(tmp_path),
        "--json",
        str(target),
    ]
    result = reproduce(*arguments)
    assert "19 of 19 runs are not finished: the same command resumes them" in result.stdout
    assert "36 of 36 runs are not finished" in result.stdout
    assert "fig1: no run has come as far as what is shown" in result.stdout
    records = json.loads(target.read_text())["reproductions"]
    assert set(records) == {"table1", "fig1"}
    assert len(records["fig1"]["unfinished"]) == 36
    assert {cell["ours"] for cell in records["table1"]["cells"]} == {None}
    assert {cell["seeds"] for cell in records["table1"]["cells"]} == {0}
    assert "figure 1a: no epoch yet of true, random labels," in result.stdout
    assert not (tmp_path / "figures").exists()


def test_reproduce_scaled_down(tmp_path):
    arguments = ["fig2", "--dataset", "digits", "--n", "24", "--n-test", "10", "--epochs", "1"]
    arguments += ["--device", "cpu", "--out", str(tmp_path)]
    result = reproduce(*arguments)
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table2"], "--images: table2 needs"),
        (["table2", "--data-dir", "there"], "--data-dir: table2 takes"),
        (["table1", "--images", "there"], "--images: got a folder without table2"),
        (["table1", "--plan", "--dataset", "digits"], "--plan: .* cifar10 alone"),
        (
            ["table4", "--dataset", "digits", "--n", "20"],
            "crop: got images of 8 x 8 in digits, .* a side below 8",
        ),
    ],
)
def test_refusals(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message):
        reproduce(*arguments, "--out", str(tmp_path))


def test_every_target_has_a_command_and_its_line_of_help():
    result = reproduce("--help")
    for target in ("table1", "table2", "table3", "table4", "fig1", "fig2"):
        assert f"  {target} " in result.stdout
    assert "Further targets may follow" in reproduce("table1", "--help").stdout
