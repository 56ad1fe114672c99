"""kernelfit beside other libraries on the CPU: time, peak memory, backward error and test error at every n.

    python -m benchmarks run peers-cpu --n 50,500,1000,5000 --out benchmarks/results/peers_cpu.json
    python -m benchmarks table benchmarks/results/peers_cpu.json

One data set (MNIST), gaussian kernel, one-hot targets, all test rows, no ridge unless one is given. Every library has
an environment of its own (`benchmarks.peers.environments`) and every measurement a process of its own, in turn. What
cannot be installed is listed with the reason; `--checkout NAME=PATH` installs a peer from a checkout. The benchmark
fails where kernelfit's answer is not that of the other exact solvers. The record is written after every n, so that an
interrupted run leaves those before.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.children import isolated
from benchmarks.peers import environments
from benchmarks.peers.catalogue import Peer, chosen
from benchmarks.peers.models import MODELS
from kernelfit.datasets import training_targets
from kernelfit.experiments import gemm_rate
from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.peers import System, backward_error
from kernelfit.metrics import error_rate
from kernelfit.typing import Array, Float

SCRIPT = Path(__file__).with_name("fit.py")
#: of the larger of |p| and 1: two exact solvers of a system of condition 1e6 or so differ by less
SAME = 1e-6
MAX_BACKWARD_ERROR = 1e-14


@dataclass(frozen=True)
class Problem:
    """n training rows in bytes, their targets, the test rows and their classes."""

    rows: Array
    targets: Float
    test_rows: Array
    classes: Array
    scale: float
    gamma: float
    ridge: float

    def save(self, path: Path) -> None:
        """For a process that has no kernelfit."""
        np.savez(
            path,
            rows=self.rows,
            targets=self.targets,
            test_rows=self.test_rows,
            scale=self.scale,
            gamma=self.gamma,
            ridge=self.ridge,
        )

    def backward_error(self, alpha: Float) -> float:
        X = np.multiply(self.rows, self.scale, dtype=np.float64)
        return backward_error(System(X, self.targets, self.gamma, self.ridge), alpha)


def load(dataset: str, n: int, n_test: int | None, gamma: float, ridge: float) -> Problem:
    """As an experiment loads and prepares them."""
    experiment = Experiment(dataset, n_train=n, n_test=n_test)
    data = experiment.inputs.load()
    return Problem(data.X_train, training_targets(data), data.X_test, data.y_test, data.scale, gamma, ridge)


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", default="50,500,1000,5000", help="training rows, separated by commas")
    parser.add_argument("--peers", default="", help="names, separated by commas; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each peer at each n")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds of a process")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--n-test", type=int)
    parser.add_argument("--gamma", type=float, default=0.02)
    parser.add_argument("--ridge", type=float, default=0.0)
    parser.add_argument(
        "--checkout", action="append", default=[], metavar="NAME=PATH", help="install this peer from a folder"
    )
    options = parser.parse_args(words)
    try:
        peers = chosen(options.peers)
    except ValueError as error:
        parser.error(str(error))
    checkouts = {name: Path(path) for name, _, path in (each.partition("=") for each in options.checkout)}
    interpreters, missing = installed(peers, checkouts)
    for name, reason in missing.items():
        print(f"{name:>22}  {reason}")
    print(HEADING)
    rows: list[dict[str, Any]] = []
    results = {
        "dataset": options.dataset,
        "gamma": options.gamma,
        "ridge": options.ridge,
        "gemm_flops_per_second": gemm_rate.measure(),
        "missing": missing,
        "versions": {python: environments.versions(Path(python)) for python in set(interpreters.values())},
        "rows": rows,
    }
    out_of_race: set[str] = set()
    for n in sorted({int(n) for n in options.n.split(",")}):
        problem = load(options.dataset, n, options.n_test, options.gamma, options.ridge)
        left = [peer for peer in peers if peer.name in interpreters and peer.name not in out_of_race]
        too_slow = [row for peer in left if (row := left_out(peer, n)) is not None]
        left = [peer for peer in left if left_out(peer, n) is None]
        made = compare(problem, left, interpreters, rounds=options.rounds, limit=options.limit)
        for row in [*made, *too_slow]:
            print(line(row), flush=True)
            if "failed" in row:
                out_of_race.add(row["peer"])
            rows.append(row)
        if options.out is not None:  # what is measured stays, should the run end before its end
            harness.finish("benchmarks.peers.compare", words, options.out, results, [])
    harness.finish("benchmarks.peers.compare", words, options.out, results, faults(rows))


def left_out(peer: Peer, n: int) -> dict[str, Any] | None:
    """The row of a peer that is not measured at n, with the reason; None for one that is."""
    if peer.largest is None or n <= peer.largest:
        return None
    reason = f"left out beyond {peer.largest:,} rows: {peer.beyond}"
    return {"n": n, "peer": peer.name, "about": peer.about, "exact": peer.exact, "failed": reason}


def installed(peers: Sequence[Peer], checkouts: dict[str, Path]) -> tuple[dict[str, str], dict[str, str]]:
    """The interpreter of each peer, and why others have none."""
    interpreters: dict[str, str] = {}
    missing: dict[str, str] = {}
    for peer in peers:
        checkout = checkouts.get(peer.name)
        if peer.ours:
            interpreters[peer.name] = sys.executable
        elif peer.name not in MODELS or (peer.missing and checkout is None):
            missing[peer.name] = peer.missing or "no model of it is written"
        else:
            try:
                environment = peer.environment or peer.name
                python = environments.interpreter(environment, peer.requirements, checkout=checkout)
                interpreters[peer.name] = str(python)
            except environments.NotInstalledError as error:
                missing[peer.name] = str(error)
    return interpreters, missing


def compare(
    problem: Problem, peers: Sequence[Peer], interpreters: dict[str, str], *, rounds: int, limit: float
) -> list[dict[str, Any]]:
    """A row a peer: medians over all fits of `rounds` processes each, in turn."""
    n = len(problem.rows)
    repeats = 7 if n <= 1_000 else 2 if n <= 5_000 else 1
    runs: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in peers}
    answers: dict[str, dict[str, Float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        problem.save(path)
        for _ in range(rounds):
            for peer in peers:
                if any("failed" in run for run in runs[peer.name]):
                    continue
                out = Path(folder) / f"{peer.name}.npz"
                command = [interpreters[peer.name], "-E", str(SCRIPT), peer.name, "--problem", str(path)]
                command += ["--repeats", str(repeats), "--out", str(out)]
                runs[peer.name].append(isolated.outcome(command, limit))
                if out.exists():
                    answers[peer.name] = dict(np.load(out))
    reference = next(
        (
            answers[peer.name]["predictions"]
            for peer in peers
            if peer.exact and not peer.ours and peer.name in answers
        ),
        None,
    )
    return [summary(problem, peer, runs[peer.name], answers.get(peer.name), reference) for peer in peers]


def summary(
    problem: Problem,
    peer: Peer,
    runs: list[dict[str, Any]],
    answer: dict[str, Float] | None,
    reference: Float | None,
) -> dict[str, Any]:
    """Medians and spreads of one peer's runs, and what its answer is worth."""
    row: dict[str, Any] = {
        "n": len(problem.rows),
        "peer": peer.name,
        "about": peer.about,
        "exact": peer.exact,
    }
    failures = [run["failed"] for run in runs if "failed" in run]
    if failures or answer is None:
        return {**row, "failed": failures[0] if failures else "no answer"}
    for name in ("fit", "predict"):
        timing = harness.Timing(tuple(taken for run in runs for taken in run["seconds"][name]))
        row |= {f"{name}_{key}": value for key, value in timing.describe().items()}
    predictions = answer["predictions"]
    row |= {
        "peak_rss_bytes": statistics.median(run["peak_rss_bytes"] for run in runs),
        "test_error": error_rate(predictions, problem.classes),
        "backward_error": problem.backward_error(answer["alpha"]) if "alpha" in answer else None,
    }
    if reference is not None:
        gap = np.abs(predictions - reference) / np.maximum(1.0, np.abs(reference))
        row["largest_difference"] = float(gap.max())
    return row


