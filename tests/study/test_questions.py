"""`kernelfit.study.questions` and its commands: a record, rows that are not computed again, a table, a figure."""

import inspect
import json

import numpy as np
import pytest
from click.testing import CliRunner

from kernelfit import Experiment
from kernelfit.arguments import bytes_of
from kernelfit.cli import root
from kernelfit.errors import InputError
from kernelfit.features import RandomConv
from kernelfit.kernels import named
from kernelfit.report import studies, study_figures
from kernelfit.study import curve, double_descent, questions
from kernelfit.study import interpolants as study_interpolants
from kernelfit.study.asked import ask_labels
from kernelfit.study.complexity import Spectral
from kernelfit.study.descent import Coordinates
from kernelfit.study.questions import (
    STUDIES,
    Study,
    ask_complexity,
    ask_curve,
    ask_double_descent,
    ask_inputs,
    ask_interpolants,
    ask_norms,
    ask_sgd,
)

SMALL = ["--n", "60", "--n-test", "30", "--gamma", "0.1", "--threads", "1"]
OWN = {
    "sgd": ["--steps", "20", "--passes", "2"],
    "curve": ["--sizes", "20,30,45,60", "--seeds", "2"],
    "double-descent": ["--shares", "0.5,2"],
    "inputs": ["--maps", "none"],
    "norms": ["--maps", "none", "--kernels", "gaussian,laplacian", "--ridges", "0,0.1"],
}


def _refuse(*arguments, **options):
    raise AssertionError(f"computed again {arguments}")


