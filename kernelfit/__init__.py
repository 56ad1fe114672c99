"""Exact kernel interpolation at scale, certified."""

from importlib.util import find_spec

__version__ = "0.1.0"

# A checkout holds the command beside this folder, not inside it: only an installation brings them together.
if find_spec("kernelfit.cli") is None:
    raise ImportError(
        "kernelfit is not installed: run `python -m pip install -e .` in the folder that holds pyproject.toml, "
        "or `make solve`, which does it in a virtual environment"
    )
