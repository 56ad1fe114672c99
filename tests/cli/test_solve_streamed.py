"""`kernelfit solve --features random-conv`: a Gram of features that never exist, kept, killed, continued, applied."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.spatial.distance import pdist

import kernelfit
from kernelfit.cli import root
from kernelfit.datasets import load, training_targets
from kernelfit.errors import (
    DataError,
    DuplicateRowsError,
    InputError,
    KernelfitError,
    NotPositiveDefiniteError,
    PlanError,
)
from kernelfit.experiments import experiment, stream
from kernelfit.features import RandomConv
from kernelfit.streaming import gram_file

CONV = ("--n", "200", "--features", "random-conv", "--filters", "200")
STREAM = (*CONV, "--kernel", "linear")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(root, arguments)


def succeed(*arguments: str) -> dict[str, Any]:
    result = invoke(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output or result.exception
    record: dict[str, Any] = json.loads(result.stdout)
    return record


def failure(*arguments: str) -> KernelfitError:
    result = invoke(*arguments)
    assert isinstance(result.exception, KernelfitError), result.output
    return result.exception


@pytest.fixture
def never_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A feature matrix that exists all at once is a failure."""

    def transform(*_: Any, **__: Any) -> None:
        pytest.fail("all features at once")

    monkeypatch.setattr(RandomConv, "transform", transform)


@pytest.mark.parametrize("options", [(), ("--tier", "disk"), ("--threads", "1")])
def test_is_the_linear_kernel_of_the_features(never_whole: None, options: tuple[str, ...]) -> None:
    record = succeed("solve", *STREAM, "--ridge", "1e-3", "--loo", *options)
    data = load("digits", n_train=200)
    net = RandomConv(image_shape=data.image_shape, n_filters=200).fit(data.X_train)
    z, t = (
        net.filter_block(net.validated(rows), 0, 200).astype(float) for rows in (data.X_train, data.X_test)
    )
    k = z @ z.T.copy()
    mean = np.trace(k) / 200
    assert record["mean_diagonal"] == pytest.approx(mean, rel=1e-5)
    assert record["ridge_relative"] == 1e-3
    assert record["ridge"] == pytest.approx(1e-3 * mean, rel=1e-5)
    inverse = np.linalg.inv(k + 1e-3 * mean * np.eye(200))
    alpha = inverse @ training_targets(data)
    assert record["rkhs_norm"] == pytest.approx(np.sqrt(np.sum(alpha * (k @ alpha))), rel=1e-3)
    assert record["test_error"] == pytest.approx(((t @ z.T @ alpha).argmax(1) != data.y_test).mean())
    left_out = training_targets(data) - alpha / np.diagonal(inverse)[:, None]
    assert record["loo_error"] == pytest.approx((left_out.argmax(1) != data.y_train).mean())
    assert record["kernel"] == {"name": "linear"}
    assert record["n_features"] == z.shape[1]
    assert record["seconds"]["features"] > 0
    assert record["seconds"]["gram"] > 0
    assert record["backward_error"] < 1e-15


def test_rounding_to_bytes_is_reported_and_exact(never_whole: None, tmp_path: Path) -> None:
    record = succeed(
        "solve", *STREAM, "--ridge", "1e-3", "--option", "quantise=true", "--out", str(tmp_path / "run")
    )
    data = load("digits", n_train=200)
    net = RandomConv(image_shape=data.image_shape, n_filters=200, quantise=True).fit(data.X_train)
    assert f"features rounded to 0 to 255 steps of {net.step_:g}" in record["notes"]
    z = net.filter_block(net.validated(data.X_train), 0, 200).astype(float)
    k = np.diagonal(z @ z.T)
    assert record["mean_diagonal"] == k.mean()
    again = succeed("predict", str(tmp_path / "run"), "--dataset", "digits")
    assert again["test_error"] == pytest.approx(record["test_error"], abs=1e-12)


def test_rounding_is_reported_once_on_the_primal_path() -> None:
    options = ("--n", "100", *CONV[2:-1], "5", "--kernel", "linear", "--option", "quantise=true")
    result = invoke("solve", *options)
    assert result.exit_code == 0, result.output
    assert result.output.count("features rounded to 0 to 255 steps") == 1


def test_rounding_is_reported_for_other_kernels_too() -> None:
    options = ("--filters", "8", "--option", "quantise=true")
    record = succeed("solve", "--n", "100", "--features", "random-conv", "--kernel", "gaussian", *options)
    assert any("features rounded to 0 to 255 steps" in note for note in record["notes"])