def faults(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Answers of kernelfit that are not those of the others."""
    wrong = []
    for row in rows:
        where = f"n {row['n']}, {row['peer']}"
        if not row["peer"].startswith("kernelfit"):
            continue
        if "failed" in row:
            wrong.append(f"{where}: {row['failed']}")
            continue
        if not row["backward_error"] <= MAX_BACKWARD_ERROR:
            wrong.append(f"{where}: backward error {row['backward_error']:.1e}")
        if not row.get("largest_difference", 0.0) <= SAME:
            wrong.append(f"{where}: predictions differ by {row['largest_difference']:.1e}")
    return wrong


HEADING = (
    f"{'n':>7} {'peer':>22} {'fit':>10} {'predict':>10} {'peak GB':>8} {'test error':>11} {'backward':>9} "
    f"{'difference':>11}"
)


def line(row: dict[str, Any]) -> str:
    """One line under `HEADING`."""
    start = f"{row['n']:>7} {row['peer']:>22}"
    if "failed" in row:
        return f"{start}   {row['failed']}"
    backward = "-" if row["backward_error"] is None else f"{row['backward_error']:.1e}"
    difference = f"{row['largest_difference']:.1e}" if "largest_difference" in row else "-"
    return (
        f"{start} {seconds(row['fit_seconds']):>10} {seconds(row['predict_seconds']):>10} "
        f"{row['peak_rss_bytes'] / 1e9:>8.2f} {100 * row['test_error']:>9.2f} % {backward:>9} {difference:>11}"
    )


def seconds(taken: float) -> str:
    return f"{taken:.2f} s" if taken >= 1 else f"{1e3 * taken:.2f} ms"


def table(record: dict[str, Any]) -> str:
    return listed(record, HEADING, line)


def listed(record: dict[str, Any], heading: str, line: Callable[[dict[str, Any]], str]) -> str:
    """The rows of a record, a line each, then what is not among them and why."""
    lines = [heading, *map(line, record["rows"])]
    lines += [f"{name}: {reason}" for name, reason in record["missing"].items()]
    return "\n".join(lines)


def plot(record: dict[str, Any]) -> Any:
    """Seconds of fit and predictions, and peak memory, against n; a line a peer, dashed where it is not exact."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.6), layout="constrained")
    times, memory = figure.subplots(1, 2)
    rows = [row for row in record["rows"] if "failed" not in row]
    for peer in dict.fromkeys(row["peer"] for row in rows):
        mine = [row for row in rows if row["peer"] == peer]
        n = [row["n"] for row in mine]
        style = {
            "marker": "o",
            "linestyle": "-" if mine[0]["exact"] else ":",
            "linewidth": 2.5 if peer.startswith("kernelfit") else 1.2,
        }
        times.plot(n, [row["fit_seconds"] + row["predict_seconds"] for row in mine], label=peer, **style)
        memory.plot(n, [row["peak_rss_bytes"] / 1e9 for row in mine], **style)
    times.set(xscale="log", yscale="log", xlabel="training rows", ylabel="s", title="fit and predictions")
    memory.set(xscale="log", yscale="log", xlabel="training rows", ylabel="GB", title="peak memory")
    for axes in (times, memory):
        axes.grid(alpha=0.25)
    figure.legend(loc="outside right center", frameon=False)
    return figure


if __name__ == "__main__":
    main()
