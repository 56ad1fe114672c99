"""How a run uses the machine. None of this changes what is computed, only its speed and rounding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from kernelfit.arguments import integer, non_negative
from kernelfit.cpu import freed_blocks
from kernelfit.deep.options import PRECISIONS
from kernelfit.errors import DeviceError, DeviceFullError, InputError

BF16_UNITS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # in torch's names of a processor's capabilities


@dataclass(frozen=True)
class Hardware:
    """Device and speed switches.

    device             "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1"
    precision          "auto": bf16 autocast with float32 master weights on CUDA, float32 on the CPU. bf16 on the CPU is
                       faster where the processor has it (AVX-512 BF16, AMX) and emulated elsewhere; tf32 needs CUDA
    compile, graph     torch.compile; one CUDA graph per full step. CUDA only
    checkpoint_seconds seconds between checkpoints inside an epoch (the end of training is always written)
    evaluate_every     epochs between evaluations on the training and test set
    evaluation_rows    rows per forward pass in evaluations
    tensorboard        also write TensorBoard scalars
    workers            loader processes for image folders
    """

    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    graph: bool = False
    checkpoint_seconds: float = 60.0
    evaluate_every: int = 1
    evaluation_rows: int = 1000
    tensorboard: bool = False
    workers: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InputError(f"precision: got {self.precision!r}, expected one of {', '.join(PRECISIONS)}")
        for name, minimum in (("evaluate_every", 1), ("evaluation_rows", 1), ("workers", 0)):
            integer(name, getattr(self, name), minimum)
        non_negative("checkpoint_seconds", self.checkpoint_seconds)

    def use_threads(self, count: int | None) -> None:
        """Have torch use `count` CPU threads in this process; None leaves the number as it is."""
        if count is not None:
            torch.set_num_threads(count)

    @property
    def threads(self) -> int:
        """CPU threads of torch."""
        return torch.get_num_threads()

    def resolve(self) -> torch.device:
        """The torch device; DeviceError where CUDA is asked for and missing."""
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            device: torch.device | None = torch.device(name)
        except RuntimeError:
            device = None
        if device is None or device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index):
            raise InputError(f"device: got {self.device!r}, expected auto, cpu or cuda[:i]")
        if (
            device.type == "cuda"
            and device.index is not None
            and device.index >= torch.cuda.device_count() > 0
        ):
            raise DeviceError(
                f"device: got {self.device}, expected one of {torch.cuda.device_count()} CUDA devices"
            )
        if device.type == "cuda" and not torch.cuda.is_available():
            raise DeviceError(f"device: {self.device} was asked for, but torch sees no CUDA device; use cpu")
        if device.type == "cpu" and (self.compile or self.graph):
            raise InputError("compile, graph: these need a CUDA device; switch them off on the CPU")
        if device.type == "cpu" and self.precision == "tf32":
            raise InputError("precision: tf32 needs a CUDA device; use float32 or bf16 on the CPU")
        return device

    @contextlib.contextmanager
    def session(self, device: torch.device) -> Iterator[None]:
        """Within the block torch computes as this system says; generators and settings of the process are put
        back afterwards, but for the C library's thresholds of large blocks (`kernelfit.cpu.freed_blocks`), on the
        CPU. Trainings that take turns share one block.
        """
        before = torch.get_float32_matmul_precision()
        convolutions, search = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
        cuda = device.type == "cuda"
        memory = contextlib.nullcontext() if cuda else freed_blocks.kept()
        with memory, torch.random.fork_rng(devices=[device] if cuda else []):
            if cuda:
                torch.set_float32_matmul_precision("highest" if self.precision == "float32" else "high")
                torch.backends.cudnn.allow_tf32 = self.precision != "float32"
                torch.backends.cudnn.benchmark = True  # shapes never change
            try:
                yield
            except torch.cuda.OutOfMemoryError as error:
                reason = ". ".join(" ".join(str(error).split()).split(". ")[:2])
                raise DeviceFullError(
                    f"device: {device} has no memory left ({reason}); take fewer runs at once, smaller stacks or a "
                    "smaller batch"
                ) from None
            finally:
                torch.set_float32_matmul_precision(before)
                torch.backends.cudnn.allow_tf32 = convolutions
                torch.backends.cudnn.benchmark = search

    def resolved_precision(self, device: torch.device) -> str:
        """What "auto" means on `device`: bf16 on CUDA, float32 on the CPU."""
        if self.precision != "auto":
            return self.precision
        return "bf16" if device.type == "cuda" else "float32"

    def caution(self, device: torch.device) -> str | None:
        """A line for the user where the precision is slow on this device; None where it is not."""
        if device.type != "cpu" or self.precision != "bf16":
            return None
        capabilities = getattr(torch.cpu, "get_capabilities", None)  # newer torch only
        if capabilities is None:
            return None
        has = capabilities()
        if any(has.get(name, False) for name in BF16_UNITS):
            return None
        return "precision: this processor has no bf16 instructions, which are emulated; float32 is faster"

    def autocast(self, device: torch.device) -> Any:
        """bf16 autocast where the precision says so; float32 otherwise."""
        half = self.resolved_precision(device) == "bf16"
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half)