def test_without_a_ridge_it_interpolates(never_whole: None) -> None:
    record = succeed("solve", *STREAM)
    assert (record["ridge"], record["ridge_relative"]) == (0, 0)
    assert record["interpolates"]
    assert record["train_error"] == 0


def test_ridge_auto_reports_both_solutions(never_whole: None) -> None:
    record = succeed("solve", *STREAM, "--ridge", "auto")
    assert record["ridge_relative"] == pytest.approx(record["ridge_choice"]["relative"])
    assert record["ridge_relative"] > 0
    assert record["interpolation"]["train_error"] == 0
    assert record["interpolation"]["rkhs_norm"] > record["rkhs_norm"]
    number = succeed("solve", *STREAM, "--ridge", str(record["ridge_choice"]["relative"]))
    assert number["rkhs_norm"] == pytest.approx(record["rkhs_norm"], rel=1e-9)


def test_the_table_says_what_the_ridge_is_measured_in() -> None:
    result = invoke("solve", *STREAM, "--ridge", "1e-3")
    assert "(0.001 of the mean diagonal)" in result.stdout
    assert "mean diagonal" not in invoke("solve", *STREAM).stdout


def test_fewer_features_than_rows_take_the_primal_path() -> None:
    record = succeed(
        "solve", "--n", "200", "--features", "random-conv", "--filters", "10", "--kernel", "linear"
    )
    assert record["n_features"] < 200
    assert record["rank"] <= record["n_features"]
    assert not record["interpolates"]


def test_other_kernels_of_the_features() -> None:
    record = succeed("solve", *CONV, "--kernel", "gaussian")
    assert record["kernel"]["name"] == "gaussian"
    assert "mean_diagonal" not in record


def test_a_kept_run_predicts_is_checked_and_opened(never_whole: None, tmp_path: Path) -> None:
    out = tmp_path / "run"
    record = succeed("solve", *STREAM, "--ridge", "1e-3", "--out", str(out))
    first = succeed("predict", str(out), "--dataset", "digits")
    assert first["test_error"] == record["test_error"]
    assert (out / "weights.h5").exists()
    scores = tmp_path / "scores.npy"
    second = succeed("predict", str(out), "--dataset", "digits", "--out", str(scores))
    assert second["predictions"] == first["predictions"]
    assert succeed("check", str(out))["ok"]
    with_factor = kernelfit.open(out)
    data = load("digits", n_train=200)
    grams = gram_file.read(out / "gram.h5")
    assert np.allclose(np.load(scores), grams.cross() @ with_factor.alpha, atol=1e-3)
    again = with_factor.solve(training_targets(data))
    assert np.array_equal(again.alpha, with_factor.alpha)
    with_factor.close()


def test_weights_of_another_solution_are_not_used(tmp_path: Path) -> None:
    records = []
    for name, ridge in (("a", "1e-3"), ("b", "1")):
        succeed("solve", *STREAM, "--ridge", ridge, "--out", str(tmp_path / name))
        records.append(succeed("predict", str(tmp_path / name), "--dataset", "digits")["predictions"])
    assert records[0] != records[1]
    (tmp_path / "b" / "weights.h5").write_bytes((tmp_path / "a" / "weights.h5").read_bytes())
    assert succeed("predict", str(tmp_path / "b"), "--dataset", "digits")["predictions"] == records[1]


