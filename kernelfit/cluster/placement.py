"""Which worker gets which rows of L, and whether its CPU or its GPU computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kernelfit.cluster.connect import Cluster
from kernelfit.cluster.costs import Room, parts_of, placed
from kernelfit.cluster.deal import Deal
from kernelfit.cluster.device_costs import columns_of, fixed_bytes, row_bytes
from kernelfit.cluster.gpu import NoGpu
from kernelfit.device.choose import MIN_ROWS
from kernelfit.errors import ClusterError, DeviceError, InputError
from kernelfit.gram.costs import Costs
from kernelfit.gram.plan import Plan
from kernelfit.gram.precision import precision_of
from kernelfit.kernels.base import Kernel


@dataclass(frozen=True)
class Placement:
    """The deal; for each share its worker, whether blocks go to that worker's disk, and the bytes that are taken of
    that worker's GPU, 0 where it computes on its CPU."""

    deal: Deal
    addresses: tuple[str, ...] = ()
    on_disk: tuple[bool, ...] = ()
    gpu: tuple[int, ...] = ()


@dataclass(frozen=True)
class GpuRequest:
    """What is asked of the workers' GPUs.

    Attributes
    ----------
    device : `cuda`: all workers compute on theirs; `auto`: those that have one; `cpu`: none
    memory : bytes of each to stay within; None: what is free
    row_bytes : of a training row on a device, with its vectors
    refusal : why K cannot be formed on a device; None where it can
    kernel : of K, where it is formed there; the user's functions are to compile for each GPU
    """

    device: str = "cpu"
    memory: int | None = None
    row_bytes: int = 0
    refusal: str | None = None
    kernel: Kernel | None = None

    def beside(self, costs: Costs) -> int:
        """Bytes of a GPU beside rows of L."""
        return fixed_bytes(costs.layout, costs.bytes_number, self.row_bytes, columns_of(costs.n_rhs))

    def usable(self, costs: Costs, cluster: Cluster, note: Callable[[str], None]) -> dict[str, int]:
        """Bytes of the GPUs that are computed on, by worker.

        Raises `DeviceError` where all workers were to compute on theirs and one cannot, `InputError` for such a K.
        """
        if self.refusal is not None and self.device == "cuda":
            raise InputError(self.refusal)
        usable, lacking = self.seen(costs, cluster)
        if usable and self.refusal is not None:
            note(f"device auto: the workers' CPUs ({self.refusal})")
            return {}
        if lacking and self.device == "cuda":
            address, without = next(iter(lacking.items()))
            raise DeviceError(
                f"device: got cuda, but the worker {address} {without.reason}, expected a GPU on every worker; take "
                "device='auto', by which workers without one compute on their CPUs"
            )
        uncompiled = next((without.reason for without in lacking.values() if without.of_kernel), None)
        if uncompiled is not None:
            note(f"device auto: the CPUs of some workers, one of which {uncompiled}")
        if usable and self.device == "auto":
            note(f"device auto: the GPUs of {len(usable)} of {len(usable) + len(lacking)} workers")
        return usable

    def seen(self, costs: Costs, cluster: Cluster) -> tuple[dict[str, int], dict[str, NoGpu]]:
        """Bytes of the GPUs that may be computed on, by worker, and why that of any other worker may not; nothing where
        none is asked for."""
        usable: dict[str, int] = {}
        lacking: dict[str, NoGpu] = {}
        if self.device == "cpu" or (self.device == "auto" and costs.n < MIN_ROWS):
            return usable, lacking
        needed = self.beside(costs)
        for address, gpu in sorted(cluster.gpus(self.kernel).items()):
            if isinstance(gpu, NoGpu):
                lacking[address] = replace(gpu, reason=f"has no GPU that can be used ({gpu.reason})")
                continue
            free = gpu.free if self.memory is None else min(gpu.free, self.memory)
            if free < needed:
                lacking[address] = NoGpu(
                    f"may take {free:,} bytes of its GPU, where {needed:,} are needed beside L"
                )
            else:
                usable[address] = free
        return usable, lacking


def place_shares(
    costs: Costs,
    cluster: Cluster,
    tier: str,
    seen: bool,
    gpus: dict[str, int],
    beside: int,
    before: Sequence[str] = (),
) -> tuple[Plan, Placement]:
    """The plan, and which worker gets what: the workers `before` where all are there still.

    `gpus` are those of `GpuRequest.usable`, of which `beside` bytes hold no rows of L; `seen`: blocks go to the file of
    a run in any case. Raises `PlanError`, and `ClusterError` where there is no worker.
    """
    states = cluster.workers()
    # The largest first: with shares of equal size it makes no difference, and on a tie the order is always the same.
    largest_first = sorted(states, key=lambda address: (-states[address].memory, address))
    names = tuple(before if before and set(before) <= set(states) else largest_first)
    if not names:
        raise ClusterError(f"scheduler: {cluster.where} has no workers left; start some, and solve again")
    rates = cluster.rates(precision_of(costs.precision).factor, gpus)
    fastest = max(rates.values(), default=1.0)
    rooms = [
        Room(
            states[name].memory,
            states[name].disk,
            states[name].threads,
            rates.get(name, fastest),
            gpus[name] - beside if name in gpus else None,
        )
        for name in names
    ]
    deal = Deal(costs.layout, len(names), parts_of(costs, rooms, tier))
    on_disk = placed(costs, deal, rooms, tier, seen)
    plan = Plan.in_memory(costs, sum(room.memory for room in rooms))
    threads = sum(room.threads for room in rooms)
    rows = min(costs.n, costs.max_rows_at_once)
    plan = replace(plan, tier="cluster", threads=threads, rows_at_once=rows)
    taken = [
        min(gpus[name], slab_bytes(deal, p, costs.bytes_number, beside)) if name in gpus else 0
        for p, name in enumerate(names)
    ]
    return plan, Placement(deal, names, tuple(on_disk), tuple(taken))


def slab_bytes(deal: Deal, share: int, size: int, beside: int) -> int:
    """Bytes of a GPU with which a share lies there whole."""
    return beside + sum(row_bytes(deal, i, size) for i in deal.rows(share))
