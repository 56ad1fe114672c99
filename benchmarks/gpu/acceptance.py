"""Everything that is claimed of a GPU, row by row within a budget of time.

    python -m benchmarks.gpu --out benchmarks/results/gpu.json

Runs the tests marked `gpu` and every row below, each in a process of its own with a time limit, so that one that
fails or hangs costs no other. The JSON is written anew after every row. Rows too large for the device are made smaller
and say so. `--device host` tries the rows on the stand-in at sizes that show only that they run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import harness
from benchmarks.children import isolated
from benchmarks.gpu.rows import ROWS, Aim, Row, chosen
from benchmarks.gpu.settings import HOST
from kernelfit.cpu import environment
from kernelfit.device.choose import check_device
from kernelfit.errors import DeviceError, InputError, KernelfitError
from kernelfit.storage import json_output

#: seconds for everything, the probe of the device included; with the seconds that a process stopped at the end may take
#: to be gone (`isolated.PATIENCE`) they are less than nine minutes
BUDGET = 515.0
#: with less time left than this a row is not begun: imports, a context and handles of the libraries take most of it
_MIN_LEFT = 15.0


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", required=True, type=Path, help="the JSON file")
    parser.add_argument("--rows", default="", help=f"of {', '.join(row.name for row in ROWS)}; else all")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for everything")
    parser.add_argument("--device", default="cuda:0", help="cuda:0, cuda:1, ..., or host for a trial")
    parser.add_argument("--data-dir", type=Path, help="where MNIST and CIFAR-10 lie")
    arguments = parser.parse_args(words)
    command = harness.command("benchmarks.gpu", words)
    started = time.perf_counter()
    try:
        rows = chosen(arguments.rows)
        check_out(arguments.out)
        properties = device_properties(arguments.device)
    except KernelfitError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    record = measure(rows, arguments, command, properties, started)
    Console(width=120).print(table(record))
    sys.exit(1 if any(row["status"] == "failed" for row in record["rows"]) else 0)


def check_out(path: Path) -> None:
    """Raise before minutes of work where the result cannot be written."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InputError(f"--out: got {path}, expected a file name in a folder that exists")


def device_properties(device: str) -> dict[str, Any]:
    """What the device says of itself; raises in one line where it cannot be used.

    Asked in a process of its own: a context of this one would stand beside every row.
    """
    check_device(device if device != HOST else "cpu")
    if device != HOST and not device.startswith("cuda"):
        raise InputError(f"--device: got {device}, expected cuda:0, cuda:1, ..., or {HOST}")
    properties = isolated.run("benchmarks.gpu.row", "probe", limit=120, device=device)
    if "failed" in properties:
        raise DeviceError(properties["failed"])
    return properties


def measure(
    rows: Sequence[Row],
    arguments: argparse.Namespace,
    command: str,
    properties: dict[str, Any],
    started: float,
) -> dict[str, Any]:
    """Run the rows within the budget since `started`; the record, which is also written after every row."""
    record: dict[str, Any] = {
        "benchmark": "gpu",
        "command": command,
        "environment": environment.describe(),
        "device": arguments.device,
        "properties": properties,
        "budget_seconds": arguments.budget,
        "seconds": 0.0,
        "rows": [],
    }
    for row in rows:
        began = time.perf_counter()
        left = arguments.budget - (began - started)
        result = _result(row, min(row.limit, left), arguments)
        seconds = time.perf_counter() - began
        outcome = {
            "name": row.name,
            "about": row.about,
            "status": status(row, result, arguments.device),
            "seconds": seconds,
            "aims": [
                {"key": aim.key, "aim": aim.words, "value": result.get(aim.key), "met": aim.met(result)}
                for aim in row.aims
            ],
            "result": result,
        }
        record["rows"].append(outcome)
        record["seconds"] = time.perf_counter() - started
        json_output.write(record, arguments.out)
        print(f"{row.name}: {outcome['status']}, {seconds:.1f} s{_why(result)}", file=sys.stderr, flush=True)
    return record


def _result(row: Row, limit: float, arguments: argparse.Namespace) -> dict[str, Any]:
    if limit < _MIN_LEFT:
        return {"skipped": f"the budget of {arguments.budget:.0f} s was spent"}
    if row.check is not None:
        if arguments.device == HOST:
            return {"skipped": "needs a GPU"}
        return row.check(limit)
    options = {"device": arguments.device}
    if arguments.data_dir is not None:
        options["data_dir"] = str(arguments.data_dir)
    return isolated.run("benchmarks.gpu.row", row.name, limit=limit, **options)


def status(row: Row, result: dict[str, Any], device: str) -> str:
    """`failed`, `not run`, `below` an aim, or `met`; on the stand-in, whose figures mean nothing, `ran`."""
    if "failed" in result:
        return "failed"
    if "skipped" in result and isinstance(result["skipped"], str):
        return "not run"
    if device == HOST:
        return "ran"
    return "below" if any(aim.met(result) is False for aim in row.aims) else "met"


def _why(result: dict[str, Any]) -> str:
    for key in ("failed", "skipped"):
        if isinstance(result.get(key), str):
            return f": {result[key]}"
    return ""


def table(record: dict[str, Any]) -> Table:
    """The rows with their figures beside the aims."""
    names = [gpu["name"] for gpu in record["environment"]["gpu"]] or [record["device"]]
    made = Table(title=f"{', '.join(names)}: {record['seconds']:.0f} s")
    for heading, justify in (("run", "left"), ("figures", "left"), ("", "left"), ("s", "right")):
        made.add_column(heading, justify=justify)  # type: ignore[arg-type]
    by_name = {row.name: row for row in ROWS}
    for outcome in record["rows"]:
        result, aims = outcome["result"], by_name[outcome["name"]].aims
        lines = [f"{shown(aim, result)}  ({aim.words})" for aim in aims if result.get(aim.key) is not None]
        lines += [str(note) for note in result.get("scaled", [])]
        lines += [_why(result)[2:]] if _why(result) else []
        made.add_row(outcome["about"], "\n".join(lines), outcome["status"], f"{outcome['seconds']:.0f}")
    return made


def shown(aim: Aim, result: dict[str, Any]) -> str:
    """The figure of an aim, with a mark where it is missed."""
    value = result[aim.key]
    text = f"{value * aim.scale:.4g}" if isinstance(value, float) else str(value)
    return f"{text}{aim.unit}" + (" !" if aim.met(result) is False else "")


if __name__ == "__main__":
    main()
