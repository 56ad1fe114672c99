"""`Experiment`: the command line in Python, remembered as JSON, run, resumed and applied to new rows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import StandardScaler

import kernelfit
from kernelfit import Experiment, datasets
from kernelfit.cli import root
from kernelfit.datasets.corruptions import corrupt
from kernelfit.datasets.new_rows import read_rows
from kernelfit.errors import DataError, DeviceError, InputError, KernelfitError
from kernelfit.experiments.predictions import unseen_test_rows
from kernelfit.progress import Silent
from kernelfit.runs import result_file
from kernelfit.storage import json_output

#: what differs between two runs of the same experiment
_OF_THE_RUN = ("seconds", "command", "peak_rss_bytes", "gflops_factor")


def command(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(root, [*arguments, "--json", "-"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    record: dict[str, Any] = json.loads(result.stdout)
    return record


def without_run(record: dict[str, Any]) -> dict[str, Any]:
    plan = {key: value for key, value in record["plan"].items() if key not in ("memory_limit", "disk_free")}
    same = {key: value for key, value in record.items() if key not in _OF_THE_RUN} | {"plan": plan}
    if "ridge_choice" in same:
        same["ridge_choice"] = {**same["ridge_choice"], "seconds": None}
    return json.loads(json.dumps(json_output.plain(same)))


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (
            {"features": "gabor", "loo": True},
            ["--features", "gabor", "--loo"],
        ),
        (
            {
                "features": "random-conv",
                "feature_options": {"n_filters": 100},
                "kernel": "linear",
                "ridge": "auto",
            },
            ["--features", "random-conv", "--filters", "100", "--kernel", "linear", "--ridge", "auto"],
        ),
        (
            {"kernel": "matern", "kernel_params": {"nu": 2.5, "length_scale": 2.0}, "ridge": 1e-3},
            ["--kernel", "matern", "--nu", "2.5", "--length-scale", "2", "--ridge", "1e-3"],
        ),
        (
            {"corruption": "corrupt-labels", "corruption_p": 0.5, "corruption_seed": 3},
            ["--corruption", "corrupt-labels", "--corruption-p", "0.5", "--corruption-seed", "3"],
        ),
    ],
    ids=["gabor", "random-conv", "matern", "labels"],
)
def test_python_and_the_command_line_do_the_same(
    tmp_path: Path, arguments: dict[str, Any], options: list[str]
) -> None:
    result = Experiment("digits", n_train=300, memory="2GB", **arguments).run(tmp_path / "python")
    typed = command("solve", "--n", "300", "--memory", "2GB", *options, "--out", str(tmp_path / "shell"))
    assert without_run(result.record) == without_run(typed)
    assert set(result.record["seconds"]) == set(typed["seconds"])
    rows = datasets.load("digits", n_test=40).X_test
    np.save(tmp_path / "rows.npy", rows)
    shell = command("predict", str(tmp_path / "shell"), "--rows", str(tmp_path / "rows.npy"))
    assert result.predict(rows).tolist() == shell["predictions"]
    assert Experiment.load(tmp_path / "python").predict(rows).tolist() == shell["predictions"]


def test_an_experiment_is_remembered_as_json() -> None:
    experiment = Experiment(
        "mnist",
        n_train=50,
        data_dir="/data",
        features="gabor",
        feature_options={"wavelengths": (3.0, 5.0)},
        kernel="laplacian",
        gamma="auto",
        ridge="1e-3",
        corruption="random-pixels",
        seed=7,
        loo=True,
    )
    text = json.dumps(experiment.to_dict(), allow_nan=False)
    again = Experiment(**json.loads(text))
    assert again == experiment
    assert again.inputs == experiment.inputs
    assert again.solver.ridge == 1e-3
    assert eval(repr(experiment), {"Experiment": Experiment}) == experiment
    assert "feature_options={'wavelengths': (3.0, 5.0)}" in repr(experiment)
    assert repr(Experiment()) == "Experiment()"


def test_paths_hold_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.csv").write_text("1,2,0\n")
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Experiment("own.csv").to_dict()["dataset"] == str(tmp_path / "own.csv")
    assert Experiment(train="own.csv").to_dict()["train"] == str(tmp_path / "own.csv")
    # A known name is the data set, whatever folders there are.
    assert Experiment("digits").to_dict()["dataset"] == "digits"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"centr": True}, r"^centr: got an argument of that name; did you mean 'centre'\?$"),
        ({"n": 3}, r"^n: got an argument of that name; here it is called n_train$"),
        ({"features": "gabro"}, r"; did you mean 'gabor'\?$"),
        ({"corruption": "random-label"}, r"; did you mean 'random-labels'\?$"),
        ({"precision": "mixd"}, r"; did you mean 'mixed'\?$"),
        ({"features": "gabor", "feature_options": {"wavelength": 2}}, r"; did you mean 'wavelengths'\?$"),
    ],
)
def test_a_wrong_name_suggests_the_right_one(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, InputError), match=message):
        Experiment("digits", **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ridge": -1}, "ridge: got -1"),
        ({"jitter": float("nan")}, "jitter: got nan"),
        ({"device": "tpu"}, "device: got 'tpu'"),
        ({"features": "sift"}, "features: got 'sift'"),
        ({"features": "gabor", "feature_options": {"strid": 2}}, "'strid'"),
        ({"feature_options": {"stride": 2}}, "feature_options: got stride"),
        ({"kernel": "gausian"}, "kernel: got 'gausian'"),
        ({"kernel_params": {"nu": 1.5}}, "nu: the gaussian kernel does not have it; its parameters: gamma"),
        ({"kernel": "linear", "gamma": 1}, "gamma: the linear kernel has no gamma"),
        ({"corruption": "noise"}, "corruption: got 'noise'"),
        ({"corruption_p": 0.5}, "corruption_p: got 0.5, but true has no share"),
        ({"corruption": "corrupt-labels", "corruption_p": 2}, "corruption_p: got 2"),
        ({"corruption_seed": 2}, "corruption_seed: got 2, but true draws nothing"),
        ({"corruption": "random-pixels", "corruption_seed": -1}, "corruption_seed: got -1"),
    ],
)
def test_arguments_are_checked_before_anything_is_read(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        Experiment("nothing is loaded", **arguments)


@pytest.mark.parametrize("name", ["random-labels", "shuffled-pixels", "random-pixels", "gaussian"])
def test_a_corrupted_data_set_is_what_the_kernel_sees(tmp_path: Path, name: str) -> None:
    result = Experiment("digits", n_train=200, corruption=name, gamma=0.1, seed=2).run(tmp_path / "run")
    data = corrupt(datasets.load("digits", n_train=200), name, seed=2)
    Y = np.eye(10)[data.y_train]
    by_hand = kernelfit.solve(data.X_train, Y, gamma=0.1, scale=data.scale)
    assert np.array_equal(result.solution.alpha, by_hand.alpha)
    wrong = by_hand.predict(data.X_test).argmax(axis=1) != data.y_test
    assert result.record["test_error"] == wrong.mean()
    assert result.record["corruption"] == name
    assert command("predict", str(tmp_path / "run"), "--dataset", "digits")["test_error"] == wrong.mean()


def test_features_are_fitted_again_on_corrupted_rows(tmp_path: Path) -> None:
    experiment = Experiment("digits", n_train=150, features="whitening", corruption="shuffled-pixels")
    result = experiment.run(tmp_path / "run")
    rows = datasets.load("digits", n_test=30).X_test
    assert np.array_equal(Experiment.load(tmp_path / "run").scores(rows), result.scores(rows))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"features": "gabor"},
        {"features": "random-conv", "feature_options": {"n_filters": 100}, "kernel": "linear", "ridge": 1e-3},
        {"features": "random-conv", "feature_options": {"n_filters": 100}},
        {"corruption": "gaussian"},
        {"kernel": "linear"},
    ],
)
def test_all_rows_are_trained_on_without_test_rows(tmp_path: Path, arguments: dict[str, Any]) -> None:
    data = datasets.load("digits", n_train=100)
    path = tmp_path / "own.npz"
    np.savez(path, X=data.X_train.reshape(-1, 8, 8), y=data.y_train)
    result = Experiment(train=path, n_test=0, loo=arguments.get("kernel") is None, **arguments).run(
        tmp_path / "run"
    )
    record = json.loads(json_output.dumps(result.record))
    assert (record["n_train"], record["n_test"], record["test_error"]) == (100, 0, None)
    assert not any("held out" in note for note in record["notes"])
    again = Experiment.load(tmp_path / "run").predict(data.X_train)
    assert again.tolist() == result.predict(data.X_train).tolist()
    refused = CliRunner().invoke(root, ["predict", str(tmp_path / "run"), "--dataset", str(path)])
    assert "all of whose rows were trained on" in str(refused.exception)
    shown = CliRunner().invoke(root, ["solve", "--train", str(path), "--n-test", "0", "--gamma", "0.1"])
    assert "test error" in shown.stdout
    assert "0 rows" in shown.stdout


def test_a_known_data_set_has_no_test_rows_when_none_are_asked_for() -> None:
    assert datasets.load("digits", n_test=0).X_test.shape == (0, 64)


@pytest.mark.parametrize("features", ["none", "gabor"])
def test_standardised_columns_are_those_of_scikit_learn(tmp_path: Path, features: str) -> None:
    from sklearn.preprocessing import StandardScaler

    experiment = Experiment("digits", n_train=200, features=features, standardise=True, gamma=0.01)
    result = experiment.run(tmp_path / "run")
    data = datasets.load("digits", n_train=200)
    seen, test = data.X_train, data.X_test
    if features != "none":
        feature = experiment.inputs.features.fit(data, None)
        seen, test = feature.transform(seen), feature.transform(test)
    scaler = StandardScaler().fit(seen.astype(np.float64))
    by_hand = kernelfit.solve(scaler.transform(seen.astype(float)), np.eye(10)[data.y_train], gamma=0.01)
    scores = by_hand.predict(scaler.transform(test.astype(float)))
    assert np.allclose(result.scores(data.X_test), scores, atol=1e-8)
    assert result.record["test_error"] == np.mean(scores.argmax(axis=1) != data.y_test)
    assert result.record["standardise"]
    loaded = Experiment.load(tmp_path / "run")
    assert np.array_equal(loaded.scores(data.X_test), result.scores(data.X_test))
    assert (
        command("predict", str(tmp_path / "run"), "--dataset", "digits")["test_error"]
        == result.record["test_error"]
    )
    typed = command("solve", "--n", "200", "--features", features, "--standardise", "--gamma", "0.01")
    assert typed["rkhs_norm"] == result.record["rkhs_norm"]


@pytest.mark.parametrize("columns", [1, 2])
def test_centred_targets_are_those_of_scikit_learn(
    tmp_path: Path, rng: np.random.Generator, columns: int
) -> None:
    X = rng.standard_normal((60, 3))
    y = 1e3 + X @ rng.standard_normal((3, columns)) + 0.1 * rng.standard_normal((60, columns))
    np.savez(tmp_path / "rows.npz", X=X, y=y if columns == 2 else y[:, 0])
    experiment = Experiment(tmp_path / "rows.npz", n_test=0, centre=True, gamma=0.1, ridge=0.1, loo=True)
    result = experiment.run(tmp_path / "run")
    model = TransformedTargetRegressor(
        kernelfit.KernelInterpolator(gamma=0.1, ridge=0.1), transformer=StandardScaler(with_std=False)
    ).fit(X, y)
    expected = model.predict(X)
    for read in (result, Experiment.load(tmp_path / "run")):
        np.testing.assert_allclose(read.scores(X), expected, rtol=1e-12)
    record = result.record
    assert record["centre"]
    assert record["train_rmse"] == pytest.approx(np.sqrt(np.mean((expected - y) ** 2)), rel=1e-9)
    inverse = np.linalg.inv(np.exp(-0.1 * ((X[:, None] - X) ** 2).sum(-1)) + 0.1 * np.eye(60))
    left_out = inverse @ (y - y.mean(axis=0)) / np.diag(inverse)[:, None]
    assert record["loo_rmse"] == pytest.approx(np.sqrt(np.mean(left_out**2)), rel=1e-9)
    assert Experiment(**experiment.to_dict()).inputs.centre


def test_classes_are_not_centred() -> None:
    with pytest.raises(InputError, match=r"^centre: digits has classes, which have no mean, expected False$"):
        Experiment("digits", n_train=50, centre=True).run()


def test_features_that_stream_are_not_standardised() -> None:
    with pytest.raises(InputError, match="standardise: features that stream"):
        Experiment(features="random-conv", standardise=True, kernel="linear")
    assert not Experiment(features="random-conv", standardise=True).streams


def test_a_run_in_use_is_refused_and_an_unfinished_one_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    experiment = Experiment("digits", n_train=300, gamma=0.1)
    whole = experiment.run(folder)
    with pytest.raises(InputError, match=r"run_dir: .* holds a finished run; name a new folder"):
        experiment.run(folder)
    (folder / "solution.h5").unlink()
    with pytest.raises(InputError, match="continue it with kernelfit resume"):
        experiment.run(folder)
    with pytest.raises(InputError, match=r"holds no solution.h5; finish it with kernelfit resume \S+run$"):
        Experiment.load(folder)
    resumed = Experiment.resume(folder)
    assert np.array_equal(resumed.solution.alpha, whole.solution.alpha)
    assert resumed.record["test_error"] == whole.record["test_error"]
    (folder / "solution.h5").unlink()
    assert np.array_equal(experiment.run(folder, resume=True).solution.alpha, whole.solution.alpha)


def test_a_finished_run_that_is_resumed_keeps_what_its_record_says_of_choices(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    noisy = {"corruption": "corrupt-labels", "corruption_p": 0.3}
    whole = Experiment("digits", n_train=200, gamma="auto", ridge="auto", **noisy).run(folder).to_dict()
    for _ in range(2):
        record = Experiment.resume(folder).to_dict()
        for key in ("gamma_choice", "gamma_path", "ridge_choice", "ridge_path", "interpolation"):
            assert record[key] == whole[key] == Experiment.load(folder).to_dict()[key]
        for name in ("choose", "interpolate"):
            assert record["seconds"][name] == whole["seconds"][name] > 0
    # A run that was killed before its first report had none of it: but for its own seconds it is the same.
    (folder / "result.json").unlink()
    record = Experiment.resume(folder).to_dict()
    for key in ("gamma_choice", "gamma_path", "ridge_choice", "ridge_path", "interpolation"):
        assert record[key] == whole[key]
    assert record["seconds"]["choose"] == whole["seconds"]["choose"]


def test_paths_at_home_hold_from_any_folder(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)
    np.savez(home / "mine.npz", X=rng.normal(size=(20, 2)), y=rng.normal(size=20))
    np.savez(home / "test.npz", X=rng.normal(size=(5, 2)), y=rng.normal(size=5))
    experiment = Experiment(train="~/mine.npz", test="~/test.npz", data_dir="~", threads=1)
    settings = experiment.to_dict()
    assert [settings[name] for name in ("train", "test", "data_dir")] == [
        *(str(home / name) for name in ("mine.npz", "test.npz")),
        str(home),
    ]
    assert Experiment(**settings).run().record["n_test"] == 5
    of_a_path = Experiment("~/mine.npz", threads=1)
    assert of_a_path.to_dict()["dataset"] == str(home / "mine.npz")
    held_out = unseen_test_rows(of_a_path.run(), "~/mine.npz", None, None, Silent())
    assert held_out.n_test == 4
    assert read_rows(Path("~/test.npz")).X.shape == (5, 2)
    missing = Experiment(train="~nobody-of-that-name/mine.npz", threads=1)
    with pytest.raises(
        InputError, match=r"^train: got ~nobody-of-that-name.mine.npz, expected a file or folder"
    ):
        missing.run()


def streamed_digits(**more: Any) -> Experiment:
    options = {"n_filters": 30, "n_patches": 400}
    return Experiment(
        "digits",
        n_train=60,
        n_test=20,
        features="random-conv",
        feature_options=options,
        kernel="linear",
        ridge=0.1,
        **more,
    )


def test_a_streamed_run_opens_its_gpu_once(tmp_path: Path, stand_in_gpu: list[Any]) -> None:
    experiment = streamed_digits()
    whole = experiment.run(tmp_path / "run")
    assert whole.solution.device == "host"
    assert len(stand_in_gpu) == 1
    (tmp_path / "run" / "solution.h5").unlink()
    resumed = Experiment.resume(tmp_path / "run")
    assert resumed.solution.device == "host"
    assert len(stand_in_gpu) == 2
    assert resumed.record["test_error"] == whole.record["test_error"]
    with Experiment.opened(tmp_path / "run"):
        assert len(stand_in_gpu) == 2  # the factor is read where it is stored


def test_auto_sums_on_the_cpu_what_its_gpu_has_no_room_for(stand_in_gpu: list[Any]) -> None:
    experiment = streamed_digits(device_memory=50_000)
    progress = Silent()
    assert experiment.run(progress=progress).solution.device == "cpu"
    assert any("device auto: cpu, as the sums do not fit (device: " in note for note in progress.notes)
    with pytest.raises(DeviceError, match=r"^device: [\d,]+ bytes"):
        Experiment(**experiment.to_dict() | {"device": "cuda"}).run()
    assert not any(device._memory.size for device in stand_in_gpu)


def test_a_run_of_solve_is_resumed_without_a_data_set(tmp_path: Path, rng: np.random.Generator) -> None:
    folder = tmp_path / "run"
    kernelfit.solve(rng.normal(size=(40, 3)), rng.normal(size=40), gamma=1.0, run_dir=folder).close()
    (folder / "solution.h5").unlink()
    record = Experiment.resume(folder).record
    assert "test_error" not in record
    assert record["n_train"] == 40
    assert record["backward_error"] < 1e-13


@pytest.mark.parametrize(
    "change",
    [
        {"classes": [1, 2]},
        {"experiment": None},
        {"experiment": {"datset": "digits"}},
        {"experiment": {"features": 3}},
        {"experiment": {"ridge": []}},
        {"experiment": {"n_train": 1, "feature_options": [1]}},
        {"standardisation": {"mean": [0.0], "scale": [1.0]}},
        {"experiment": {"standardise": True}, "standardisation": {"mean": [0.0], "scale": [0.0]}},
        {"experiment": {"standardise": True}, "standardisation": 3},
        {"experiment": {"centre": True}},
        {"experiment": {"centre": True}, "target_mean": ["x"]},
        {"target_mean": [1.0]},
        {"table": {"a": 1}},
        {"table": 3},
        {"table": {"features": [3], "target": None, "every": [], "named": True, "text_labels": False}},
        {"table": {"features": ["a"], "target": "y", "every": ["a"], "named": True, "text_labels": False}},
        {"test_error": 10**400},
        {"test_error": "none"},
        {"notes": "none"},
        {"seconds": {"load": "1"}},
        {"streamed": 1},
        {"classes": ["a", "b"]},
        {"classes": None},
        {"task": "regression"},
        {"rows_digest": 3},
    ],
)
def test_a_forged_record_is_named(stored_run: Path, change: dict[str, Any]) -> None:
    alpha = kernelfit.load(stored_run / "solution.h5").alpha
    record = json.loads((stored_run / "result.json").read_text())
    try:
        result_file.write(stored_run, {**record, **change}, alpha)
        with pytest.raises(DataError, match=r"result\.json: .*(damaged|forged)") as caught:
            Experiment.load(stored_run)
        assert "\n" not in str(caught.value)
    finally:
        (stored_run / "result.json").write_text(json.dumps(record))


@pytest.fixture(scope="module")
def stored_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "run"
    Experiment("digits", n_train=60).run(folder)
    return folder


@pytest.mark.parametrize("key", ["classes", "test_error", "notes"])
def test_a_record_that_was_changed_is_refused(stored_run: Path, key: str) -> None:
    """Classes in another order turned right scores into wrong answers."""
    text = (stored_run / "result.json").read_text()
    record = json.loads(text)
    changed = {**record, key: [str(k) for k in reversed(range(10))] if key != "test_error" else 0.0}
    try:
        (stored_run / "result.json").write_text(json.dumps(changed))
        with pytest.raises(
            DataError, match=r"does not match its checksum: .*; kernelfit resume .* writes it again"
        ):
            Experiment.load(stored_run)
        assert "result.json: does not match" in kernelfit.check(stored_run).problems[0]
        (stored_run / "result.json").write_text(json.dumps(record, indent=7, sort_keys=True))
        assert Experiment.load(stored_run).record["test_error"] == record["test_error"]
    finally:
        (stored_run / "result.json").write_text(text)


@pytest.mark.parametrize("name", ["solution.h5", "result.json", "weights.h5"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_received_folder_holds_regular_files_or_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    """A pipe that nobody writes to would be waited for."""
    folder = tmp_path / "run"
    Experiment("digits", n_train=50).run(folder)
    outside = tmp_path / "outside"
    if (folder / name).exists():
        (folder / name).rename(outside)
    if kind == "link":
        outside.touch()
        (folder / name).symlink_to(outside)
    else:
        os.mkfifo(folder / name)
    words = r"is a (symbolic link|pipe), expected a regular file|holds no solution\.h5"
    with pytest.raises(KernelfitError, match=words):
        Experiment.load(folder)


@pytest.mark.parametrize(
    ("seed", "drawn", "said"), [(0, {}, False), (1, {}, True), (1, {"random_state": 1}, False)]
)
def test_filters_that_no_seed_draws_are_noted(seed: int, drawn: dict[str, int], said: bool) -> None:
    """Solves of several seeds had the same filters, and hence no scatter, without a word."""
    options = {"n_filters": 4, **drawn}
    experiment = Experiment(
        "digits", features="random-conv", feature_options=options, n_train=30, n_test=5, seed=seed
    )
    notes = experiment.run().record["notes"]
    assert any("filters of random-conv are those of every seed" in note for note in notes) == said


def test_features_are_not_fitted_again_on_other_rows(tmp_path):
    X, y = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3
    data = tmp_path / "mine.npz"
    np.savez(data, X_train=X[:50], y_train=y[:50], X_test=X[50:], y_test=y[50:])
    new = X[50:].reshape(10, 64)
    result = Experiment(data, features="gabor").run(tmp_path / "run")
    stored = Experiment.load(tmp_path / "run")
    np.testing.assert_array_equal(stored.scores(new), result.scores(new))
    X[7, 3, 3] ^= 1
    np.savez(data, X_train=X[:50], y_train=y[:50], X_test=X[50:], y_test=y[50:])
    with pytest.raises(DataError, match="are not those its features were fitted on"):
        Experiment.load(tmp_path / "run").scores(new)


def test_a_record_that_is_a_pipe_is_not_written_to_by_a_resume(tmp_path: Path) -> None:
    """It was written as a stream, which waited for a reader for ever."""
    folder = tmp_path / "run"
    Experiment("digits", n_train=50).run(folder)
    (folder / "result.json").unlink()
    os.mkfifo(folder / "result.json")
    reader = os.open(folder / "result.json", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(KernelfitError, match="is a pipe, expected a regular file"):
            Experiment.resume(folder)
    finally:
        os.close(reader)


def test_a_kernel_that_is_no_name_is_refused() -> None:
    """A traceback of the search for a similar name came."""
    with pytest.raises(InputError, match=r"^kernel: got Linear\(\), expected the name of a kernel"):
        Experiment("digits", n_train=50, kernel=kernelfit.kernels.Linear())  # type: ignore[arg-type]


def test_new_rows_of_words_are_named_and_none_have_no_scores(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,y\n" + "".join(f"{row},{row % 7},{row}.5\n" for row in range(20)))
    result = Experiment(train=tmp_path / "a.csv", kernel="laplacian", standardise=True).run()
    with pytest.raises(InputError, match=r"^rows: got words such as 'x' in columns 0, 1, expected numbers"):
        result.predict(np.array([["x", "y"]]))
    with pytest.raises(InputError, match=r"^rows: got dtype <U1, expected integers or floats"):
        result.predict(np.array([["1", "2"]]))
    assert result.predict(np.empty((0, 2))).shape == (0, 1)


def test_a_run_that_is_not_finished_is_to_be_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    Experiment("digits", n_train=40, n_test=10).run(folder)
    for name in ("result.json", "solution.h5"):
        (folder / name).unlink()
        with pytest.raises(InputError, match=rf"holds no {name}; finish it with kernelfit resume .*run"):
            Experiment.load(folder)
    with pytest.raises(InputError, match=r"holds no solution\.h5; make one with kernelfit solve --out"):
        Experiment.load(tmp_path)
    rng = np.random.default_rng(0)
    kernelfit.solve(rng.random((9, 2)), rng.random(9), run_dir=tmp_path / "solve").close()
    with pytest.raises(InputError, match=r"holds no result\.json; it is a run of kernelfit\.solve"):
        Experiment.load(tmp_path / "solve")


def test_notes_of_the_solve_without_a_ridge_say_so(tmp_path: Path) -> None:
    """ "predictions may be off by 0.01, give a larger ridge" stood beside a ridge of 3 and a condition of 100."""
    rng = np.random.default_rng(0)
    x, progress = rng.uniform(size=(100, 3)), Silent()
    np.savez(tmp_path / "a.npz", X=x, y=np.sin(6.0 * x[:, 0]) + rng.standard_normal(100))
    experiment = Experiment(tmp_path / "a.npz", n_test=0, ridge="auto", gamma=1.0, task="regression")
    result = experiment.run(progress=progress)
    assert result.solution.ridge > 1e-3
    of_interpolant = [note for note in progress.notes if "give a larger ridge" in note]
    assert of_interpolant
    for note in of_interpolant:
        assert note.startswith("without a ridge: ")
        assert note in result.to_dict()["notes"]