@pytest.mark.parametrize("name", STUDIES)
def test_a_command_prints_a_table_draws_a_figure_and_stores_the_record(name, tmp_path, monkeypatch):
    figure, target = tmp_path / "figure.png", tmp_path / "record.json"
    arguments = ["study", name, *SMALL, *OWN.get(name, []), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(root, [*arguments, "--figure", str(figure), "--json", str(target)])
    assert result.exit_code == 0, (result.output, result.exception)
    record = json.loads(target.read_text())
    assert record["study"] == name
    assert record == json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert "digits" in result.stdout
    # What is there is not computed again.
    for module, computed in (
        (questions, "_curve_point"),
        (questions, "_random_features"),
        (questions, "interpolants"),
        (questions, "complexity"),
        (questions.settings, "run_setting"),
        (questions.descent, "descend"),
    ):
        monkeypatch.setattr(module, computed, _refuse)
    again = CliRunner().invoke(root, [*arguments, "--json", "-"])
    assert again.exit_code == 0, (again.output, again.exception)
    rows = "labellings" if name == "complexity" else "rows"
    assert json.loads(again.stdout)[rows] == record[rows]


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(4)
    y = np.arange(90) % 3
    X = rng.normal(size=(90, 7)) + 2.0 * np.eye(3, 7)[y]
    path = tmp_path / "flowers.csv"
    lines = [
        ",".join(f"{value:.5f}" for value in row) + f",class{label}" for row, label in zip(X, y, strict=True)
    ]
    path.write_text("\n".join([",".join([*"abcdefg", "label"]), *lines]))
    return path


@pytest.mark.parametrize(
    ("module", "name", "ask"),
    [
        (curve, "curve", lambda study: ask_curve(study, sizes=[20, 40])),
        (double_descent, "double-descent", lambda study: ask_double_descent(study, shares=[0.5, 2])),
        (study_interpolants, "interpolants", ask_interpolants),
    ],
)
def test_every_solve_of_a_study_has_the_options_of_its_experiment(module, name, ask, monkeypatch):
    given = {"jitter": 1e-8, "precision": "mixed", "tier": "ram", "device": "cpu", "threads": 1}
    asked, solve = [], module.solve
    monkeypatch.setattr(
        module, "solve", lambda *rows, **options: asked.append(options) or solve(*rows, **options)
    )
    study = Study(name, Experiment("digits", n_train=40, n_test=20, gamma=0.1, memory="1GB", **given))
    ask(study)
    assert len(asked) == 2
    for options in asked:
        assert {key: options[key] for key in given} == given
        left = 10**9 - bytes_of(options["memory"])
        assert (
            left == 0 if module is not study_interpolants else 4 * 40 * 40 <= left < 10**5
        )  # its factor stays


@pytest.mark.parametrize("ask", [ask_sgd, ask_complexity])
def test_eigenvectors_keep_to_the_memory_and_refuse_what_they_leave_aside(ask, monkeypatch):
    common = {"n_train": 40, "n_test": 20, "gamma": 0.1, "threads": 1}
    for name, value in (("jitter", 1e-3), ("precision", "mixed"), ("solver", "pcg"), ("tier", "disk")):
        with pytest.raises(InputError, match=rf"^{name}: got {value}, expected .*eigenvectors of K"):
            ask(Study("sgd", Experiment("digits", **common, **{name: value})))
    for name in ("Spectral", "descent.Coordinates.of"):
        monkeypatch.setattr(
            f"kernelfit.study.questions.{name}", lambda rows, threads, memory: _refuse(memory)
        )
    with pytest.raises(AssertionError, match="1000000000"):
        ask(Study("sgd", Experiment("digits", **common, memory="1GB")))


def test_what_is_asked_is_refused_before_anything_is_solved(monkeypatch):
    monkeypatch.setattr(Experiment, "solved", _refuse)
    experiment = Experiment("digits", n_train=40, n_test=20, gamma=0.1, threads=1)
    with pytest.raises(InputError, match=r"^shares: got nan, expected a finite number"):
        ask_double_descent(Study("double-descent", experiment), shares=[float("nan")])
    for given, message in (({"levels": (2,)}, "^levels: got"), ({"seeds": (0, 0)}, "^seeds: got")):
        with pytest.raises(InputError, match=message):
            ask_labels(experiment, **given)


def test_labels_that_are_drawn_already_are_no_true_ones(monkeypatch):
    """A labelling of the same seed is the same draw: nothing changed at p = 1, and true and random labels agreed."""
    monkeypatch.setattr(Experiment, "solved", _refuse)
    common = {"n_train": 40, "n_test": 20, "gamma": 0.1, "threads": 1}
    for name in ("random-labels", "corrupt-labels"):
        experiment = Experiment("digits", **common, corruption=name)
        for ask in (ask_labels, lambda each: ask_complexity(Study("complexity", each))):
            with pytest.raises(InputError, match=f"^corruption: got {name}, expected the true labels"):
                ask(experiment)


@pytest.mark.parametrize("make", [Spectral, Coordinates.of])
def test_eigenvectors_that_do_not_fit_are_refused(make, digits):
    with pytest.raises(InputError, match=r"^n_train.*: got 1.. rows, whose .* GB of 0\.0, expected fewer"):
        make(digits[1], memory=60_000)


def test_rows_that_are_held_out_are_the_same_under_every_corruption(table):
    experiment = Experiment(train=table, gamma=0.3, threads=1, seed=5)
    record = ask_inputs(Study("inputs", experiment), seeds=(0, 1))
    true, *corrupted = record["rows"]
    # A permutation of the columns changes no distance: only other rows would have another error.
    shuffled = [row for row in corrupted if row["corruption"] == "shuffled-pixels"]
    assert [row["corruption_seed"] for row in shuffled] == [5, 6]
    assert [row["test_error"] for row in shuffled] == [true["test_error"]] * 2
    assert [row["rkhs_norm"] for row in shuffled] == pytest.approx([true["rkhs_norm"]] * 2)


@pytest.mark.parametrize("name", ["inputs", "norms"])
def test_a_table_is_studied_as_it_is_which_is_said(name, table):
    options = ["--train", str(table), "--threads", "1", "--json", "-"]
    more = {"inputs": ["--seeds", "2"], "norms": ["--kernels", "gaussian,matern", "--ridges", "0"]}[name]
    result = CliRunner().invoke(root, ["study", name, *options, *more])
    assert result.exit_code == 0, (result.output, result.exception)
    record = json.loads(result.stdout)
    assert {row["features"] for row in record["rows"]} == {"none"}
    shown = [line for line in result.stderr.splitlines() if line.startswith("note: ")]
    assert shown
    assert len(set(shown)) == len(shown)  # each once, whatever the number of settings
    assert record["notes"] == [
        "features: flowers has no images: its columns are taken as they are, no feature map beside them"
    ]
    assert record["dataset"] == "flowers"
    asked = CliRunner().invoke(root, ["study", name, *options, *more, "--maps", "none,gabor"])
    assert str(asked.exception) == (
        "--maps: got gabor, expected none, as flowers has no images; leave it out"
    )


def test_kernels_of_features_that_stream_share_one_sum(tmp_path, monkeypatch):
    sums = tmp_path / "sums.h5"
    common = ["study", "norms", "--n", "60", "--n-test", "30", "--threads", "1", "--json", "-"]
    common += ["--features", "random-conv", "--filters", "20"]
    asked = ["--kernels", "ntk,arc-cosine,linear", "--ridges", "0.01,0.1", "--loo"]
    first = CliRunner().invoke(root, [*common, *asked, "--sums", str(sums)])
    assert first.exit_code == 0, (first.output, first.exception)
    record = json.loads(first.stdout)
    assert len(record["rows"]) == 6
    best = min(record["rows"], key=lambda row: row["loo_error"])
    assert record["chosen"] == best["name"]
    with monkeypatch.context() as patch:
        patch.setattr(RandomConv, "filter_block", None)
        again = json.loads(CliRunner().invoke(root, [*common, *asked, "--sums", str(sums)]).stdout)
        single = Experiment(
            "digits",
            n_train=60,
            n_test=30,
            features="random-conv",
            feature_options={"n_filters": 20},
            kernel=best["kernel"],
            ridge=0.01,
            loo=True,
            threads=1,
        ).run(checkpoint=sums)
    assert [row["loo_error"] for row in again["rows"]] == [row["loo_error"] for row in record["rows"]]
    mine = next(row for row in record["rows"] if row["name"] == f"random-conv, {best['kernel']}, ridge 0.01")
    assert single.record["loo_error"] == mine["loo_error"]
    words = [word for word in [*common, *asked, "--sums", str(sums)] if word not in ("--json", "-")]
    text = CliRunner().invoke(root, words)
    assert "least leave-one-out error: random-conv, " in text.stdout
    other = CliRunner().invoke(root, [*common, *asked, "--maps", "none"])
    assert "are what this study goes through" in str(other.exception)
    for features in ([], ["--features", "gabor"], ["--features", "random-conv", "--kernels", "laplacian"]):
        without = CliRunner().invoke(root, ["study", "norms", "--n", "60", *features, "--sums", str(sums)])
        assert str(without.exception).startswith(f"--sums: got {sums}, expected features that stream")


def test_numeric_targets_have_no_error_rates_which_is_said(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 3)), rng.standard_normal(30)
    np.savez(tmp_path / "rows.npz", X_train=X[:20], y_train=y[:20], X_test=X[20:], y_test=y[20:])
    experiment = Experiment(train=str(tmp_path / "rows.npz"), gamma=0.3, threads=1)
    record = ask_norms(Study("norms", experiment), ["gaussian"], ridges=[0.1], loo=True)
    assert record["chosen"] is None
    assert "has numeric targets, which have no error rates" in record["notes"][0]


