"""A run on disk that is killed with -9 again and again, beside one that is left alone; and what the journal costs.

    python -m benchmarks.fuzz.kills --n 20000 --kills 10 --out benchmarks/results/kills.json

MNIST pixels / 255, gaussian kernel, one-hot targets. Kill i comes while a panel of the i-th part of the factor is
being made, at a moment drawn by the seed; then the run is resumed. `lost` is the arithmetic done for panels that the
next process has to make again, in panels: at most one. What the journal costs is measured twice: the core's time that
checksums, records and syncs took within the undisturbed run, and the difference to a run without one.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kernelfit
from benchmarks import harness
from benchmarks.children import isolated
from kernelfit.gram.layout import PanelLayout
from kernelfit.linalg.cholesky import panel_flops
from kernelfit.runs import run_file
from kernelfit.runs.folder import JOURNAL, RUN, SOLUTION
from kernelfit.storage import journal

GAMMA = 0.02


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=1, help="undisturbed runs with and without a journal")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to measure"
    )
    options = parser.parse_args(words)
    common = {"n": options.n, "gamma": GAMMA, "memory": options.memory, "folder": options.folder}
    undisturbed: dict[str, list[dict[str, Any]]] = {"disk": [], "journal": []}
    for where in tuple(undisturbed) * options.repeats:
        undisturbed[where].append(_require(isolated.run("benchmarks.children.disk", where=where, **common)))
    whole = undisturbed["journal"]
    panels = whole[0]["panels"]
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        kills, last = kill_and_resume(options, Path(scratch) / "run", panels)
    seconds = {name: statistics.median(map(_factoring, runs)) for name, runs in undisturbed.items()}
    cores = [run["journal_seconds"]["core"] / (run["threads"] * run["seconds"]["total"]) for run in whole]
    results = {
        "n": options.n,
        "memory": options.memory,
        "panels": panels,
        "kills": kills,
        "max_panels_lost": max((kill["panels_lost"] for kill in kills), default=0),
        "same_alpha": len({run["alpha"] for run in (last, *whole, *undisturbed["disk"])}) == 1,
        "journal_share_of_cores": statistics.median(cores),
        "journal_cost_of_factor": seconds["journal"] / seconds["disk"] - 1.0,
        "undisturbed": undisturbed,
        "last": last,
    }
    for name in ("max_panels_lost", "same_alpha", "journal_share_of_cores", "journal_cost_of_factor"):
        print(f"{name:>23} {results[name]}")
    faults = [] if results["same_alpha"] else ["the answers differ"]
    if results["max_panels_lost"] > 1:
        faults.append(f"{results['max_panels_lost']:.2f} panels lost by one kill, expected at most 1")
    harness.finish("benchmarks.fuzz.kills", words, options.out, results, faults)


def kill_and_resume(
    options: argparse.Namespace, folder: Path, panels: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What was lost at each kill, and the run that came to its end."""
    rng = random.Random(options.seed)
    kills: list[dict[str, Any]] = []
    print(f"{'kill':>5} {'recorded':>9} {'sound':>12} {'lost':>6}")
    for index in range(options.kills):
        # One kill in each part of the factor, so that panels of every height are met.
        target = int((index + rng.random()) * panels / options.kills)
        folder.with_suffix(".flops").unlink(missing_ok=True)
        process = subprocess.Popen(_command(options, folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _wait_for(folder, target, process)
        # Within the panel, and sometimes at the moment at which it is recorded.
        time.sleep(rng.random() * _seconds_of_last_panel(folder))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"kill {index}: the run had ended with code {process.returncode}")
        (done,) = struct.unpack("d", folder.with_suffix(".flops").read_bytes())
        recorded = len(journal.read(folder / JOURNAL).panels)
        layout, sound = verified(folder)
        sound_flops = sum(panel_flops(layout, j) for j in range(sound))
        lost = max(0.0, done - sound_flops) / panel_flops(layout, sound) if sound < layout.count else 0.0
        kills.append({"waited_for": target, "recorded": recorded, "sound": sound, "panels_lost": lost})
        print(f"{index:>5} {recorded:>9} {sound:>12} {lost:>6.2f}", flush=True)
    last = isolated.run("benchmarks.children.disk", where="resume", run=folder, **_common(options))
    if not (folder / SOLUTION).exists():
        raise SystemExit(f"the run did not end: {last.get('failed')}")
    shutil.rmtree(folder)
    return kills, _require(last)


def verified(folder: Path) -> tuple[PanelLayout, int]:
    """How the run is cut into panels, and how many of them match their checksums."""
    report = kernelfit.check(folder)
    if report.problems:
        raise SystemExit(f"after a kill: {report.problems[0]}")
    plan = run_file.read(folder / RUN, lambda record: record.plan)
    return plan.layout, report.panels_verified


def _common(options: argparse.Namespace) -> dict[str, Any]:
    return {"n": options.n, "gamma": GAMMA, "memory": options.memory, "folder": options.folder}


def _command(options: argparse.Namespace, folder: Path) -> list[str]:
    where = "resume" if (folder / RUN).exists() else "journal"
    words = [sys.executable, "-m", "benchmarks.children.disk", "--where", where, "--run", str(folder)]
    for name, value in _common(options).items():
        words += [f"--{name}", str(value)]
    return words


def _wait_for(folder: Path, panels: int, process: subprocess.Popen[bytes]) -> None:
    """Return once that many panels are recorded and the run has begun to make the next."""
    flops = folder.with_suffix(".flops")
    while process.poll() is None:
        recorded = len(journal.read(folder / JOURNAL).panels)
        if recorded >= panels and flops.exists() and (recorded == 0 or any(flops.read_bytes())):
            return
        time.sleep(0.002)
    raise SystemExit(f"the run ended with code {process.returncode} before {panels} panels were recorded")


def _seconds_of_last_panel(folder: Path) -> float:
    records = journal.read(folder / JOURNAL).panels
    return sum(records[-1].seconds) if records else 0.1


def _factoring(run: dict[str, Any]) -> float:
    return float(run["seconds"]["gram"] + run["seconds"]["factor"])


def _require(result: dict[str, Any]) -> dict[str, Any]:
    if "failed" in result:
        raise SystemExit(result["failed"])
    return result


if __name__ == "__main__":
    main()
