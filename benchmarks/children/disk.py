"""One solve of MNIST with its factor in memory, on disk, or on disk with a journal; or a run that is continued.

Run by `benchmarks.disk` and `benchmarks.fuzz.kills`. Prints one JSON object on the last line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import mmap
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kernelfit.experiments.experiment import Experiment
from kernelfit.progress import Silent
from kernelfit.storage import write_behind
from kernelfit.storage.journal import Journal
from kernelfit.storage.panel_file import PanelFile


class Meter(Silent):
    """Writes the flops of the factor done so far in a file, which the death of this process leaves as it is."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        path.write_bytes(struct.pack("d", 0.0))
        self._lock, self._done = threading.Lock(), 0.0
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    @contextmanager
    def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Callable[[float], None]]:
        def advance(amount: float) -> None:
            if name == "factor":
                with self._lock:  # several threads report at once
                    self._done += amount
                    struct.pack_into("d", self._map, 0, self._done)

        yield advance


class Spent:
    """Seconds that everything which only a journal needs has taken: by the clock, and of a core."""

    def __init__(self) -> None:
        self.clock = self.core = 0.0
        for owner, name in (
            (Journal, "append"),
            (Journal, "sync"),
            (PanelFile, "sync"),
            (write_behind, "checksum"),
        ):
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            clock, core = time.perf_counter(), time.thread_time()
            try:
                return call(*arguments)
            finally:
                self.clock += time.perf_counter() - clock
                self.core += time.thread_time() - core

        return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--gamma", type=float, required=True)
    parser.add_argument("--where", choices=("ram", "disk", "journal", "resume"), required=True)
    parser.add_argument("--memory")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument(
        "--run", type=Path, help="store the run of `journal` here; or resume the one that is here"
    )
    arguments = parser.parse_args()
    spent = Spent()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run = arguments.run or Path(folder) / "run"
        meter = Meter(run.with_suffix(".flops"))
        started = time.perf_counter()
        if arguments.where == "resume":
            result = Experiment.resume(run, progress=meter)
        else:
            stored = run if arguments.where == "journal" else None
            result = experiment(arguments, Path(folder)).run(stored, progress=meter)
        total = time.perf_counter() - started
    solution, taken = result.solution, result.record
    plan = solution.plan
    record = {
        "alpha": hashlib.blake2b(solution.alpha.tobytes(), digest_size=16).hexdigest(),
        "backward_error": taken["backward_error"],
        "seconds": {**taken["seconds"], "total": total},
        "factor_flops_per_second": plan.flops_factor
        / (taken["seconds"]["factor"] + taken["seconds"]["gram"]),
        "journal_seconds": {"clock": spent.clock, "core": spent.core},
        "threads": plan.threads,
        "panels": plan.panels,
        "peak_rss_bytes": taken["peak_rss_bytes"],
        "planned_bytes": plan.bytes_memory,
        "traffic": solution.traffic,
        "planned_traffic": {
            "factor_read": plan.bytes_read,
            "factor_written": plan.bytes_written,
            "solve_read": plan.bytes_read_solve,
        },
    }
    sys.stdout.write(json.dumps(record) + "\n")


def experiment(arguments: argparse.Namespace, scratch: Path) -> Experiment:
    """MNIST and one test row: what is measured is the solve."""
    in_memory = arguments.where == "ram"
    return Experiment(
        "mnist",
        n_train=arguments.n,
        n_test=1,
        kernel="gaussian",
        gamma=arguments.gamma,
        tier="ram" if in_memory else "disk",
        memory=None if in_memory else arguments.memory,
        scratch=scratch,
    )


if __name__ == "__main__":
    main()
