"""What a notebook cell shows: one screen, and its numbers as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

import kernelfit
from kernelfit import Experiment, datasets
from kernelfit.gram.costs import Costs
from kernelfit.gram.placement import Limits, place
from kernelfit.storage import json_output
from kernelfit.summary import as_html


@pytest.fixture(scope="module")
def shown() -> dict[str, object]:
    result = Experiment("digits", n_train=300, gamma=0.1, loo=True).run()
    plan = place(Costs.of(n=20_000, d=784, n_rhs=10, threads=2, precision="float64"), Limits(10**11, 10**12))
    return {
        "Result": result,
        "Solution": result.solution,
        "Certificate": result.solution.certificate,
        "Plan": plan.timed(1e11),
        "Dataset": datasets.load("digits", n_train=300),
    }


@pytest.mark.parametrize("name", ["Result", "Solution", "Certificate", "Plan", "Dataset"])
def test_one_screen(shown: dict[str, object], name: str) -> None:
    value = shown[name]
    text = repr(value)
    assert text == value.summary()  # type: ignore[attr-defined]
    assert text.startswith(name)
    assert 3 <= len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 120
    assert value._repr_html_() == as_html(text)  # type: ignore[attr-defined]
    record = value.to_dict()  # type: ignore[attr-defined]
    assert json.loads(json_output.dumps(record)) == json_output.plain(record)


def test_an_experiment_says_what_goes_in_and_what_is_not_the_default() -> None:
    assert Experiment().summary().splitlines() == [
        "Experiment on digits",
        "  features        none",
        "  kernel          gaussian",
        "  solver          float64",
    ]
    options = {"wavelengths": (3.0, 5.0)}
    experiment = Experiment(
        "mnist", n_train=30, gamma="auto", features="gabor", feature_options=options, loo=True
    )
    text = experiment.summary()
    assert text.splitlines() == [
        "Experiment on mnist",
        "  rows            n_train 30",
        "  features        gabor, feature_options {'wavelengths': (3.0, 5.0)}",
        "  kernel          gaussian, gamma auto",
        "  solver          float64, loo True",
    ]
    assert experiment._repr_html_() == as_html(text)


def test_the_numbers_that_matter_are_there(shown: dict[str, object]) -> None:
    solution = shown["Solution"]
    assert isinstance(solution, kernelfit.Solution)
    text = repr(solution)
    assert "Solution of 300 rows, 10 right-hand sides" in text
    assert "Gaussian(gamma=0.1), ridge 0" in text
    assert f"{solution.rkhs_norm:.6g}" in text
    assert "without its factor" in text
    assert "test error" in repr(shown["Result"])
    assert "300 to train on, 360 to test" in repr(shown["Dataset"])
    assert "20,000 x 784, 10 right-hand sides" in repr(shown["Plan"])
    one = place(Costs.of(n=20, d=4, n_rhs=1, threads=2, precision="float64"), Limits(10**11, 10**12))
    assert repr(one).splitlines()[1].endswith("20 x 4, 1 right-hand side")
    assert solution.to_dict()["rkhs_norm"] == solution.rkhs_norm


def test_a_precomputed_gram_and_one_target(rng: np.random.Generator) -> None:
    X = rng.normal(size=(20, 3))
    solution = kernelfit.solve(X @ X.T + np.eye(20), X[:, 0], kernel="precomputed")
    assert "Solution of 20 rows, 1 right-hand side\n" in repr(solution)
    assert "a precomputed Gram matrix" in repr(solution)
    assert solution.to_dict()["kernel"] == {"name": "precomputed"}
