"""Error and residual against time of methods that stop anywhere: kernelfit's, EigenPro, Falkon and ASkotch.

    python -m benchmarks run approximate --n 10000 --checkout eigenpro=PATH --checkout falkon=PATH \\
        --checkout askotch=PATH --out benchmarks/results/approximate.json
    python -m benchmarks plot benchmarks/results/approximate.json benchmarks/results/approximate.png

One data set (MNIST), gaussian kernel, one-hot targets, the same threads for all. Every point is a fit from nothing in a
process of its own: to a tolerance, over so many epochs, with so many centres. The residual is the largest
|y_c - f_c(X)| / |y_c| of the targets, by each method's own predictions of the training rows. What cannot be installed
or fails is listed with the reason. ASkotch's code takes one target at a time, and a ridge: 1e-6 n where none is given.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.children import isolated
from benchmarks.peers import environments
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.peers.compare import SCRIPT, Problem, installed, listed, load, seconds
from kernelfit.cpu.pool import CpuBackend
from kernelfit.metrics import error_rate
from kernelfit.typing import Float

#: settings of each method, from the fastest to the slowest
SETTINGS: dict[str, tuple[str, ...]] = {
    "kernelfit": ("",),
    "kernelfit-mixed": ("",),
    "kernelfit-pcg": ("1e-1", "1e-2", "1e-4", "1e-6"),
    "kernelfit-askotch": ("1e-1", "1e-2", "1e-3"),
    "eigenpro": ("1", "2", "5", "10", "20"),
    "falkon": ("500", "1000", "2000", "4000"),
    "askotch": ("1", "3", "10"),
}
#: what a setting is
MEANING = {
    "kernelfit-pcg": "tolerance",
    "kernelfit-askotch": "tolerance",
    "eigenpro": "epochs",
    "falkon": "centres",
    "askotch": "epochs",
}
_OURS = {
    "kernelfit-pcg": Peer("kernelfit-pcg", "conjugate gradients"),
    "kernelfit-askotch": Peer("kernelfit-askotch", "sketch-and-project"),
}


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="training rows")
    parser.add_argument("--methods", default=",".join(SETTINGS), help="names, separated by commas")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds of a fit")
    parser.add_argument("--threads", type=int, help="of every method; by default those available")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--n-test", type=int)
    parser.add_argument("--gamma", type=float, default=0.02)
    parser.add_argument("--ridge", type=float, default=0.0)
    parser.add_argument(
        "--checkout", action="append", default=[], metavar="NAME=PATH", help="install this peer from a folder"
    )
    options = parser.parse_args(words)
    names = [name for name in SETTINGS if name in options.methods.split(",")]
    known = {peer.name: peer for peer in PEERS} | _OURS
    checkouts = {name: Path(path) for name, _, path in (each.partition("=") for each in options.checkout)}
    threads = CpuBackend(options.threads).threads
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    interpreters, missing = installed([known[name] for name in names], checkouts)
    problem = load(options.dataset, options.n, options.n_test, options.gamma, options.ridge)
    print("\n".join(f"{name:>18}  {reason}" for name, reason in missing.items()))
    print(HEADING)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        _with_training_rows(problem).save(path)
        for name in (name for name in names if name in interpreters):
            for setting in SETTINGS[name]:
                row = measured(problem, interpreters[name], name, setting, path, options.limit)
                print(line(row), flush=True)
                rows.append(row)
                if "failed" in row:  # the next would take longer
                    break
    results = {
        "dataset": options.dataset,
        "n": options.n,
        "gamma": options.gamma,
        "ridge": options.ridge,
        "threads": threads,
        "missing": missing,
        "versions": {python: environments.versions(Path(python)) for python in set(interpreters.values())},
        "rows": rows,
    }
    harness.finish("benchmarks.peers.approximate", words, options.out, results, faults(rows))


def _with_training_rows(problem: Problem) -> Problem:
    """Test rows, and behind them those of training, which every method predicts as well."""
    rows = np.vstack([problem.test_rows, problem.rows])
    return Problem(
        problem.rows, problem.targets, rows, problem.classes, problem.scale, problem.gamma, problem.ridge
    )


def measured(
    problem: Problem, python: str, name: str, setting: str, path: Path, limit: float
) -> dict[str, Any]:
    """One fit in a process of its own: seconds, memory, test error, relative residual."""
    row: dict[str, Any] = {"method": name, "setting": setting, "setting_is": MEANING.get(name, "")}
    out = path.with_name(f"{name}.npz")
    out.unlink(missing_ok=True)
    model = f"{name}@{setting}" if setting else name
    command = [python, "-E", str(SCRIPT), model, "--problem", str(path), "--repeats", "1", "--out", str(out)]
    run = isolated.outcome(command, limit)
    if "failed" in run or not out.exists():
        return {**row, "failed": run.get("failed", "no answer")}
    predictions = np.load(out)["predictions"]
    tests = len(problem.test_rows)
    return {
        **row,
        "seconds": run["seconds"]["fit"][0],
        "peak_rss_bytes": run["peak_rss_bytes"],
        "test_error": error_rate(predictions[:tests], problem.classes),
        "relative_residual": _residual(predictions[tests:], problem),
    }


def _residual(fitted: Float, problem: Problem) -> float:
    """max |y_c - f_c(X)| / |y_c|: with a ridge not what is solved for, and not 0."""
    lengths = np.linalg.norm(problem.targets - fitted, axis=0)
    return float((lengths / np.linalg.norm(problem.targets, axis=0)).max())


def faults(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Fits of ours that failed."""
    return [
        f"{row['method']} {row['setting']}: {row['failed']}"
        for row in rows
        if row["method"].startswith("kernelfit") and "failed" in row
    ]


HEADING = f"{'method':>18} {'setting':>8} {'fit':>10} {'test error':>11} {'residual':>10} {'peak GB':>8}"


def line(row: dict[str, Any]) -> str:
    """One line under `HEADING`."""
    start = f"{row['method']:>18} {row['setting']:>8}"
    if "failed" in row:
        return f"{start}   {row['failed']}"
    return (
        f"{start} {seconds(row['seconds']):>10} {100 * row['test_error']:>9.2f} % "
        f"{row['relative_residual']:>10.1e} {row['peak_rss_bytes'] / 1e9:>8.2f}"
    )


def table(record: dict[str, Any]) -> str:
    return listed(record, HEADING, line)


def plot(record: dict[str, Any]) -> Any:
    """Test error and relative residual against seconds of the fit; a line a method, a point a setting."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.6), layout="constrained")
    errors, residuals = figure.subplots(1, 2)
    rows = [row for row in record["rows"] if "failed" not in row]
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        times = [row["seconds"] for row in mine]
        style: dict[str, Any] = {
            "marker": "o",
            "linewidth": 2.5 if method.startswith("kernelfit") else 1.2,
            "linestyle": "-" if method.startswith("kernelfit") else ":",
        }
        errors.plot(times, [100 * row["test_error"] for row in mine], label=method, **style)
        # A factor's residual is rounding, far below what the others reach.
        residuals.plot(times, [max(row["relative_residual"], 1e-10) for row in mine], **style)
    errors.set(xscale="log", yscale="log", xlabel="seconds of the fit", ylabel="%", title="test error")
    residuals.set(xscale="log", yscale="log", xlabel="seconds of the fit", title="relative residual")
    for axes in (errors, residuals):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    errors.legend(frameon=False, fontsize=8)
    figure.suptitle(f"{record['dataset']}, n = {record['n']:,}, {record['threads']} threads", fontsize=10)
    return figure


if __name__ == "__main__":
    main()