def test_kernels_that_are_compared_by_default_are_kernels():
    asked = inspect.signature(ask_norms).parameters["kernels"].default
    assert [named(kernel).name for kernel in asked] == list(asked)


def test_rows_without_leave_one_out_are_not_taken_for_rows_with_it(tmp_path):
    experiment = Experiment("digits", n_train=40, n_test=20, gamma=0.1, threads=1)
    asked = {"kernels": ["gaussian"], "features": ["none"], "ridges": [0.1]}
    assert ask_norms(Study("norms", experiment, tmp_path), **asked)["chosen"] is None
    judged = ask_norms(Study("norms", experiment, tmp_path), **asked, loo=True)
    assert judged["chosen"] == "none, gaussian, ridge 0.1"
    # What the experiment asks for is asked for.
    of_its_own = ask_norms(Study("norms", Experiment(**{**experiment.to_dict(), "loo": True})), **asked)
    assert of_its_own["chosen"] == judged["chosen"]


def test_settings_are_averaged_over_their_draws():
    experiment = Experiment("digits", n_train=60, n_test=30, gamma=0.1, threads=1)
    record = ask_inputs(Study("inputs", experiment), ["none"], seeds=(0, 1))
    true, random, *_ = studies.settings_rows(record)
    assert (true["name"], true["seeds"], random["name"], random["seeds"]) == (
        "none, true",
        1,
        "none, random-labels",
        2,
    )
    norms = [row["rkhs_norm"] for row in record["rows"] if row["corruption"] == "random-labels"]
    assert random["rkhs_norm"] == pytest.approx(np.mean(norms))
    assert random["rkhs_norm_std"] == pytest.approx(np.std(norms, ddof=1))
    bars, _ = study_figures.charts(record)
    assert bars.series[0].spread[1] == pytest.approx(100 * random["test_error_std"])


