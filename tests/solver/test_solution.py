"""Solutions on disk: every kernel comes back, and no damaged or foreign file passes for one."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kernelfit
from kernelfit.errors import DataError, InputError, KernelfitError, StorageError
from kernelfit.gram.source import KernelGram
from kernelfit.gram.unchanged import Witness
from kernelfit.kernels import (
    ArcCosine,
    Cosine,
    Gaussian,
    Laplacian,
    Linear,
    Pairwise,
    Polynomial,
)
from kernelfit.kernels.base import COORDINATES, Needs
from kernelfit.progress import Silent
from kernelfit.runs import solution_file
from kernelfit.solver.predict import Prepared


def nearby(x, y):
    return math.exp(-abs(x[0] - y[0]) - abs(x[1] - y[1]))


@pytest.fixture
def solution(rng):
    return kernelfit.solve(rng.standard_normal((20, 3)), rng.standard_normal((20, 2)), kernel=Gaussian(0.5))


def same(a, b):
    for field in dataclasses.fields(kernelfit.Certificate):
        first, second = getattr(a.certificate, field.name), getattr(b.certificate, field.name)
        assert first == second or (math.isnan(first) and math.isnan(second))
    for name in ("alpha", "targets", "fitted", "kept"):
        assert np.array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype
    for name in ("plan", "kernel", "ridge", "precision", "seconds", "notes", "input_scale", "single_target"):
        assert getattr(a, name) == getattr(b, name)


@pytest.mark.parametrize("rows", ["float64", "float32", "bytes", "grid"])
def test_save_and_load_for_every_kernel(rng, tmp_path, any_kernel, rows):
    x = {
        "float64": lambda: rng.standard_normal((15, 6)),
        "float32": lambda: rng.standard_normal((15, 6)).astype(np.float32),
        "bytes": lambda: rng.integers(0, 256, (15, 6), dtype=np.uint8),
        "grid": lambda: rng.integers(0, 17, (15, 6)) / 16,
    }[rows]()
    scale = 1 / 255 if rows == "bytes" else None
    # A ridge keeps the kernels of low rank solvable.
    solution = kernelfit.solve(x, rng.standard_normal((15, 2)), kernel=any_kernel, ridge=0.1, scale=scale)
    solution.save(tmp_path / "solution.h5")
    loaded = kernelfit.load(tmp_path / "solution.h5", function=next(iter(any_kernel.functions()), None))
    same(solution, loaded)
    assert np.array_equal(loaded.predict(x[:7]), solution.predict(x[:7]))
    assert loaded.points.exact == solution.points.exact
    with pytest.raises(InputError, match=r"^leave_one_out: got a solution without its factor"):
        loaded.leave_one_out()


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">i4"])
def test_rows_in_the_other_byte_order(rng, tmp_path, dtype):
    x = (1000 * rng.standard_normal((20, 3))).astype(dtype)
    solution = kernelfit.solve(x, x[:, 0], kernel=Gaussian(1e-4))
    solution.save(tmp_path / "solution.h5")
    assert np.array_equal(kernelfit.load(tmp_path / "solution.h5").predict(x), solution.predict(x))


def test_a_scale_of_any_type_of_number(rng, tmp_path):
    x = rng.standard_normal((20, 3))
    solution = kernelfit.solve(x, x[:, 0], kernel=Gaussian(0.5), scale=np.float32(0.5))
    solution.save(tmp_path / "solution.h5")
    assert np.array_equal(kernelfit.load(tmp_path / "solution.h5").predict(x), solution.predict(x))


def test_the_primal_road_a_single_target_and_a_given_gram(rng, tmp_path):
    x, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    primal = kernelfit.solve(x, y, kernel="linear")
    assert primal.weights is not None
    k = np.exp(-((x[:, None] - x[None]) ** 2).sum(-1))
    given_gram = kernelfit.solve(k, y, kernel="precomputed")
    for name, solution, test in [("primal", primal, x[:4]), ("gram", given_gram, k[:4])]:
        solution.save(tmp_path / name)
        loaded = kernelfit.load(tmp_path / name)
        same(solution, loaded)
        assert loaded.predict(test).shape == (4,)
        assert np.array_equal(loaded.predict(test), solution.predict(test))


def test_a_users_function_must_be_given_again(rng, tmp_path):
    x = rng.standard_normal((12, 2))
    solution = kernelfit.solve(x, rng.standard_normal(12), kernel=Pairwise(nearby))
    solution.save(tmp_path / "own.h5")
    loaded = kernelfit.load(tmp_path / "own.h5", nearby)
    assert np.array_equal(loaded.predict(x), solution.predict(x))
    with pytest.raises(InputError, match=r"^function: .*'nearby'.*give it again as function=$"):
        kernelfit.load(tmp_path / "own.h5")
    with pytest.raises(InputError, match=r"^function: its code or the data that it reads differ"):
        kernelfit.load(tmp_path / "own.h5", lambda x, y: 1.0)


def test_many_right_hand_sides_and_long_notes(rng, tmp_path):
    solution = kernelfit.solve(rng.standard_normal((5, 2)), rng.standard_normal((5, 6000)), gamma=1.0)
    solution.notes.extend(["a note that is repeated"] * 5000)
    solution.save(tmp_path / "wide.h5")
    same(solution, kernelfit.load(tmp_path / "wide.h5"))


def test_nothing_but_arrays_and_text_is_in_the_file(tmp_path, solution):
    solution.save(tmp_path / "solution.h5")
    with h5py.File(tmp_path / "solution.h5") as file:
        assert all(file[name].dtype.kind in "Siuf" for name in file)
        assert all(isinstance(value, np.bytes_ | np.integer) for value in file.attrs.values())
    assert pickle.dumps(solution.alpha)[:2] not in (tmp_path / "solution.h5").read_bytes()[:8]


def test_a_file_that_is_there_is_replaced_whole(tmp_path, solution):
    path = tmp_path / "solution.h5"
    path.write_text("something older")
    solution.save(path)
    kernelfit.load(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["solution.h5"]


def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path, solution):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "missing" / "solution.h5", tmp_path / "folder"):
        with pytest.raises(StorageError) as caught:
            solution.save(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_save_that_fails_halfway_keeps_the_older_file(tmp_path, solution, monkeypatch):
    path = tmp_path / "solution.h5"
    solution.save(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StorageError, match=r"solution\.h5: cannot write.*"):
        solution.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["solution.h5"]


def assert_refused(path):
    with pytest.raises(DataError) as caught:
        kernelfit.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_foreign_files_are_refused(tmp_path, rng):
    assert_refused(tmp_path / "missing.h5")
    assert_refused(tmp_path)
    for name, content in [
        ("empty", b""),
        ("text", b"hello"),
        ("pickle", pickle.dumps({"a": 1})),
        ("noise", rng.bytes(5000)),
    ]:
        (tmp_path / name).write_bytes(content)
        assert_refused(tmp_path / name)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["alpha"] = np.ones(3)
    assert_refused(tmp_path / "other.h5")


@pytest.mark.parametrize("name", ["alpha", "targets", "fitted", "kept", "rows"])
@pytest.mark.parametrize("change", ["missing", "value", "shape", "dtype", "link", "group", "object"])
def test_changed_data_sets_are_refused(tmp_path, solution, name, change):
    path = tmp_path / "solution.h5"
    solution.save(path)
    with h5py.File(path, "r+") as file:
        array = file[name][()]
        if change == "value":
            file[name][(0,) * array.ndim] = array.flat[0] + 1
        else:
            del file[name]
            if change == "shape":
                file[name] = array[:-1]
            elif change == "dtype":
                file[name] = array.astype(np.complex128)
            elif change == "link":
                file[name] = h5py.ExternalLink(str(tmp_path / "elsewhere.h5"), "/x")
            elif change == "group":
                file.create_group(name)
            elif change == "object":
                file[name] = ["text"] * len(array)
    assert_refused(path)


@pytest.mark.parametrize("name", ["format", "version", "meta"])
@pytest.mark.parametrize("value", [None, 17, "17", "{}", "[", np.arange(3), b"\xff\xfe"])
def test_changed_attributes_are_refused(tmp_path, solution, name, value):
    path = tmp_path / "solution.h5"
    solution.save(path)
    with h5py.File(path, "r+") as file:
        holder = file if name == "meta" else file.attrs
        del holder[name]
        if value is not None:
            holder[name] = value
    assert_refused(path)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True))
def test_truncated_files_are_refused(tmp_path, solution, part):
    path = tmp_path / "solution.h5"
    solution.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    assert_refused(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A path, the small solution that was saved there, and the bytes of the file."""
    rng = np.random.default_rng(1)
    saved = kernelfit.solve(rng.standard_normal((6, 2)), rng.standard_normal((6, 1)), gamma=0.5)
    path = tmp_path_factory.mktemp("mutated") / "solution.h5"
    saved.save(path)
    return path, saved, path.read_bytes()


