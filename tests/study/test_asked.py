"""A study of labels asked of an experiment, stored in its run directory, from Python and from the command line."""

import json

import pytest
from click.testing import CliRunner

from kernelfit import Experiment
from kernelfit.cli import root
from kernelfit.errors import DataError, InputError
from kernelfit.study.asked import LABELS, ask_labels


@pytest.fixture
def experiment():
    return Experiment("digits", n_train=150, n_test=60, gamma=0.1, threads=1)


def test_the_true_labels_give_what_the_experiment_reports(experiment):
    record = ask_labels(experiment, levels=(0,), loo=True)
    alone = Experiment("digits", n_train=150, n_test=60, gamma=0.1, threads=1, loo=True).run().record
    (trial,) = record["trials"]
    for name in ("test_error", "train_error", "loo_error"):
        assert trial[name] == alone[name]
    assert trial["rkhs_norm"] == pytest.approx(alone["rkhs_norm"], rel=1e-12)
    assert (record["n_classes"], record["kernel"], record["n_test"]) == (10, alone["kernel"], 60)


def test_a_stored_study_is_added_to_and_loses_nothing(experiment, tmp_path):
    run_dir = tmp_path / "run"
    first = ask_labels(experiment, levels=(0, 0.5), run_dir=run_dir)
    more = ask_labels(experiment, levels=(0.5, 1), seeds=(0, 1), run_dir=run_dir)
    assert more["trials"][0] == first["trials"][1]  # taken over, not solved again
    stored = json.loads((run_dir / LABELS).read_text())
    assert [(t["p"], t["seed"]) for t in stored["trials"]] == [(0, 0), (0.5, 0), (0.5, 1), (1, 0), (1, 1)]
    fresh = ask_labels(experiment, levels=(0.5, 1), seeds=(0, 1))
    for stored_trial, trial in zip(more["trials"], fresh["trials"], strict=True):
        assert (stored_trial["seed"], stored_trial["p"]) == (trial["seed"], trial["p"])
        assert stored_trial["rkhs_norm"] == pytest.approx(trial["rkhs_norm"], rel=1e-12)
        assert stored_trial["test_error"] == trial["test_error"]
    assert Experiment.load(run_dir).record["test_error"] == first["trials"][0]["test_error"]


def test_labellings_are_drawn_by_the_seed_of_the_experiment(experiment):
    seventh = Experiment(**{**experiment.to_dict(), "seed": 7})
    record = ask_labels(seventh, levels=(0.5,), seeds=(0, 1))
    assert [trial["seed"] for trial in record["trials"]] == [7, 8]
    (trial,) = ask_labels(experiment, levels=(0.5,), seeds=(7,))["trials"]
    assert trial["test_error"] == record["trials"][0]["test_error"]


def test_a_run_of_another_experiment_is_refused(experiment, tmp_path):
    ask_labels(experiment, levels=(0,), run_dir=tmp_path / "run")
    other = Experiment("digits", n_train=150, n_test=60, gamma=0.2, threads=1)
    with pytest.raises(
        InputError, match=r"^run_dir: .* holds a run whose gamma is 0.1, here 0.2; name another"
    ):
        ask_labels(other, levels=(0,), run_dir=tmp_path / "run")


def test_a_linear_kernel_that_does_not_meet_any_labels_is_refused(tmp_path):
    """It had "given back" a factor that never was; and its folder was one of "another experiment"."""
    experiment = Experiment("digits", n_train=90, n_test=9, kernel="linear", threads=1)
    for folder in (None, tmp_path / "run", tmp_path / "run"):
        with pytest.raises(InputError, match=r"^kernel: linear has rank \d+ below n = 90, expected one that"):
            ask_labels(experiment, levels=(0,), run_dir=folder)


def test_a_damaged_record_is_named(experiment, tmp_path):
    ask_labels(experiment, levels=(0,), run_dir=tmp_path / "run")
    (tmp_path / "run" / LABELS).write_text("{")
    with pytest.raises(DataError, match="is no record of a study"):
        ask_labels(experiment, levels=(0,), run_dir=tmp_path / "run")
    (tmp_path / "run" / LABELS).write_text('{"trials": []}')
    with pytest.raises(
        DataError, match=r"\(it has no 'data', as where an earlier version stored it\); remove it"
    ):
        ask_labels(experiment, levels=(0,), run_dir=tmp_path / "run")


def test_regression_has_no_labels_to_draw(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("".join(f"{i},{i % 7},{i * 0.5 + 0.25}\n" for i in range(40)))
    with pytest.raises(InputError, match=r"^dataset: .* numeric targets"):
        ask_labels(Experiment(train=table), levels=(0,))


def test_the_command_prints_a_table_and_writes_json_and_a_figure(tmp_path):
    figure = tmp_path / "labels.png"
    arguments = ["study", "labels", "--n", "150", "--n-test", "60", "--levels", "0,1", "--seeds", "2"]
    result = CliRunner().invoke(
        root, [*arguments, "--figure", str(figure), "--json", str(tmp_path / "l.json")]
    )
    assert result.exit_code == 0, result.output
    assert "3 labellings" in result.output
    record = json.loads((tmp_path / "l.json").read_text())
    assert [row["p"] for row in record["summary"]] == [0, 1]
    assert "study labels" in record["command"]
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("levels", ["0,2", "", "half"])
def test_levels_that_are_no_fractions_are_refused(levels):
    result = CliRunner().invoke(root, ["study", "labels", "--n", "50", "--levels", levels])
    assert result.exit_code != 0
    assert "--levels" in result.output + str(result.exception)
    assert "got " in result.output + str(result.exception)


def test_random_conv_features_that_stream_are_studied_as_well():
    experiment = Experiment(
        "digits",
        n_train=60,
        n_test=30,
        features="random-conv",
        feature_options={"n_filters": 40, "patch_size": 3},
        kernel="linear",
        threads=1,
    )
    record = ask_labels(experiment, levels=(0, 1))
    assert experiment.streams
    assert [trial["train_error"] for trial in record["trials"]] == [0, 0]


def test_labellings_of_rows_that_have_changed_are_refused(tmp_path):
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    lines = [f"{i % 7}.5,{i % 5},{i % 11},{'ab'[i % 2]}" for i in range(40)]
    train.write_text("\n".join(["p,q,r,label", *lines]))
    test.write_text("\n".join(["p,q,r,label", *lines[:9]]))

    def ask(*seeds):
        experiment = Experiment(train=train, test=test, gamma=0.3, threads=1)
        return ask_labels(experiment, levels=(0.5,), seeds=seeds, run_dir=tmp_path / "run")

    first = ask(0)
    assert ask(0, 1)["trials"][0] == first["trials"][0]
    correct = train.read_text()
    train.write_text("\n".join(["p,q,r,label", lines[0][:-1] + "b", *lines[1:]]))
    with pytest.raises(
        DataError, match=r"run: the training rows of .*train\.csv are no longer those of the run"
    ):
        ask(0, 1, 2)
    train.write_text(correct)
    test.write_text("\n".join(["p,q,r,label", *lines[1:10]]))
    with pytest.raises(InputError, match=r"^run_dir: .*labels\.json holds labellings of other test rows"):
        ask(0, 1, 2)