def test_equal_rows_are_left_out(tmp_path: Path) -> None:
    data = load("digits", n_train=150)
    X, y = data.X_train.copy(), data.y_train.copy()
    X[7], y[7] = X[3], y[3]
    path = tmp_path / "rows.npz"
    test = {"X_test": data.X_test.reshape(-1, 8, 8), "y_test": data.y_test}
    np.savez(path, X_train=X.reshape(-1, 8, 8), y_train=y, **test)
    common = (*STREAM[2:], "--train", str(path))
    out = tmp_path / "run"
    record = succeed("solve", *common, "--out", str(out))
    assert (record["n_train"], record["n_distinct"]) == (150, 149)
    assert any("an earlier row" in note for note in record["notes"])
    rows = tmp_path / "test.npy"
    np.save(rows, data.X_test)
    predicted = succeed("predict", str(out), "--rows", str(rows))["predictions"]
    wrong = np.mean([int(float(a)) != b for a, b in zip(predicted, data.y_test, strict=True)])
    assert wrong == pytest.approx(record["test_error"])
    y[7] = (y[3] + 1) % 10
    np.savez(path, X_train=X.reshape(-1, 8, 8), y_train=y, **test)
    assert isinstance(failure("solve", *common), DuplicateRowsError)
    assert succeed("solve", *common, "--ridge", "1e-3")["n_distinct"] == 150


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (("--ridge", "much"), InputError, "--ridge: got 'much', expected a finite number >= 0 or 'auto'"),
        (("--ridge", "-1"), InputError, "--ridge: got '-1'"),
        (("--device", "abacus"), InputError, "--device: got 'abacus'"),
        (("--memory", "300MB"), PlanError, "--memory: "),
    ],
)
def test_what_would_stop_the_solve_is_found_before_the_sums(
    options: tuple[str, ...], kind: type, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RandomConv, "filter_block", None)
    error = failure("solve", *STREAM, *options)
    assert isinstance(error, kind)
    assert str(error).startswith(message)


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed while K was summed up, in a process of its own."""
    out = tmp_path_factory.mktemp("killed") / "run"
    command = [sys.executable, "-m", "kernelfit", "solve", *LONG, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out / "gram.h5").exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "run.h5").exists()
    return out


@pytest.fixture
def killed(killed_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(killed_once, tmp_path / "run"))


LONG = (*CONV[:-1], "20000", "--kernel", "linear", "--ridge", "1e-3")


def test_a_killed_run_resumes_within_its_sums(killed: Path) -> None:
    begun = gram_file.read(killed / "gram.h5")
    assert 0 < begun.done < 20000
    result = invoke("resume", str(killed), "--json", "-")
    assert result.exit_code == 0, result.output
    assert f"resumed after {begun.done} of 20000 filters" in result.stderr
    record = json.loads(result.stdout)
    whole = succeed("solve", *LONG, "--out", str(killed.parent / "whole"))
    ours, theirs = (
        kernelfit.load(str(folder / "solution.h5")) for folder in (killed, killed.parent / "whole")
    )
    assert np.array_equal(ours.alpha, theirs.alpha)
    same = ("test_error", "rkhs_norm", "ridge", "mean_diagonal", "n_features", "log_det")
    assert [record[key] for key in same] == [whole[key] for key in same]
    assert sorted(path.name for path in killed.iterdir()) == [
        "factor.h5",
        "gram.h5",
        "journal",
        "lock",
        "result.json",
        "run.h5",
        "solution.h5",
    ]


def test_the_same_command_resumes_too_and_another_is_refused(killed: Path) -> None:
    begun = gram_file.read(killed / "gram.h5")
    other = failure("solve", *LONG[:-1], "0", "--n-test", "5", "--out", str(killed))
    assert str(other).startswith(f"--out: {killed} holds sums of a run whose n_test is None, here 5")
    assert f"; continue it with kernelfit resume {killed}, " in str(other)
    before = begun.path.read_bytes()
    (killed / "asked.json").unlink()  # nobody knows what they are for
    unknown = failure("solve", *LONG, "--n-test", "5", "--out", str(killed))
    assert "holds sums that differ in test, expected" in str(unknown)
    assert begun.path.read_bytes() == before
    assert "name a new folder" in str(failure("solve", "--n", "100", "--out", str(killed)))
    result = invoke("solve", *LONG, "--out", str(killed), "--json", "-")
    assert result.exit_code == 0, result.output
    assert f"resumed after {begun.done} of 20000 filters" in result.stderr


def test_asked_to_stop_it_keeps_the_block_it_is_at(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "kernelfit", "solve", *LONG, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (out / "gram.h5").exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 143, said
    begun = gram_file.read(out / "gram.h5")
    assert f"after {begun.done} of {begun.of} filters; continue with kernelfit resume {out}" in said
    assert begun.done < begun.of


def test_damaged_sums_are_an_error(killed: Path) -> None:
    content = bytearray((killed / "gram.h5").read_bytes())
    content[len(content) // 2] ^= 1
    (killed / "gram.h5").write_bytes(content)
    error = failure("resume", str(killed))
    assert isinstance(error, DataError)
    assert "do not match their checksum" in str(error)


def test_stopped_after_the_sums_it_resumes_with_the_factor(tmp_path: Path) -> None:
    out = tmp_path / "run"
    whole = succeed("solve", *STREAM, "--ridge", "1e-3", "--out", str(out))
    (out / "solution.h5").unlink()
    (out / "result.json").unlink()
    lines = (out / "journal").read_bytes().splitlines(keepends=True)
    (out / "journal").write_bytes(b"".join(lines[:2]))
    record = succeed("resume", str(out))
    assert record["rkhs_norm"] == whole["rkhs_norm"]
    assert record["test_error"] == whole["test_error"]
    assert record["ridge_relative"] == 1e-3
    assert succeed("predict", str(out), "--dataset", "digits")["test_error"] == whole["test_error"]


@pytest.fixture
def not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of any size stream for kernels that are not linear, too."""
    monkeypatch.setattr(stream, "HELD", 0)