@settings(deadline=None, max_examples=250)
@given(st.data())
def test_mutated_bytes_never_give_another_solution(small, data):
    path, saved, whole = small
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(whole) - 1))
        changed[position] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(changed))
    try:
        loaded = kernelfit.load(path)
    except KernelfitError as error:
        message = str(error)
    else:  # a byte that nothing reads
        same(saved, loaded)
        return
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (
            {"name": "polynomial", "degree": 1e15, "gamma": 1.0, "coef0": 1.0},
            "degree: got 1000000000000000.0",
        ),
        ({"name": "arc-cosine", "order": 1, "depth": 1e14}, "depth: got 100000000000000.0"),
        ({"name": "ntk", "depth": 10**14}, "depth: got 100000000000000"),
        ({"name": "gaussian", "gamma": math.nan}, "gamma: got nan"),
    ],
)
def test_a_forged_kernel_is_one_line(tmp_path, solution, kernel, words):
    """A whole file of a valid checksum; a power of that degree would take years."""
    meta, arrays = solution.as_data()
    solution_file.write(tmp_path / "forged.h5", {**meta, "kernel": kernel}, arrays)
    with pytest.raises(KernelfitError) as caught:
        kernelfit.load(tmp_path / "forged.h5")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["alpha", "targets", "fitted", "rows"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, solution, name, value):
    meta, arrays = solution.as_data()
    arrays[name] = arrays[name].copy()
    arrays[name][3, 1] = value
    solution_file.write(tmp_path / "forged.h5", meta, arrays)
    assert_refused(tmp_path / "forged.h5")


