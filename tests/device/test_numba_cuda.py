"""The user's own kernel under Numba's simulator of CUDA, in a process of its own: the simulator is chosen at import."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import math
import sys
from types import ModuleType
import numpy as np

# As newer releases of numba-cuda have it: a class that is not Numba's, raised where a grid is small.
class Remark(Warning):
    pass

package = sys.modules["numba.cuda.core"] = ModuleType("numba.cuda.core")
package.errors = ModuleType("numba.cuda.core.errors")
package.errors.NumbaPerformanceWarning = Remark

if hasattr(np, "row_stack"):
    del np.row_stack  # as in NumPy 2.5

from kernelfit.device.numba_cuda import compile_pairwise, performance_warnings

assert Remark in performance_warnings()

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
