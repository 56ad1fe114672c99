"""Tiles of a processor with AVX2 alone, on one that has more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelfit.cpu import registers

_MODULES = ("test_matrix_product", "test_triangular_tiles", "test_cholesky_block", "test_few_columns")
_TESTS = "is_the_product or cut or solved or rows_beside or is_the_cholesky_factor or products"


@pytest.mark.skipif(
    registers.REGISTER != 64 or not registers.FILLED, reason="there is one width of registers"
)
def test_products_triangles_and_factors_are_right_in_registers_of_256_bits():
    here = Path(__file__).parent
    files = [str(here / f"{module}.py") for module in _MODULES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", _TESTS],
        env=os.environ | {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"},
        cwd=here.parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
