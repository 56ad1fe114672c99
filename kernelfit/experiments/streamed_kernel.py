"""The kernel of features that stream, with its width by the median rule: from their inner products alone; and in what
a ridge counts where all of them are held."""

from __future__ import annotations

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.experiments.specs import KernelSpec
from kernelfit.gram.points import Points
from kernelfit.gram.pointwise import Lengths
from kernelfit.gram.source import Source
from kernelfit.gram.submatrix import submatrix
from kernelfit.kernels import Kernel, named
from kernelfit.progress import Notes
from kernelfit.solver.context import Context
from kernelfit.solver.gamma import MEDIAN_ROWS
from kernelfit.solver.pose import resolve_kernel
from kernelfit.solver.posed_rows import PosedRows
from kernelfit.solver.request import Request
from kernelfit.solver.resources import Resources
from kernelfit.typing import Array, Float


def require_settled(spec: KernelSpec) -> None:
    """Raise `InputError` where the width is to be searched by leave-one-out: trials would sum the features again."""
    for name, value in (("gamma", spec.gamma), ("length_scale", spec.params.get("length_scale"))):
        if value == "auto":
            raise InputError(f"{name}: got 'auto' for features that stream, expected a number or 'median'")


def streamed_kernel(spec: KernelSpec, products: Source, threads: int | None) -> Kernel:
    """The kernel, from the linear K of the features; medians are over the first 1,000 rows."""
    with CpuBackend(threads) as backend:
        rows = rows_of_products(submatrix(products, np.arange(min(products.n, MEDIAN_ROWS)), backend))
        return _settled(spec, rows, threads, backend)


def mean_diagonal(spec: KernelSpec, rows: Array, threads: int | None) -> float:
    """The mean of k(z_i, z_i) over the features `rows` (n, d), which are held: what a ridge counts in, as it does
    where they stream. Raises `InputError` where it depends on a width that leave-one-out is to choose."""
    if named(spec.name).stationary:
        return 1.0
    require_settled(spec)
    with CpuBackend(threads) as backend:
        kernel = _settled(spec, rows[:MEDIAN_ROWS], threads, backend)
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    return float(kernel.diagonal(Lengths(squares)).mean())


def _settled(spec: KernelSpec, rows: Array, threads: int | None, backend: CpuBackend) -> Kernel:
    """The kernel with every parameter a number, its width by the median over these rows."""
    posed = PosedRows(Points(rows), np.zeros((len(rows), 1)), np.arange(len(rows)))
    request = Request.of(**spec.arguments(1.0))
    context = Context(Resources.of(threads=threads), backend, Notes(None))
    return resolve_kernel(request, posed, context).kernel


def rows_of_products(products: Float) -> Float:
    """Rows (h, h) whose inner products are these (h, h), and with them their distances and lengths.

    V Lambda^1/2 for products = V Lambda V^T; what rounding has made negative counts as zero.
    """
    values, vectors = np.linalg.eigh(products)
    rows: Float = vectors * np.sqrt(np.maximum(values, 0.0))
    return rows
