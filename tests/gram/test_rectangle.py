"""`kernelfit.gram.rectangle`: a kernel between two sets of rows."""

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.gram.rectangle import rectangle
from kernelfit.kernels import Gaussian


def test_every_entry_is_the_kernels():
    rng = np.random.default_rng(0)
    X, Z = rng.normal(size=(700, 3)), rng.normal(size=(37, 3))
    with CpuBackend(2) as backend:
        columns = Points(Z)
        values = rectangle(Gaussian(gamma=0.5), Points(X, like=columns), columns, backend)
        with pytest.raises(InputError, match=r"^rows: are about another origin"):
            rectangle(Gaussian(gamma=0.5), Points(X), columns, backend)
    assert values.shape == (700, 37)
    assert np.abs(values - np.exp(-0.5 * np.square(X[:, None] - Z).sum(axis=2))).max() < 1e-14
