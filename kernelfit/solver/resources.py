"""What a solve may use of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import get_args

from kernelfit.arguments import bytes_of, choice, integer, path_of
from kernelfit.cluster.connect import Engine
from kernelfit.cpu.memory import available_memory
from kernelfit.device.choose import check_device
from kernelfit.device.protocol import Device
from kernelfit.frozen import frozen
from kernelfit.gram.plan import Plan
from kernelfit.progress import Notes
from kernelfit.typing import Tier


@frozen
class Resources:
    """Memory, disk, threads and devices, as given to `kernelfit.solve`.

    Attributes
    ----------
    memory : bytes to stay within; None: what is available
    tier : "ram", "disk" or "auto"
    scratch : folder for panels of the disk tier; None: that of `scratch_folder`
    threads : None: as many as `kernelfit.cpu.threads.available_threads` allows
    device : "cpu", "auto", "cuda", ... or open devices
    device_memory : bytes of a device to stay within; None: what is free
    panel_width : columns of a panel; None: chosen by n
    engine : this process, or the workers of a cluster
    """

    memory: int | None = None
    tier: Tier = "auto"
    scratch: Path | None = None
    threads: int | None = None
    device: str | Device | Sequence[Device] = "auto"
    device_memory: int | None = None
    panel_width: int | None = None
    engine: Engine = field(default_factory=Engine)

    @classmethod
    def of(
        cls,
        *,
        memory: int | str | None = None,
        tier: Tier = "auto",
        scratch: str | Path | None = None,
        threads: int | None = None,
        device: str | Device | Sequence[Device] = "auto",
        device_memory: int | str | None = None,
        panel_width: int | None = None,
        engine: Engine | None = None,
    ) -> Resources:
        """The same from what users write: sizes as text, folders as text; raises `InputError`."""
        check_device(device)
        return cls(
            memory=bytes_of(memory),
            tier=choice("tier", tier, get_args(Tier)),  # type: ignore[arg-type]
            scratch=None if scratch is None else path_of("scratch", scratch),
            threads=threads,
            device=device,
            device_memory=bytes_of(device_memory, "device_memory"),
            panel_width=None if panel_width is None else integer("panel_width", panel_width, 1),
            engine=engine or Engine(),
        )

    @property
    def memory_limit(self) -> int:
        """Bytes to stay within: those given, or what is available now."""
        return available_memory() if self.memory is None else self.memory


def remark_scratch(resources: Resources, why: str, notes: Notes) -> None:
    """Say so where a folder was named for panels that do not go there."""
    if resources.scratch is not None:
        notes.add(f"scratch: holds no panels, as {why}")


def memory_here(plan: Plan) -> int:
    """Bytes that a plan which was made elsewhere may take: those available now, and those of the rows, which it counts
    and which are there already."""
    return available_memory() + plan.bytes_points
