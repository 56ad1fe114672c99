"""One measurement in a process of its own, so that its peak memory is its own and a crash is an outcome."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

_LINES_OF_STDERR = 20
#: seconds that a stopped process gets to be gone: a driver first gives back tens of gigabytes
PATIENCE = 20.0


def run(module: str, *positional: str, limit: float | None = None, **arguments: Any) -> dict[str, Any]:
    """Run `python -m module` with `--name value` arguments; as `outcome`."""
    command = [sys.executable, "-m", module, *positional]
    for name, value in arguments.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return outcome(command, limit)


def outcome(command: list[str], limit: float | None = None) -> dict[str, Any]:
    """The JSON object on the last line of the command's output.

    A process that dies, or lives longer than `limit` seconds, gives {"failed": reason} instead of an exception: that
    a library crashes at some size is a result. What the process had printed as JSON before stands beside it.
    """
    code, output, errors = finish(command, limit)
    result = _last_object(output)
    if code == 0 and result is not None:
        return result
    lines = errors.strip().splitlines()
    if code is None:
        reason = f"stopped after {limit:.0f} s"
    elif code < 0:
        reason = f"killed by signal {-code}"
    elif code > 0:
        reason = lines[-1] if lines else f"exit code {code}"
    else:
        reason = "printed no result"
    failed: dict[str, Any] = {**(result or {}), "failed": reason}
    if limit is not None:
        failed["stderr"] = lines[-_LINES_OF_STDERR:]
    return failed


def finish(command: list[str], limit: float | None) -> tuple[int | None, str, str]:
    """Exit code (None: stopped at the limit), output and errors; nothing that the command started is left behind.

    A process that the system cannot end within `PATIENCE` is waited for no longer.
    """
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=limit)
        return process.returncode, output, errors
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        try:
            output, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired as expired:
            output, errors = _text(expired.stdout), _text(expired.stderr)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            process.poll()
        return None, output, errors
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _text(said: str | bytes | None) -> str:
    """What had come until a time ran out is in bytes, whatever was asked for."""
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""


def _last_object(output: str) -> dict[str, Any] | None:
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            try:
                value = json.loads(line)
            except json.JSONDecodeError:  # cut off when the process was stopped
                continue
            if isinstance(value, dict):
                return value
    return None
