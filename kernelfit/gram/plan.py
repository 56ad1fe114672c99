"""What a solve costs and where its factor goes: pure arithmetic, no array is allocated here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kernelfit.errors import InputError, PlanError
from kernelfit.gram.layout import MAX_STRIP, PanelLayout


@dataclass(frozen=True)
class Plan:
    """What a solve will do and need; `kernelfit plan` prints it.

    Bytes of `memory` are the peak of arrays together with the interpreter's own `INTERPRETER` bytes; seconds are
    predicted from a measured GEMM rate where one is given. `cache` tells what mixed precision keeps in memory between
    refinements: `none`, `inner products` (float32, exact) or `gram` (float64). On the disk tier `rows_at_once` rows of
    a panel are read at a time, `bytes_read` bytes while factoring and `bytes_read_solve` for each solve with the
    factor, whatever its right-hand sides; `bytes_written` are written once.
    """

    n: int
    d: int
    n_rhs: int
    precision: str
    tier: str
    panel_width: int
    panels: int
    threads: int
    bytes_factor: int
    bytes_points: int
    bytes_workspace: int
    bytes_memory: int
    bytes_disk: int
    rows_at_once: int
    bytes_read: int
    bytes_read_solve: int
    bytes_written: int
    memory_limit: int
    cache: str
    flops_gram: float
    flops_factor: float
    flops_solve: float
    flops_certify: float
    flops_refine: float
    predicted_seconds: float | None

    @property
    def layout(self) -> PanelLayout:
        return PanelLayout(self.n, self.panel_width)

    @property
    def inverse_columns(self) -> int:
        """Columns of L^-1 that leave-one-out may hold: a panel's, or what the memory has room for beside the factor.

        On disk they take the place of the panel in the making, which is planned for.
        """
        if self.tier == "disk":
            return self.panel_width
        room = self.memory_limit - (self.bytes_memory - self.bytes_workspace)
        size = 8 if self.precision == "float64" else 4
        return max(_MIN_COLUMNS, min(self.panel_width, room // (self.n * size)))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


#: what Python, NumPy, SciPy, Numba and their compiled code occupy before any data (resident, measured)
INTERPRETER = 300_000_000
#: iterations of refinement assumed when predicting time for mixed precision
_REFINEMENTS = 6
# Columns of L^-1 at a time, at least: fewer would cost the products their speed and save little.
_MIN_COLUMNS = 64
TIERS = ("auto", "ram", "disk")
PRECISIONS = ("float64", "float32", "mixed")


def make_plan(
    *,
    n: int,
    d: int,
    n_rhs: int,
    threads: int,
    memory_limit: int,
    disk_free: int = 0,
    precision: str = "float64",
    tier: str = "auto",
    points_bytes: int | None = None,
    gram_speed: float = 1.0,
    cacheable_products: bool = False,
    gemm_rate: float | None = None,
    panel_width: int | None = None,
    kept: bool = False,
) -> Plan:
    """Choose tier and panels for K of order n, or raise `PlanError` with the bytes that are missing.

    `memory_limit` and `disk_free` in bytes, `gemm_rate` in float64 flop/s, of which inner products run at
    `gram_speed` times. `cacheable_products`: inner products are exact in float32, so that mixed precision may keep them
    (or else K in float64) between refinements. `kept`: the factor is written to a folder that outlives the solve, on
    the ram tier too.
    """
    if tier not in TIERS:
        raise InputError(f"tier: got {tier!r}, expected one of {', '.join(TIERS)}")
    if precision not in PRECISIONS:
        raise InputError(f"precision: got {precision!r}, expected one of {', '.join(PRECISIONS)}")
    layout = PanelLayout.of_order(n) if panel_width is None else PanelLayout(n, min(panel_width, n))
    width = layout.width
    size = 8 if precision == "float64" else 4
    factor = layout.elements * size
    points = points_bytes if points_bytes is not None else n * d * 8
    workspace = _workspace(layout, d, n_rhs, threads)
    held = INTERPRETER + points + workspace
    rows_at_once, buffers = _disk_buffers(layout, size, threads, memory_limit - held)
    in_memory, on_disk = held + factor, held + buffers
    if tier == "auto":
        # A small factor takes less room than the buffers that a disk wants.
        tier = "ram" if in_memory <= max(memory_limit, on_disk) else "disk"
    needed = in_memory if tier == "ram" else on_disk
    if needed > memory_limit:
        largest = largest_order(
            d, memory_limit, size=size, row_bytes=points / n, n_rhs=n_rhs, threads=threads
        )
        raise PlanError(
            f"memory: {needed:,} bytes needed on the {tier} tier for n = {n:,} in {precision}, got {memory_limit:,}: "
            f"{needed - memory_limit:,} missing; "
            + _what_fits(n, memory_limit, in_memory, on_disk, tier, precision, disk_free, factor, largest)
        )
    on_disk_too = tier == "disk" or kept
    if on_disk_too and factor > disk_free:
        remedy = "choose another folder" if kept else f"give --memory {in_memory:,} bytes"
        raise PlanError(
            f"disk: {factor:,} bytes needed for the factor of n = {n:,}, {disk_free:,} free: "
            f"{factor - disk_free:,} missing; free some, or {remedy}"
        )
    cache = "none"
    if precision == "mixed" and tier == "ram":
        cache_bytes = layout.elements * (4 if cacheable_products else 8)
        if needed + cache_bytes <= memory_limit:
            cache = "inner products" if cacheable_products else "gram"
            needed += cache_bytes
    pairs = n * (n + 1) / 2.0
    flops_gram = pairs * (2.0 * d + 1.0)
    flops_solve = 2.0 * n * n * n_rhs
    flops_certify = flops_gram + flops_solve
    per_refinement = flops_solve * 2 + (flops_gram if cache == "none" else 0.0)
    flops_refine = _REFINEMENTS * per_refinement if precision == "mixed" else 0.0
    seconds = None
    if gemm_rate:
        # Single precision doubles the rate of products; solves with few right-hand sides move bytes instead
        # (about 20 GB/s), four passes over the factor.
        gram_rate = gemm_rate * gram_speed
        factor_rate = gemm_rate * (1.0 if precision == "float64" else 2.0)
        seconds = (
            layout.factor_flops() / (0.95 * factor_rate)
            + 2.0 * flops_gram / (0.8 * gram_rate)
            + flops_refine / (0.8 * gram_rate)
            + 6.0 * factor / 20e9
        )
    on_tier_disk = tier == "disk"
    return Plan(
        n=n,
        d=d,
        n_rhs=n_rhs,
        precision=precision,
        tier=tier,
        panel_width=width,
        panels=layout.count,
        threads=threads,
        bytes_factor=factor,
        bytes_points=points,
        bytes_workspace=workspace + (buffers if on_tier_disk else 0),
        bytes_memory=needed,
        rows_at_once=rows_at_once if on_tier_disk else n,
        bytes_disk=factor if on_disk_too else 0,
        bytes_read=layout.stream_elements() * size if on_tier_disk else 0,
        bytes_read_solve=2 * factor if on_tier_disk else 0,
        bytes_written=factor if on_disk_too else 0,
        memory_limit=memory_limit,
        cache=cache,
        flops_gram=flops_gram,
        flops_factor=layout.factor_flops(),
        flops_solve=flops_solve,
        flops_certify=flops_certify,
        flops_refine=flops_refine,
        predicted_seconds=seconds,
    )


def _workspace(layout: PanelLayout, d: int, n_rhs: int, threads: int) -> int:
    """Bytes beside the rows and the factor.

    Each thread: inner products, a tile for rounding and a converted block of rows; one block of columns shared;
    targets, solution, residual and the vectors of refinement.
    """
    height = min(MAX_STRIP, layout.n)
    per_thread = height * (layout.width * 16 + d * 8)
    return threads * per_thread + layout.width * d * 8 + 12 * layout.n * max(n_rhs, 2) * 8


def _disk_buffers(layout: PanelLayout, size: int, threads: int, memory: int) -> tuple[int, int]:
    """Rows of a panel to read at once, and bytes of all blocks of the disk tier when `memory` bytes are left for them.

    One panel is being built; of finished panels two blocks of rows are held, one in use and one being read ahead,
    each with the square at the top of its panel.
    """
    row = layout.width * size
    fixed = layout.n * row + 2 * layout.width * row
    # All threads wait for each other at the end of a block: with this many strips each, they wait little.
    wanted = min(layout.n, 16 * threads * MAX_STRIP)
    least = min(layout.n, MAX_STRIP)
    rows = max(least, min(wanted, (memory - fixed) // (2 * row)))
    return rows, fixed + 2 * rows * row


def _what_fits(
    n: int,
    limit: int,
    in_memory: int,
    on_disk: int,
    tier: str,
    precision: str,
    disk_free: int,
    factor: int,
    largest: int,
) -> str:
    """One clause that says what would fit instead."""
    if tier == "ram" and on_disk <= limit and factor <= disk_free:
        return f"--tier disk fits with {on_disk:,} bytes"
    if tier == "disk" and in_memory <= limit:
        return f"--tier ram fits with {in_memory:,} bytes"
    if precision == "float64" and in_memory - factor // 2 <= limit:
        return f"--tier ram --precision mixed fits with {in_memory - factor // 2:,} bytes"
    smallest = min(in_memory, on_disk)
    if largest < 1:
        return f"nothing of this width fits; give --memory {smallest:,} bytes or more"
    return f"n = {largest:,} rows fit in memory in {precision}, or give --memory {smallest:,} bytes"


def largest_order(
    d: int,
    memory_limit: int,
    *,
    size: int = 8,
    row_bytes: float | None = None,
    n_rhs: int = 1,
    threads: int = 1,
) -> int:
    """The largest n that the ram tier holds in `memory_limit` bytes, by bisection; 0 where there is none.

    `size` is that of one number of the factor, `row_bytes` that of one stored row (8 d by default).
    """
    row_bytes = 8.0 * d if row_bytes is None else row_bytes
    low, high = 0, 10_000_000
    while low < high:
        middle = (low + high + 1) // 2
        layout = PanelLayout.of_order(middle)
        needed = layout.elements * size + middle * row_bytes + _workspace(layout, d, n_rhs, threads)
        low, high = (middle, high) if INTERPRETER + needed <= memory_limit else (low, middle - 1)
    return low