NTK = (*CONV, "--kernel", "ntk")


def test_another_kernel_of_features_that_are_never_held(never_whole: None, tmp_path: Path) -> None:
    sums = tmp_path / "sums.h5"
    record = succeed("solve", *NTK, "--loo", "--sums", str(sums))
    data = load("digits", n_train=200)
    net = RandomConv(image_shape=data.image_shape, n_filters=200).fit(data.X_train)
    z, t = (net.filter_block(net.validated(rows), 0, 200) for rows in (data.X_train, data.X_test))
    dense = kernelfit.solve(z, training_targets(data), kernel="ntk")
    assert record["kernel"] == {"name": "ntk", "depth": 1}
    assert record["mean_diagonal"] == pytest.approx(2 * (z.astype(float) ** 2).sum(axis=1).mean(), rel=1e-5)
    assert record["rkhs_norm"] == pytest.approx(dense.rkhs_norm, rel=1e-4)
    assert record["test_error"] == (dense.predict(t).argmax(axis=1) != data.y_test).mean()
    left_out = dense.leave_one_out()
    assert record["loo_error"] == pytest.approx((left_out.argmax(axis=1) != data.y_train).mean(), abs=0.006)
    assert record["backward_error"] < 1e-15
    assert any("from their inner products, rounded to float32" in note for note in record["notes"])
    # Of the same sums: the median rule, a ridge in units of this kernel's diagonal, and no pass over the features.
    before = sums.read_bytes()
    second = succeed("solve", *CONV, "--kernel", "gaussian", "--ridge", "auto", "--sums", str(sums))
    squares = pdist(z.astype(float), "sqeuclidean")
    assert second["kernel"]["gamma"] == pytest.approx(1 / np.median(squares), rel=1e-4)
    assert second["mean_diagonal"] == 1
    assert second["ridge"] == pytest.approx(second["ridge_choice"]["relative"])
    assert second["interpolation"]["train_error"] == 0
    assert sums.read_bytes() == before
    searched = failure("solve", *CONV, "--kernel", "gaussian", "--gamma", "auto", "--sums", str(sums))
    assert str(searched).startswith("--gamma: got 'auto' for features that stream")


@pytest.mark.parametrize("options", [(), ("--tier", "disk"), ("--precision", "mixed", "--ridge", "1e-3")])
def test_its_run_is_stored_resumed_checked_and_applied(
    never_whole: None, not_held: None, tmp_path: Path, options: tuple[str, ...]
) -> None:
    out = tmp_path / "run"
    whole = succeed("solve", *NTK, *options, "--out", str(out))
    alpha = kernelfit.load(str(out / "solution.h5")).alpha
    (out / "solution.h5").unlink()
    (out / "result.json").unlink()
    lines = (out / "journal").read_bytes().splitlines(keepends=True)
    (out / "journal").write_bytes(b"".join(lines[:1]))
    record = succeed("resume", str(out))
    assert np.array_equal(kernelfit.load(str(out / "solution.h5")).alpha, alpha)
    same = ("kernel", "rkhs_norm", "test_error", "mean_diagonal")
    assert [record[key] for key in same] == [whole[key] for key in same]
    assert succeed("check", str(out))["ok"]
    predicted = succeed("predict", str(out), "--dataset", "digits")
    assert predicted["test_error"] == pytest.approx(whole["test_error"], abs=0.003)
    assert not (out / "weights.h5").exists()
    opened = kernelfit.open(out)
    again = opened.solve(training_targets(load("digits", n_train=200)))
    assert np.allclose(again.alpha, alpha, rtol=1e-9, atol=1e-12)
    opened.close()
    # The same sums, as if they were of another kernel: not this factor's K.
    refused = failure("solve", *CONV, "--kernel", "arc-cosine", "--out", str(out))
    assert "name a new folder" in str(refused)


