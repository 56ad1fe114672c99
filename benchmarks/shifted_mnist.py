"""Conjugate gradients on more rows than K has memory for: MNIST shifted by a pixel each way, 300,000 distinct rows.

    python -m benchmarks run shifted-mnist --n 200000 --tolerance 1e-1 --memory 4GB --out FILE

Gaussian kernel, gamma 0.02, one-hot targets, the 10,000 test rows as they are. The time is predicted from a trial on a
few thousand random rows and the number of iterations that there were. The benchmark fails where there is no answer,
where the tolerance was not reached, or where the peak of memory is beyond the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import harness
from benchmarks.children import isolated


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", default="200000")
    parser.add_argument("--tolerance", default="1e-1")
    parser.add_argument("--memory", default="4GB")
    options = parser.parse_args(words)
    row = isolated.run(
        "benchmarks.children.shifted_mnist",
        n=options.n,
        tolerance=options.tolerance,
        memory=options.memory,
    )
    fault = fault_of(row)
    if "failed" not in row:
        show(row)
    harness.finish("benchmarks.shifted_mnist", words, options.out, {"rows": [row]}, [fault] if fault else [])


def fault_of(row: dict[str, Any]) -> str | None:
    """What is wrong with a run, None where nothing is."""
    if "failed" in row:
        return str(row["failed"])
    if row["stopped"] != "converged":
        return f"{row['stopped']} at a relative residual of {row['relative_residual']:.1e}"
    if row["peak_rss_bytes"] > row["memory_limit"]:
        return f"peak memory {row['peak_rss_bytes']:,} bytes, expected at most {row['memory_limit']:,}"
    return None


def show(row: dict[str, Any]) -> None:
    """The figures of a run."""
    print(
        f"n {row['n']:,}  rank {row['rank']:,}  K {row['entries']}\n"
        f"{row['iterations']} iterations to a relative residual of {row['relative_residual']:.2g}, "
        f"backward error {row['backward_error']:.1e}\n"
        f"test error {100 * row['test_error']:.2f} %  RKHS norm {row['rkhs_norm']:.2f}\n"
        f"{row['seconds']['solve']:.1f} s, predicted {row['seconds_predicted']:.1f}; an iteration "
        f"{row['seconds_iteration']:.2f} s, predicted {row['seconds_iteration_predicted']:.2f}\n"
        f"peak memory {row['peak_rss_bytes'] / 1e9:.2f} GB, planned {row['planned_bytes'] / 1e9:.2f}"
    )


if __name__ == "__main__":
    main()
