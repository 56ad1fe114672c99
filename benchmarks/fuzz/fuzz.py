"""Damaged inputs for every reader and the command line: no traceback, no hang, no runaway memory, no code that runs.

    python -m benchmarks.fuzz --inputs 10000 --out benchmarks/results/fuzz.json

Every target is read in a process of its own under a limit on memory and, for each input, on time. Inputs follow from
the seed alone: `--targets NAME --first INDEX --inputs 1` meets one again. The exit code is 1 where something is wrong.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.fuzz.targets import targets
from kernelfit.storage import json_output

#: outcomes that an input may have
SOUND = ("accepted", "refused")
# Bytes beyond what the process holds when it begins. Inputs have some kilobytes; a pool of threads takes room as well.
HEADROOM = 768 << 20
# Seconds for imports, and for making the valid files.
_START = 300.0


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--inputs", type=int, default=1_000, help="for each target")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--targets", help="names, separated by semicolons; else all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for one input")
    options = parser.parse_args(words)
    known = list(targets())
    chosen = options.targets.split(";") if options.targets else known
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"--targets: {', '.join(unknown)} not known, expected some of {'; '.join(known)}")
    # What the file holds of other targets stays; with --first, this piece is added to its target.
    rows: dict[str, dict[str, Any]] = {}
    if options.out and options.out.exists():
        rows = json.loads(options.out.read_text())["targets"]
    print(
        f"{'target':>22} {'inputs':>7} {'accepted':>9} {'refused':>8} {'wrong':>6} {'slowest s':>10} {'memory MB':>10}"
    )
    bad = 0
    for name in chosen:
        new = fuzz(name, options.first, options.first + options.inputs, options.seed, options.limit)
        show(name, new)
        bad += len(new["wrong"])
        rows[name] = joined(rows[name], new) if options.first and name in rows else new
        if options.out:
            results = {
                "seed": options.seed,
                "seconds_allowed": options.limit,
                "memory_allowed_bytes": HEADROOM,
                "targets": {key: rows[key] for key in known if key in rows},
            }
            json_output.write(harness.record("benchmarks.fuzz", words, results), options.out)
    sys.exit(1 if bad else 0)


def fuzz(name: str, first: int, stop: int, seed: int, limit: float) -> dict[str, Any]:
    """What came of inputs first:stop of one target; after a hang or a death the next input meets a new process."""
    started = time.perf_counter()
    outcomes: Counter[str] = Counter()
    wrong: list[dict[str, Any]] = []
    slowest, grown = 0.0, 0
    index = first
    while index < stop:
        reached, lines, death = _process(name, index, stop, seed, limit)
        for record in lines:
            outcomes[record["outcome"]] += 1
            slowest, grown = max(slowest, record["seconds"]), max(grown, record["grown"])
            if record["outcome"] not in SOUND:
                wrong.append({key: record[key] for key in ("index", "outcome", "wrong")})
        index = reached
        if death is not None:
            outcomes[death] += 1
            wrong.append({"index": index, "outcome": death, "wrong": None})
            index += 1
    return {
        "inputs": stop - first,
        "outcomes": dict(outcomes),
        "wrong": wrong,
        "slowest_seconds": slowest,
        "memory_grown_bytes": grown,
        "seconds": time.perf_counter() - started,
    }


def joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Two pieces of one target as one row."""
    return {
        "inputs": old["inputs"] + new["inputs"],
        "outcomes": dict(Counter(old["outcomes"]) + Counter(new["outcomes"])),
        "wrong": old["wrong"] + new["wrong"],
        "slowest_seconds": max(old["slowest_seconds"], new["slowest_seconds"]),
        "memory_grown_bytes": max(old["memory_grown_bytes"], new["memory_grown_bytes"]),
        "seconds": old["seconds"] + new["seconds"],
    }


def _process(
    name: str, first: int, stop: int, seed: int, limit: float
) -> tuple[int, list[dict[str, Any]], str | None]:
    """The index reached, what was said, and how the process died where it did."""
    with tempfile.TemporaryDirectory(prefix="kernelfit-fuzz-") as folder:
        words = {
            "target": name,
            "first": first,
            "stop": stop,
            "seed": seed,
            "folder": folder,
            "headroom": HEADROOM,
        }
        command = [sys.executable, "-m", "benchmarks.fuzz.reader"]
        for key, value in words.items():
            command += [f"--{key}", str(value)]
        nowhere = str(Path(folder) / "nowhere")
        surroundings = {
            **os.environ,
            "MALLOC_ARENA_MAX": "2",
            "HOME": nowhere,
            "XDG_CACHE_HOME": nowhere,
            "KERNELFIT_DATA": nowhere,
            "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", ""),
        }
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=surroundings, bufsize=1)
        assert process.stdout is not None
        lines: list[dict[str, Any]] = []
        try:
            while True:
                wait = limit if lines or first > stop else _START
                if not select.select([process.stdout], [], [], wait)[0]:
                    return first + _inputs(lines), _records(lines), "hang"
                line = process.stdout.readline()
                if not line:
                    break
                lines.append(json.loads(line))
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    if not lines:
        raise SystemExit(f"{name}: the process could not begin (exit code {code})")
    reached = first + _inputs(lines)
    return reached, _records(lines), None if reached == stop else f"died with code {code}"


def _records(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in lines if "outcome" in record]


def _inputs(lines: list[dict[str, Any]]) -> int:
    return len(_records(lines))


def show(name: str, row: dict[str, Any]) -> None:
    """One line of the table, and one for each of the first faults."""
    outcomes = row["outcomes"]
    print(
        f"{name:>22} {row['inputs']:>7} {outcomes.get('accepted', 0):>9} {outcomes.get('refused', 0):>8} "
        f"{len(row['wrong']):>6} {row['slowest_seconds']:>10.3f} {row['memory_grown_bytes'] / 1e6:>10.1f}",
        flush=True,
    )
    for fault in row["wrong"][:10]:
        print(f"{'':>22} input {fault['index']}: {fault['outcome']} {fault['wrong'] or ''}", flush=True)


if __name__ == "__main__":
    main()
