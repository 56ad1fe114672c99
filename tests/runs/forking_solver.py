"""A process that runs solves in children which tests kill; not a test itself.

It imports and compiles everything once and forks a child for every line of standard input, a JSON object with
`action` (solve, resume), `folder` and `limit` (bytes that a file may have, or null). For each child it prints the
process id, and when the child has ended its exit status as `os.waitpid` gives it with what it said.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

import kernelfit
from kernelfit.errors import KernelfitError

ROWS, WIDTH = 640, 32
PANELS = ROWS // WIDTH


def problem() -> dict[str, Any]:
    rng = np.random.default_rng(7)
    return {
        "X": rng.normal(size=(ROWS, 6)),
        "Y": rng.normal(size=(ROWS, 2)),
        "gamma": 0.7,
        "panel_width": WIDTH,
        "threads": 2,
    }


def child(order: dict[str, Any], said: int) -> None:
    if order.get("limit") is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["limit"], order["limit"]))
    try:
        if order["action"] == "solve":
            kernelfit.solve(**problem(), tier=order["tier"], run_dir=Path(order["folder"]))
        else:
            kernelfit.resume(order["folder"], threads=2)
    except KernelfitError as error:
        os.write(said, f"{error}".encode())
        os._exit(error.exit_code)
    except BaseException as error:
        os.write(said, f"Traceback: {error!r}".encode())
        os._exit(99)
    os._exit(0)


def main() -> None:
    kernelfit.solve(**problem(), tier="disk")
    print("ready", flush=True)
    for line in sys.stdin:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(json.loads(line), writing)
        os.close(writing)
        print(pid, flush=True)
        with open(reading, encoding="utf-8") as pipe:
            said = pipe.read()
        print(json.dumps([os.waitpid(pid, 0)[1], said]), flush=True)


if __name__ == "__main__":
    main()
