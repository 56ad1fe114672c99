"""NPZ files (numpy.savez, numpy.savez_compressed), read without pickle and without trusting their sizes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from kernelfit.typing import Array

from .compressed import DEFLATE_RATIO, read_exactly
from .faults import DECODER_ERRORS, damaged, reading
from .keys import Purpose, choose
from .rows import Rows, check_type, make_rows, values_in

# A .npy header is a dictionary of three entries; NumPy pads it to 64 or 128 bytes.
_HEADER_LIMIT = 1 << 14
_ENCRYPTED = 0x1


def read_npz(
    path: Path, keys: Mapping[str, str] | None = None, purpose: Purpose = "train"
) -> tuple[Rows, Rows | None]:
    """Read the training part and, where the file has one, the test part.

    Arrays are those of `keys`, or X and y, X_train, y_train, X_test and y_test, and what else `keys.choose` knows. The
    size in the zip directory, the shape in the array's header and the size of the file must agree before an array is
    allocated. Raises DataError.
    """
    with reading(path, "an NPZ file"), _open(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise damaged(path, "each array once", "two of one name")
        shapes = {name: _shape_of(archive, info, path, name) for name, info in members.items()}
        pairs, notes = choose(path, shapes, keys or {}, purpose)
        parts = []
        for pair in pairs:
            X = _read_member(archive, members[pair.X], path, pair.X, labels=False)
            y = None if pair.y is None else _read_member(archive, members[pair.y], path, pair.y, labels=True)
            parts.append(make_rows(path, X, y, pair.X, pair.y or "y", gaps=purpose != "rows"))
        first = replace(parts[0], notes=(*notes, *parts[0].notes))
        return first, parts[1] if len(parts) > 1 else None


def _shape_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, key: str) -> tuple[int, ...]:
    """The shape that the header of a member claims; none where it is no array."""
    try:
        with archive.open(info) as stream:
            return _read_header(stream.read(_HEADER_LIMIT), path, key)[0]
    except (
        *DECODER_ERRORS,
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
    ):
        return ()  # damaged ones are named when they are read


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise damaged(path, "an NPZ file", f"no zip archive ({error})") from error


def _read_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, key: str, *, labels: bool
) -> Array:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & _ENCRYPTED:
        raise damaged(
            path, f"{key} stored or deflated", f"zip method {info.compress_type}, flags {info.flag_bits}"
        )
    ratio = 1 if info.compress_type == zipfile.ZIP_STORED else DEFLATE_RATIO
    limit = ratio * min(info.compress_size, path.stat().st_size)
    if info.file_size > limit:
        raise damaged(
            path, f"{key} of at most {limit} bytes, by the size of the file", f"{info.file_size} claimed"
        )
    try:
        with archive.open(info) as stream:
            start = stream.read(_HEADER_LIMIT)
            shape, fortran_order, dtype, offset = _read_header(start, path, key)
            check_type(path, key, dtype, labels=labels)
            n_bytes = values_in(shape) * dtype.itemsize
            if n_bytes != info.file_size - offset:
                raise damaged(
                    path, f"{n_bytes} bytes for {key} of shape {shape}", f"{info.file_size - offset}"
                )
        with archive.open(info) as stream:
            stream.read(offset)
            content = read_exactly(cast(zipfile.ZipExtFile, stream), n_bytes, path, key)
            stream.read(1)  # reaching the end makes zipfile compare the checksum
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise damaged(
            path, f"the array {key}", f"a damaged member ({error})", "write the file again"
        ) from error
    array = content.view(dtype).reshape(shape, order="F" if fortran_order else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_header(
    start: bytes, path: Path, key: str
) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    stream = io.BytesIO(start)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise damaged(path, f"{key} in .npy format 1.0 or 2.0", f"version {version}")
    if any(size < 0 for size in shape):
        raise damaged(path, f"{key} with sizes from 0", f"shape {shape}")
    return shape, fortran_order, dtype, stream.tell()
