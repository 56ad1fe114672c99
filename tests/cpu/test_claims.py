"""Tasks that threads claim, each once, by a leader who waits for nobody who has not begun."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np

from kernelfit.cpu import claims
from kernelfit.cpu.jit import njit

STAGES, TASKS = 200, 5


@njit(nogil=True)
def lead(address, mine):
    for stage in range(1, STAGES + 1):
        claims.publish(address, stage)
        take(address, stage, mine)
        claims.wait(address, stage * TASKS)
    claims.publish(address, claims.OVER)


@njit(nogil=True)
def help_out(address, mine):
    while True:
        stage = claims.stage_of(address)
        if stage == claims.OVER:
            return
        if stage > 0:
            take(address, stage, mine)
        claims.pause()


@njit(nogil=True)
def take(address, stage, mine):
    while True:
        task = claims.claim(address, stage, TASKS)
        if task < 0:
            return
        mine[stage - 1, task] += 1
        claims.done(address)


def test_every_task_is_done_once():
    state = claims.new_claims()
    parts = [np.zeros((STAGES, TASKS), np.int64) for _ in range(3)]
    helpers = [threading.Thread(target=help_out, args=(state.ctypes.data, part)) for part in parts[1:]]
    for helper in helpers:
        helper.start()
    lead(state.ctypes.data, parts[0])
    for helper in helpers:
        helper.join()
    assert (sum(parts) == 1).all()


def test_who_comes_late_claims_nothing():
    state = claims.new_claims()
    address = state.ctypes.data
    assert claims.claim(address, 1, TASKS) == -1
    claims.publish(address, 1)
    assert Counter(claims.claim(address, 1, TASKS) for _ in range(7)) == Counter([0, 1, 2, 3, 4, -1, -1])
    claims.publish(address, 2)
    assert claims.claim(address, 1, TASKS) == -1
