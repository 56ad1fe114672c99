"""Children forked while other threads work: nothing hangs, and the same bits come out.

Every case runs in a process of its own, which ends by an alarm where something hangs.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PRELUDE = """
import os, signal, threading, time
import numpy as np
import kernelfit
from kernelfit.cpu.pool import CpuBackend
signal.alarm(120)

def fork(work):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with {status}: 14 is the alarm, it hung"

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((300, 4)), rng.standard_normal((300, 2))
expected = kernelfit.solve(X, Y).alpha

def solve():
    assert np.array_equal(kernelfit.solve(X, Y).alpha, expected)

def beside(hold):
    # Calls `hold(inside, leave)` in a thread; returns once it is inside.
    inside, leave = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold, args=(inside, leave))
    thread.start()
    assert inside.wait(60)
    return thread, leave
"""

CASES = {
    "another thread compiles": """
from numba.core.compiler_lock import global_compiler_lock
def hold(inside, leave):
    with global_compiler_lock:
        inside.set()
        time.sleep(1)
thread, _ = beside(hold)
def compile_and_solve():
    kernelfit.solve(X[:20], Y[:20], kernel=kernelfit.kernels.Pairwise(lambda x, y: 1.0 / (1.0 + (x[0] - y[0])**2)))
fork(compile_and_solve)
thread.join()
""",
    "another thread is opening or closing a backend": """
from kernelfit.cpu.blas_threads import BLAS_THREADS
def hold(inside, leave):
    with BLAS_THREADS._lock:
        inside.set()
        leave.wait(60)
thread, leave = beside(hold)
fork(solve)
leave.set()
thread.join()
""",
    "another thread solves with the same backend": """
backend = CpuBackend(2)
def hold(inside, leave):
    def task(item):
        inside.set()
        leave.wait(60)
    with backend, backend._lock:
        backend.run(task, range(1))
thread, leave = beside(hold)
def use():
    seen = []
    with backend:
        backend.run(seen.append, range(5))
    assert sorted(seen) == list(range(5))
    from kernelfit.cpu.blas_threads import pools
    assert {pool.get() for pool in pools()} == before, "BLAS stayed capped"
    solve()
fork(use)
leave.set()
thread.join()
solve()
""",
    "a solution on the disk is used": """
solution = kernelfit.solve(X, Y, tier="disk", panel_width=32)
assert solution.plan.tier == "disk"
more, rows = rng.standard_normal((300, 2)), rng.standard_normal((7, 4))
answers = solution.solve(more).alpha, solution.leave_one_out(), solution.predict(rows)
def use():
    found = solution.solve(more).alpha, solution.leave_one_out(), solution.predict(rows)
    assert all(np.array_equal(a, b) for a, b in zip(found, answers))
    solution.close()
fork(use)
assert np.array_equal(solution.solve(more).alpha, answers[0])
""",
    "an opened run is used": """
import sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    kernelfit.solve(X, Y, run_dir=folder + "/run", panel_width=32).close()
    solution = kernelfit.open(folder + "/run")
    more = rng.standard_normal((300, 2))
    answer = solution.solve(more).alpha
    def use():
        assert np.array_equal(solution.solve(more).alpha, answer)
    fork(use)
    fork(use)
    assert np.array_equal(solution.solve(more).alpha, answer)
    solution.close()
""",
    "a solve ran before": "fork(solve)\nfork(lambda: fork(solve))\n",
}


@pytest.mark.parametrize("case", CASES)
def test_a_child_computes_the_same(case):
    before = "from kernelfit.cpu.blas_threads import pools\nbefore = {pool.get() for pool in pools()}\n"
    code = PRELUDE + (before if "before" in CASES[case] else "") + CASES[case] + "print('done')\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=280
    )
    assert done.stdout == "done\n", done.stderr[-2000:]
