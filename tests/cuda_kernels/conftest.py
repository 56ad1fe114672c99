"""The CUDA sources compiled as plain C++, so that the very code that runs on a GPU runs here."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.device import launches
from kernelfit.device.epilogue import formulas
from kernelfit.device.launches import Launch
from kernelfit.device.protocol import Block, Slab

SOURCES = Path(__file__).parents[2] / "cuda_kernels"
ENTRY = re.compile(
    r'extern "C" __global__ void\s+__launch_bounds__\([\d, ]+\)\s+(\w+)\s*\(([^)]*)\)', re.DOTALL
)


def formulas_header(folder: Path) -> Path:
    """The formulas of the kernels, as they stand in front of every CUDA source."""
    header = folder / "formulas.cuh"
    header.write_text(formulas())
    return header


def entry_points(header: Path, macros: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Source file -> its entry points, macros written out by the preprocessor of g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++: the CUDA sources cannot be preprocessed")
    found = {}
    for source in sorted(SOURCES.glob("*.cu")):
        command = [compiler, "-x", "c++", "-std=c++17", "-E", "-P", f"-I{SOURCES}"]
        command += [f"-D{macro}" for macro in macros]
        command += ["-include", str(header), str(source)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[source.name] = [match[1] for match in ENTRY.finditer(text)]
    return found


def fields(structure: np.dtype) -> dict[str, int]:
    """Name of every plain field of a structure, dotted where structures are nested -> its offset in bytes."""
    offsets = {}
    for name in structure.names:
        inner, offset = structure.fields[name][:2]
        nested = fields(inner) if inner.names else {"": 0}
        offsets.update({f"{name}.{key}".rstrip("."): offset + extra for key, extra in nested.items()})
    return offsets


class Emulated:
    """Memory that kernels run on: a slab like a device's, and `launch`."""

    def __init__(self, library: ctypes.CDLL, capacity: int = 8_000_000) -> None:
        self._library = library
        self.slab = Slab(capacity, "the emulator")
        self.memory = np.full(capacity // 8, np.nan).view(np.uint8)

    def put(self, array: Any, stride: int | None = None) -> Block:
        """A block with the array in it; `stride` numbers between rows, the gap poisoned."""
        array = np.asarray(array)
        array = array.reshape(len(array), -1)
        block = self.slab.take(*array.shape, array.dtype, stride)
        self.view(block)[...] = array
        return block

    def empty(self, rows: int, columns: int, dtype: Any, stride: int | None = None) -> Block:
        return self.slab.take(rows, columns, dtype, stride)

    def view(self, block: Block) -> np.ndarray:
        lo, hi = block.span
        size = block.dtype.itemsize
        return np.lib.stride_tricks.as_strided(
            self.memory[lo:hi].view(block.dtype), (block.rows, block.columns), (block.stride * size, size)
        )

    def address(self, block: Block) -> int:
        return int(self.memory.ctypes.data) + block.offset

    # What `kernelfit.device.gram.put_rows` asks of a device; everything happens at once.

    def host(self, nbytes: int) -> np.ndarray:
        return np.empty(nbytes, np.uint8)

    def release_host(self, array: np.ndarray) -> None: ...

    def record(self, stream: Any) -> None: ...

    def synchronise(self, event: Any = None) -> None: ...

    def copy_in(self, stream: Any, host: np.ndarray, block: Block) -> None:
        self.view(block)[...] = host.view(block.dtype).reshape(block.rows, block.columns)

    def launch(self, launch: Launch, order: int = 0) -> None:
        values = [np.array(argument) for argument in launch.arguments]
        pointers = (ctypes.c_void_p * len(values))(*[value.ctypes.data for value in values])
        shape = (ctypes.c_uint * 6)(*launch.grid, *launch.block)
        expected = getattr(self._library, f"arity_{launch.entry}")()
        assert len(values) == expected, f"{launch.entry} takes {expected} arguments, not {len(values)}"
        assert all(value.dtype.itemsize == 8 or value.dtype.names for value in values)
        fault = getattr(self._library, f"launch_{launch.entry}")(shape, pointers, order)
        assert fault is None, f"{launch.entry}: {fault.decode()}"

    def bank_conflicts(self) -> int:
        """Rows of 16 bytes that `load_matrices` read from banks of another row of the same eight, so far."""
        return ctypes.c_longlong.in_dll(self._library, "bank_conflicts").value


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("emulated")
    entries = entry_points(formulas_header(folder))
    lines = ['#include "emulator.hpp"', '#include "formulas.cuh"']
    for source, names in entries.items():
        lines.append(f'#include "{source}"')
        for name in names:
            lines.append(
                f'extern "C" const char* launch_{name}(const unsigned* shape, void** arguments, int order) '
                f"{{ return emulator::launch(&{name}, shape, arguments, order); }}\n"
                f'extern "C" int arity_{name}() {{ return emulator::arity(&{name}); }}'
            )
    lines.append('extern "C" long long sizeof_tile() { return sizeof(kernelfit::TileArguments); }')
    for name in fields(launches.TILE):
        lines.append(
            f'extern "C" long long offset_{name.replace(".", "_")}() '
            f"{{ return __builtin_offsetof(kernelfit::TileArguments, {name}); }}"
        )
    (folder / "emulated.cpp").write_text("\n".join(lines))
    target = folder / "emulated.so"
    command = ["g++", "-std=c++17", "-O2", "-Wno-unknown-pragmas", "-fno-strict-aliasing", "-shared", "-fPIC"]
    command += [f"-I{Path(__file__).parent}", f"-I{SOURCES}", str(folder / "emulated.cpp"), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    loaded = ctypes.CDLL(str(target))
    for names in entries.values():
        for name in names:
            getattr(loaded, f"launch_{name}").restype = ctypes.c_char_p
    return loaded


@pytest.fixture
def entries_with(tmp_path: Path) -> Callable[[tuple[str, ...]], dict[str, list[str]]]:
    """Source file -> the entry points that are left with these macros."""
    return lambda macros: entry_points(formulas_header(tmp_path), macros)


@pytest.fixture
def structure_fields() -> dict[str, int]:
    """Dotted field -> offset of `launches.TILE`."""
    return fields(launches.TILE)


@pytest.fixture
def emulated(library: ctypes.CDLL) -> Callable[[], Emulated]:
    return lambda: Emulated(library)
