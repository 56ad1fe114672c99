"""What a solve needs of devices, of the host beside them and of the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kernelfit.cpu.memory import available_memory, free_disk
from kernelfit.device.gram import gram_row_bytes, require_supported
from kernelfit.device.pinned import kept_bytes
from kernelfit.device.plan import DeviceLimits, DevicePlan, DeviceSize, make_device_plan
from kernelfit.device.protocol import Device
from kernelfit.errors import PlanError, StorageError
from kernelfit.gram.costs import Costs
from kernelfit.gram.plan import Plan
from kernelfit.gram.precision import precision_of
from kernelfit.gram.protocol import GramSource
from kernelfit.solver.problem import Problem
from kernelfit.storage.folders import scratch_folder


def plan_on_device(
    problem: Problem,
    devices: Sequence[Device],
    *,
    threads: int,
    folder: Path | None,
    precision: str | None = None,
    memory: int | None = None,
    width: int | None = None,
) -> tuple[Plan, DevicePlan]:
    """The plan of the solve and of its devices, in the problem's precision unless another is named.

    Raises `PlanError` with the bytes that are missing on the device, the host or the disk, and `InputError` for a
    kernel that a device cannot evaluate.
    """
    source, device = problem.source, devices[0]
    numbers = precision_of(precision or problem.precision)
    _require_kernel(source, devices)
    columns = product_columns(problem.targets.shape[1])
    if source.layout is not None:
        width = source.layout.width
    row_bytes = gram_row_bytes(source) + (0 if problem.weights is None else 8)
    limits = DeviceLimits(
        device=min(each.slab.capacity - each.slab.used for each in devices),
        # Memory that stayed pinned is taken first.
        host=(available_memory() + kept_bytes() if memory is None else memory) // 2,
        disk=_free(folder),
    )
    on_device = make_device_plan(
        DeviceSize(source.n, problem.n_features, row_bytes, columns, numbers.name),
        limits,
        width=width,
        work=lambda order: device.potrf_workspace(order, numbers.factor),
    )
    if len(devices) > 1 and not on_device.in_core:
        needed = on_device.bytes_fixed + on_device.layout.count * (on_device.layout.count + 1) // 2 * (
            on_device.bytes_tile
        )
        raise PlanError(
            f"device: {needed:,} bytes needed on each of {len(devices)} devices, which all keep the whole factor, got "
            f"{on_device.capacity:,}; name one device, whose factor may spill, or give fewer rows"
        )
    costs = Costs.of(
        n=source.n,
        d=problem.n_features,
        n_rhs=problem.targets.shape[1],
        threads=threads,
        precision=numbers.of_plan,
        bytes_points=problem.bytes_points,
        panel_width=on_device.width,
    )
    return on_device.as_plan(costs, memory if memory is not None else available_memory()), on_device


def _require_kernel(source: GramSource, devices: Sequence[Device]) -> None:
    """Raise `InputError` where tiles are formed on a device by a kernel that it cannot evaluate."""
    kernel = source.kernel
    if any(device is source.device for device in devices):  # elsewhere tiles are filled on the host
        kernel = source.formula
    if kernel is not None:
        require_supported(kernel)
        for device in devices:
            device.compile(kernel)


def _free(folder: Path | None) -> int:
    """Bytes of the disk for tiles that spill; none where there is no folder for them."""
    try:
        return free_disk(scratch_folder(folder))
    except StorageError:
        return 0


def product_columns(targets: int) -> int:
    """Columns that K is multiplied with at once for the certificate: alpha, its absolute values, and ones."""
    return 2 * targets + 1


def close_all(devices: Sequence[Device], source: GramSource) -> None:
    """Close the devices but the one that holds K."""
    for device in devices:
        if source.device is not device:
            device.close()
