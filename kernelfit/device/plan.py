"""What a factorisation on a device needs and moves: pure arithmetic, nothing is allocated here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from kernelfit.device.protocol import aligned
from kernelfit.device.residency import least_slots, rehearse
from kernelfit.errors import InputError, PlanError
from kernelfit.gram.layout import PanelLayout

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

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def make_device_plan(
    *,
    n: int,
    d: int,
    capacity: int,
    row_bytes: int,
    columns: int,
    precision: str = "float64",
    host_memory: int = 0,
    disk_free: int = 0,
    width: int | None = None,
    work: Callable[[int], int] | None = None,
    strip: int | None = None,
) -> DevicePlan:
    """Choose the width of panels and where tiles live, or raise `PlanError` with the bytes that are missing.

    `row_bytes` are those of one row of points with its vectors, `columns` the right-hand sides, `work` gives the
    bytes that potrf wants for a block of some order (one tile where it is not known). The width that is predicted to
    take least time is taken.
    """
    if precision not in ("float64", "float32", "mixed", "tf32"):
        raise InputError(f"precision: got {precision!r}, expected float64, float32, mixed or tf32")
    widths = (width,) if width is not None else tuple(w for w in WIDTHS if w <= n) or (n,)
    plans, refusals = [], []
    for candidate in widths:
        try:
            plans.append(
                _plan(
                    n,
                    d,
                    capacity,
                    row_bytes,
                    columns,
                    precision,
                    host_memory,
                    disk_free,
                    candidate,
                    None if work is None else max(map(work, PanelLayout(n, min(candidate, n)).orders)),
                    strip,
                )
            )
        except PlanError as error:
            refusals.append(error)
    if not plans:
        raise refusals[0]
    return min(plans, key=lambda plan: plan.seconds)


def _plan(
    n: int,
    d: int,
    capacity: int,
    row_bytes: int,
    columns: int,
    precision: str,
    host_memory: int,
    disk_free: int,
    width: int,
    work: int | None,
    strip: int | None,
) -> DevicePlan:
    layout = PanelLayout(n, min(width, n))
    size = 8 if precision == "float64" else 4
    width = layout.width
    tile = width * width * size
    count = layout.count
    if strip is None:
        strip = max(1, min(n, max(width, _PRODUCTS // (8 * width)) // 64 * 64 or n))
    fixed = fixed_bytes(layout, size, row_bytes, columns, strip, tile if work is None else work)
    total = count * (count + 1) // 2
    in_core = fixed + total * tile
    staged = 0 if in_core <= capacity else STAGED
    slots = total if staged == 0 else (capacity - fixed - staged * tile) // tile
    least = least_slots(count)
    if slots < least:
        needed = fixed + (staged + least) * tile
        raise PlanError(
            f"device: {needed:,} bytes needed on the device for n = {n:,} in panels of {width}, got {capacity:,}: "
            f"{needed - capacity:,} missing; give narrower panels, fewer rows, or --device cpu"
        )
    host_slots = max(0, host_memory) // tile
    rehearsed = rehearse(count, slots, host_slots)
    on_disk = len(rehearsed.on_disk) * tile
    if on_disk > disk_free:
        raise PlanError(
            f"device: {on_disk:,} bytes of the factor of n = {n:,} fit neither on the device nor in "
            f"{host_memory:,} bytes of host memory, and {disk_free:,} are free on the disk: "
            f"{on_disk - disk_free:,} missing; free some, or give more --memory"
        )
    traffic = rehearsed.traffic
    bounce = 2 * tile if traffic.disk_written else 0
    moved = tile * max(traffic.out, traffic.into) / _LINK
    on_disk_seconds = tile * (traffic.disk_written + traffic.disk_read) / _DISK
    # Squares on the diagonal are computed to three quarters where half would do, and potrf keeps its own pace.
    arithmetic = (layout.factor_flops() + 0.25 * n * n * width) / _RATE + count * width**3 / 3.0 / 2e12 * 0.1
    return DevicePlan(
        n=n,
        d=d,
        precision=precision,
        width=width,
        capacity=capacity,
        slots=slots,
        host_slots=rehearsed.most_on_host,
        strip=strip,
        staged=staged,
        columns=columns,
        bytes_tile=tile,
        bytes_fixed=fixed,
        bytes_device=fixed + (slots + staged) * tile,
        bytes_host=rehearsed.most_on_host * tile + bounce,
        bytes_disk=on_disk,
        bytes_out=traffic.out * tile,
        bytes_in=traffic.into * tile,
        bytes_disk_read=traffic.disk_read * tile,
        seconds=max(arithmetic, moved, on_disk_seconds),
    )


def fixed_bytes(layout: PanelLayout, size: int, row_bytes: int, columns: int, strip: int, work: int) -> int:
    """Bytes of the slab beside tiles of the factor.

    Rows and their vectors; right-hand sides in float64 and in the precision of the factor, products and absolute
    sums; strips of inner products, L1 distances, the user's values and K, as wide as a panel; two diagonal tiles kept
    for their pivots; what potrf wants; the status of every panel.
    """
    n, width = layout.n, layout.width
    vectors = 2 * aligned(n * columns * 8) + aligned(n * columns * size) + 2 * aligned(n * 8)
    strips = 4 * aligned(max(strip, width) * width * 8)
    # Every block begins at a multiple of the alignment; a table of terms and the blocks above come to fewer than 32.
    return (
        aligned(n * row_bytes)
        + vectors
        + strips
        + 2 * aligned(width * width * size)
        + aligned(work)
        + aligned(layout.count * 4)
        + 32 * aligned(1)
    )
