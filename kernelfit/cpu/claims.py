"""Tasks of compiled code that threads claim from each other: a leader goes from stage to stage, helpers take part.

Who comes first leads. That is settled in compiled code, which no signal stops: no helper waits without a leader.

One word holds the stage and the number of its next task, so that a helper who comes late claims nothing of a stage that
is over. Nobody waits for a helper that has not begun: whoever is there does what is left, and the leader waits only for
tasks that are being done. To take part costs a microsecond, where a job of `kernelfit.cpu.workers` costs a hundred.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit

#: the stage after the last
OVER = 2**30

# Numbers of 8 bytes apart that share no line of the cache.
_APART = 16
_INDEX = ir.IntType(64)


def new_claims() -> NDArray[np.int64]:
    """Stage 0, without tasks: its address is what the functions here take."""
    return np.zeros(3 * _APART, np.int64)


@njit(inline="always")
def leads(claims: int) -> bool:
    """Whether the calling thread is the first to ask."""
    return _replace(claims + 2 * _APART * 8, 0, 1)


@njit(inline="always")
def publish(claims: int, stage: int) -> None:
    """Begin a stage, when all tasks of the one before are done; by the leader alone."""
    _store(claims, stage << 32)


@njit(inline="always")
def stage_of(claims: int) -> int:
    """The stage that has begun."""
    return _load(claims) >> 32


@njit(inline="always")
def claim(claims: int, stage: int, tasks: int) -> int:
    """The number of a task that nobody else has; -1 where none of the stage is left."""
    while True:
        word = _load(claims)
        task = word & 0xFFFFFFFF
        if word >> 32 != stage or task >= tasks:
            return -1
        if _replace(claims, word, word + 1):
            return task


@njit(inline="always")
def done(claims: int) -> None:
    """Tell that a task that was claimed is done."""
    _add(claims + _APART * 8, 1)


@njit(inline="always")
def wait(claims: int, total: int) -> None:
    """Wait until so many tasks are done, of all stages so far."""
    while _load(claims + _APART * 8) < total:
        pause()


@intrinsic
def pause(_context: Any) -> Any:
    """Give the core to another thread, if one waits for it."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        name = "sched_yield"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), emit


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _INDEX.as_pointer())


@intrinsic
def _load(_context: Any, address: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_pointer(builder, arguments[0]), "acquire", 8)

    return types.int64(types.int64), emit


@intrinsic
def _store(_context: Any, address: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[1], _pointer(builder, arguments[0]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


@intrinsic
def _add(_context: Any, address: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.atomic_rmw("add", _pointer(builder, arguments[0]), arguments[1], "acq_rel")
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


@intrinsic
def _replace(_context: Any, address: Any, before: Any, value: Any) -> Any:
    """Whether the number was `before`, and is `value` now."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, before, value = arguments
        made = builder.cmpxchg(_pointer(builder, address), before, value, "acq_rel", "acquire")
        return builder.extract_value(made, 1)

    return types.boolean(types.int64, types.int64, types.int64), emit
