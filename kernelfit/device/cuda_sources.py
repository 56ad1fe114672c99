"""The CUDA sources of `cuda_kernels/`, and how one becomes a module of compiled kernels."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from kernelfit.device.cuda_libraries import first_line
from kernelfit.device.epilogue import formulas


def sources() -> Path:
    """The folder of the CUDA sources."""
    return Path(str(files("kernelfit.cuda_kernels")))


def headers_digest(folder: Path) -> str:
    """A number that changes with any header: CuPy's cache of compiled code knows the source and the options only."""
    digest = hashlib.sha256()
    for header in sorted(folder.glob("*.cuh")):
        digest.update(header.read_bytes())
    return str(int(digest.hexdigest()[:15], 16))


def compiled(cupy: Any, source: str, macros: tuple[str, ...]) -> Any:
    """The module of a source with these macros. Raises RuntimeError."""
    folder = sources()
    module = cupy.RawModule(
        code=formulas() + (folder / source).read_text(encoding="utf-8"),
        options=(
            "-std=c++17",
            f"-I{folder}",
            f"-DKERNELFIT_HEADERS={headers_digest(folder)}",
            *(f"-D{macro}" for macro in macros),
        ),
    )
    try:
        module.compile()
    except Exception as error:  # CuPy's CompileException is a bare Exception
        raise RuntimeError(f"{source} does not compile: {first_line(error)}") from None
    return module
