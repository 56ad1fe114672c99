"""Arrays that compiled code reads by their addresses are not freed before."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

# Freed memory is overwritten, and large blocks go back to the system at once.
HOSTILE = {"MALLOC_PERTURB_": "85", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "65536"}
PROGRAM = """
import numpy as np
from kernelfit.cpu import compiled_blas
from kernelfit.linalg import small_inverse
from kernelfit.linalg.formed_product import formed_product

rng = np.random.default_rng(0)
for n, c in ((50, 3), (300, 20), (300, 40)):
    gram, vectors = rng.standard_normal((n, n)), rng.standard_normal((n, c))
    values, sums, absolute = formed_product(gram.copy(), vectors)
    np.testing.assert_allclose(values, gram @ vectors, rtol=0, atol=1e-11)
    np.testing.assert_allclose(sums, np.abs(gram).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(absolute, np.abs(gram) @ np.abs(vectors), rtol=1e-12)
    values, sums, absolute = formed_product(np.abs(gram), vectors)
    np.testing.assert_allclose(values, np.abs(gram) @ vectors, rtol=0, atol=1e-11)
lower = np.tril(rng.standard_normal((60, 60))) + 60 * np.eye(60)
inverse = np.linalg.inv(lower @ lower.T)
np.testing.assert_allclose(small_inverse.inverse_norm(lower), np.abs(inverse).sum(axis=0).max(), rtol=1e-12)
block = rng.standard_normal((60, 5))
solved = block.copy()
compiled_blas.solve_left_lower(compiled_blas.routines().trsm, lower, solved, False)
np.testing.assert_allclose(lower @ solved, block, rtol=0, atol=1e-12)
print("right")
"""


def test_memory_that_is_read_by_address_is_not_given_back():
    environment = {**os.environ, **HOSTILE}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "right"


def test_rows_in_compiled_code():
    from kernelfit.cpu.addresses import rows_in

    block = np.zeros((3, 7))
    assert rows_in(block) == (block.ctypes.data, 7)