@pytest.mark.parametrize("shape", [(3,), (3, 1), (2, 2), (3, 2, 1), (0, 2)])
def test_weights_of_another_shape_are_refused(rng, tmp_path, shape):
    solution = kernelfit.solve(rng.standard_normal((20, 3)), rng.standard_normal((20, 2)), kernel="linear")
    assert solution.weights is not None
    meta, arrays = solution.as_data()
    solution_file.write(tmp_path / "forged.h5", meta, {**arrays, "weights": np.ones(shape)})
    assert_refused(tmp_path / "forged.h5")


@pytest.mark.parametrize(
    ("field", "value"),
    [("backward_error", "0"), ("min_pivot_row", [1]), ("rkhs_norm_per_column", 3), ("jitter", None)],
)
def test_a_forged_certificate_is_refused(tmp_path, solution, field, value):
    meta, arrays = solution.as_data()
    forged = {**meta["certificate"], field: value}
    solution_file.write(tmp_path / "forged.h5", {**meta, "certificate": forged}, arrays)
    assert_refused(tmp_path / "forged.h5")


def test_columns_of_a_frame_are_found_by_their_names(rng, tmp_path):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(rng.normal(size=(20, 3)) * [1, 10, 100], columns=["a", "b", "c"])
    solution = kernelfit.solve(X, X["a"] + X["c"], gamma=0.01)
    right = solution.predict(X.to_numpy() + 1)
    solution.save(tmp_path / "a.h5")
    for kept in (solution, kernelfit.Solution.load(tmp_path / "a.h5"), pickle.loads(pickle.dumps(solution))):
        assert np.array_equal(kept.predict((X + 1)[["c", "a", "b"]]), right)
        report = Silent()
        assert np.array_equal(kept.predict((X + 1).assign(z=0.0)[["z", "c", "a", "b"]], report), right)
        assert report.notes == ["X: columns left aside, which the training rows lack: z"]
        with pytest.raises(
            InputError, match=r"X: got no column b, expected the columns .* trained on, a, b, c"
        ):
            kept.predict((X + 1)[["a", "c"]].assign(d=1.0))
        with pytest.raises(InputError, match="X: got columns of one name, a, a, b, c"):
            kept.predict((X + 1)[["a", "a", "b", "c"]])
    # Names that are no text say nothing, as for scikit-learn.
    solution = kernelfit.solve(X.set_axis([0, 1, 2], axis=1), X["a"], gamma=0.01)
    turned = (X + 1)[["c", "a", "b"]]
    assert np.array_equal(solution.predict(turned), solution.predict(turned.to_numpy()))


