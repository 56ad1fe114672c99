"""Files whose checksums are right and whose values are not: refused by one line, or the same answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import DataError, KernelfitError
from kernelfit.runs import run_file, solution_file
from kernelfit.storage import hdf5

N = 24
LONG = 10**400

Change = Callable[[dict[str, Any], dict[str, Any]], object]


def put(*keys: str, value: Any) -> Change:
    """A change of one value of the description."""

    def change(meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        for key in keys[:-1]:
            meta = meta[key]
        meta[keys[-1]] = value

    return change


def put_array(name: str, make: Callable[[Any], Any]) -> Change:
    def change(meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        arrays[name] = make(arrays.get(name))

    return change


OF_A_PROBLEM: dict[str, tuple[Change, str]] = {
    "ridge -1": (put("ridge", value=-1), r"ridge is -1, expected a number >= 0"),
    "ridge NaN": (put("ridge", value=float("nan")), "ridge is nan"),
    "ridge of 400 digits": (put("ridge", value=LONG), r"ridge is 10+\.\.\., expected"),
    "ridge true": (put("ridge", value=True), "ridge is True"),
    "jitter text": (put("jitter", value="0"), "jitter is '0'"),
    "two columns for one target": (put("single_target", value=True), "2 columns of targets, expected one"),
    "single_target 1": (put("single_target", value=1), "single_target is 1, expected true or false"),
    "precision": (put("precision", value="double"), "precision is 'double', expected one of float64"),
    "rows_given": (put("rows_given", value=N + 1), "do not belong together"),
    "rows_given of 400 digits": (put("rows_given", value=LONG), "rows_given is 1000"),
    "duplicates of text": (put("duplicates", value=["ab"]), "duplicates is"),
    "duplicates without an end": (put("duplicates", value=[[0, 10**18]]), "do not belong together"),
    "duplicates of a row that was kept": (
        lambda meta, _: meta.update(duplicates=[[0, 1]], rows_given=N + 1),
        "do not belong together",
    ),
    "input_scale": (put("input_scale", value=2.0), "rows_scale is 1.0 where input_scale is 2.0"),
    "rows_scale NaN": (put("rows_scale", value=float("nan")), "rows_scale is nan"),
    "rows_scale null": (put("rows_scale", value=None), "rows_scale is None"),
    "remembered": (put("remembered", value=[]), r"remembered is \[\], expected an object"),
    "notes": (put("notes", value="abc"), "notes is 'abc', expected a list of a text"),
    "notes of numbers": (put("notes", value=[1]), "notes is"),
    "kernel": (put("kernel", value="gaussian"), "kernel is 'gaussian'"),
    "gamma NaN": (put("kernel", "gamma", value=float("nan")), "gamma: got nan"),
    "gamma of 400 digits": (put("kernel", "gamma", value=LONG), "gamma: got 1000"),
    "degree": (put("kernel", value={"name": "polynomial", "degree": 10**15}), "degree: got 1000000000000000"),
    "depth": (put("kernel", value={"name": "ntk", "depth": 10**14}), "depth: got 100000000000000"),
    "plan": (put("plan", value=[]), "plan is"),
    "plan of 400 digits": (put("plan", "n_rhs", value=LONG), "plan: n_rhs is 1000"),
    "plan true": (put("plan", "threads", value=True), "plan: threads is True"),
    "blocks of no rows": (put("plan", "solver", value="askotch"), "its plan makes no sense"),
    "plan in numbers": (
        put("plan", "tier", value=3),
        "plan: tier is 3, expected one of auto, ram, disk, device",
    ),
    "targets NaN": (
        put_array("targets", lambda old: old * np.nan),
        "targets holds values that are not finite",
    ),
    "targets of text": (put_array("targets", lambda old: old[:, 0]), r"targets is float64 \(24,\)"),
    "kept of floats": (put_array("kept", lambda old: old + 0.5), "kept is float64"),
    "kept beyond": (put_array("kept", lambda old: old + 1), "do not belong together"),
}
OF_A_SOLUTION: dict[str, tuple[Change, str]] = {
    "alpha": (put_array("alpha", lambda old: old * 2), "alpha does not give the fitted values"),
    "one alpha": (
        put_array("alpha", lambda old: old + 0.1 * (np.arange(old.size) == 7).reshape(old.shape)),
        "alpha does not give the fitted values",
    ),
    "alpha NaN": (put_array("alpha", lambda old: old * np.nan), "alpha holds values that are not finite"),
    "fitted": (put_array("fitted", lambda old: old + 1), "its residual is"),
    "targets": (put_array("targets", lambda old: old * 2), "its residual is"),
    "rows": (put_array("rows", lambda old: old[::-1]), "alpha does not give the fitted values"),
    "gamma": (put("kernel", "gamma", value=0.51), "alpha does not give the fitted values"),
    "gamma true": (put("kernel", "gamma", value=True), "gamma: got True, expected a number"),
    "another kernel": (put("kernel", value={"name": "linear"}), "alpha does not give the fitted values"),
    "ridge": (put("ridge", value=1.0), "its residual is"),
    "weights": (
        put_array("weights", lambda _: np.ones((3, 2))),
        "holds weights, which its kernel and ridge have not",
    ),
    "certificate": (put("certificate", value=None), "certificate is None"),
    "backward error": (
        put("certificate", "backward_error", value=-1.0),
        "certificate: backward_error is -1.0",
    ),
    "residual": (put("certificate", "residual", value=1.0), "the certificate says 1"),
    "rank of 400 digits": (put("certificate", "rank", value=LONG), "certificate: rank is 1000"),
    "norms": (put("certificate", "rkhs_norm_per_column", value=[1.0]), "1 norms of 2 columns"),
    "norms of text": (put("certificate", "rkhs_norm_per_column", value="12"), "rkhs_norm_per_column is '12'"),
    "seconds": (put("seconds", value={"factor": LONG}), "seconds is"),
    "traffic": (put("traffic", value={"factor": "x"}), "traffic is"),
    "remarks": (put("remarks", value={"a": 1}), "remarks is"),
    "gflops": (put("gflops_factor", value="fast"), "gflops_factor is 'fast'"),
}


def problem() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {"X": rng.normal(size=(N, 3)), "Y": rng.normal(size=(N, 2)), "gamma": 0.5, "panel_width": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("forged") / "run"
    kernelfit.solve(**problem(), run_dir=made).close()
    return made


def forge(source: Path, target: Path, form: str, change: Change) -> None:
    """A file of the same form with one value changed and a checksum that is right."""
    meta, arrays = hdf5.read(source, lambda meta, arrays: (meta, arrays), form=form, version=1, remedy="")
    change(meta, arrays)
    hdf5.write(target, form=form, version=1, meta=meta, arrays=arrays)


@pytest.mark.parametrize("case", [*OF_A_PROBLEM, *OF_A_SOLUTION])
def test_a_forged_solution_is_one_line(folder: Path, tmp_path: Path, case: str) -> None:
    change, words = (OF_A_PROBLEM | OF_A_SOLUTION)[case]
    forge(folder / "solution.h5", tmp_path / "forged.h5", solution_file.FORMAT, change)
    with pytest.raises(KernelfitError, match=words) as caught:
        kernelfit.load(tmp_path / "forged.h5")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", OF_A_PROBLEM)
def test_a_forged_run_is_one_line(folder: Path, tmp_path: Path, case: str) -> None:
    change, words = OF_A_PROBLEM[case]
    run = tmp_path / "run"
    run.mkdir()
    for name in ("factor.h5", "journal"):
        (run / name).write_bytes((folder / name).read_bytes())
    forge(folder / "run.h5", run / "run.h5", run_file.FORMAT, change)
    with pytest.raises(KernelfitError, match=words) as caught:
        kernelfit.resume(run)
    assert "\n" not in str(caught.value)
    assert any(words in line or caught.match(words) for line in kernelfit.check(run).problems)


def test_what_is_true_is_read(folder: Path, tmp_path: Path) -> None:
    forge(folder / "solution.h5", tmp_path / "same.h5", solution_file.FORMAT, lambda meta, arrays: None)
    X = problem()["X"]
    np.testing.assert_array_equal(
        kernelfit.load(tmp_path / "same.h5").predict(X), kernelfit.load(folder / "solution.h5").predict(X)
    )


@pytest.mark.parametrize("power", [-900, 0, 900])
def test_solutions_of_any_size_and_kind_are_read(tmp_path: Path, power: int) -> None:
    """What is compared when a file is read is rounded: it must not refuse what was written."""
    rng = np.random.default_rng(8)
    X, Y = rng.normal(size=(80, 3)), np.ldexp(rng.normal(size=(80, 1)), power)
    for arguments in (
        {"gamma": 1e-4, "ridge": 1e-12},  # hardly definite: alpha is huge
        {"kernel": "linear"},  # the primal path, least squares
        {"kernel": "laplacian", "precision": "mixed"},
        {"kernel": "linear", "ridge": 1e-3, "precision": "float32"},
        {"kernel": "polynomial", "gamma": 1.0, "ridge": 1e-2, "scale": 10.0},
    ):
        solution = kernelfit.solve(X, Y, **arguments)
        solution.save(tmp_path / "solution.h5")
        np.testing.assert_array_equal(kernelfit.load(tmp_path / "solution.h5").alpha, solution.alpha)
        solution.close()


def test_a_forged_solution_of_a_given_gram(tmp_path: Path) -> None:
    X, Y = problem()["X"], problem()["Y"]
    gram = np.exp(-((X[:, None] - X) ** 2).sum(axis=2))
    kernelfit.solve(gram, Y, kernel="precomputed").save(tmp_path / "gram.h5")
    forge(
        tmp_path / "gram.h5",
        tmp_path / "forged.h5",
        solution_file.FORMAT,
        put_array("fitted", lambda old: 2 * old),
    )
    with pytest.raises(DataError, match="its residual is"):
        kernelfit.load(tmp_path / "forged.h5")


def test_nested_descriptions_and_endless_numbers(folder: Path, tmp_path: Path) -> None:
    deep: Any = {"name": "gaussian", "gamma": 1.0}
    for _ in range(900):
        deep = {"name": "sum", "left": deep, "right": {"name": "linear"}}
    forge(folder / "solution.h5", tmp_path / "forged.h5", solution_file.FORMAT, put("kernel", value=deep))
    with pytest.raises(KernelfitError) as caught:
        kernelfit.load(tmp_path / "forged.h5")
    assert "\n" not in str(caught.value)
    assert len(json.dumps(deep)) > 10_000