def test_rows_to_predict_are_streamed_against_the_training_rows(
    never_whole: None, not_held: None, tmp_path: Path
) -> None:
    data = load("digits", n_train=200)
    out, rows = tmp_path / "run", tmp_path / "rows.npy"
    np.save(rows, data.X_train[:20])
    record = succeed("solve", *NTK, "--option", "quantise=true", "--out", str(out))
    assert any("from their inner products, exact" in note for note in record["notes"])
    predicted = succeed("predict", str(out), "--rows", str(rows))["predictions"]
    assert [int(each) for each in predicted] == data.y_train[:20].tolist()


def test_sums_of_what_does_not_stream_are_refused(tmp_path: Path) -> None:
    for options in (("--features", "random-conv", "--kernel", "laplacian"), ()):
        error = failure("solve", "--n", "50", *options, "--sums", str(tmp_path / "sums.h5"))
        assert str(error).startswith(f"--sums: got {tmp_path}/sums.h5, but there are no sums of features")


def test_sums_that_a_held_matrix_makes_needless_are_said_not_to_be_written(tmp_path: Path) -> None:
    few = ("--n", "200", "--features", "random-conv", "--filters", "10", "--kernel", "linear")
    result = invoke("solve", *few, "--sums", str(tmp_path / "few.h5"))
    assert "few.h5: neither read nor written" in result.stderr


def test_a_run_takes_sums_that_it_is_asked_to_though_its_features_could_be_held(tmp_path: Path) -> None:
    sums, out = tmp_path / "sums.h5", tmp_path / "run"
    alone = succeed("solve", *NTK, "--ridge", "1e-3", "--sums", str(sums))
    record = succeed("solve", *NTK, "--ridge", "1e-3", "--sums", str(sums), "--out", str(out))
    for key in ("ridge", "ridge_relative", "rkhs_norm", "test_error"):
        assert record[key] == alone[key]


def test_a_run_of_a_second_kernel_takes_the_sums_of_a_first_one(
    not_held: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    succeed("solve", *STREAM, "--ridge", "1e-3", "--out", str(first))
    with monkeypatch.context() as patch:
        patch.setattr(RandomConv, "filter_block", None)
        record = succeed("solve", *NTK, "--out", str(second), "--sums", str(first / "gram.h5"))
    assert record["kernel"]["name"] == "ntk"
    assert (second / "gram.h5").read_bytes() == (first / "gram.h5").read_bytes()
    shutil.rmtree(first)
    assert succeed("resume", str(second))["rkhs_norm"] == record["rkhs_norm"]
    missing = failure("solve", *NTK, "--out", str(tmp_path / "third"), "--sums", str(first / "gram.h5"))
    assert str(missing).startswith(f"--sums: got {first}/gram.h5, which is not there")
    assert not (tmp_path / "third").exists()


@pytest.fixture(scope="module")
def sums_of_ntk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Complete sums that the NTK was solved from."""
    sums = tmp_path_factory.mktemp("sums") / "sums.h5"
    succeed("solve", *FEW, "--kernel", "ntk", "--sums", str(sums))
    return sums


FEW = ("--n", "60", "--n-test", "20", "--features", "random-conv", "--filters", "10")
SECOND = (*FEW, "--kernel", "arc-cosine", "--ridge", "1e-3")


@pytest.fixture
def stopped(sums_of_ntk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of a second kernel that was killed after it took the sums, and before run.h5 was there."""
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "solve", None)
        result = invoke("solve", *SECOND, "--sums", str(sums_of_ntk), "--out", str(out))
        assert isinstance(result.exception, TypeError)
    assert gram_file.read(out / "gram.h5").remembered["experiment"]["kernel"] == "ntk"
    assert not (out / "run.h5").exists()
    return out


def test_a_run_that_took_sums_is_resumed_as_what_it_was_asked_for(stopped: Path) -> None:
    record = succeed("resume", str(stopped))
    assert record["kernel"]["name"] == "arc-cosine"
    assert record["ridge_relative"] == pytest.approx(1e-3)
    assert not (stopped / "asked.json").exists()