def test_interpolants_are_drawn_anew_with_every_seed():
    experiment = Experiment("digits", n_train=40, n_test=20, gamma=0.1, threads=1)
    rows = ask_interpolants(Study("interpolants", experiment), scales=(3.0,), seeds=(0, 1))["rows"]
    first, second = ([row for row in rows if row["seed"] == seed] for seed in (0, 1))
    assert [row["name"] for row in first] == [row["name"] for row in second]
    assert first[0]["rkhs_norm"] == pytest.approx(second[0]["rkhs_norm"], rel=1e-12)  # the one of least norm
    assert first[-1]["rkhs_norm"] != second[-1]["rkhs_norm"]


def test_draws_begin_with_the_seed_of_the_experiment():
    def drawn(ask, name, seed, **options):
        experiment = Experiment("digits", n_train=40, n_test=20, gamma=0.1, seed=seed, threads=1)
        return ask(Study(name, experiment), **options)["rows"]

    def without_times(rows):
        return [{name: row[name] for name in row if name != "seconds"} for row in rows]

    options = {"sizes": [20, 30], "seeds": (0, 1)}
    first, second = (without_times(drawn(ask_curve, "curve", seed, **options)) for seed in (0, 1))
    assert [row["seed"] for row in second] == [1, 1, 2, 2]
    assert second[:2] == first[2:]
    features = drawn(ask_double_descent, "double-descent", 3, shares=[0.5], seeds=(0, 1))
    assert [row["seed"] for row in features] == [3, 4]
    true, *inputs = drawn(ask_inputs, "inputs", 7, features=["none"], seeds=(0, 1))
    assert {row["corruption_seed"] for row in inputs} == {7, 8}
    assert true["corruption"] == "true"


