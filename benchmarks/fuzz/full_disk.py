"""Every writer with the disk ending at every step of its range: a right file, or one line and what was there before.

    python -m benchmarks run full-disk --out benchmarks/results/full_disk.json

Needs the right to mount a tmpfs. For each writer and each amount of free space, from none on in steps until the write
succeeds, a process of its own writes, gets room again, looks at what is there and exits as any process does. Counted
are right files, refusals of one line that leave what was there, wrong files, lost panels, and crashes, at exit too.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.fuzz.writers import WRITERS, Writer, warm_up
from kernelfit.errors import KernelfitError

STEP = 4096
DISK = 2**26
BALLAST = ".ballast"
#: what only some writers load: torch, scikit-learn, matplotlib
LIBRARIES = (
    "kernelfit.deep.training.checkpoint",
    "kernelfit.estimators",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)
#: faults after which a writer is given up
_ENOUGH = 20


@dataclass
class Sweep:
    """What came of one writer."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    needed: int = 0
    seconds: float = 0.0


@contextmanager
def small_disk(size: int = DISK) -> Iterator[Path]:
    """An empty file system of `size` bytes. Raises `PermissionError` where none may be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="kernelfit-full-disk-"))
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            raise PermissionError(mounted.stderr.decode(errors="replace").strip())
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()


def fill(disk: Path, free: int) -> None:
    """Leave `free` bytes."""
    stat = os.statvfs(disk)
    descriptor = os.open(disk / BALLAST, os.O_WRONLY | os.O_CREAT)
    try:
        if (taken := stat.f_bavail * stat.f_frsize - free) > 0:
            os.posix_fallocate(descriptor, 0, taken)
    finally:
        os.close(descriptor)


class Zygote:
    """A process that has imported everything and forks another for every task.

    What it forks does the task and returns from `main`, so that it exits as any interpreter does and what libraries do
    at exit is done. `libraries` are those beside kernelfit's own.
    """

    def __init__(self, libraries: Sequence[str] = LIBRARIES) -> None:
        self._libraries = ",".join(libraries)

    def __enter__(self) -> Zygote:
        command = [sys.executable, "-m", "benchmarks.fuzz.full_disk", "--zygote", self._libraries]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def do(self, writer: str, folder: Path, free: int | None) -> tuple[int, list[str]]:
        """How the process ended, as `os.waitstatus_to_exitcode` says, and the outcome with faults, a line each."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory(prefix="kernelfit-full-disk-") as scratch:
            answer = Path(scratch) / "answer"
            self._process.stdin.write(json.dumps([writer, str(folder), free, str(answer)]) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            return code, answer.read_text(errors="replace").splitlines() if answer.exists() else []


def serve(libraries: Sequence[str]) -> None:
    """The zygote: a task a line on standard input, an exit code a line on standard output."""
    for module in libraries:
        with suppress(ImportError):
            importlib.import_module(module)
    warm_up()
    while task := sys.stdin.readline():
        writer, folder, free, answer = json.loads(task)
        child = os.fork()
        if child == 0:
            return work(writer, Path(folder), free, answer)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def work(writer: str, folder: Path, free: int | None, answer: str) -> None:
    """The forked process: the outcome goes to the file `answer`, and so does what libraries complain of."""
    descriptor = os.open(answer, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 2)
    os.dup2(descriptor, 1)
    try:
        print("\n".join(one_step(WRITERS[writer], folder, free)), flush=True)
    except BaseException:
        traceback.print_exc()


def one_step(writer: Writer, disk: Path, free: int | None) -> list[str]:
    """Write with `free` bytes left, then look at it with room; the outcome, and faults.

    With None make what is there before.
    """
    if free is None:
        writer.before(disk)
        return ["made"]
    folder = disk / "folder"
    fill(disk, free)
    refused = None
    try:
        writer.write(folder)
    except KernelfitError as error:
        refused = str(error)
    (disk / BALLAST).unlink()
    faults = writer.faults(folder, refused)
    if refused is not None and "\n" in refused:
        faults.append(f"more than one line: {refused!r}")
    return ["right" if refused is None else "refused", *faults]


def sweep(name: str, zygote: Zygote, step: int = STEP, beyond: int = 3) -> Sweep:
    """Every amount of free space until the write succeeds `beyond` times in a row."""
    sweep, started, succeeded, free = Sweep(), time.perf_counter(), 0, 0
    with small_disk() as disk, tempfile.TemporaryDirectory() as template:
        made = zygote.do(name, Path(template), None)
        if made != (0, ["made"]):
            raise RuntimeError(f"{name}: what is there before could not be made: {made}")
        while succeeded < beyond and free < DISK // 2 and len(sweep.faults) < _ENOUGH:
            for path in disk.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(template, disk / "folder")
            code, lines = zygote.do(name, disk, free)
            outcome, *faults = lines or ["nothing"]
            if code or outcome not in ("right", "refused"):
                faults = [f"crash: exit {code}, {' | '.join(lines)[-2000:]}"]
            count(sweep, outcome, faults, free)
            succeeded = succeeded + 1 if outcome == "right" else 0
            sweep.needed = free
            free += step
    sweep.seconds = time.perf_counter() - started
    return sweep


def count(found: Sweep, outcome: str, faults: list[str], free: int) -> None:
    """One outcome a step: the worst that was seen."""
    found.faults += [f"{free} bytes free: {fault}" for fault in faults]
    kinds = [name for name in ("crash", "lost panels") if any(fault.startswith(name) for fault in faults)]
    found.outcomes[kinds[0] if kinds else "wrong" if faults else outcome] += 1


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--writer", action="append", choices=list(WRITERS), help="this one alone; repeatable")
    parser.add_argument("--step", type=int, default=STEP, help="bytes")
    parser.add_argument("--zygote", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.zygote is not None:
        serve(options.zygote.split(",") if options.zygote else ())
        return
    results: dict[str, Any] = {}
    faults: list[str] = []
    for name in options.writer or WRITERS:
        with Zygote() as zygote:
            found = sweep(name, zygote, options.step)
        steps = sum(found.outcomes.values())
        line = ", ".join(f"{number} {outcome}" for outcome, number in sorted(found.outcomes.items()))
        print(
            f"{name:>22}  {steps:5} steps to {found.needed:>9,} bytes: {line}; {found.seconds:.0f} s",
            flush=True,
        )
        results[name] = {**found.outcomes, "steps": steps, "bytes": found.needed, "seconds": found.seconds}
        faults += [f"{name}: {fault}" for fault in found.faults]
    harness.finish(
        "benchmarks.fuzz.full_disk", words, options.out, {"step": options.step, "writers": results}, faults
    )


if __name__ == "__main__":
    main()
