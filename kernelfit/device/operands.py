"""What operations ask of their blocks, on whichever device: `ValueError` where they would compute something else; and
what tells functions of the user's from others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kernelfit.device.protocol import Block
from kernelfit.kernels.base import Kernel


def functions_of(kernel: Kernel) -> dict[tuple[Any, str], Callable[..., float]]:
    """The user's functions of k, each by itself and what tells k from the kernel of what it reads at another time."""
    functions = set(kernel.functions())
    described = str(kernel.describe()) if functions else ""
    return {(function, described): function for function in functions}


def require_packed(operation: str, *blocks: Block) -> None:
    """The operation walks over bytes, or knows of no stride."""
    for block in blocks:
        if not block.contiguous:
            raise ValueError(f"{operation}: a block with gaps")


def require_copy(source: Block, target: Block) -> None:
    """Rows of bytes are copied, not numbers."""
    if (source.rows, source.columns, source.dtype) != (target.rows, target.columns, target.dtype):
        raise ValueError(f"copy: {_words(source)} into {_words(target)}")


def require_passed(source: Block, target: Block) -> None:
    """`Device.copy_to` passes bytes on."""
    if source.nbytes != target.nbytes or not (source.contiguous and target.contiguous):
        raise ValueError(f"copy_to: {source.nbytes} bytes and {target.nbytes}, or a block with gaps")
    if source.dtype != target.dtype:
        raise ValueError(f"copy_to: {_words(source)} into {_words(target)}")


def require_product(
    alpha: float, a: Block, b: Block, beta: float, c: Block, transpose_a: bool, transpose_b: bool
) -> None:
    m, k = (a.columns, a.rows) if transpose_a else (a.rows, a.columns)
    n, inner = (b.rows, b.columns) if transpose_b else (b.columns, b.rows)
    if (m, n, k) != (c.rows, c.columns, inner):
        raise ValueError(f"gemm: ({m}, {k}) times ({inner}, {n}) into ({c.rows}, {c.columns})")
    if a.dtype != b.dtype or (c.dtype != a.dtype and (a.dtype, c.dtype) != (np.int8, np.int32)):
        raise ValueError(f"gemm: {a.dtype} times {b.dtype} into {c.dtype}")
    if a.dtype == np.int8 and (alpha, beta, transpose_a, transpose_b) != (1.0, 0.0, False, True):
        raise ValueError("gemm: int8 other than A B^T")
    if k == 0 and beta != 1.0 and m and n:
        raise ValueError(f"gemm: no products to sum, and C times {beta}")


def require_triangle(lower: Block, x: Block, order: int) -> None:
    """X has `order` rows or columns on the side of L."""
    if (lower.rows, lower.columns, lower.dtype) != (order, order, x.dtype):
        raise ValueError(f"solve: a triangle of {_words(lower)} for {_words(x)}")


def require_factor(block: Block, work: Block, status: Block, needed: int) -> None:
    """`needed` is `Device.potrf_workspace` of the block."""
    if block.rows != block.columns or (status.rows, status.columns, status.dtype) != (1, 1, np.int32):
        raise ValueError(f"potrf: {_words(block)} with a status of {_words(status)}")
    if work.rows != 1 or work.dtype != block.dtype or work.nbytes < needed:
        raise ValueError(f"potrf: a workspace of {_words(work)} for {needed} bytes of {block.dtype}")


def require_sums(tile: Block, dtypes: tuple[type, ...], *sums: tuple[Block, int]) -> None:
    """Each of the sums with the numbers that go into it, (m, 1) float64."""
    if tile.dtype not in dtypes:
        raise ValueError(f"sums: {_words(tile)}")
    for out, count in sums:
        if out.rows < count or (out.columns, out.dtype) != (1, np.float64) or not out.contiguous:
            raise ValueError(f"sums: {count} of {_words(tile)} into {_words(out)}, or one with gaps")


def require_addition(block: Block, out: Block) -> None:
    same = (block.rows, block.columns) == (out.rows, out.columns)
    if not same or block.dtype != np.float32 or out.dtype not in (np.float64, np.float32):
        raise ValueError(f"add: {_words(block)} to {_words(out)}")


def require_square(operation: str, block: Block) -> None:
    if block.rows != block.columns:
        raise ValueError(f"{operation}: {_words(block)}")


def _words(block: Block) -> str:
    return f"{block.rows} x {block.columns} {block.dtype}"
