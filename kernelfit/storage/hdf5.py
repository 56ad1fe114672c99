"""HDF5 files of plain arrays and one JSON text: written whole or not at all, read without trusting what they claim.

HDF5 leaves the first bytes of a file to its user. There stand two lines, the kind of file and a BLAKE2b of all that
follows: HDF5's own reader can loop forever on a damaged file, so it only gets to see whole ones. h5py opens them as any
other file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import DataError, KernelfitError
from kernelfit.storage import atomic
from kernelfit.storage.hdf5_layout import lay_out, reserve
from kernelfit.typing import Array

Built = TypeVar("Built")

_HASHED_AT_ONCE = 2**24
# The smallest block that HDF5 leaves to its user.
_HEAD = 512
# The data set that holds the JSON text.
_META = "meta"
#: what h5py and the checks below may raise on a damaged file
_UNREADABLE = (
    OSError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    MemoryError,
    ArithmeticError,
)


def write(
    path: Path,
    *,
    form: str,
    version: int,
    meta: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    seal: Callable[[str], None] | None = None,
) -> None:
    """Write `arrays` and `meta` to `path`, which appears whole or stays as it was.

    `seal` is called with the digest of the finished file before it takes its name. Raises `StorageError`.
    """
    parts = _parts(form, version, meta, {key: np.ascontiguousarray(array) for key, array in arrays.items()})
    body = hashlib.blake2b(digest_size=16)
    for part in parts:
        body.update(part)
    with atomic.replacing(path, seal) as file:
        file.write(header(form, body.hexdigest()).ljust(_HEAD, b"\0"))
        for part in parts:
            file.write(part)


def _parts(
    form: str, version: int, meta: Mapping[str, Any], arrays: Mapping[str, Array]
) -> list[bytes | memoryview]:
    """What follows the head: HDF5's metadata and the bytes of the arrays, from the first to the last."""

    def fill(file: Any) -> dict[str, int | None]:
        file.attrs["version"] = version
        # Of fixed length: text of variable length lies in heaps, whose reader can loop on a forged file.
        for name, text in (("format", form), ("kernelfit", package_version("kernelfit"))):
            file.attrs[name] = np.bytes_(text)
        file[_META] = np.bytes_(json.dumps(meta))
        return {key: reserve(file, key, array.shape, array.dtype) for key, array in arrays.items()}

    metadata, offsets = lay_out(fill, userblock=_HEAD)
    parts: list[bytes | memoryview] = []
    position = _HEAD
    for offset, key in sorted((offset, key) for key, offset in offsets.items() if offset is not None):
        array = arrays[key]
        parts += [metadata.span(position, offset), array.reshape(-1).view(np.uint8).data]
        position = offset + array.nbytes
    return [*parts, metadata.span(position, metadata.size)]


def read(
    path: Path,
    build: Callable[[dict[str, Any], dict[str, NDArray[Any]]], Built],
    *,
    form: str,
    version: int,
    remedy: str,
) -> Built:
    """What `build` makes of the meta and arrays of a file that `write` wrote, after its checksum has been verified.

    Nothing is read that the file is too short to hold, that lies in another file, or that is not a plain array, so
    that a file with a forged checksum does no harm either.
    Raises `DataError`; `remedy` closes its message.
    """

    def read_all(meta: dict[str, Any], datasets: dict[str, Any]) -> Built:
        return build(meta, {key: np.asarray(dataset[()]) for key, dataset in datasets.items()})

    return _with_datasets(path, read_all, form, version, remedy)


@dataclass(frozen=True)
class Extent:
    """Where an array lies in a file, C-ordered and whole: for pread at `offset`."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def locate(path: Path, *, form: str, version: int, remedy: str) -> tuple[dict[str, Any], dict[str, Extent]]:
    """The meta of a file that `write` wrote and where its arrays lie, after its checksum has been verified.

    As `read`, for arrays that are too large to be read at once.
    """

    def extents(meta: dict[str, Any], datasets: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Extent]]:
        located = {}
        for key, dataset in datasets.items():
            offset = dataset.id.get_offset()
            located[key] = Extent(int(offset) if offset is not None else -1, dataset.shape, dataset.dtype)
        return meta, located

    return _with_datasets(path, extents, form, version, remedy)


def opened(path: Path) -> Any:
    """HDF5's reader of a file that never changes under its name, locked or not.

    Some file systems have no locks, and HDF5 opens a file that this process has open already only with the same rule
    of locking. Raises OSError.
    """
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError:
        for locking in (False, True):
            with suppress(OSError):
                return h5py.File(path, "r", locking=locking)
        raise


def _with_datasets(
    path: Path,
    build: Callable[[dict[str, Any], dict[str, Any]], Built],
    form: str,
    version: int,
    remedy: str,
) -> Built:
    if not path.is_file():
        raise DataError(f"{path}: no such file, expected a {form}; {remedy}")
    try:
        _require_whole(path, form, remedy)
        with opened(path) as file:
            return build(*_read(file, path, version, remedy))
    except KernelfitError:
        raise
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{path}: not a readable {form} ({reason}); {remedy}") from None


def _read(file: Any, path: Path, version: int, remedy: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The meta and the data sets of a file, once they are known to be what they should."""
    import h5py

    if (
        file.attrs.get_id("version").dtype.kind not in "iu"
    ):  # words lie in a heap, which a forged file may not end
        raise DataError(f"{path}: its version is not an integer; {remedy}")
    if int(file.attrs["version"]) > version:
        raise DataError(
            f"{path}: version {int(file.attrs['version'])}, expected at most {version}; update kernelfit"
        )
    size = path.stat().st_size
    text = None
    datasets = {}
    for key in file:
        dataset: Any = file.get(key) if isinstance(file.get(key, getlink=True), h5py.HardLink) else None
        plain = (
            isinstance(dataset, h5py.Dataset)
            and dataset.dtype.kind in ("S" if key == _META else "iuf")
            and dataset.dtype.isnative
            and dataset.chunks is None
            and dataset.external is None
            and not dataset.is_virtual
        )
        if not plain:
            raise DataError(f"{path}: {key!r} is not a plain array; {remedy}")
        if dataset.size * dataset.dtype.itemsize > size:
            raise DataError(f"{path}: {key!r} claims more bytes than the file has; it is damaged; {remedy}")
        if key == _META:
            text = dataset[()]
        else:
            datasets[str(key)] = dataset
    meta = json.loads(text) if isinstance(text, bytes) else None
    if not isinstance(meta, dict):
        raise DataError(f"{path}: its description is not a JSON object; {remedy}")
    return meta, datasets


def array_digest(array: NDArray[Any]) -> str:
    """128 bits of BLAKE2b over dtype, shape and bytes."""
    digest = hashlib.blake2b(f"{array.dtype.str} {array.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """128 bits of BLAKE2b over a file."""
    return _digest_from(path, 0)


def _digest_from(path: Path, start: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        file.seek(start)
        while block := file.read(_HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


def header(form: str, digest: str) -> bytes:
    """What a file of that form begins with; `digest` is BLAKE2b of all behind the header's block."""
    return f"{form}\nblake2b {digest}\n".encode()


def _require_whole(path: Path, form: str, remedy: str) -> None:
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    expected = header(form, "")[:-1]
    if not head.startswith(expected):
        first = head.split(b"\n")[0][:40].decode("utf-8", "replace")
        raise DataError(f"{path}: begins with {first!r}, expected {form!r}; is it another file? {remedy}")
    if not head.startswith(header(form, _digest_from(path, _HEAD))):
        raise DataError(f"{path}: its contents do not match their checksum, it is damaged; {remedy}")
