"""One of the three calls of docs/gpu.md, for a machine that is lent for ten minutes and has no network.

Where the data lie, before a call: what it needs of them is put into `.carry-CALL/`, which git ignores, and what travels
is counted; beyond 64 MiB that is an error.

    python benchmarks/gpu/call.py 1 --carry DATA

On the machine, from the root of the checkout, with that folder in it:

    python3 benchmarks/gpu/call.py 1

The package is installed, or linked where pip cannot; what was carried is put together; the rows run one after the
other, whatever fails; JSON and log are written to $OUT. Only the standard library is needed to begin.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

#: rows of the benchmark and the name of what is written, by call
CALLS = {
    1: ("first", "rates,tests,in-core-60000,mnist,kernels,right-hand-sides"),
    2: ("second", "random-conv,in-core-120000,larger-than-device,budget-10gb"),
    3: ("third", "precision,workers,memcheck,racecheck,deep-tests"),
}
#: what a machine with CUDA, PyTorch and CuPy lacks for the rows of a call, with what that needs and is not there
#: either; dask-cuda wants this Dask
WHEELS = {
    3: (
        *("dask==2026.7.1", "distributed==2026.7.1", "dask-cuda==26.10.0"),
        *("locket==1.0.0", "partd==1.4.2", "tblib==3.2.2", "tornado==6.6.1", "zict==3.0.0"),
    )
}
#: the Python there, and the systems whose wheels it takes
PYTHON, SYSTEMS = "3.12", ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
#: bytes that may travel with a call
MAX_BYTES = 64 * 2**20
#: of the mosaics of CIFAR-10, with the first call; the others go with the second
FIRST_SHARE = 0.47
#: seconds of a call; those for the rows at most, and those that their end may take
CALL_SECONDS, ROWS_SECONDS, END_SECONDS = 600.0, 515.0, 45.0
ROOT = Path(__file__).resolve().parents[2]


def run_call() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("call", type=int, choices=sorted(CALLS))
    parser.add_argument("--carry", type=Path, metavar="DATA", help="put together what travels, of these data")
    parser.add_argument("--device", default="cuda:0", help="cuda:0, ..., or host for a trial")
    arguments = parser.parse_args()
    if arguments.carry is not None:
        return carry(arguments.call, arguments.carry)
    return run(arguments.call, arguments.device)


# -- where the data lie ---------------------------------------------------------------------------------------------


def carry(call: int, data: Path, root: Path = ROOT) -> int:
    """Fill `.carry-CALL` and say what travels; 1 where that is too much."""
    folder = root / f".carry-{call}"
    shutil.rmtree(folder, ignore_errors=True)
    for source in chosen(call, data):
        target = folder / source.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    if call in WHEELS and download(folder / "wheels", WHEELS[call]):
        print(f"call {call}: pip does not give the wheels {', '.join(WHEELS[call])}")
        return 1
    checkout, carried = checkout_bytes(root), sum(map(size, folder.rglob("*")))
    total = checkout + carried
    print(
        f"call {call}: checkout {checkout:,} bytes, {folder.name} {carried:,}, together {total:,} of {MAX_BYTES:,}"
    )
    return int(total > MAX_BYTES)


def download(folder: Path, packages: tuple[str, ...]) -> int:
    """Their wheels for the machine with the GPU; pip's exit code."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", PYTHON, "--implementation", "cp", "-d", str(folder)]
    command += [word for system in SYSTEMS for word in ("--platform", system)]
    return subprocess.run([*command, *packages], stdout=sys.stderr).returncode


def chosen(call: int, data: Path) -> list[Path]:
    """Files of the data that travel with a call: MNIST and mosaics of CIFAR-10 with the first, the rest of these with
    the second."""
    mosaics = sorted((data / "cifar10").glob("*.webp"))
    total, first, seen = sum(map(size, mosaics)), [], 0
    for path in mosaics:
        if seen + size(path) <= FIRST_SHARE * total:
            first.append(path)
            seen += size(path)
    if call == 1:
        labels = [*(data / "cifar10").glob("*.npy"), *data.glob("unpack_cifar10.py")]
        return [*sorted((data / "mnist").glob("*")), *labels, *first]
    return [path for path in mosaics if path not in first] if call == 2 else []


def checkout_bytes(root: Path) -> int:
    """Of the files that git tracks or does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=root, capture_output=True, check=True, text=True).stdout
    return sum(size(root / name) for name in names.split("\0") if name)


def size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


# -- on the machine with the GPU --------------------------------------------------------------------------------------


def run(call: int, device: str, root: Path = ROOT) -> int:
    """Install, put the data together, run the rows; the exit code of the benchmark."""
    started = time.monotonic()
    name, rows = CALLS[call]
    out = Path(os.environ.get("OUT", "."))
    install(root)
    site = install_wheels(root)
    environment = {"CUDA_HOME": "/usr/local/cuda", "KERNELFIT_DATA": str(together(root)), **os.environ}
    environment |= {
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join([str(root), *site, *path_of(os.environ)]),
    }
    budget = min(ROWS_SECONDS, CALL_SECONDS - END_SECONDS - (time.monotonic() - started))
    command = [sys.executable, "-m", "benchmarks.gpu", "--rows", rows, "--device", device]
    command += ["--budget", f"{budget:.0f}", "--out", str((out / f"{name}.json").resolve())]
    log = out / f"{name}.log"
    with log.open("w") as written:
        code = subprocess.run(command, cwd=root, env=environment, stdout=written, stderr=written).returncode
    print(log.read_text(encoding="utf-8", errors="replace"))
    return code


def path_of(environment: os._Environ[str] | dict[str, str]) -> list[str]:
    return [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]


def install(root: Path) -> None:
    """`kernelfit` from this checkout; where pip cannot, the links that make it importable from here."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", "."]
    if subprocess.run(command, cwd=root, stdout=sys.stderr).returncode == 0:
        return
    for room in ("cli", "cuda_kernels"):
        link = root / "kernelfit" / room
        if not link.is_symlink() and not link.exists():
            link.symlink_to(Path("..") / room)


def install_wheels(root: Path) -> list[str]:
    """The folder that they are installed into, where some were carried and pip can; a row that wants them says what is
    missing otherwise."""
    wheels = sorted(map(str, root.glob(".carry-[0-9]/wheels/*.whl")))
    site = str(root / ".carry-site")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        "--upgrade",
        "--target",
        site,
    ]
    if not wheels or subprocess.run([*command, *wheels], stdout=sys.stderr).returncode:
        return []
    return [site]


def together(root: Path) -> Path:
    """A folder with what was carried with this call and with calls before it; CIFAR-10 unpacked where it is whole."""
    data = root / ".carry-data"
    for source in sorted(path for folder in root.glob(".carry-[0-9]") for path in folder.rglob("*")):
        target = data.joinpath(*source.relative_to(root).parts[1:])
        if source.is_file() and source.suffix != ".whl":
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    script = data / "unpack_cifar10.py"
    if not script.is_file() or (data / "cifar-10-batches-bin").is_dir():
        return data
    if subprocess.run([sys.executable, str(script), str(data)], stdout=sys.stderr).returncode:
        # A part of it is not here: the row that wants it says so.
        shutil.rmtree(data / "cifar-10-batches-bin", ignore_errors=True)
    return data


if __name__ == "__main__":
    sys.exit(run_call())
