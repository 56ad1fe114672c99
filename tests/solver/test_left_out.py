"""Leave-one-out and log det of conjugate gradients: estimates beside a factor's exact values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pytest

import kernelfit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError, NotPositiveDefiniteError
from kernelfit.iterative import inverse_diagonal, log_determinant
from kernelfit.iterative.inverse_diagonal import InverseDiagonal
from kernelfit.iterative.pivoted_cholesky import LowRank
from kernelfit.iterative.preconditioner import Preconditioner
from kernelfit.iterative.sparse_inverse import SparseInverse
from kernelfit.metrics import compare, error_rate, spread
from kernelfit.progress import Silent
from kernelfit.solver import iterative_system, left_out
from kernelfit.solver.iterative_system import IterativeSystem
from kernelfit.solver.solution import Solution

SEEDS = range(6)


class _Pair:
    """The same rows solved by a factor and, with several seeds, by conjugate gradients."""

    def __init__(self, **options: Any) -> None:
        rng = np.random.default_rng(3)
        self.labels = rng.integers(0, 3, 400)
        self.X = rng.standard_normal((400, 16)) + 0.5 * self.labels[:, None]
        self.Y = np.eye(3)[self.labels]
        self.options: dict[str, Any] = {"gamma": 0.04, **options}
        self.exact = kernelfit.solve(self.X, self.Y, **self.options)
        self.diagonal = self.exact.inverse_diagonal()
        self.left_out = self.exact.leave_one_out()
        self.solved = [self.by_probes(seed=seed) for seed in SEEDS]

    def by_probes(self, **more: Any) -> Solution:
        return kernelfit.solve(self.X, self.Y, solver="pcg", **{**self.options, **more})


@pytest.fixture(scope="module", params=[0.0, 0.02], ids=["interpolates", "ridge"])
def pair(request: pytest.FixtureRequest) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(iterative_system, "EXACT", 0)
        yield _Pair(ridge=request.param)


def test_entries_are_off_by_their_deviations(pair: _Pair) -> None:
    errors, sizes = [], []
    for found in pair.solved:
        values = found.inverse_diagonal()
        assert found.inverse is not None
        assert (found.inverse.probes, found.inverse.settled) == (32, True)
        errors.append((values - pair.diagonal) / found.inverse.deviation)
        sizes.append(found.inverse.relative_deviation)
    # Some 400 entries a seed: their root mean square is 1 but for the estimate of a deviation by 32 probes.
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1.0, abs=0.15)
    assert abs(np.mean(errors)) <= 0.15
    # What one probe without the preconditioner's exact part leaves: |row of A^-1|^2 beside the diagonal.
    ridge = pair.exact.ridge
    gram = np.exp(-0.04 * np.square(pair.X[:, None] - pair.X[None]).sum(axis=-1))
    inverse = np.linalg.inv(gram + ridge * np.eye(400))
    rest = np.square(inverse).sum(axis=1) - np.square(pair.diagonal)
    plain = np.sqrt(np.mean(rest / np.square(pair.diagonal)) / 32)
    assert 0.1 * plain < max(sizes) < 0.9 * plain


def test_errors_of_leave_one_out_are_within_their_bars(pair: _Pair) -> None:
    exact = compare(pair.left_out, pair.labels, True).error
    misses = []
    for found in pair.solved:
        scores = found.leave_one_out()
        [note] = [note for note in found.notes if note.startswith("leave-one-out: estimated")]
        assert "32 probes" in note
        off = spread(scores, found.likely_left_out(), pair.labels, True).error
        assert off is not None
        assert 0 < off < 0.02
        assert exact is not None
        misses.append((error_rate(scores, pair.labels) - exact) / off)
    assert np.sqrt(np.mean(np.square(misses))) < 1.6
    assert np.abs(misses).max() < 3.0


def test_root_mean_squares_are_within_their_bars(pair: _Pair) -> None:
    exact = compare(pair.left_out, pair.Y, False)
    assert exact.rmse is not None
    misses, bars = [], []
    for found in pair.solved:
        scores = found.leave_one_out()
        here, off = compare(scores, pair.Y, False), spread(scores, found.likely_left_out(), pair.Y, False)
        for name in ("rmse", "r2", "mae"):
            deviation = getattr(off, name)
            assert deviation > 0
            bars.append(deviation)
            misses.append((getattr(here, name) - getattr(exact, name)) / deviation)
    assert np.median(bars) < 0.1
    assert np.sqrt(np.mean(np.square(misses))) < 1.6
    assert np.abs(misses).max() < 3.5


def test_log_det_is_within_its_bars(pair: _Pair) -> None:
    exact = pair.exact.certificate.log_det
    assert exact is not None
    assert pair.exact.log_determinant().value == exact
    misses = []
    for found in pair.solved:
        estimate = found.log_determinant()
        assert estimate.settled
        assert any(note.startswith("log det: estimated") for note in found.notes)
        assert 0 < estimate.deviation < 0.05 * abs(exact)
        misses.append((estimate.value - exact) / estimate.deviation)
        difference = found.log_marginal_likelihood() - pair.exact.log_marginal_likelihood()
        assert difference == pytest.approx(-1.5 * (estimate.value - exact), rel=1e-6, abs=1e-6)
    assert np.sqrt(np.mean(np.square(misses))) < 1.7
    assert np.abs(misses).max() < 3.5


def test_an_error_that_is_named_takes_as_many_probes_as_it_needs(pair: _Pair) -> None:
    found = pair.by_probes()
    few = found.inverse_diagonal(probes=8)
    assert found.probes == 8
    more = found.inverse_diagonal(error=0.015)
    assert found.inverse is not None
    assert found.inverse.relative_deviation <= 0.0175
    assert 64 < found.probes <= 1_024
    assert np.mean(np.square(more - pair.diagonal)) < 0.25 * np.mean(np.square(few - pair.diagonal))
    assert "estimated" in found.summary()


def test_a_tolerance_widens_the_bars(pair: _Pair) -> None:
    loose, tight = pair.by_probes(tolerance=0.3), pair.by_probes()
    wide, narrow = (np.std(found.likely_left_out(Silent()), axis=0).mean() for found in (loose, tight))
    assert wide > 1.2 * narrow
    loose.leave_one_out()
    assert any("alpha to the tolerance" in note for note in loose.notes)


def test_an_error_that_is_not_reached_is_said(pair: _Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inverse_diagonal, "MAX_PROBES", 40)
    found = pair.by_probes()
    found.inverse_diagonal(error=0.9)
    assert not any(note.startswith("error: got") for note in found.notes)
    found.inverse_diagonal(error=1e-4)
    [note] = [note for note in found.notes if note.startswith("error: got 0.0001, reached 0.0")]
    assert "with 40 probes" in note


def test_batches_within_memory_are_as_good_as_one(pair: _Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterative_system, "columns_within", lambda plan, wanted: 10)
    batches = pair.by_probes()
    values = batches.inverse_diagonal()
    assert batches.inverse is not None
    assert batches.probes == 32
    z = (values - pair.diagonal) / batches.inverse.deviation
    assert np.sqrt(np.mean(np.square(z))) == pytest.approx(1.0, abs=0.25)


def test_weights_ridges_of_targets_and_equal_rows() -> None:
    rng = np.random.default_rng(5)
    X, Y = rng.standard_normal((150, 4)), rng.standard_normal((150, 2))
    X[140:], Y[140:] = X[:10], Y[:10]
    for options in ({"ridge": 0.3, "sample_weight": rng.uniform(0.5, 2, 150)}, {"ridge": [0.1, 1.0]}, {}):
        exact, found = (kernelfit.solve(X, Y, gamma=0.5, solver=s, **options) for s in ("cholesky", "pcg"))  # type: ignore[arg-type]
        found.inverse_diagonal(probes=200)
        np.testing.assert_allclose(found.leave_one_out(), exact.leave_one_out(), atol=0.3)
        assert (found.probes, exact.probes) == (200, 0)
        assert exact.likely_left_out() == []
        assert len(found.likely_left_out()) == 8
        assert any("200 probes" in note for note in found.notes)
        likelihood = found.log_marginal_likelihood()
        assert likelihood == pytest.approx(exact.log_marginal_likelihood(), abs=30.0)


def test_threads_do_not_change_the_bits(pair: _Pair) -> None:
    one, two = (pair.by_probes(threads=threads) for threads in (1, 2))
    assert one.inverse_diagonal(probes=8).tobytes() == two.inverse_diagonal(probes=8).tobytes()
    assert one.log_determinant(probes=8) == two.log_determinant(probes=8)


def test_what_makes_no_sense_is_refused(pair: _Pair) -> None:
    found = pair.by_probes()
    for options, message in (
        ({"probes": 1}, "probes: got 1, expected an integer >= 2"),
        ({"error": 0.0}, "error: got 0.0, expected a number > 0"),
    ):
        with pytest.raises(InputError, match=message):
            found.inverse_diagonal(**options)  # type: ignore[arg-type]
    found.close()
    with pytest.raises(InputError, match="solve again"):
        found.leave_one_out()


def test_a_k_of_one_row() -> None:
    found = kernelfit.solve(np.ones((1, 2)), np.ones(1), gamma=1.0, ridge=0.5, solver="pcg")
    assert isinstance(found.factor, IterativeSystem)
    assert found.inverse_diagonal() == pytest.approx(1 / 1.5)
    assert found.log_determinant().value == pytest.approx(np.log(1.5))


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_what_alpha_lacks_is_said_of_targets_of_any_size(size: float) -> None:
    targets = np.array([[size, 1.0], [-size, 0.5]])
    inverse = InverseDiagonal(np.ones(2), np.full(2, 0.01), 32, 10, 1e-3, True)
    whole = "leave-one-out: estimated, from the diag of the inverse to 1 % (32 probes, estimated)"
    assert left_out.remark(inverse, targets, 1e-9 * targets, targets) == whole
    for lacks, largest in (([1e-2, 1e-9], size), ([1e-9, 1e-2], 1.0)):
        line = left_out.remark(inverse, targets, targets * lacks, targets)
        assert line.startswith(f"{whole}; alpha to the tolerance it was solved to is off by")
        assert line.endswith(f"of a residual of up to {largest:.3g}")


def test_probes_that_stagnate_are_not_settled(pair: _Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    solve, outcomes = inverse_diagonal.solve, []

    def stuck(*arguments: Any, **options: Any) -> Any:
        outcomes.append(
            replace(outcomes[0], reason="stagnated") if outcomes else solve(*arguments, **options)
        )
        return outcomes[-1]

    monkeypatch.setattr(inverse_diagonal, "solve", stuck)
    found = pair.by_probes()
    found.leave_one_out()
    assert found.inverse is not None
    assert not found.inverse.settled
    assert any("and no better, so that the error may be larger" in note for note in found.notes)


def test_probes_that_are_not_solved_at_all_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries were off by 10^5 times the deviation that was said."""
    monkeypatch.setattr(iterative_system, "EXACT", 0)
    X = np.random.default_rng(0).standard_normal((500, 2))
    found = kernelfit.solve(X, np.sin(X[:, 0]), gamma=10.0, solver="pcg", tolerance=0.5)
    with pytest.raises(NotPositiveDefiniteError, match="K: too ill-conditioned for random probes"):
        found.leave_one_out()