def test_what_was_interrupted_gives_the_same_bits(tmp_path, monkeypatch):
    def ask(out):
        experiment = Experiment("digits", n_train=60, n_test=30, gamma=0.1, threads=1)
        record = ask_curve(Study("curve", experiment, out), sizes=[20, 30, 60], seeds=(0, 1))
        return [{name: row[name] for name in row if name != "seconds"} for row in record["rows"]]

    whole, point, points = ask(tmp_path / "whole"), questions._curve_point, []

    def until_killed(*arguments):
        if len(points) == 4:
            raise KeyboardInterrupt
        points.append(arguments)
        return point(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(questions, "_curve_point", until_killed)
        with pytest.raises(KeyboardInterrupt):
            ask(tmp_path / "killed")
    monkeypatch.setattr(questions, "_curve_point", lambda *each: points.append(each) or point(*each))
    assert ask(tmp_path / "killed") == whole
    assert len(points) == 6  # none of them twice


def test_settings_of_one_feature_map_are_ranked_once_and_say_of_which_rows():
    record = ask_norms(
        Study("norms", Experiment("digits", n_train=40, n_test=20, threads=1)),
        features=["none"],
        ridges=[0.0, 0.1],
    )
    assert list(record["norm_against_test_error"]) == ["every setting"]
    assert (record["dataset"], record["n_train"], record["n_test"]) == ("digits", 40, 20)
    [title, *_] = [chart.title for chart in study_figures.charts(record)]
    assert title == "Test error by features, kernel, ridge"


def test_rows_that_are_there_serve_a_command_that_asks_for_more(tmp_path, monkeypatch):
    def ask(*more):
        arguments = ["study", "curve", *SMALL, "--out", str(tmp_path), "--json", "-", *more]
        result = CliRunner().invoke(root, arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)["rows"]

    few, point, made = ask("--sizes", "20,30"), questions._curve_point, []
    monkeypatch.setattr(questions, "_curve_point", lambda *each: made.append(each[1:3]) or point(*each))
    more = ask("--sizes", "20,30,40", "--seeds", "2")
    assert made == [(40, 0), (20, 1), (30, 1), (40, 1)]
    assert more[:2] == few


def test_a_folder_of_other_parameters_is_refused(tmp_path):
    experiment = Experiment("digits", n_train=40, n_test=20, gamma=0.1, threads=1)
    ask_curve(Study("curve", experiment, tmp_path), sizes=[20])
    other = Experiment("digits", n_train=40, n_test=20, gamma=0.2, threads=1)
    with pytest.raises(InputError, match=r"^out: .*gamma 0.1, not 0.2"):
        ask_curve(Study("curve", other, tmp_path), sizes=[20])


def test_a_folder_of_rows_that_were_asked_for_otherwise_is_refused(tmp_path):
    def study(name):
        return Study(name, Experiment("digits", n_train=40, n_test=20, gamma=0.1, threads=1), tmp_path)

    few = ask_sgd(study("sgd"), steps=20, passes=2)
    assert ask_sgd(study("sgd"), steps=20, passes=2)["rows"] == few["rows"]
    with pytest.raises(InputError, match=r"^out: .* was computed with steps 20, not 30"):
        ask_sgd(study("sgd"), steps=30, passes=2)
    ask_interpolants(study("interpolants"), scales=(3.0,))
    with pytest.raises(InputError, match=r"^out: .* was computed with scales \[3.0\], not \[2.0\]"):
        ask_interpolants(study("interpolants"), scales=(2.0,))
    for seed in (0, 1):
        _, corrupted, *_ = ask_inputs(study("inputs"), ["none"], seeds=(seed,))["rows"]
        assert corrupted["corruption_seed"] == seed


def test_a_folder_of_rows_that_have_changed_or_of_another_version_is_refused(table, tmp_path, monkeypatch):
    def ask():
        experiment = Experiment(train=table, n_train=30, threads=1)
        return ask_curve(Study("curve", experiment, tmp_path / "out"), sizes=[20])["rows"]

    assert ask() == ask()
    was = table.read_text()
    table.write_text(was.replace("class1", "class2", 1))
    with pytest.raises(InputError, match=r"^out: .* was computed with data "):
        ask()
    table.write_text(was)
    monkeypatch.setattr(questions, "version", lambda name: "0.0.1")
    with pytest.raises(InputError, match=r"^out: .* was computed with version [^ ]+, not 0\.0\.1"):
        ask()


@pytest.mark.parametrize(
    ("ask", "options", "refused"),
    [
        (
            ask_norms,
            {"kernel": "laplacian"},
            "kernel: got laplacian, but a study of norms names its own as kernels",
        ),
        (ask_norms, {"ridge": 0.5}, "ridge: got 0.5, but a study of norms names its own as ridges"),
        (ask_norms, {"ridge": "auto"}, "ridge: got auto, but"),
        (
            ask_inputs,
            {"corruption": "random-labels"},
            "corruption: got random-labels, but a study of inputs compares",
        ),
    ],
)
def test_what_every_setting_has_of_its_own_is_not_taken_without_effect(ask, options, refused):
    with pytest.raises(InputError, match=f"^{refused}"):
        ask(Study(ask.__name__.removeprefix("ask_"), Experiment("digits", n_train=40, n_test=20, **options)))


def test_interpolants_have_no_ridge_and_sizes_end_at_n():
    experiment = Experiment("digits", n_train=40, n_test=20, ridge=0.1, threads=1)
    with pytest.raises(InputError, match=r"^ridge: got 0.1, expected 0"):
        ask_interpolants(Study("interpolants", experiment))
    with pytest.raises(InputError, match=r"^sizes: got \[20, 41\], expected"):
        ask_curve(Study("curve", Experiment("digits", n_train=40, n_test=20, threads=1)), sizes=[41, 20])


def test_what_a_study_goes_through_is_not_given_beside_it():
    experiment = Experiment("digits", n_train=40, n_test=20, corruption="random-labels", threads=1)
    with pytest.raises(
        InputError, match=r"^corruption: got random-labels, but a study of inputs compares all"
    ):
        ask_inputs(Study("inputs", experiment))


def test_numbers_that_are_none_are_named():
    result = CliRunner().invoke(root, ["study", "curve", *SMALL, "--sizes", "ten"])
    assert result.exit_code == 2
    assert "--sizes" in result.output
    assert "expected integers with commas" in result.output


def test_a_report_of_a_folder_shows_its_studies(tmp_path):
    out = tmp_path / "out"
    ask_curve(Study("curve", Experiment("digits", n_train=40, n_test=20, threads=1), out), sizes=[20, 40])
    page = tmp_path / "report.html"
    result = CliRunner().invoke(root, ["report", str(out), "-o", str(page)])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "Study: learning curve" in page.read_text()


@pytest.fixture
def repeated(tmp_path):
    """A table two of whose rows are equal and of different classes, as iris has them under random labels."""
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(40, 3)).round(4), np.arange(40) % 2
    X[31], y[31] = X[30], 1 - y[30]
    path = tmp_path / "rows.csv"
    lines = [",".join(map(repr, row)) + f",class{label}" for row, label in zip(X.tolist(), y, strict=True)]
    path.write_text("\n".join(["a,b,c,label", *lines]))
    return path


