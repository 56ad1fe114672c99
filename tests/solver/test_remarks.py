"""What is said of a solution beside its certificate."""

from __future__ import annotations

import numpy as np
import pytest

import kernelfit


def test_what_a_factor_in_float32_leaves_of_the_targets_is_said(rng):
    """Residuals of a hundred times the targets stood in the certificate alone."""
    left = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    gram = left @ np.diag(np.logspace(0, -9, 8)) @ left.T
    gram, y = np.tril(gram) + np.tril(gram, -1).T, rng.standard_normal(8)

    def solved(precision, ridge):
        return kernelfit.solve(gram, y, kernel="precomputed", precision=precision, ridge=ridge)

    solution = solved("float32", 1e-6)
    missed = np.abs(y - solution.fitted[:, 0] - 1e-6 * solution.alpha[:, 0]).max() / np.abs(y).max()
    assert missed > 1e-3
    line = next(note for note in solution.notes if note.startswith("precision float32: residuals are up to"))
    assert float(line.split()[6]) == float(f"{missed:.1g}")
    for other in (solved("float32", 1.0), solved("mixed", 1e-6), solved("float64", 1e-6)):
        assert not any(note.startswith("precision float32: residuals") for note in other.notes)


@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2.0, 20)])
@pytest.mark.parametrize("kernel", ["gaussian", "laplacian"])
def test_a_kernel_that_tells_no_rows_apart_is_said_to_be_too_wide(rng, kernel, weights):
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    for gamma, told in ((1e-20, True), (1e-9, False), (1.0, False)):
        solution = kernelfit.solve(X, y, kernel=kernel, gamma=gamma, ridge=1e-3, sample_weight=weights)
        assert any(note.startswith("kernel too wide: all of K is 1") for note in solution.notes) == told
    equal = kernelfit.solve(np.ones((20, 3)), y, kernel=kernel, gamma=1.0, ridge=1e-3, sample_weight=weights)
    assert not any("too wide" in note for note in equal.notes)


@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize(("ridge", "told"), [(1e-8, False), (1e-11, True), (1e-13, True)])
def test_predictions_away_from_training_rows_that_may_be_off_are_said_to_be(ridge, told, condition):
    """They were off by a hundredth of the largest target, and by ten times it, where values at training rows held."""
    x = np.linspace(-2.0, 2.0, 60)
    y = np.sin(3 * x) + 0.1 * np.cos(1e3 * x)
    solution = kernelfit.solve(x[:, None], y, gamma=1.0, ridge=ridge, condition=condition)
    lines = [
        note
        for note in solution.notes
        if note.startswith("predictions away from training rows may be off by")
    ]
    assert bool(lines) == told
    again = kernelfit.solve(x[::-1, None], y[::-1], gamma=1.0, ridge=ridge)  # other rounding errors
    far = np.linspace(-6.0, 6.0, 400)[:, None]
    apart = np.abs(solution.predict(far) - again.predict(far)).max() / np.abs(y).max()
    said = lines[0].split()[9] if told else "0.1"
    assert apart < (np.inf if said == "the" else float(said))


def test_predictions_of_a_well_conditioned_system_are_not_doubted(rng):
    x = rng.standard_normal((60, 5))
    solution = kernelfit.solve(x, x[:, 0] + 1e6, gamma=0.5)
    assert not any("away from training rows" in note for note in solution.notes)
