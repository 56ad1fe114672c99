"""What a factorisation on a device needs and moves: pure arithmetic, nothing is allocated here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from kernelfit.cpu.memory import INTERPRETER
from kernelfit.device.inverses import TriangleInverses
from kernelfit.device.protocol import aligned
from kernelfit.device.residency import Traffic, min_slots, rehearse
from kernelfit.errors import PlanError
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.plan import Plan
from kernelfit.gram.precision import precision_of

#: widths tried, the first that moves least in the least time is taken. Narrow panels waste less on diagonal tiles,
#: wide ones are read less often from where they were spilled to.
WIDTHS = (1_024, 2_048, 4_096)
#: tiles that wait on the device for their turn after coming back from the host
STAGED = 8
#: bytes of inner products formed at a time
_PRODUCTS = 2**28
#: assumed of the link between host and device, of the disk (bytes/s) and of products (flop/s), to choose a width
_LINK, _DISK, _RATE = 50e9, 1.5e9, 60e12


@dataclass(frozen=True)
class DeviceSize:
    """K of order n from rows of d features that take `row_bytes` each with their vectors, and the right-hand sides
    that are solved at once."""

    n: int
    d: int
    row_bytes: int
    columns: int
    precision: str = "float64"

    @property
    def bytes_number(self) -> int:
        """Of one number of the factor."""
        return precision_of(self.precision).factor.itemsize


@dataclass(frozen=True)
class DeviceLimits:
    """Bytes that may be taken on the device, on the host and on the disk."""

    device: int
    host: int = 0
    disk: int = 0


@dataclass(frozen=True)
class DevicePlan:
    """Bytes on the device, the host and the disk, and the bytes moved while factoring.

    The slab of `capacity` bytes holds `slots` tiles of the factor, `STAGED` tiles on their way back, the rows and the
    workspace. `strip` rows of inner products are formed at a time. `columns` right-hand sides are solved at once.
    """

    n: int
    d: int
    precision: str
    width: int
    capacity: int
    slots: int
    host_slots: int
    strip: int
    staged: int
    columns: int
    bytes_tile: int
    bytes_fixed: int
    bytes_device: int
    bytes_host: int
    bytes_disk: int
    bytes_out: int
    bytes_in: int
    bytes_disk_read: int
    seconds: float

    @property
    def layout(self) -> PanelLayout:
        return PanelLayout(self.n, self.width)

    @property
    def in_core(self) -> bool:
        return self.bytes_out == 0

    def as_plan(self, costs: Costs, memory_limit: int) -> Plan:
        """The plan of the whole solve: flops and panels are those of any other tier.

        Bytes of its `memory` are the host's, and those of its `workspace` the device's.
        """
        return replace(
            Plan.in_memory(costs, memory_limit),
            tier="device",
            bytes_workspace=self.bytes_fixed,
            bytes_memory=INTERPRETER + costs.bytes_points + costs.bytes_vectors + self.bytes_host,
            bytes_disk=self.bytes_disk,
            # For whoever resumes the run on the CPU, where its factor is on the disk.
            rows_at_once=costs.max_rows_at_once,
            bytes_read=self.bytes_disk_read,
            bytes_read_solve=2 * self.bytes_disk,
            bytes_written=self.bytes_disk,
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def make_device_plan(
    size: DeviceSize,
    limits: DeviceLimits,
    *,
    width: int | None = None,
    work: Callable[[int], int] | None = None,
) -> DevicePlan:
    """Choose the width of panels and where tiles live, or raise `PlanError` with the bytes that are missing.

    `work` gives the bytes that potrf wants for a block of some order (one tile where it is not known). The width that
    is predicted to take least time is taken.
    """
    precision_of(size.precision)
    widths = (width,) if width is not None else tuple(w for w in WIDTHS if w <= size.n) or (size.n,)
    plans, refusals = [], []
    for candidate in widths:
        layout = PanelLayout(size.n, min(candidate, size.n))
        try:
            plans.append(_plan(size, limits, layout, work))
        except PlanError as error:
            refusals.append(error)
    if not plans:
        raise refusals[0]
    return min(plans, key=lambda plan: plan.seconds)


def _plan(
    size: DeviceSize,
    limits: DeviceLimits,
    layout: PanelLayout,
    work: Callable[[int], int] | None,
) -> DevicePlan:
    n, width, count = layout.n, layout.width, layout.count
    tile = width * width * size.bytes_number
    strip = max(1, min(n, max(width, _PRODUCTS // (8 * width)) // 64 * 64 or n))
    work_bytes = tile if work is None else max(map(work, layout.orders))
    fixed = fixed_bytes(layout, size.bytes_number, size.row_bytes, size.columns, strip, work_bytes)
    total = count * (count + 1) // 2
    staged = 0 if fixed + total * tile <= limits.device else STAGED
    slots = total if staged == 0 else (limits.device - fixed - staged * tile) // tile
    if slots < min_slots(count):
        needed = fixed + (staged + min_slots(count)) * tile
        raise PlanError(
            f"device: {needed:,} bytes needed on the device for n = {n:,} in panels of {width}, got "
            f"{limits.device:,}: {needed - limits.device:,} missing; give narrower panels, fewer rows, or "
            "device='cpu'"
        )
    rehearsed = rehearse(count, slots, max(0, limits.host) // tile)
    on_disk = len(rehearsed.on_disk) * tile
    if on_disk > limits.disk:
        raise PlanError(
            f"device: {on_disk:,} bytes of the factor of n = {n:,} fit neither on the device nor in "
            f"{limits.host:,} bytes of host memory, and {limits.disk:,} are free on the disk: "
            f"{on_disk - limits.disk:,} missing; free some, or give more memory"
        )
    traffic = rehearsed.traffic
    bounce = 2 * tile if traffic.disk_written else 0
    return DevicePlan(
        n=n,
        d=size.d,
        precision=size.precision,
        width=width,
        capacity=limits.device,
        slots=slots,
        host_slots=rehearsed.max_on_host,
        strip=strip,
        staged=staged,
        columns=size.columns,
        bytes_tile=tile,
        bytes_fixed=fixed,
        bytes_device=fixed + (slots + staged) * tile,
        bytes_host=rehearsed.max_on_host * tile + bounce,
        bytes_disk=on_disk,
        bytes_out=traffic.out * tile,
        bytes_in=traffic.into * tile,
        bytes_disk_read=traffic.disk_read * tile,
        seconds=_seconds(layout, tile, traffic),
    )


def _seconds(layout: PanelLayout, tile: int, traffic: Traffic) -> float:
    """Of the factorisation: the longest of arithmetic, link and disk, which work side by side."""
    n, width = layout.n, layout.width
    moved = tile * max(traffic.out, traffic.into) / _LINK
    on_disk = tile * (traffic.disk_written + traffic.disk_read) / _DISK
    # Squares on the diagonal are computed to three quarters where half would do, and potrf keeps its own pace.
    arithmetic = (
        layout.factor_flops() + 0.25 * n * n * width
    ) / _RATE + layout.count * width**3 / 3.0 / 2e12 * 0.1
    return max(arithmetic, moved, on_disk)


def fixed_bytes(layout: PanelLayout, size: int, row_bytes: int, columns: int, strip: int, work: int) -> int:
    """Bytes of the slab beside tiles of the factor.

    Rows and their vectors; right-hand sides in float64 and in the precision of the factor, products and absolute
    sums; inverses of small triangles; strips of both products, L1 distances, the user's values and K, as wide as a
    panel; two diagonal tiles kept for their pivots; what potrf wants; the status of every panel.
    """
    n, width = layout.n, layout.width
    vectors = 2 * aligned(n * columns * 8) + aligned(n * columns * size) + 2 * aligned(n * 8)
    strips = 5 * aligned(max(strip, width) * width * 8)
    # Every block begins at a multiple of the alignment; a table of terms and the blocks above come to fewer than 32.
    return (
        aligned(n * row_bytes)
        + vectors
        + strips
        + TriangleInverses.nbytes(layout, f"f{size}", columns)
        + 2 * aligned(width * width * size)
        + aligned(work)
        + aligned(layout.count * 4)
        + 32 * aligned(1)
    )
