"""A Dask cluster on this machine against one process and against the scaling model, also over limited links.

Workers of one thread each: processes of this machine, or with `--link` each in a network namespace of its own, joined
by a bridge, whose links `tc` limits to a rate (root and iproute2; nothing outside those namespaces is touched). The
rate of a worker is that which makes the model true of one; what it then says of others is compared with the clock.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import harness
from kernelfit.experiments.planning import Shape, plan_cluster
from kernelfit.experiments.specs import SolverSettings

_PORT = 18_790
#: what alpha may differ by from that of one process, relative to its largest entry
_SAME = 1e-12


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=8_000)
    parser.add_argument("--d", type=int, default=784)
    parser.add_argument("--workers", default="1,2", help="numbers of workers")
    parser.add_argument("--link", default="", help="rate of each worker's link, such as 1Gbit")
    parser.add_argument(
        "--threads", type=int, help="of the process that is compared; else as many as workers"
    )
    options = parser.parse_args(words)
    counts = [int(word) for word in options.workers.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows, rate = [], None
        for count in counts:
            threads = options.threads or count
            here = _solve(folder, options, f"process-{threads}", ["--threads", str(threads)], "")
            with _cluster(count, options.link, folder) as hub:
                there = _solve(folder, options, f"dask-{count}", ["--scheduler", f"{hub[1]}:{_PORT}"], hub[0])
            if rate is None:
                rate = _rate(options, count, there["seconds"]["gram"] + there["seconds"]["factor"])
            rows.append(_row(options, count, rate, here, there))
            print(json.dumps(rows[-1]))
    faults = [
        f"{row['workers']} workers: alpha differs by {row['difference']:.1e}"
        for row in rows
        if not row["difference"] <= _SAME
    ]
    results = {"n": options.n, "d": options.d, "link": options.link, "rate_of_a_worker": rate, "rows": rows}
    harness.finish("benchmarks.cluster", words, options.out, results, faults)


def _row(
    options: Any, count: int, rate: float, here: dict[str, Any], there: dict[str, Any]
) -> dict[str, Any]:
    """One number of workers: measured, predicted, and beside one process."""
    predicted = _predicted(options, count, rate)
    measured = there["seconds"]["gram"] + there["seconds"]["factor"]
    process = here["seconds"]["gram"] + here["seconds"]["factor"]
    bound = 1.1 * (count - 1) * options.n**2 * 8 / 2
    return {
        "workers": count,
        "seconds_factor": measured,
        "predicted_factor": predicted,
        "predicted_to_measured": predicted / measured,
        "seconds_process": process,
        "process_to_cluster": process / measured,
        "seconds_total": there["total"],
        "process_total_to_cluster": here["total"] / there["total"],
        "difference": there["difference"],
        "bytes_received": there["received"],
        "bytes_received_to_bound": there["received"] / bound if count > 1 else 0.0,
        "backward_error": there["backward_error"],
    }


def _predicted(options: Any, count: int, rate: float) -> float:
    shape, solver = Shape(options.n, options.d, 10, True), SolverSettings(threads=1)
    return plan_cluster(shape, solver, count, options.link or "80Gbit", rate).seconds_factor


def _rate(options: Any, count: int, seconds: float) -> float:
    """flop/s of a worker with which the model is true of the first run."""
    low, high = 1e8, 1e14
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if _predicted(options, count, middle) > seconds else (low, middle)
    return low


def _solve(folder: Path, options: Any, name: str, where: list[str], namespace: str) -> dict[str, Any]:
    """The last line of `benchmarks.children.cluster`, run in a namespace."""
    sizes = ["--n", str(options.n), "--d", str(options.d), "--folder", str(folder), "--name", name]
    line = [*_inside(namespace), sys.executable, "-m", "benchmarks.children.cluster", *sizes, *where]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@contextmanager
def _cluster(count: int, link: str, folder: Path) -> Iterator[tuple[str, str]]:
    """A scheduler and its workers: the namespace of the scheduler, "" for this one, and its address."""
    with ExitStack() as stack:
        spaces = stack.enter_context(_namespaces(count, link)) if link else [("", "127.0.0.1")] * (count + 1)
        hub, address = spaces[0]
        scheduler = [
            "distributed.cli.dask_scheduler",
            "--host",
            address,
            "--port",
            str(_PORT),
            "--no-dashboard",
        ]
        stack.enter_context(_process(hub, scheduler))
        for index, (space, own) in enumerate(spaces[1:]):
            worker = [
                "distributed.cli.dask_worker",
                f"tcp://{address}:{_PORT}",
                "--host",
                own,
                "--nthreads",
                "1",
            ]
            local = ["--no-dashboard", "--no-nanny", "--local-directory", str(folder / f"worker-{index}")]
            stack.enter_context(_process(space, [*worker, *local]))
        time.sleep(5.0)
        yield hub, f"tcp://{address}"


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


if __name__ == "__main__":
    main()
