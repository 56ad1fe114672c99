"""Virtual environments of the peers, in a cache folder: each is made once, from the package index or a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from kernelfit.datasets.locate import cache_folder

#: the versions that kernelfit's own environment has, where a peer needs the same packages
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
READY = "ready"


class NotInstalledError(Exception):
    """Why an environment could not be made, in one line."""


def folder() -> Path:
    """`$KERNELFIT_PEERS`, else a folder in the cache."""
    given = os.environ.get("KERNELFIT_PEERS")
    return Path(given) if given else cache_folder() / "peers"


def interpreter(name: str, requirements: Sequence[str], *, checkout: Path | None = None) -> Path:
    """The Python of the environment `name`, which is made where it is not there or was not finished.

    Raises `NotInstalledError`.
    """
    environment = folder() / name
    python = environment / "bin" / "python"
    wanted = "\n".join([*requirements, *([str(checkout.absolute())] if checkout else [])])
    ready = environment / READY
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return python
    shutil.rmtree(environment, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(environment)])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    install = [*pip, "--prefer-binary", "--constraint", str(CONSTRAINTS)]
    build = ["setuptools", "wheel"] if checkout else []
    _run([*install, *requirements, *build])
    if checkout:  # against the torch that is there, not one of a build environment
        _run([*install, "--no-build-isolation", str(checkout)])
    ready.write_text(wanted, encoding="utf-8")
    return python


def versions(python: Path) -> dict[str, str]:
    """Every package of an environment."""
    code = "from importlib.metadata import distributions as d\nfor x in d(): print(x.name, x.version)"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in sorted(done.stdout.splitlines()))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalledError(lines[-1] if lines else f"exit code {done.returncode}")
