"""A Dask cluster on this machine: a scheduler and workers of one thread, each a process of its own.

With a link each is in a network namespace of its own, joined by a bridge, whose links `tc` limits to a rate (root and
iproute2; nothing outside those namespaces is touched).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PORT = 18_790
# As workers have it that `solve` starts by itself (`kernelfit.cluster.connect`).
_LOOKS = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
}
# Seconds for a scheduler and its workers to start.
_START = 5.0


@dataclass(frozen=True)
class Hub:
    """Where a scheduler listens, and the namespace that it is in, "" for this one."""

    address: str
    namespace: str = ""


@contextmanager
def running(
    workers: Sequence[Sequence[str]], folder: Path, link: str = "", *, nanny: bool = False
) -> Iterator[Hub]:
    """A cluster of a worker for each list of further options of `dask worker`; a nanny starts it again when it dies."""
    with ExitStack() as stack:
        count = len(workers)
        spaces = stack.enter_context(_namespaces(count, link)) if link else [("", "127.0.0.1")] * (count + 1)
        hub, address = spaces[0]
        scheduler = f"distributed.cli.dask_scheduler --host {address} --port {_PORT} --no-dashboard"
        stack.enter_context(_process(hub, scheduler.split()))
        for index, ((space, own), options) in enumerate(zip(spaces[1:], workers, strict=True)):
            words = f"distributed.cli.dask_worker tcp://{address}:{_PORT} --host {own} --nthreads 1 --no-dashboard"
            words += " --nanny" if nanny else " --no-nanny"
            local = ["--local-directory", str(folder / f"worker-{index}")]
            stack.enter_context(_process(space, [*words.split(), *local, *options]))
        time.sleep(_START)
        yield Hub(f"tcp://{address}:{_PORT}", hub)


def solve(options: Any, folder: Path, words: Sequence[str], hub: Hub | None = None) -> dict[str, Any]:
    """The last line of `benchmarks.children.cluster` for rows of `options`, in this process or on the cluster of a hub.

    {"refused": the line} where it was refused.
    """
    sizes = ["--n", str(options.n), "--d", str(options.d), "--folder", str(folder)]
    where = [] if hub is None else ["--scheduler", hub.address]
    inside = _inside("" if hub is None else hub.namespace)
    line = [*inside, sys.executable, "-m", "benchmarks.children.cluster", *sizes, *where, *words]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@contextmanager
def _namespaces(count: int, link: str) -> Iterator[list[tuple[str, str]]]:
    """Names and addresses: a hub with a bridge in it, and `count` namespaces with one limited link to it each."""
    if shutil.which("ip") is None or os.geteuid():
        sys.exit("--link: needs root and iproute2, as it makes network namespaces; leave it out")
    hub = f"kernelfit-{os.getpid()}"
    spaces = [(f"{hub}-{index}", f"10.77.0.{index + 1}") for index in range(count + 1)]
    try:
        for name, _ in spaces:
            _ip(f"netns add {name}")
            _ip(f"-n {name} link set lo up")
        bridge = spaces[0][0]
        _ip(f"-n {bridge} link add bridge0 type bridge")
        _ip(f"-n {bridge} addr add {spaces[0][1]}/24 dev bridge0")
        _ip(f"-n {bridge} link set bridge0 up")
        for index, (name, address) in enumerate(spaces[1:]):
            _ip(f"-n {bridge} link add to{index} type veth peer name eth0 netns {name}")
            _ip(f"-n {bridge} link set to{index} master bridge0 up")
            _ip(f"-n {name} addr add {address}/24 dev eth0")
            _ip(f"-n {name} link set eth0 up")
            for space, device in ((bridge, f"to{index}"), (name, "eth0")):
                limit = f"tbf rate {link.lower()} burst 1mb latency 100ms"
                _run(f"ip netns exec {space} tc qdisc add dev {device} root {limit}")
        yield spaces
    finally:
        for name, _ in spaces:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


@contextmanager
def _process(namespace: str, module: list[str]) -> Iterator[None]:
    process = subprocess.Popen(
        [*_inside(namespace), sys.executable, "-m", *module],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, **_LOOKS},
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _inside(namespace: str) -> list[str]:
    return ["ip", "netns", "exec", namespace] if namespace else []


def _ip(words: str) -> None:
    _run(f"ip {words}")


def _run(line: str) -> None:
    done = subprocess.run(line.split(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{line}: {done.stderr.strip()}")
