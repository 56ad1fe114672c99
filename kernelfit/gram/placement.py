"""Where the factor of a solve goes, in memory or on the disk: pure arithmetic, no array is allocated here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kernelfit.cpu.memory import INTERPRETER
from kernelfit.errors import InputError, PlanError, StorageError
from kernelfit.frozen import frozen
from kernelfit.gram.costs import Costs
from kernelfit.gram.plan import Plan

TIERS = ("auto", "ram", "disk")


@frozen
class Limits:
    """Bytes of memory that a solve may take in all, and bytes of the disk that are free, or what tells them."""

    memory: int
    disk_free: int | Callable[[], int] = 0

    @property
    def disk(self) -> int:
        return self.disk_free if isinstance(self.disk_free, int) else self.disk_free()

    def disk_holds(self, size: int) -> bool:
        """Whether so many bytes are free; none are where there is no folder to write to."""
        try:
            return size <= self.disk
        except StorageError:
            return False


def place(
    costs: Costs,
    limits: Limits,
    *,
    tier: str = "auto",
    stored: bool = False,
    cacheable_products: bool = False,
) -> Plan:
    """The plan on `tier`, or with "auto" on the one that fits; raises `PlanError` with the bytes that are missing.

    `stored`: the factor is written to a folder that outlives the solve, on the ram tier too. `cacheable_products`:
    inner products are exact in float32, so that mixed precision may keep them (or else K in float64) between
    refinements.
    """
    if tier not in TIERS:
        raise InputError(f"tier: got {tier!r}, expected one of {', '.join(TIERS)}")
    in_memory = Plan.in_memory(costs, limits.memory)
    if (
        tier != "disk"
        and not stored
        and costs.precision != "mixed"
        and in_memory.bytes_memory <= limits.memory
    ):
        return in_memory
    rows_at_once, buffers = costs.disk_buffers(limits.memory - costs.bytes_held)
    memory_on_disk = costs.bytes_held + buffers
    if tier == "auto":
        # A small factor takes less room than the buffers that a disk wants.
        tier = "ram" if in_memory.bytes_memory <= max(limits.memory, memory_on_disk) else "disk"
    plan = in_memory
    if tier == "disk":
        plan = replace(
            in_memory,
            tier="disk",
            bytes_workspace=costs.bytes_workspace + buffers,
            bytes_memory=memory_on_disk,
            rows_at_once=rows_at_once,
            bytes_read=costs.bytes_read,
            bytes_read_solve=2 * costs.bytes_factor,
        )
    if plan.bytes_memory > limits.memory:
        raise _too_little_memory(plan, costs, limits, in_memory.bytes_memory, memory_on_disk)
    if tier == "disk" or stored:
        if costs.bytes_factor > limits.disk:
            raise _too_little_disk(costs, limits, in_memory.bytes_memory, stored)
        plan = replace(plan, bytes_disk=costs.bytes_factor, bytes_written=costs.bytes_factor)
    if costs.precision == "mixed" and tier == "ram":
        total = plan.bytes_memory + costs.bytes_cache(cacheable_products)
        if total <= limits.memory:
            plan = replace(
                plan,
                cache="inner products" if cacheable_products else "gram",
                bytes_memory=total,
                flops_refine=costs.flops_refine(cached=True),
            )
    return plan


def _too_little_memory(plan: Plan, costs: Costs, limits: Limits, in_memory: int, on_disk: int) -> PlanError:
    """`in_memory` and `on_disk`: bytes of memory that the two tiers need."""
    return PlanError(
        f"memory: {plan.bytes_memory:,} bytes needed on the {plan.tier} tier for n = {costs.n:,} in "
        f"{costs.precision}, got {limits.memory:,}: {plan.bytes_memory - limits.memory:,} missing; "
        + _what_fits(plan.tier, costs, limits, in_memory, on_disk)
    )


def _what_fits(tier: str, costs: Costs, limits: Limits, in_memory: int, on_disk: int) -> str:
    """One clause that says what would fit instead."""
    factor, precision = costs.bytes_factor, costs.precision
    if tier == "ram" and on_disk <= limits.memory and limits.disk_holds(factor):
        return f"tier='disk' fits with {on_disk:,} bytes"
    if tier == "disk" and in_memory <= limits.memory:
        return f"tier='ram' fits with {in_memory:,} bytes"
    if precision == "float64" and in_memory - factor // 2 <= limits.memory:
        return f"tier='ram', precision='mixed' fits with {in_memory - factor // 2:,} bytes"
    smallest = min(in_memory, on_disk)
    largest = max_order(costs, limits.memory, below=costs.n)
    if largest < 1:
        return f"nothing of this width fits; give memory='{smallest:,}' or more"
    return f"n = {largest:,} rows fit in memory in {precision}, or give memory='{smallest:,}'"


def _too_little_disk(costs: Costs, limits: Limits, in_memory: int, stored: bool) -> PlanError:
    remedy = "choose another folder" if stored else f"give memory='{in_memory:,}'"
    return PlanError(
        f"disk: {costs.bytes_factor:,} bytes needed for the factor of n = {costs.n:,}, {limits.disk:,} free: "
        f"{costs.bytes_factor - limits.disk:,} missing; free some, {remedy}, or take "
        "solver='pcg', which stores no factor"
    )


def max_order(costs: Costs, memory: int, below: int = 10_000_001) -> int:
    """An n < `below` that the ram tier holds in `memory` bytes while it does not hold n + 1, or `below` - 1, with rows
    and all else as in `costs`; 0 where there is none.

    By bisection. Narrower panels take less room beside the factor, so that a somewhat larger n may fit again.
    """
    row_bytes = costs.bytes_points / costs.n
    low, high = 0, below - 1
    while low < high:
        n = (low + high + 1) // 2
        smaller = Costs.of(
            n=n, d=costs.d, n_rhs=costs.n_rhs, threads=costs.threads, precision=costs.precision
        )
        needed = INTERPRETER + smaller.bytes_factor + n * row_bytes + smaller.bytes_workspace
        low, high = (n, high) if needed <= memory else (low, n - 1)
    return low
