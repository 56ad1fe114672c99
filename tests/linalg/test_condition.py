"""The condition estimate against NumPy's exact value."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import ArrayGram
from kernelfit.linalg.cholesky import factor
from kernelfit.linalg.condition import inverse_norm


@pytest.mark.parametrize("n", [1, 2, 3, 5, 40, 200])
@pytest.mark.parametrize("exponent", [0, 3, 8])
@pytest.mark.parametrize("tier", ["ram", "disk"])
def test_within_a_factor_of_three_and_never_above(rng, backend, make_store, tier, n, exponent):
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    k = (basis * np.logspace(-exponent, 0, n)) @ basis.T
    k = (k + k.T) / 2
    store = make_store(tier, PanelLayout(n, min(n, 19)))
    factor(ArrayGram(k), 0.0, store, backend)
    estimate = inverse_norm(store, backend) * np.linalg.norm(k, 1)
    exact = np.linalg.cond(k, 1)
    assert exact / 3 <= estimate <= exact * (1 + 1e-6)


def test_the_global_generator_is_neither_used_nor_disturbed(rng, backend, make_store):
    x = rng.standard_normal((80, 100))
    store = make_store("ram", PanelLayout(80, 19))
    factor(ArrayGram(x @ x.T), 0.0, store, backend)
    estimates = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        estimates.append(inverse_norm(store, backend))
        assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert estimates[0] == estimates[1]
