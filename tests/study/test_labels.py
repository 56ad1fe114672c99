"""`kernelfit.study.labels`: every labelling against a solve of its own."""

import numpy as np
import pytest

import kernelfit
from kernelfit.datasets.corruptions import corrupt_labels
from kernelfit.errors import InputError
from kernelfit.metrics import error_rate, one_hot
from kernelfit.progress import Silent
from kernelfit.study.labelled import LabelledRows
from kernelfit.study.labels import study_labels


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 6))
    y, y_test = np.arange(200) % 4, np.arange(80) % 4
    X = centres[y] + 0.8 * rng.normal(size=(200, 6))
    X[150] = X[2]  # one row twice: its labels differ as soon as they are drawn anew
    y[150] = y[2]
    return X, LabelledRows(y, centres[y_test] + 0.8 * rng.normal(size=(80, 6)), y_test, 4)


@pytest.fixture
def solution(rows):
    X, labelled = rows
    with_factor = kernelfit.solve(
        X, one_hot(labelled.y_train, 4), gamma=0.3, panel_width=64, threads=2, ridge=1e-3
    )
    yield with_factor
    with_factor.close()


def test_every_labelling_equals_a_solve_of_its_own(rows, solution):
    X, labelled = rows
    study = study_labels(solution, labelled, levels=(0, 0.5, 1), seeds=(0, 7), loo=True)
    assert [(trial.p, trial.seed) for trial in study.trials] == [(0, 0), (0.5, 0), (0.5, 7), (1, 0), (1, 7)]
    for trial in study.trials:
        labels = corrupt_labels(labelled.y_train, trial.p, 4, trial.seed)
        alone = kernelfit.solve(X, one_hot(labels, 4), gamma=0.3, ridge=1e-3, panel_width=64, threads=2)
        assert trial.rkhs_norm == pytest.approx(alone.rkhs_norm, rel=1e-10)
        assert trial.test_error == error_rate(alone.predict(labelled.X_test), labelled.y_test)
        assert trial.loo_error == error_rate(alone.leave_one_out(), labels)
        assert trial.changed == np.mean(labels != labelled.y_train)
        assert trial.backward_error < 1e-14
        alone.close()


def test_leave_one_out_beside_a_jitter_is_that_of_the_jittered_matrix(rows):
    X, labelled = rows
    given = {"gamma": 0.3, "jitter": 0.1, "panel_width": 64, "threads": 1}
    with_jitter = kernelfit.solve(X, one_hot(labelled.y_train, 4), **given)
    study = study_labels(with_jitter, labelled, levels=(0, 0.5), loo=True)
    with_jitter.close()
    for trial in study.trials:
        labels = corrupt_labels(labelled.y_train, trial.p, 4, trial.seed)
        labels[150] = labels[2]
        alone = kernelfit.solve(X, one_hot(labels, 4), **given)
        assert trial.loo_error == error_rate(alone.leave_one_out(distinct=True), labels[alone.kept])
        assert "leave-one-out is that of K + jitter I: the factor holds the jitter" in trial.notes
        alone.close()
    assert study.to_dict()["notes"] == study.notes


def test_random_labels_are_fitted_at_a_larger_norm_and_teach_nothing(rows, solution):
    true, random = study_labels(solution, rows[1], levels=(0, 1)).trials
    assert random.rkhs_norm > 1.5 * true.rkhs_norm
    assert random.margin < true.margin
    assert random.test_error > 0.5 > true.test_error


def test_a_norm_that_is_not_resolved_is_none(rows, solution, monkeypatch):
    monkeypatch.setattr("kernelfit.study.labellings.WANTED", -1.0)  # every column is then certified by itself
    monkeypatch.setattr(
        type(solution), "rkhs_norm_per_column", property(lambda self: np.full(self.alpha.shape[1], np.nan))
    )
    study = study_labels(solution, rows[1], levels=(0,))
    assert (study.trials[0].rkhs_norm, study.trials[0].margin) == (None, None)
    assert (study.summary()[0]["rkhs_norm"], study.summary()[0]["margin_std"]) == (None, None)


def test_a_labelling_has_the_notes_of_its_solve(rows, solution, monkeypatch):
    monkeypatch.setattr("kernelfit.study.labellings.WANTED", -1.0)
    monkeypatch.setattr("kernelfit.solver.solution.remark", lambda *_: ("the RKHS norm is not resolved",))
    shown = Silent()
    study = study_labels(solution, rows[1], levels=(0, 1), progress=shown)
    assert study.notes == ["the RKHS norm is not resolved"]
    assert shown.notes == study.notes


def test_the_summary_has_means_and_deviations(rows, solution):
    study = study_labels(solution, rows[1], levels=(0, 0.5), seeds=(0, 1, 2))
    clean, half = study.summary()
    assert (clean["seeds"], clean["test_error_std"], half["seeds"]) == (1, 0.0, 3)
    norms = [trial.rkhs_norm for trial in study.trials if trial.p == 0.5]
    assert half["rkhs_norm"] == pytest.approx(np.mean(norms))
    assert half["rkhs_norm_std"] == pytest.approx(np.std(norms, ddof=1))
    assert half["loo_error"] is None


def test_finished_trials_are_taken_over(rows, solution, monkeypatch):
    monkeypatch.setattr("kernelfit.study.labels._BYTES", 8 * 6 * 200 * 4 * 2)  # two labellings at a time
    stored = []
    whole = study_labels(solution, rows[1], levels=(0, 0.5, 1), seeds=(0, 1), after_group=stored.append)
    assert [len(trials) for trials in stored] == [2, 4, 5]
    resumed = study_labels(solution, rows[1], levels=(0, 0.5, 1), seeds=(0, 1), finished=stored[1])
    assert resumed.trials == whole.trials


def test_trials_without_leave_one_out_are_done_again_where_it_is_asked_for(rows, solution):
    without = study_labels(solution, rows[1], levels=(0,))
    assert (
        study_labels(solution, rows[1], levels=(0,), loo=True, finished=without.trials).trials[0].loo_error
        > 0
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": (0, 1.5)}, "^levels: got"),
        ({"levels": ()}, "^levels: got"),
        ({"seeds": (1, 1)}, "^seeds: got"),
        ({"seeds": (-1,)}, "^seeds: got -1"),
    ],
)
def test_levels_and_seeds_are_checked(rows, solution, changes, message):
    with pytest.raises(InputError, match=message):
        study_labels(solution, rows[1], **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": np.zeros(10, int)}, "^y_train: got 10 labels, expected 200"),
        ({"y_train": np.zeros(200)}, "^y_train: got shape"),
        ({"y_test": np.full(80, 4)}, "^y_test: got codes from 4 to 4, expected 0 to 3"),
        ({"X_test": np.zeros((3, 6))}, "^X_test: got shape"),
    ],
)
def test_labels_are_checked(rows, solution, changes, message):
    labelled = LabelledRows(**{**rows[1].__dict__, **changes})
    with pytest.raises(InputError, match=message):
        study_labels(solution, labelled)


def test_a_closed_factor_is_refused(rows, solution):
    solution.close()
    with pytest.raises(InputError, match="factor"):
        study_labels(solution, rows[1])