def test_the_same_command_with_sums_continues_too_and_another_is_refused(
    stopped: Path, sums_of_ntk: Path
) -> None:
    again = ("--sums", str(sums_of_ntk), "--out", str(stopped))
    other = failure("solve", *FEW, "--kernel", "ntk", *again)
    assert str(other).startswith(
        f"--out: {stopped} holds sums of a run whose kernel is 'arc-cosine', here 'ntk'"
    )
    assert succeed("solve", *SECOND, "--threads", "1", *again)["kernel"]["name"] == "arc-cosine"


def test_sums_that_were_copied_are_taken_once(stopped: Path, sums_of_ntk: Path) -> None:
    copied = shutil.copyfile(sums_of_ntk, stopped.parent / "elsewhere.h5")
    result = invoke("solve", *SECOND, "--sums", str(copied), "--out", str(stopped))
    assert result.exit_code == 0, result.output
    assert f"elsewhere.h5: not read, as {stopped}/gram.h5 holds sums for the same run" in result.stderr


def test_asked_to_stop_beside_taken_sums_it_says_how_to_resume(
    sums_of_ntk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    monkeypatch.setattr(stream, "_grams", lambda *_: signal.raise_signal(signal.SIGTERM))
    error = failure("solve", *SECOND, "--sums", str(sums_of_ntk), "--out", str(out))
    assert str(error) == f"{out}: stopped by SIGTERM beside its sums; continue with kernelfit resume {out}"
    monkeypatch.undo()
    assert succeed("resume", str(out))["kernel"]["name"] == "arc-cosine"


def test_sums_of_what_has_no_solution_serve_another_ridge(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def singular(*_: Any, **__: Any) -> None:
        raise NotPositiveDefiniteError("K: a pivot is 0")

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "solve", singular)
        assert "a pivot is 0" in str(failure("resume", str(stopped)))
    record = succeed("solve", *SECOND[:-1], "0.01", "--out", str(stopped))
    assert record["ridge_relative"] == pytest.approx(0.01)


def test_what_a_folder_was_asked_for_is_of_no_use_damaged(stopped: Path) -> None:
    (stopped / "asked.json").write_text("{}")
    assert "does not say what the folder is to hold a run of" in str(failure("resume", str(stopped)))


def test_a_ridge_counts_alike_where_features_are_held_and_where_they_stream(tmp_path: Path) -> None:
    few = ("solve", "--n", "200", "--features", "random-conv", "--filters", "10", "--ridge", "0.01")
    held, streamed = succeed(*few), succeed(*few, "--sums", str(tmp_path / "sums.h5"))
    for record in (held, streamed):
        assert record["ridge_relative"] == pytest.approx(0.01)
        assert record["ridge"] == pytest.approx(0.01 * record["mean_diagonal"])
    assert held["ridge"] == pytest.approx(streamed["ridge"], rel=1e-6)
    assert held["rkhs_norm"] == pytest.approx(streamed["rkhs_norm"], rel=1e-4)
    for kernel in ("gaussian", "laplacian"):  # whose diagonal is 1
        assert succeed(*few, "--kernel", kernel)["ridge"] == 0.01
    polynomial = succeed(*few, "--kernel", "polynomial")
    assert polynomial["ridge"] == pytest.approx(0.01 * polynomial["mean_diagonal"])
    assert polynomial["mean_diagonal"] != pytest.approx(held["mean_diagonal"])


def test_a_run_of_means_over_mirror_images_is_stored_and_applied(not_held: None, tmp_path: Path) -> None:
    data = load("digits", n_train=60, n_test=12)
    assert data.image_shape is not None
    out, rows = tmp_path / "run", tmp_path / "rows.npy"
    mirrored = data.X_test.reshape(12, *data.image_shape)[:, :, ::-1].reshape(12, -1)
    np.save(rows, np.concatenate([data.X_test, mirrored]))
    few = ("--n", "60", "--features", "random-conv", "--filters", "20", "--tier", "disk", "--out", str(out))
    record = succeed("solve", *few, "--option", "flips=true", "--option", "quantise=true")
    net = RandomConv(image_shape=data.image_shape, n_filters=20, flips=True, quantise=True).fit(data.X_train)
    dense = kernelfit.solve(net.transform(data.X_train), training_targets(data), kernel="ntk")
    assert record["rkhs_norm"] == pytest.approx(dense.rkhs_norm, rel=1e-9)
    classes = dense.predict(net.transform(data.X_test)).argmax(axis=1).tolist()
    predicted = succeed("predict", str(out), "--rows", str(rows))["predictions"]
    assert [int(each) for each in predicted] == [*classes, *classes]
