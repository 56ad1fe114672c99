"""`kernelfit.study.questions` and its commands: a record, rows that are not computed again, a table, a figure."""

import json

import pytest
from click.testing import CliRunner

from kernelfit import Experiment
from kernelfit.cli import root
from kernelfit.errors import InputError
from kernelfit.study import questions
from kernelfit.study.questions import STUDIES, Study, ask_curve, ask_inputs, ask_interpolants

SMALL = ["--n", "60", "--n-test", "30", "--gamma", "0.1", "--threads", "1"]
OWN = {
    "sgd": ["--steps", "20", "--passes", "2"],
    "curve": ["--sizes", "20,30,45,60", "--seeds", "2"],
    "double-descent": ["--shares", "0.5,2"],
    "inputs": ["--maps", "none"],
    "norms": ["--maps", "none", "--kernels", "gaussian,laplacian", "--ridges", "0,0.1"],
}


def _refuse(*arguments, **options):
    raise AssertionError("computed again")


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


def test_a_folder_of_other_parameters_is_refused(tmp_path):
    experiment = Experiment("digits", n_train=40, n_test=20, gamma=0.1, threads=1)
    ask_curve(Study("curve", experiment, tmp_path), sizes=[20])
    other = Experiment("digits", n_train=40, n_test=20, gamma=0.2, threads=1)
    with pytest.raises(InputError, match=r"^out: .*gamma 0.1, not 0.2"):
        ask_curve(Study("curve", other, tmp_path), sizes=[20])


def test_interpolants_have_no_ridge_and_sizes_end_at_n():
    experiment = Experiment("digits", n_train=40, n_test=20, ridge=0.1, threads=1)
    with pytest.raises(InputError, match=r"^ridge: got 0.1, expected 0"):
        ask_interpolants(Study("interpolants", experiment))
    with pytest.raises(InputError, match=r"^sizes: got \[20, 41\], expected"):
        ask_curve(Study("curve", Experiment("digits", n_train=40, n_test=20, threads=1)), sizes=[41, 20])


def test_what_a_study_goes_through_is_not_given_beside_it():
    experiment = Experiment("digits", n_train=40, n_test=20, corruption="random-labels", threads=1)
    with pytest.raises(InputError, match=r"^features, corruption: "):
        ask_inputs(Study("inputs", experiment))


def test_numbers_that_are_none_are_named():
    result = CliRunner().invoke(root, ["study", "curve", *SMALL, "--sizes", "ten"])
    assert result.exit_code == 2
    assert "--sizes" in result.output
    assert "expected numbers with commas" in result.output


def test_a_report_of_a_folder_shows_its_studies(tmp_path):
    out = tmp_path / "out"
    ask_curve(Study("curve", Experiment("digits", n_train=40, n_test=20, threads=1), out), sizes=[20, 40])
    page = tmp_path / "report.html"
    result = CliRunner().invoke(root, ["report", str(out), "-o", str(page)])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "Study: learning curve" in page.read_text()