def test_names_of_columns_that_a_file_forges_are_refused(tmp_path, rng):
    solution = kernelfit.solve(rng.normal(size=(5, 2)), np.ones(5))
    meta, arrays = solution.as_data()
    solution_file.write(tmp_path / "a.h5", {**meta, "column_names": ["a"]}, arrays)
    with pytest.raises(DataError, match="names 1 columns, expected one name for each column of X"):
        kernelfit.Solution.load(tmp_path / "a.h5")


def test_a_solve_without_the_componentwise_error_has_the_same_alpha_and_norm(rng):
    X = rng.standard_normal((150, 3))
    solution = kernelfit.solve(X, X[:, 0], gamma=1.0, panel_width=64)
    Y = rng.standard_normal((150, 4))
    whole, coarse = solution.solve(Y), solution.solve(Y, componentwise=False)
    assert np.array_equal(coarse.alpha, whole.alpha)
    assert coarse.certificate.componentwise_backward_error is None
    assert whole.certificate.componentwise_backward_error < 1e-13
    assert coarse.certificate.backward_error == whole.certificate.backward_error
    assert coarse.certificate.norm == whole.certificate.norm
    assert coarse.rkhs_norm == pytest.approx(whole.rkhs_norm, rel=1e-12)
    assert coarse.certificate.rkhs_norm_error >= whole.certificate.rkhs_norm_error
    solution.close()


def test_training_rows_are_prepared_once_and_not_pickled(rng, monkeypatch):
    x, y = rng.standard_normal((60, 3)) + 5.0, rng.standard_normal(60)
    solution = kernelfit.solve(x, y, gamma=1.0)
    expected = solution.predict(x[:4])
    made = []
    honest = type(solution.points).block
    monkeypatch.setattr(
        type(solution.points), "block", lambda self, *span: (made.append(self), honest(self, *span))[1]
    )
    assert np.array_equal(solution.predict(x[:4]), expected)
    assert solution.points not in made
    copy = pickle.loads(pickle.dumps(solution))
    assert not copy.prepared._made
    assert np.array_equal(copy.predict(x[:4]), expected)
    assert copy.points in made


def test_rows_that_were_changed_are_neither_solved_with_nor_stored(rng, tmp_path):
    """Other targets were solved for by the factor of the old rows and certified by the new ones, which files held."""
    x, y = rng.standard_normal((300, 500)), rng.standard_normal(300)
    solution = kernelfit.solve(x, y, gamma=1e-3)
    before = x.copy()
    x += 1.0
    uses = (
        lambda: solution.solve(2 * y),
        lambda: solution.save(tmp_path / "s.h5"),
        lambda: solution.predict(np.vstack([before, before])),
        lambda: solution.predict(before[:2], return_std=True),
    )
    for changed in (x + 0.0, np.vstack([before[:1], x[1:2], before[2:]])):  # all rows, and one
        x[...] = changed
        for use in uses:
            with pytest.raises(
                InputError, match=r"^X: the array that the solution is of was changed since the solve"
            ):
                use()
    assert not (tmp_path / "s.h5").exists()
    x[...] = before
    assert solution.solve(2 * y).certificate.interpolates


