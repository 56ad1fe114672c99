"""CuPy and the CUDA libraries below it: how they are found, what a GPU says of itself, and what their errors mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kernelfit.errors import DeviceError

# What errors of too little memory, and of no GPU that may be used, are called; `alloc_failed` by cuBLAS and cuSOLVER.
_MEMORY = ("memoryallocation", "out of memory", "alloc_failed")
_NO_DEVICE = ("nodevice", "insufficientdriver", "invaliddevice", "devicesunavailable")


def libraries(name: str) -> tuple[Any, Any, Any, Any]:
    """CuPy, and its modules of the CUDA runtime, of cuBLAS and of cuSOLVER. Raises `DeviceError`."""
    try:
        import cupy
        from cupy_backends.cuda.api import runtime

        # By `from`, which finds and loads the CUDA library first; importing the submodule by name would not.
        from cupy_backends.cuda.libs import cublas, cusolver
    except Exception as error:  # of another NumPy than it was made for CuPy says so by any class of errors
        # CuPy draws a frame around what it says of its own import, and has the reason as the cause.
        raise DeviceError(
            f"device: {name} needs CuPy and CUDA's libraries, which cannot be imported "
            f"({first_line(error.__cause__ or error)}); install kernelfit[cuda12] or kernelfit[cuda13], or use "
            "device='cpu'"
        ) from None
    return cupy, runtime, cublas, cusolver


def gpu_memory(index: int) -> tuple[str, int]:
    """What tells GPU `index` from others of this machine, its address on the bus, and its free bytes.

    Nothing is taken of it but the driver's own. Raises `DeviceError`.
    """
    name = f"cuda:{index}"
    _, runtime, _, _ = libraries(name)
    try:
        runtime.setDevice(index)
        return str(runtime.deviceGetPCIBusId(index)), int(runtime.memGetInfo()[0])
    except (RuntimeError, MemoryError) as error:
        raise device_error(name, error) from None


def device_error(name: str, error: BaseException) -> DeviceError:
    """One line that says what the GPU or its libraries said, and what helps."""
    text = first_line(error)
    lowered = text.lower()
    if isinstance(error, MemoryError) or any(word in lowered for word in _MEMORY):
        remedy = "give fewer rows or narrower panels, or end what else runs on the GPU"
    elif any(word in lowered for word in _NO_DEVICE):
        remedy = "check nvidia-smi, name another GPU, or use device='cpu'"
    elif "cuda headers" in lowered:
        remedy = "install kernelfit[cuda12] or kernelfit[cuda13], which bring them"
    elif "compil" in lowered or "nvrtc" in lowered:
        remedy = "the CUDA sources do not compile with this CUDA; update cupy or report it"
    else:
        remedy = "the GPU may be lost: check nvidia-smi; a run that is stored can be resumed"
    return DeviceError(f"device: {name} failed: {text}; {remedy}")


def first_line(error: BaseException) -> str:
    """What the error says, in one line, or its name."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def quietly(call: Callable[..., Any], *arguments: Any) -> None:
    """For closing: the GPU may be gone already."""
    try:
        call(*arguments)
    except Exception:
        return


def quiet(kind: Any) -> Any:
    """CuPy's class of streams or of events, for a GPU that may be lost when one of them goes: what CuPy raises then
    nobody can catch, and Python prints it for each."""

    class Quiet(kind):
        def __del__(self) -> None:
            quietly(super().__del__)

    return Quiet