def test_equal_rows_of_different_classes_end_their_own_setting_alone(repeated, tmp_path):
    test = tmp_path / "test.csv"
    test.write_text("a,b,c,label\n0.1,0.2,0.3,class0\n0.5,0.1,0.7,class1\n")
    arguments = ["study", "norms", "--train", str(repeated), "--test", str(test), "--kernels", "gaussian"]
    result = CliRunner().invoke(root, [*arguments, "--ridges", "0,0.1", "--threads", "1", "--json", "-"])
    assert result.exit_code == 0, (result.output, result.exception)
    exact, ridge = json.loads(result.stdout)["rows"]
    assert "test_error" not in exact
    assert "equal" in exact["refused"]
    assert ridge["test_error"] is not None
    shown = CliRunner().invoke(root, [*arguments, "--ridges", "0,0.1", "--threads", "1"])
    assert "none, gaussian, ridge 0: " in " ".join(shown.stdout.split())


def test_corruptions_of_labels_are_left_out_of_a_regression_which_is_said(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 3)), rng.standard_normal(30)
    np.savez(tmp_path / "rows.npz", X_train=X[:20], y_train=y[:20], X_test=X[20:], y_test=y[20:])
    figure = tmp_path / "figure.png"
    arguments = ["study", "inputs", "--train", str(tmp_path / "rows.npz"), "--gamma", "0.3", "--threads", "1"]
    result = CliRunner().invoke(root, [*arguments, "--figure", str(figure), "--json", "-"])
    assert result.exit_code == 0, (result.output, result.exception)
    record = json.loads(result.stdout)
    corruptions = [row["corruption"] for row in record["rows"]]
    assert corruptions == ["true", "shuffled-pixels", "random-pixels", "gaussian"]
    assert (
        "corruptions of labels are left out, as numeric targets have no classes to draw from"
        in record["notes"]
    )
    assert figure.exists()


def test_memorised_rows_are_those_of_the_data_set_where_equal_rows_are_left_out(tmp_path):
    rng = np.random.default_rng(6)
    y = np.arange(40) % 2
    X = rng.normal(size=(40, 2)) + 6.0 * y[:, None]
    X[3], X[5] = X[1], X[1]
    y[39] = 1 - y[39]  # alone among the other class
    path = tmp_path / "rows.npz"
    np.savez(path, X_train=X, y_train=y, X_test=X[:20] + 0.01, y_test=np.arange(20) % 2)
    experiment = Experiment(train=path, task="classification", gamma=0.5, threads=1)
    record = ask_complexity(Study("complexity", experiment))
    assert record["n_train"] == 38
    assert 39 in record["memorisation"]["memorised"]


@pytest.mark.parametrize(
    ("width", "asked", "said"),
    [
        ({"gamma": 0.1}, {"features": ["none", "gabor"]}, "gamma 0.1 serves none, gabor alike"),
        (
            {"gamma": 0.1},
            {"kernels": ["gaussian", "laplacian"]},
            "gamma 0.1 serves gaussian, laplacian alike",
        ),
        ({"gamma": 0.1}, {}, None),
        ({"gamma": "median"}, {"kernels": ["gaussian", "laplacian"]}, None),
    ],
)
def test_one_width_of_several_maps_or_kernels_is_said(width, asked, said):
    """That of rows was taken for Gabor features in silence."""
    experiment = Experiment("digits", n_train=40, n_test=20, threads=1, **width)
    options = {"kernels": ["gaussian"], "features": ["none"], "ridges": [0.1]} | asked
    notes = ask_norms(Study("norms", experiment), **options)["notes"]
    assert [note for note in notes if said and note.startswith(said)] == notes
    assert bool(notes) == bool(said)
