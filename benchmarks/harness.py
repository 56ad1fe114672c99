"""What every benchmark shares: warm-up, repeats, median and spread, a checked result, and one form of record.

A benchmark is a module whose docstring says what it measures and whose `main(words)` parses, measures and calls
`finish` with the figures and with the faults of the result: figures of a wrong result are no figures.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelfit.cpu import environment
from kernelfit.storage import json_output


@dataclass(frozen=True)
class Timing:
    """Seconds of every repeat, the warm-up left out."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(largest - smallest) / median."""
        return (max(self.seconds) - min(self.seconds)) / self.median

    def describe(self) -> dict[str, Any]:
        return {
            "seconds": self.median,
            "seconds_spread": self.spread,
            "seconds_all": list(self.seconds),
        }


def timed(
    work: Callable[[], object], repeats: int, *, warm_up: int = 1, before: Callable[[], object] | None = None
) -> Timing:
    """Call `work` `warm_up` + `repeats` times; the first calls compile, load and touch pages, and do not count.

    `before` is called before each, outside its time.
    """
    seconds = []
    for _ in range(warm_up + repeats):
        if before is not None:
            before()
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return Timing(tuple(seconds[warm_up:]))


#: seconds after which no thread of OpenBLAS spins any more: for 2^28 ticks after their work they take a core from ours
REST = 0.3
# Seconds of calls in a turn, two calls at least.
_TURN = 0.05


def turn(ours: Callable[[], float | None], other: Callable[[], float | None]) -> tuple[float, float]:
    """Least seconds of calls of ours, then of the other's, after a rest each; a call may tell its own seconds."""
    least = []
    for work in (ours, other):
        time.sleep(REST)
        taken: list[float] = []
        ends = time.perf_counter() + _TURN
        while len(taken) < 2 or time.perf_counter() < ends:
            started = time.perf_counter()
            told = work()
            taken.append(time.perf_counter() - started if told is None else told)
        least.append(min(taken))
    return least[0], least[1]


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser that shows the first line of the benchmark's docstring and takes `--out`."""
    made = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else None)
    made.add_argument("--out", type=Path, help="the JSON file")
    return made


def command(module: str, words: Sequence[str] | None) -> str:
    """The line that runs `module` again; `words` are those given to `main`, None for the process's own."""
    return shlex.join(["python", "-m", module, *(sys.argv[1:] if words is None else words)])


def record(module: str, words: Sequence[str] | None, results: dict[str, Any]) -> dict[str, Any]:
    """The results with the line that reproduces them, versions and hardware."""
    return {
        "benchmark": module.removeprefix("benchmarks.").rpartition(".")[2],
        "command": command(module, words),
        **results,
        "load_average": os.getloadavg(),  # above the number of cores, other work shared the machine
        "environment": environment.describe(),
    }


def finish(
    module: str, words: Sequence[str] | None, out: Path | None, results: dict[str, Any], faults: Sequence[str]
) -> None:
    """Write the record to `out`, and exit with 1 and one line a fault where the result is wrong."""
    if out is not None:
        json_output.write({**record(module, words, results), "faults": list(faults)}, out)
    if faults:
        sys.exit("\n".join(faults))
