"""The user's own kernel under Numba's simulator of CUDA, in a process of its own: the simulator is chosen at import."""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kernelfit.device import numba_cuda

PROGRAM = """
import math
import sys
from importlib.util import find_spec
from types import ModuleType
import numpy as np

# As releases of numba-cuda have it: a class that is not Numba's, raised where a grid is small.
released = find_spec("numba_cuda") is not None
if not released:
    class Remark(Warning):
        pass

    package = sys.modules["numba.cuda.core"] = ModuleType("numba.cuda.core")
    package.errors = ModuleType("numba.cuda.core.errors")
    package.errors.NumbaPerformanceWarning = Remark

if hasattr(np, "row_stack"):
    del np.row_stack  # as in NumPy 2.5

from kernelfit.device.numba_cuda import compile_pairwise, load, performance_warnings

load()
assert len(set(performance_warnings())) == 2 or released

def mine(x, y):
    total = 0.0
    for k in range(x.shape[0]):
        total += abs(x[k] - y[k])
    return math.exp(-0.5 * total)

rng = np.random.default_rng(3)
for h, w, d in ((1, 1, 1), (17, 5, 3), (3, 33, 4)):
    rows, columns = rng.standard_normal((h, d)), rng.standard_normal((w, d))
    out = np.full((h, w), np.nan)
    compile_pairwise(mine)(0, rows, columns, out)
    expected = np.exp(-0.5 * np.abs(rows[:, None] - columns).sum(2))
    assert np.allclose(out, expected, rtol=1e-14), (h, w, d)
assert hasattr(np, "row_stack")
print("same")
"""


def test_a_function_of_the_user_fills_a_tile() -> None:
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=environment,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "same"


def looping(x: Any, y: Any) -> float:
    total = 0.0
    for k in range(x.shape[0]):
        total += abs(x[k] - y[k])
    return math.exp(-0.3 * total)


def indexing(x: Any, y: Any) -> float:
    return 1.0 + float(x[0] * y[0])


def branching(x: Any, y: Any) -> float:
    apart = math.fabs(x[0] - y[0])
    return 0.0 if apart > 1.0 else 1.0 - apart


def of_numpy(x: Any, y: Any) -> float:
    return float(np.exp(-abs(x[0] - y[0])))


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`numba.cuda` that compiles for compute capability 9.0 without a GPU."""
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda is not installed")
    numba_cuda.load()
    from numba.cuda import dispatcher

    monkeypatch.setattr(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=(9, 0)))
    return numba_cuda.cuda


def compiled(cuda: Any, function: Callable[[Any, Any], float], layout: str) -> str:
    from numba import types

    array = types.Array(types.float64, 2, layout)
    kernel = numba_cuda._filler(function).py_func
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        ptx, _ = cuda.compile(kernel, (array,) * 3, cc=(9, 0), device=False, abi="numba", output="ptx")
    return str(ptx)


@pytest.mark.parametrize("layout", ["C", "A"])
@pytest.mark.parametrize("function", [looping, indexing, branching])
def test_a_function_of_the_user_compiles_for_a_gpu(
    cuda: Any, function: Callable[[Any, Any], float], layout: str
) -> None:
    ptx = compiled(cuda, function, layout)
    assert ".target sm_90" in ptx
    assert ".entry" in ptx


def test_functions_of_numpy_do_not_compile_for_a_gpu(cuda: Any) -> None:
    """What `CudaDevice.user_values` says in one line."""
    with pytest.raises(KeyError, match="ufunc 'exp'"):
        compiled(cuda, of_numpy, "C")


def test_importing_numba_cuda_warns_of_nothing() -> None:
    """Under NumPy 2.5 the import itself raises what NumPy deprecates."""
    program = "from kernelfit.device import numba_cuda; numba_cuda.load(); print(numba_cuda.cuda.__name__)"
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "numba.cuda"
