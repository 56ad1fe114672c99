"""Rows of the GPU benchmark that run the tests marked `gpu`: as they are, and under compute-sanitizer."""

from __future__ import annotations

import shutil
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from benchmarks.children.isolated import finish

#: what the checkers of memory and races run: every kernel of our own, at small sizes
_SMALL = (
    "tests/device/test_operations.py",
    "panels or l1 or bytes_are_exact or random_convolution or already or (tiles and (Gaussian or Neural))",
)
_LINES = 12
#: seconds reserved for the report, and that a single test may take
_REPORT, _ONE_TEST = 10.0, 60


def gpu_tests(limit: float, *paths: str) -> dict[str, Any]:
    """Counts of the tests marked `gpu`, and the names of those that failed; by default all but those of networks.

    Shortly before the limit no further test is begun, so that the report is written. Of a test that hangs for good the
    output's last line has the name.
    """
    enough = max(1.0, limit - _REPORT)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [*_pytest("gpu"), "--continue-on-collection-errors", f"--junitxml={report}"]
        command += [f"--session-timeout={enough}", f"--timeout={_ONE_TEST}"]
        command += list(paths) or ["tests", "--ignore=tests/deep"]
        code, output, _ = finish(command, limit)
        result = counts(report.read_text(encoding="utf-8")) if report.exists() else {}
    if code is None:
        result["failed"] = f"stopped after {limit:.0f} s"
    elif not result:
        result["failed"] = f"pytest ended with exit code {code} and no report"
    elif "session-timeout" in output:
        result["failed"] = f"stopped after {enough:.0f} s, before all tests had run"
    if "failed" in result or result["failures"]:
        result["output"] = output.splitlines()[-_LINES * 12 :]
    return result


def sanitizer(tool: str, limit: float) -> dict[str, Any]:
    """Errors that compute-sanitizer's `tool` reports while the small tests run."""
    program = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if program is None:
        return {"skipped": "compute-sanitizer is not on the path"}
    path, expression = _SMALL
    command = [program, "--tool", tool, "--target-processes", "all", "--error-exitcode", "99"]
    # Libraries ask the driver for functions that it may not have, and by default each of them is an error; where a call
    # of ours fails, a test does.
    command += ["--report-api-errors", "no"]
    # Libraries have findings of their own, and take their time; what counts are kernels of this project.
    for name in KERNELS:
        command += ["--kernel-name", f"kns={name}"]
    code, output, errors = finish([*command, *_pytest("gpu"), "-k", expression, path], limit)
    lines = (output + errors).splitlines()
    summaries = [line for line in lines if "ERROR SUMMARY" in line or "RACECHECK SUMMARY" in line]
    passed = next((line for line in reversed(lines) if " passed" in line), "")
    result: dict[str, Any] = {"program": program, "summary": summaries, "tests": passed.strip("= ")}
    if code is None:
        result["failed"] = f"stopped after {limit:.0f} s"
    elif not summaries:
        result["failed"] = f"{tool} gave no summary: {lines[-1] if lines else f'exit code {code}'}"
    elif not passed:
        result["failed"] = f"no test ran under {tool}: {lines[-1]}"
    else:
        result["errors"] = sum(map(errors_in, summaries))
    if result.get("errors", 1):
        result["output"] = [line for line in lines if line.startswith("=========")][:40] or lines[-_LINES:]
    return result


#: the beginnings of the names of our entry points
KERNELS = (
    "evaluate_",
    "l1_distances",
    "byte_products_",
    "shape_square_",
    "add_panel_",
    "absolute_row_sums",
    "column_sums_",
    "patch_statistics_",
    "random_conv_",
)


def errors_in(summary: str) -> int:
    """`ERROR SUMMARY: 0 errors`, `RACECHECK SUMMARY: 2 hazards displayed (1 errors, ...)`: the first number, else 1."""
    words = summary.partition("SUMMARY:")[2].split()
    return int(words[0]) if words and words[0].isdigit() else 1


def counts(report: str) -> dict[str, Any]:
    """From pytest's JUnit XML: tests run, passed, skipped, failures, their names and first lines."""
    cases = list(ElementTree.fromstring(report).iter("testcase"))
    skipped = [case for case in cases if case.find("skipped") is not None]
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    # Files of tests that need packages which this machine lacks; none of them is about the device.
    missing = [case for case in failed if _first_line(case) == "collection failure"]
    failed = [case for case in failed if case not in missing]
    skipped_files = [str(case.get("name")) for case in missing]
    return {
        "passed": len(cases) - len(skipped) - len(failed) - len(missing),
        "skipped": len(skipped),
        "failures": len(failed),
        "not_collected": skipped_files,
        "failing": [f"{case.get('name')}: {_first_line(case)}" for case in failed],
    }


def _first_line(case: ElementTree.Element) -> str:
    for tag in ("failure", "error"):
        element = case.find(tag)
        if element is not None:
            return next(iter((element.get("message") or "").splitlines()), "")
    return ""


def _pytest(marker: str) -> list[str]:
    # Other versions of other packages have warnings of their own; they are no findings about the device.
    return [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "--tb=short",
        "-m",
        marker,
        "-W",
        "default",
        "-p",
        "no:cacheprovider",
        "--maxfail=40",
    ]