@pytest.mark.parametrize("ridge", [1e-6, 4e-6])
def test_the_bar_of_log_det_holds_what_single_precision_changes(
    ridge: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K in float32 lowered it by 53 where the bar was 3.6."""
    monkeypatch.setattr(iterative_system, "EXACT", 0)
    X = np.random.default_rng(0).random((600, 2))
    found = kernelfit.solve(X, X[:, 0], gamma=1.0, ridge=ridge, solver="pcg", tolerance=0.5)
    gram = np.exp(-np.square(X[:, None] - X[None]).sum(axis=-1)) + ridge * np.eye(600)
    estimate = found.log_determinant()
    assert abs(estimate.value - np.linalg.slogdet(gram)[1]) <= 3.0 * estimate.deviation


def test_log_det_by_batches(pair: _Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    widths = []
    multiplied = IterativeSystem._multiplied

    def watched(system: IterativeSystem, vectors: Any, dtype: Any) -> Any:
        widths.append(vectors.shape[1])
        return multiplied(system, vectors, dtype)

    found = pair.by_probes()
    monkeypatch.setattr(IterativeSystem, "_multiplied", watched)
    monkeypatch.setattr(iterative_system, "columns_within", lambda plan, wanted: 10)
    estimate = found.log_determinant()
    assert max(widths) <= 10
    assert (estimate.probes, estimate.settled) == (32, True)
    assert abs(estimate.value - pair.exact.certificate.log_det) <= 3.5 * estimate.deviation


def test_a_quadrature_of_a_singular_matrix_is_no_number() -> None:
    lengths, ratios = np.array([[1.0], [1e20]]), np.ones((2, 1))
    assert not np.isfinite(log_determinant._quadrature(lengths, ratios)).all()


def test_as_many_steps_as_rows_settle_nothing_by_themselves(rng: np.random.Generator) -> None:
    """Rounding makes more steps than rows worth taking."""
    basis, sizes = np.linalg.qr(rng.standard_normal((60, 60)))[0], np.logspace(-11, 0, 60)
    gram = (basis * sizes) @ basis.T
    with CpuBackend(1) as backend:
        none = LowRank(np.zeros((1, 0, 512, 512), np.float32), np.zeros(0, np.int64), np.ones(60))
        alone = SparseInverse(np.zeros((60, 0), np.int32), np.ones((60, 1)), backend)
        identity = Preconditioner(none, alone, backend, Silent())
        estimate = log_determinant.estimate_log_determinant(lambda vectors: gram @ vectors, identity, 8)
    assert estimate.settled
    assert estimate.steps > 60
    assert abs(estimate.value - np.log(sizes).sum()) <= 3.5 * estimate.deviation


def test_what_alpha_lacks_is_of_the_size_that_is_said() -> None:
    """The preconditioner alone showed twice of it, and a quarter elsewhere."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((600, 8)), rng.standard_normal((600, 1))
    found = kernelfit.solve(X, y, gamma=0.1, ridge=0.01, solver="pcg", tolerance=1e-2)
    gram = np.exp(-0.1 * np.square(X[:, None] - X[None]).sum(axis=-1)) + 0.01 * np.eye(600)
    # Beside (A^-1)_ii, as leave-one-out has it.
    inverse = np.linalg.inv(gram)
    lacks = np.linalg.norm(inverse @ (y - gram @ found.alpha) / np.diag(inverse)[:, None])
    found.inverse_diagonal()
    shown = np.linalg.norm(found._missing() / np.diag(inverse)[:, None])
    assert shown == pytest.approx(lacks, rel=0.3)


def test_probes_are_not_drawn_as_rows_were() -> None:
    """With one seed for both log det was 5 deviations off."""
    X = np.random.default_rng(0).random((600, 2))
    found = kernelfit.solve(X, X[:, 0], gamma=1.0, ridge=1e-5, solver="pcg", tolerance=0.5, seed=0)
    gram = np.exp(-np.square(X[:, None] - X[None]).sum(axis=-1)) + 1e-5 * np.eye(600)
    estimate = found.log_determinant()
    assert abs(estimate.value - np.linalg.slogdet(gram)[1]) <= 3.0 * estimate.deviation


def test_what_is_said_of_leave_one_out_is_said_of_its_targets_only(pair: _Pair) -> None:
    found = pair.by_probes(tolerance=0.3)
    found.leave_one_out()
    second = found.solve(-pair.Y)
    assert not any(note.startswith("leave-one-out") for note in second.notes)
    second.leave_one_out()
    assert any(note.startswith("leave-one-out") for note in second.notes)


def test_errors_are_told_where_no_condition_number_was_asked_for(rng: np.random.Generator) -> None:
    """Estimators ask for none: predictions of 4e6 for targets near 1 came without a word."""
    X, y = rng.standard_normal((30, 1)), rng.standard_normal(30)
    for gamma, ridge, told in ((3.0, 1e-14, True), (3.0, 1e-2, False)):
        for condition in (True, False):
            solution = kernelfit.solve(X, y, gamma=gamma, ridge=ridge, condition=condition)
            solution.leave_one_out()
            assert any(note.startswith("leave-one-out may be off") for note in solution.notes) == told


@pytest.mark.parametrize(("ridge", "said"), [(1.0, False), (1e-4, True)])
def test_the_error_that_is_said_is_that_of_rows_of_any_size(ridge: float, said: bool) -> None:
    """It read 4e20 of the largest target where predictions were off by 8e-6 of it."""
    rng = np.random.default_rng(3)
    n = 24
    X = rng.standard_normal((n, 2)) * np.logspace(-2, 2, n)[:, None]
    y = rng.standard_normal(n)
    options: dict[str, Any] = {
        "kernel": "polynomial",
        "gamma": 1.0,
        "kernel_params": {"degree": 5, "coef0": 1.0},
    }
    solution = kernelfit.solve(X, y, ridge=ridge, **options)
    found = solution.leave_one_out()
    with mpmath.workdps(60):
        rows = mpmath.matrix(X.tolist())
        products = rows * rows.T
        gram = mpmath.matrix(n, n)
        for i in range(n):
            for j in range(n):
                gram[i, j] = (products[i, j] + 1) ** 5 + (ridge if i == j else 0)
        inverse = gram**-1
        alpha = inverse * mpmath.matrix(y.tolist())
        exact = [y[i] - alpha[i] / inverse[i, i] for i in range(n)]
        error = float(max(abs(found[i] - exact[i]) for i in range(n)) / np.abs(y).max())
    notes = [note for note in solution.notes if note.startswith("leave-one-out may be off by")]
    assert bool(notes) == said
    assert error <= (float(notes[0].split()[5]) if said else 1e-3)


def test_rows_of_an_uneven_diagonal_without_a_digit_are_counted(rng: np.random.Generator) -> None:
    """Residuals were off by six times their root mean square, and it read "to 64 %"."""
    X = rng.standard_normal((120, 12)) * 10 ** rng.uniform(-2, 2, (120, 1))
    options: dict[str, Any] = {
        "kernel": "polynomial",
        "gamma": 0.1,
        "kernel_params": {"degree": 2, "coef0": 1.0},
        "ridge": 1e-3,
    }
    y = rng.standard_normal(120)
    exact = kernelfit.solve(X, y, **options)
    found = kernelfit.solve(X, y, solver="pcg", **options)
    found.leave_one_out()
    [note] = [note for note in found.notes if note.startswith("leave-one-out: estimated")]
    wrong = int((np.abs(found.inverse_diagonal() / exact.inverse_diagonal() - 1.0) > 0.5).sum())
    told = int(note.split("; of ")[1].split()[0])
    assert 0.5 * wrong < told < 2 * wrong + 20
    assert "% of their root mean square or more" in note


def test_the_diagonal_that_is_handed_over_is_the_callers(rng: np.random.Generator) -> None:
    """What was done to it in place went into every later leave-one-out."""
    x, y = rng.standard_normal((60, 2)), rng.standard_normal(60)
    solution = kernelfit.solve(x, y, gamma=0.5, ridge=0.1, solver="pcg")
    given = solution.inverse_diagonal()
    before = given.copy()
    given *= 2.0
    np.testing.assert_array_equal(solution.inverse_diagonal(), before)
