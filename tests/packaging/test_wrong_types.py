"""Arguments of wrong types at the public face: each is accepted for what it is, or named in one line."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit import Experiment, datasets, expressivity, features, kernels, metrics
from kernelfit.errors import InputError, KernelfitError

WRONG: tuple[Any, ...] = (
    None,
    True,
    "",
    "x",
    b"x",
    1.5,
    -1,
    10**39,
    10**400,
    float("nan"),
    [1],
    {"a": 1},
    (),
    object(),
    np.float64(1.5),
    np.int64(2),
    np.array([1.0]),
    np.ones(2),
    np.array(3),
    Path("nowhere"),
    3 + 4j,
    "a\x00b",
    "\ud800",
    "x" * 300,
)
X = np.random.default_rng(0).normal(size=(12, 4))
Y = X[:, :1] + 1.0
# What does nothing until it is called for, and what scikit-learn looks at.
NOT_ASKED = ("progress", "command", "random_state")


def functions(folder: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """What is called by name, and arguments that are right."""
    solution = kernelfit.solve(X, Y)
    solution.save(folder / "solution.h5")
    kernelfit.solve(X, Y, run_dir=folder / "run").close()
    run = folder / "run"
    made: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "Experiment": (Experiment, {}),
        "solve": (kernelfit.solve, {"X": X, "Y": Y}),
        "load": (kernelfit.load, {"path": folder / "solution.h5"}),
        "open": (kernelfit.open, {"folder": run}),
        "check": (kernelfit.check, {"folder": run}),
        "resume": (kernelfit.resume, {"folder": run}),
        "Experiment.load": (Experiment.load, {"saved": folder / "solution.h5"}),
        "Experiment.resume": (Experiment.resume, {"run_dir": run}),
        "Experiment.remembered": (Experiment.remembered, {"run_dir": run}),
        "Solution.predict": (solution.predict, {"X": X}),
        "Solution.solve": (solution.solve, {"Y": Y}),
        "Solution.leave_one_out": (solution.leave_one_out, {}),
        "Solution.log_determinant": (solution.log_determinant, {}),
        "Solution.inverse_diagonal": (solution.inverse_diagonal, {}),
        "Solution.score": (solution.score, {"X": X, "Y": Y}),
        "Solution.save": (solution.save, {"path": folder / "copy.h5"}),
        "datasets.load": (datasets.load, {"name": "digits", "n_train": 20, "n_test": 2}),
        "kernels.from_description": (kernels.from_description, {"description": {"name": "linear"}}),
        "kernels.build": (kernels.build, {"name": "gaussian", "gamma": 1.0}),
        "kernels.named": (kernels.named, {"name": "gaussian"}),
        "kernels.parameter_names": (kernels.parameter_names, {"name": "gaussian"}),
        "features.feature_class": (features.feature_class, {"name": "gabor"}),
        "expressivity.fit": (expressivity.fit, {"X": X, "y": Y[:, 0]}),
        "metrics.one_hot": (metrics.one_hot, {"codes": [0, 1], "n_classes": 2}),
        "metrics.error_rate": (metrics.error_rate, {"scores": Y, "codes": np.zeros(12)}),
        "metrics.compare": (metrics.compare, {"scores": Y, "truth": Y, "classification": False}),
        "metrics.root_mean_square": (metrics.root_mean_square, {"residuals": Y}),
    }
    for estimator, y in ((kernelfit.KernelInterpolator, Y[:, 0]), (kernelfit.KernelClassifier, Y[:, 0] > 1)):
        made[estimator.__name__] = (_fitted(estimator, y), {})
    for family in kernels.KERNELS.values():
        made[family.__name__] = (family, {})
    return made


def _fitted(estimator: type, y: Any) -> Callable[..., Any]:
    """`fit`, which looks at what the estimator was given, with its parameters as arguments."""

    def fit(**given: Any) -> Any:
        return estimator(**given).fit(X, y)

    fit.__signature__ = inspect.signature(estimator)  # type: ignore[attr-defined]
    return fit


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    return functions(tmp_path_factory.mktemp("wrong types"))


def outcome(function: Callable[..., Any], arguments: dict[str, Any]) -> str | None:
    """What is wrong with how a call ended, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = function(**arguments)
    except KernelfitError as error:
        return f"{len(str(error))} characters" if "\n" in str(error) or len(str(error)) > 600 else None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if hasattr(made, "close"):
        made.close()
    return None


def test_every_argument_of_every_function(
    called: dict[str, tuple[Callable[..., Any], dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    faults = []
    for name, (function, right) in called.items():
        for parameter in inspect.signature(function).parameters:
            if parameter in NOT_ASKED:
                continue
            for value in WRONG:
                fault = outcome(function, {**right, parameter: value})
                if fault is not None:
                    faults.append(f"{name}({parameter}={value!r:.40}): {fault}")
    assert faults == [], "\n".join(faults)


def test_a_flag_is_true_or_false(called: dict[str, tuple[Callable[..., Any], dict[str, Any]]]) -> None:
    """`keep_factor="no"` kept it."""
    flags = [
        (name, parameter.name)
        for name, (function, _) in called.items()
        for parameter in inspect.signature(function).parameters.values()
        if isinstance(parameter.default, bool)
    ]
    assert len(flags) > 10
    for name, flag in flags:
        function, right = called[name]
        for value in ("no", 1, None):
            with pytest.raises(InputError, match=rf"^{flag}: got {value!r}, expected True or False"):
                function(**{**right, flag: value})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("n_train", True),
        ("n_train", "20"),
        ("n_train", -1),
        ("n_test", -1),
        ("seed", True),
        ("seed", 1.5),
        ("standardise", 1),
        ("loo", "yes"),
        ("kernel", ""),
        ("kernel", 0),
        ("kernel_params", [1]),
        ("precision", "double"),
        ("tier", "disc"),
        ("memory", True),
        ("threads", True),
        ("threads", 0),
        ("corruption_p", "1"),
        ("data_dir", 3),
        ("dataset", 3),
        ("target", True),
        ("drop", 1.5),
    ],
)
def test_an_experiment_says_at_once_which_argument_is_wrong(argument: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^(target, )?{argument}(, drop)?: got "):
        Experiment(**{argument: value})


def test_numbers_of_numpy_and_paths_are_taken() -> None:
    experiment = Experiment(Path("digits"), n_train=np.int64(20), seed=np.int32(3), ridge=np.float32(0.5))
    assert experiment.to_dict()["n_train"] == 20
    assert type(experiment.to_dict()["seed"]) is int
    assert Experiment(**experiment.to_dict()) == experiment


def test_what_json_cannot_hold_is_not_remembered(tmp_path: Path) -> None:
    """It was found out after the work, by a traceback."""
    with pytest.raises(InputError, match="remember: cannot be written as JSON"):
        kernelfit.solve(X, Y, run_dir=tmp_path / "run", remember={"a": object()})
    assert not (tmp_path / "run").exists()
