"""The CUDA sources compile without a warning, and Python names no entry point that is not there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kernelfit.device import cuda_libraries, cuda_sources, launches
from kernelfit.device.epilogue import formulas

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
        (RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected"), "check nvidia-smi"),
        (RuntimeError("cudaErrorIllegalAddress: an illegal memory access"), "may be lost"),
        (RuntimeError("nvrtc: error: failed to compile"), "do not compile"),
    ],
)
def test_errors_of_the_card_become_one_line(error: BaseException, says: str) -> None:
    message = str(cuda_libraries.device_error("cuda:0", error))
    assert message.startswith("device: cuda:0 failed: ")
    assert says in message
    assert "\n" not in message