@pytest.mark.parametrize(
    "kernel",
    [Gaussian(1e-3), Laplacian(1e-3), Cosine(), Polynomial(2, 1e-3), Linear() + Gaussian(1e-3), ArcCosine()],
)
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_few_rows_are_not_predicted_by_one_training_row_that_was_changed(rng, kernel, offset):
    """It was seen in 64 training rows alone: the others counted as they were by then, a NaN as opposite to all."""
    x, y, new = (
        rng.standard_normal((300, 500)) + offset,
        rng.standard_normal(300),
        rng.standard_normal((5, 500)),
    )
    solution = kernelfit.solve(x, y, kernel=kernel, ridge=0.1)
    before = x[70].copy()
    x[70] = np.nan
    changed = r"^X: the array that the solution is of was changed since the solve"
    with pytest.raises(InputError, match=changed):
        solution.predict(new)
    x[70] = before
    expected = solution.predict(new)
    x[70] = 7.0
    if kernel.needs & COORDINATES:
        with pytest.raises(InputError, match=changed):
            solution.predict(new)
    else:
        assert np.array_equal(solution.predict(new), expected)
    near = np.vstack([before + 1e-9, new])
    if kernel.needs & (COORDINATES | Needs.DISTANCES):
        with pytest.raises(InputError, match=changed):
            solution.predict(near)


@pytest.mark.parametrize("options", [{}, {"precision": "float32"}, {"precision": "mixed"}, {"jitter": 1e-3}])
@pytest.mark.parametrize("n", [40, 1100])
def test_a_matrix_that_was_changed_is_not_solved_with(rng, n, options):
    """Other targets were solved for by the factor of the old matrix and certified by the new one, without a word, or
    for the new one, by a factor of another."""
    gram, y = np.eye(n) + np.ones((n, n)), rng.standard_normal(n)
    solution = kernelfit.solve(gram, y, kernel="precomputed", ridge=0.1, **options)
    assert solution.solve(2 * y).certificate.backward_error < 1e-6
    gram[1, 0] += 0.1
    with pytest.raises(
        InputError, match=r"^gram: the matrix that the solution is of was changed since the solve"
    ):
        solution.solve(2 * y)


def test_a_folder_of_a_run_is_called_one(tmp_path):
    """It was said not to be there."""
    with pytest.raises(
        DataError, match=r"which is a folder, expected a solution file; use kernelfit\.open\("
    ):
        kernelfit.load(tmp_path)


def test_a_solution_is_equal_to_itself_alone_and_has_a_hash(solution):
    """NumPy's ValueError of arrays without a truth value came."""
    twin = pickle.loads(pickle.dumps(solution))
    for one, other in ((solution, twin), (solution.problem, twin.problem)):
        assert one == one
        assert one != other
        assert len({one, other, one}) == 2


def test_what_an_earlier_version_pickled_of_prepared_rows_and_checksums_does_not_count(solution):
    """Rows that were prepared for predictions had other attributes, arrays that are nobody else's another checksum."""
    state = solution.__getstate__()
    old = object.__new__(Prepared)
    old.__dict__["_blocks"] = ()
    points = copy.deepcopy(solution.points)
    points._witness = Witness(points.values)
    points._witness._checksum = bytes(64)
    source = KernelGram(solution.kernel, points)
    state |= {"prepared": old, "problem": dataclasses.replace(solution.problem, source=source)}
    again = object.__new__(type(solution))
    again.__setstate__(pickle.loads(pickle.dumps(state)))
    rows = np.ones((600, 3))
    assert np.array_equal(again.predict(rows), solution.predict(rows))


def test_a_score_of_other_columns_is_refused(solution):
    """scikit-learn's own ValueError came."""
    with pytest.raises(InputError, match=r"^Y: got 3 columns, expected 2 as the solution has$"):
        solution.score(np.ones((4, 3)), np.ones((4, 3)))


@pytest.mark.parametrize("solver", ["cholesky", "pcg"])
def test_a_likelihood_beyond_float64_is_refused(rng, solver):
    """It was NaN, without a word."""
    x, y = rng.standard_normal((16, 3)), rng.standard_normal(16)
    solution = kernelfit.solve(x, 1e200 * y, gamma=0.5, ridge=1.0, solver=solver)
    with pytest.raises(InputError, match=r"^log_marginal_likelihood: overflows in float64, with Y up to"):
        solution.log_marginal_likelihood()


def test_a_score_does_not_depend_on_the_unit_of_targets(rng):
    """Squares overflowed: it was NaN."""
    x, y = rng.standard_normal((16, 3)), rng.standard_normal((16, 2))
    small, large = (kernelfit.solve(x, c * y, gamma=0.5, ridge=1.0).score(x, c * y) for c in (1.0, 2.0**600))
    assert large == small
