"""What the compiler makes of every kernel, without a GPU: registers, shared memory, spills, and the hot loop.

    python -m benchmarks.gpu.instructions --nvdisasm PATH

prints a table for docs/gpu.md. nvcc is found as CI finds it; nvdisasm comes with CUDA, or in Triton's wheel. The hot
loop is the one with the largest share of multiplications.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from kernelfit.device.cuda_sources import sources
from kernelfit.device.epilogue import formulas

ARCHITECTURES = ("80", "90", "100")
# What feeds multiplications, and what multiplies: names of machine instructions, by their beginnings.
_LOADS = ("LDGSTS", "LDSM", "LDS", "LDG", "LDL")
_PRODUCTS = ("IMMA", "IDP", "FFMA", "DFMA", "DADD")
_INSTRUCTION = re.compile(r"/\*([0-9a-f]+)\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)(.*)")


def loops(text: str) -> list[list[str]]:
    """The instructions of every loop of a disassembled kernel: from a label to a jump back."""
    labels: dict[str, int] = {}
    names: list[str] = []
    spans: list[tuple[int, int]] = []
    for line in text.splitlines():
        if label := re.match(r"(\.L_\w+):", line):
            labels[label[1]] = len(names)
        elif instruction := _INSTRUCTION.search(line):
            names.append(instruction[2].rstrip("."))
            target = re.search(r"`\((\.L_\w+)\)", instruction[3])
            if instruction[2].startswith("BRA") and target and target[1] in labels:
                spans.append((labels[target[1]], len(names)))
    return [names[a:b] for a, b in spans]


def hot_loop(text: str) -> str:
    """Of the loop with the largest share of multiplications: instructions, then loads and multiplications by name."""

    def share(names: list[str]) -> float:
        return sum(name.startswith(_PRODUCTS) for name in names) / max(len(names), 1)

    counts = Counter(max(loops(text), key=share, default=[]))
    named = [f"{n} {name}" for name, n in sorted(counts.items()) if name.startswith(_LOADS + _PRODUCTS)]
    return f"{sum(counts.values())}: {', '.join(named)}" if counts else "-"


def rows(source: Path, architecture: str, nvcc: str, nvdisasm: str, folder: Path) -> list[list[str]]:
    """Kernel, architecture, registers, shared bytes, spilled bytes and hot loop of every kernel of a source."""
    header, binary = folder / "formulas.cuh", folder / "kernel.cubin"
    header.write_text(formulas())
    command = [nvcc, "-std=c++17", "-O3", "-Xptxas", "-v", f"-I{source.parent}", "-include", str(header)]
    command += [f"-arch=sm_{architecture}", "-cubin", "-o", str(binary), str(source)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    text = subprocess.run([nvdisasm, "-c", str(binary)], check=True, capture_output=True, text=True).stdout
    bodies = dict(re.findall(r"\.section\s+\.text\.(\w+),.*?\n(.*?)(?=\.section\s|\Z)", text, re.DOTALL))
    entries = re.findall(
        r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers([^\n]*)",
        said,
        re.DOTALL,
    )
    table = []
    for name, spilled, registers, rest in sorted(entries):
        shared = re.search(r"(\d+) bytes smem", rest)
        used = [registers, shared[1] if shared else "0", spilled]
        table.append([f"`{name}`", f"sm_{architecture}", *used, hot_loop(bodies[name])])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nvcc", default=shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc")
    parser.add_argument("--nvdisasm", default=shutil.which("nvdisasm") or "/usr/local/cuda/bin/nvdisasm")
    parser.add_argument(
        "--sources", type=Path, default=sources(), help="a folder of CUDA sources; these by default"
    )
    given = parser.parse_args()
    print(
        "| kernel | for | registers | shared | spilled | hot loop: instructions, loads and multiplications |"
    )
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted(given.sources.glob("*.cu")):
            for architecture in ARCHITECTURES:
                for row in rows(source, architecture, given.nvcc, given.nvdisasm, Path(folder)):
                    print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
