"""One measurement in a process of its own, so that its peak memory is its own and a crash is an outcome."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def run(module: str, **arguments: Any) -> dict[str, Any]:
    """Run `python -m module` with `--name value` arguments; the JSON object on its last line of output.

    A process that dies gives {"failed": reason} instead of an exception: that a library crashes at some size
    is a finding.
    """
    command = [sys.executable, "-m", module]
    for name, value in arguments.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        return {"failed": f"killed by signal {-done.returncode}"}
    if done.returncode > 0:
        lines = done.stderr.strip().splitlines()
        return {"failed": lines[-1] if lines else f"exit code {done.returncode}"}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
