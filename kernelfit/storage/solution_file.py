"""Solutions as HDF5 files: plain arrays and JSON text, nothing that runs when it is read."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelfit.certificate import Certificate
from kernelfit.errors import DataError, KernelfitError, StorageError
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points

if TYPE_CHECKING:
    from kernelfit.solution import Solution

FORMAT = "kernelfit solution"
VERSION = 1
_ARRAYS = ("alpha", "targets", "fitted", "kept")


def write(solution: Solution, path: Path) -> None:
    """Write a solution without its factor. The file appears whole or not at all."""
    import h5py

    from kernelfit import __version__

    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        with h5py.File(temporary, "w") as file:
            file.attrs["format"] = FORMAT
            file.attrs["version"] = VERSION
            file.attrs["kernelfit"] = __version__
            file.attrs["meta"] = json.dumps(_meta(solution))
            for name in _ARRAYS:
                file[name] = getattr(solution, name)
            if solution.points is not None:
                file["rows"] = solution.points.values
            if solution.weights is not None:
                file["weights"] = solution.weights
            file.attrs["blake2b"] = _digest(file)
            file.flush()
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise StorageError(
            f"{path}: cannot write the solution: {error.strerror or error}; choose another place"
        ) from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _digest(file: Any) -> str:
    """A hash of the text and of every array, so that one flipped bit is found."""
    digest = hashlib.blake2b(str(file.attrs["meta"]).encode(), digest_size=32)
    for name in sorted(file):
        array = np.ascontiguousarray(file[name][()])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _meta(solution: Solution) -> dict[str, Any]:
    return {
        "kernel": solution.kernel.describe() if solution.kernel is not None else None,
        "certificate": solution.certificate.as_dict(),
        "plan": solution.plan.as_dict(),
        "ridge": solution.ridge,
        "precision": solution.precision,
        "seconds": solution.seconds,
        "notes": solution.notes,
        "input_scale": solution.input_scale,
        "rows_scale": solution.points.scale if solution.points is not None else None,
        "single_target": solution.single_target,
        "gflops_factor": solution.gflops_factor,
    }


def read(path: Path, function: Any = None) -> Solution:
    """Read what `write` wrote; every array is checked against the file's size and the others' shapes."""
    import h5py

    if not path.is_file():
        raise DataError(
            f"{path}: no such file, expected a solution; write one with Solution.save or solve --out"
        )
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path, function)
    except KernelfitError:
        raise
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        MemoryError,
        ArithmeticError,
    ) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{path}: not a readable solution ({reason}); write it again with Solution.save"
        ) from None


def _read(file: Any, path: Path, function: Any) -> Solution:
    from kernelfit.kernels import from_description
    from kernelfit.solution import Solution

    if file.attrs.get("format") != FORMAT:
        raise DataError(
            f"{path}: format is {file.attrs.get('format')!r}, expected {FORMAT!r}; is it another file?"
        )
    if int(file.attrs.get("version", 0)) > VERSION:
        raise DataError(
            f"{path}: version {file.attrs['version']}, expected at most {VERSION}; update kernelfit"
        )
    size = path.stat().st_size
    for name in file:
        if file[name].dtype.kind not in "iuf" or file[name].size * file[name].dtype.itemsize > size:
            raise DataError(f"{path}: data set {name!r} claims more bytes than the file has; it is damaged")
    if file.attrs.get("blake2b") != _digest(file):
        raise DataError(f"{path}: its contents do not match their checksum; it is damaged, use another copy")
    meta = json.loads(file.attrs["meta"])
    arrays = {name: file[name][()] for name in _ARRAYS}
    n = len(arrays["kept"])
    for name in ("alpha", "targets", "fitted"):
        if arrays[name].ndim != 2 or arrays[name].shape != (n, arrays["alpha"].shape[1]):
            raise DataError(
                f"{path}: {name} has shape {arrays[name].shape}, expected {n} rows like the others"
            )
        arrays[name] = np.ascontiguousarray(arrays[name], np.float64)
    kernel = from_description(meta["kernel"], function) if meta["kernel"] is not None else None
    points = None
    if kernel is not None:
        rows = file["rows"]
        if rows.ndim != 2 or rows.shape[0] != n:
            raise DataError(f"{path}: rows have shape {rows.shape}, expected {n} rows like alpha")
        points = Points(rows[()], meta["rows_scale"])
    certificate = {key.name: meta["certificate"][key.name] for key in fields(Certificate)}
    certificate["rkhs_norm_per_column"] = tuple(certificate["rkhs_norm_per_column"])
    return Solution(
        **arrays,
        certificate=Certificate(**certificate),
        plan=Plan(**{key.name: meta["plan"][key.name] for key in fields(Plan)}),
        kernel=kernel,
        points=points,
        weights=np.ascontiguousarray(file["weights"][()]) if "weights" in file else None,
        ridge=float(meta["ridge"]),
        precision=meta["precision"],
        seconds=dict(meta["seconds"]),
        notes=list(meta["notes"]),
        input_scale=meta["input_scale"],
        single_target=bool(meta["single_target"]),
        gflops_factor=meta["gflops_factor"],
    )
