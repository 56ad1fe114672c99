"""The CUDA sources compile without a warning, and Python names no entry point that is not there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernelfit.device import cuda_libraries, cuda_sources, launches
from kernelfit.device.epilogue import formulas
from kernelfit.errors import DeviceError

NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
SOURCES = sorted(path.name for path in cuda_sources.sources().glob("*.cu"))


@pytest.mark.skipif(NVCC is None, reason="no nvcc: the CUDA sources cannot be compiled")
@pytest.mark.parametrize("source", SOURCES)
def test_source_compiles_without_warnings_or_spills(tmp_path: Path, source: str) -> None:
    header = tmp_path / "formulas.cuh"
    header.write_text(formulas())
    options = [
        "-include",
        str(header),
        "-std=c++17",
        "-O3",
        "-Werror",
        "all-warnings",
        "-Xptxas",
        "-v,-warn-spills",
    ]
    options += ["-arch=sm_90"]
    command = [NVCC, *options, f"-I{cuda_sources.sources()}", "-cubin", "-o", str(tmp_path / "kernel.cubin")]
    done = subprocess.run([*command, str(cuda_sources.sources() / source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print("\n".join(line for line in done.stderr.splitlines() if "Used" in line or "spill" in line))
    spills = {int(count) for count in re.findall(r"(\d+) bytes spill", done.stdout + done.stderr)}
    assert spills <= {0}


def test_sources_include_nothing_that_nvrtc_lacks() -> None:
    for path in cuda_sources.sources().glob("*.cu*"):
        included = re.findall(r'#include\s+([<"].*[>"])', path.read_text(encoding="utf-8"))
        assert all(name.startswith('"') and name.endswith('.cuh"') for name in included), path.name


def test_every_entry_point_is_launched_by_python_and_the_other_way_round() -> None:
    text = "".join((cuda_sources.sources() / source).read_text(encoding="utf-8") for source in SOURCES)
    in_python = Path(launches.__file__).read_text(encoding="utf-8")
    stems = set(re.findall(r'"((?:[a-z0-9]+_)+[a-z0-9]*)(?:\{|")', in_python))
    for stem in (
        "evaluate_",
        "byte_products_",
        "shape_square_",
        "column_sums_",
        "random_conv_",
        "patch_statistics_",
    ):
        assert stem in stems
        assert stem in text
    for name in ("l1_distances", "absolute_row_sums"):
        assert name in stems
        assert name in text


def test_a_header_that_changes_changes_the_key_of_the_cache(tmp_path: Path) -> None:
    for path in cuda_sources.sources().glob("*.cuh"):
        shutil.copy(path, tmp_path)
    before = cuda_sources.headers_digest(tmp_path)
    assert before == cuda_sources.headers_digest(cuda_sources.sources())
    with open(tmp_path / "gram.cuh", "a", encoding="utf-8") as file:
        file.write("// a comment\n")
    assert cuda_sources.headers_digest(tmp_path) != before


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (RuntimeError("cudaErrorMemoryAllocation: out of memory\nmore"), "fewer rows"),
        (MemoryError("Out of memory allocating 5 bytes"), "fewer rows"),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), "fewer rows"),
        (RuntimeError("CUSOLVER_STATUS_ALLOC_FAILED"), "fewer rows"),
        (
            RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected"),
            "check nvidia-smi, name another",
        ),
        (
            RuntimeError("cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy or unavailable"),
            "check nvidia-smi, name another",
        ),
        (RuntimeError("gram.cu does not compile: Failed to find CUDA headers."), "which bring them"),
        (RuntimeError("cudaErrorIllegalAddress: an illegal memory access"), "may be lost"),
        (RuntimeError("nvrtc: error: failed to compile"), "do not compile"),
    ],
)
def test_errors_of_the_card_become_one_line(error: BaseException, says: str) -> None:
    message = str(cuda_libraries.device_error("cuda:0", error))
    assert message.startswith("device: cuda:0 failed: ")
    assert says in message
    assert "\n" not in message


FRAMED = """
try:
    raise ImportError("libcudart.so.13: cannot open shared object file")
except ImportError as error:
    raise ImportError("\\n=====\\nFailed to import CuPy.\\n=====\\n") from error
"""
OF_ANOTHER_NUMPY = "raise AttributeError('`np.PINF` was removed')"


@pytest.mark.parametrize(
    ("program", "says"),
    [(FRAMED, r"libcudart\.so\.13: cannot open .*"), (OF_ANOTHER_NUMPY, "`np.PINF` was removed")],
)
def test_an_import_that_fails_is_said_by_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, says: str
) -> None:
    """CuPy draws a frame around what it says, of which the first line says nothing."""
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    with pytest.raises(DeviceError, match=rf"cannot be imported \({says}\); install kernelfit\[cuda12\]"):
        cuda_libraries.libraries("cuda:0")
