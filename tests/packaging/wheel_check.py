"""What a user installs, tried on every Python that is here: `make wheel-check`.

Builds the source distribution and from it the wheel, out of the files that git knows; checks both with twine; then,
for each interpreter, installs the wheel into a fresh environment, unpinned as a user does, and uses it from an empty
folder with an empty home: command line, data sets, a stored run and its predictions, estimators that are pickled.

    python tests/packaging/wheel_check.py [PYTHON ...] [--tests]

Without names it takes python3.11 to python3.14 from the PATH and from pyenv. `--tests` also runs the tests of the
unpacked source distribution against the installed wheel, which takes minutes for each interpreter.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: of 1,437 training and 360 test rows of the digits, gaussian kernel with the median's gamma
DIGITS = {"test_error": 11 / 360, "rkhs_norm": 42.13}
#: of the first 1,000 rows of MNIST, gamma 0.02
MNIST = {"test_error": 0.0783, "rkhs_norm": 21.98}

ESTIMATOR = """
import pickle, warnings
warnings.simplefilter("error")
import kernelfit
from sklearn.datasets import load_digits

X, y = load_digits(return_X_y=True)
model = kernelfit.KernelClassifier(gamma="auto", ridge="auto").fit(X[:300], y[:300])
again = pickle.loads(pickle.dumps(model))
assert (again.predict(X[300:]) == model.predict(X[300:])).all()
assert model.score(X[300:], y[300:]) > 0.85
assert pickle.loads(pickle.dumps(model.solution_)).certificate.interpolates
"""


def run(*words: object, folder: Path, **variables: str) -> str:
    """Standard output of a command; what it said where it fails."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def environment(python: str, folder: Path, *requirements: object) -> Path:
    """The folder of programs of a fresh environment that has `requirements`."""
    run(python, "-m", "venv", folder, folder=folder.parent)
    programs = folder / "bin"
    pip = [programs / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run(*pip, "--prefer-binary", *requirements, folder=folder)
    return programs


def distributions(work: Path) -> tuple[Path, Path]:
    """The wheel and the source distribution, built out of a copy and checked as an index would check them."""
    checkout = work / "checkout"
    for name in tracked():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)
    tools = environment(sys.executable, work / "tools", "build", "twine")
    run(tools / "python", "-m", "build", "--outdir", work / "dist", checkout, folder=work)
    (wheel,) = (work / "dist").glob("*.whl")
    (source,) = (work / "dist").glob("*.tar.gz")
    run(tools / "twine", "check", "--strict", wheel, source, folder=work)
    return wheel, source


def tracked() -> list[str]:
    """Files of the checkout, or of an unpacked source distribution."""
    if (ROOT / ".git").exists():
        names = run("git", "ls-files", "-z", folder=ROOT).split("\0")
        return [name for name in names if name and (ROOT / name).is_file()]
    listed = (ROOT / "kernelfit.egg-info" / "SOURCES.txt").read_text(encoding="utf-8").splitlines()
    return [name for name in listed if not name.startswith("kernelfit.egg-info")]


def interpreters(names: Iterable[str]) -> list[str]:
    """Those named, or one of each version that the classifiers name and this machine has."""
    # Absolute: they are called in other folders.
    given = [os.path.abspath(shutil.which(name) or name) for name in names]
    if given:
        return given
    found = []
    for version in versions():
        pyenv = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
        python = next(filter(_runs, (*map(str, pyenv), f"python{version}")), None)
        if python is None:
            print(f"python {version}: not on this machine, not tried")
        else:
            found.append(python)
    return found


def versions() -> list[str]:
    """The Pythons of the classifiers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    words = (word.rpartition(" :: ")[2] for word in project["classifiers"])
    return [word for word in words if word.startswith("3.")]


def _runs(python: str) -> bool:
    path = shutil.which(python)
    return (
        path is not None and not subprocess.run([path, "-c", ""], check=False, capture_output=True).returncode
    )


def try_wheel(programs: Path, folder: Path) -> None:
    """Use what was installed as its first user would."""
    home = {"HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "home" / "cache")}
    kernelfit = programs / "kernelfit"
    assert "solve" in run(kernelfit, "--help", folder=folder, **home)
    digits = run(kernelfit, "solve", "--out", "digits", "--json", "-", folder=folder, **home)
    compare(json.loads(digits), DIGITS)
    (folder / "estimator.py").write_text(ESTIMATOR, encoding="utf-8")
    run(programs / "python", "estimator.py", folder=folder, **home)
    rows = (
        "from sklearn.datasets import load_digits as d; import numpy; numpy.savetxt('rows.csv', d().data[:9])"
    )
    run(programs / "python", "-c", rows, folder=folder, **home)
    run(kernelfit, "predict", "digits", "--rows", "rows.csv", "--out", "predicted.csv", folder=folder, **home)
    with (folder / "predicted.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 9
    if Path(os.environ.get("KERNELFIT_DATA", "nowhere"), "mnist").is_dir():
        mnist = ("--dataset", "mnist", "--n", "1000", "--gamma", "0.02", "--json", "-")
        compare(json.loads(run(kernelfit, "solve", *mnist, folder=folder, **home)), MNIST)


def compare(record: dict[str, float], expected: dict[str, float]) -> None:
    for key, value in expected.items():
        assert math.isclose(record[key], value, rel_tol=3e-4), (key, record[key], value)


def run_tests(programs: Path, wheel: Path, source: Path, folder: Path) -> str:
    """The last line of the tests of the source distribution, run against the wheel."""
    run(programs / "python", "-m", "pip", "install", "--quiet", f"{wheel}[dev]", folder=folder)
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.glob("kernelfit-*") if path.is_dir())
    # The program, not `python -m pytest`, and processes that tests start without the folder on their path: they would
    # import it and not the wheel. The benchmarks are not in the wheel.
    beside = folder / "beside"
    beside.mkdir()
    (beside / "benchmarks").symlink_to(unpacked / "benchmarks")
    path = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(beside)}
    words = (programs / "pytest", "-q", "-n", "auto", "--maxprocesses", "4")
    return run(*words, folder=unpacked, **path).splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description="Try the wheel and the source distribution.")
    parser.add_argument("python", nargs="*", help="interpreters; all that are found by default")
    parser.add_argument("--tests", action="store_true", help="also run the tests of the source distribution")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kernelfit-wheel-") as name:
        Path(name).chmod(0o755)  # a test is another user for a while
        work = Path(name)
        wheel, source = distributions(work)
        print(f"{wheel.name}, {source.name}: built, twine finds nothing")
        for number, python in enumerate(interpreters(arguments.python)):
            folder = work / str(number)
            folder.mkdir()
            began = time.perf_counter()
            programs = environment(python, folder / "venv", wheel)
            installed = time.perf_counter()
            try_wheel(programs, folder)
            used = time.perf_counter()
            version = run(programs / "python", "-V", folder=folder).strip()
            print(f"{version}: installed in {installed - began:.0f} s, used in {used - installed:.0f} s")
            if arguments.tests:
                print(f"{version}: {run_tests(programs, wheel, source, folder)}")


if __name__ == "__main__":
    main()
