"""A process that reads damaged inputs and says what came of each; run by `benchmarks.fuzz`.

It takes no more memory than `--headroom` beyond what it holds when it begins, and while an input is read it may not
start programs, open connections, load libraries, or write outside its own folder. One JSON line for each input:
target, index, outcome, seconds, and what was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.fuzz.targets import CANARY, targets
from kernelfit.errors import KernelfitError

_FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "pty.spawn",
    "pickle.find_class",
    "ctypes.dlopen",
    "webbrowser.open",
)
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto")


class Guard:
    """Sees what Python asks of the system while an input is read; there is no network."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        # The first call tries the folder out by writing to it.
        tempfile.gettempdir()
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in _NETWORK:
            raise OSError(101, "Network is unreachable")
        if event in _FORBIDDEN and not _of_libraries(event, arguments):
            self.seen.append(f"{event}{arguments!r:.200}")
        elif event == "subprocess.Popen":
            # Asking the driver for the devices of this machine is part of every record.
            if not str(arguments[0]).endswith("nvidia-smi"):
                self.seen.append(f"{event}{arguments!r:.200}")
        elif event == "open":
            self._opened(*arguments)

    def _opened(self, path: Any, mode: Any, flags: int) -> None:
        if isinstance(path, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        full = os.path.abspath(os.fsdecode(path))
        # Numba keeps compiled code beside the sources.
        known = (self._folder, "/dev/", "/proc/")
        if not full.startswith(known) and "__pycache__" not in full and full != "/":
            self.seen.append(f"wrote to {full}")


def _of_libraries(event: str, arguments: tuple[Any, ...]) -> bool:
    """Numba unpickles code that it compiled earlier, and torch loads its own parts."""
    if event == "ctypes.dlopen":
        return "site-packages" in str(arguments[0])
    frame = sys._getframe()
    while event == "pickle.find_class" and frame.f_back is not None:
        if "/numba/" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--target", required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--stop", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--headroom", type=int, required=True, help="bytes")
    options = parser.parse_args()
    # Whatever the commands print is not ours.
    said = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    folder = options.folder.absolute()
    target = targets()[options.target]
    target.prepare(folder)
    (folder / CANARY).unlink(missing_ok=True)
    os.chdir(folder)
    guard = Guard(folder)
    time.sleep = lambda seconds: None  # between attempts to download
    size = _status("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (size + options.headroom,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resident = _status("VmRSS")
    print(json.dumps({"ready": options.target}), file=said)
    for index in range(options.first, options.stop):
        rng = random.Random(f"{options.seed}/{options.target}/{index}")
        started = time.perf_counter()
        guard.on = True
        outcome, wrong = _outcome(target, rng)
        guard.on = False
        if guard.seen or list(folder.rglob(CANARY)):
            outcome, wrong = "ran code", "; ".join(guard.seen) or "the canary is there"
            guard.seen.clear()
            for canary in folder.rglob(CANARY):
                canary.unlink()
        record = {
            "target": options.target,
            "index": index,
            "outcome": outcome,
            "seconds": time.perf_counter() - started,
            "grown": max(0, _status("VmHWM") - resident),
            "wrong": wrong,
        }
        print(json.dumps(record), file=said)


def _outcome(target: Any, rng: random.Random) -> tuple[str, str | None]:
    try:
        accepted = target.run(rng)
    except KernelfitError as error:
        if "\n" in str(error):
            return "long message", str(error)
        if asked := _memory(error):
            return "memory", f"{asked}: {error}"
        return "refused", None
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "escaped", f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"[:600]
    return ("accepted" if accepted else "refused"), None


def _memory(error: BaseException) -> str | None:
    """The system refused memory to whatever led to this error: the input asked for more than it could need."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            return f"MemoryError {seen}"
        seen = seen.__cause__ or seen.__context__
    return None


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {key}")


if __name__ == "__main__":
    main()
