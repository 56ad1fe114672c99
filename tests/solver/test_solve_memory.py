"""Solves in processes of their own: peak memory against the plan, and an order from which LAPACK has crashed."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import kernelfit
from kernelfit.cpu import blas, cholesky_block, matrix_product
from kernelfit.gram.layout import PanelLayout


def run_python(code, timeout=250):
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@pytest.fixture(scope="module")
def compiled():
    """Numba's compiler needs more memory than a solve; afterwards its results are in the cache."""
    run_python("""
import kernelfit
for kept in ("ram", "disk"):
    kernelfit.solve([[0.0, 0.1], [1.0, 0.3]], [1.0, 2.0], gamma=1.0, tier=kept)
print(0)
""")


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("tier", ["ram", "disk"])
def test_peak_memory_stays_below_the_plan(tier):
    found = run_python(f"""
import json
import numpy as np
import kernelfit
rng = np.random.default_rng(0)
x, y = rng.standard_normal((6000, 20)), rng.standard_normal((6000, 10))
solution = kernelfit.solve(x, y, gamma=0.5, tier={tier!r}, condition=False)
# Not getrusage: its peak includes that of the process which started this one.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak = int(status["VmHWM"].split()[0]) * 1024
print(json.dumps([peak, solution.plan.bytes_memory, solution.certificate.backward_error]))
""")
    peak, planned, error = found
    assert error < 1e-14
    assert peak <= 1.1 * planned
    assert peak < 300_000_000 + 8 * 6000**2  # the full K alone


@pytest.mark.parametrize(("module", "name"), [(blas, "potrf"), (cholesky_block, "factor")])
def test_lapack_is_given_blocks_of_one_panel(monkeypatch, module, name):
    """Its own Cholesky with two threads has been seen to crash from 16,000 rows on; panels stay far below."""
    orders = []
    honest = getattr(module, name)
    monkeypatch.setattr(module, name, lambda block, *others: (orders.append(len(block)), honest(block))[1])
    monkeypatch.setattr(matrix_product, "available", lambda: module is cholesky_block)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((700, 4)), rng.standard_normal(700)
    solution = kernelfit.solve(x, y, gamma=1.0, ridge=1.0, panel_width=64, condition=False, device="cpu")
    assert len(orders) >= solution.plan.panels == 11
    assert max(orders) <= 64
    for n in (16_500, 60_000, 300_000):
        assert PanelLayout.of_order(n).width <= 4_096


@pytest.mark.slow
def test_more_than_sixteen_thousand_rows_do_not_crash():
    """LAPACK's own Cholesky with two threads has been seen to crash from this order on."""
    found = run_python("""
import json
import numpy as np
import kernelfit
rng = np.random.default_rng(0)
x, y = rng.standard_normal((16_500, 4)), rng.standard_normal((16_500, 1))
solution = kernelfit.solve(x, y, gamma=1.0, ridge=1.0, precision="float32", condition=False, threads=2)
print(json.dumps([len(solution.alpha), solution.certificate.backward_error]))
""")
    assert found[0] == 16_500
    assert found[1] < 1e-6
