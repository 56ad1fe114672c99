"""log det by random probes."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.iterative import log_determinant
from kernelfit.typing import Float


def test_a_probe_that_is_solved_settles_no_other(rng: np.random.Generator) -> None:
    """One that was solved in a step ended all of its batch as settled: the others were off by half."""
    n = 60
    sizes = np.logspace(-4, 0, n)
    alone = np.eye(n)[:, :1]
    probes = np.hstack([alone, rng.standard_normal((n, 3))])
    probes *= np.sqrt(n) / np.linalg.norm(probes, axis=0)

    def identity(vectors: Float) -> Float:
        return vectors.copy()

    found = log_determinant._quadratures(
        lambda vectors: sizes[:, None] * vectors,
        identity,  # type: ignore[arg-type]
        probes,
        4,
    )
    assert found.settled
    assert found.steps > 1
    assert found.values == pytest.approx(np.log(sizes) @ np.square(probes), abs=5.0)
