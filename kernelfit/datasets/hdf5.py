"""HDF5 files of arrays, MATLAB's among them."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelfit.typing import Array

from .compressed import DEFLATE_RATIO
from .faults import damaged, reading
from .hdf5_heaps import require_ends
from .keys import Purpose, choose
from .rows import Rows, check_type, make_rows, no_text, values_in

if TYPE_CHECKING:
    import h5py

# What MATLAB writes beside an array: its class.
_MATLAB = "MATLAB_class"
_NUMBERS = ("double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
# Links to links; HDF5 itself follows 16.
_LARGEST_CHAIN = 16
# What file systems without locks answer HDF5, which asks for one to read.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EROFS)
# What HDF5 says where the process has the file open with another rule of locking.
_OTHER_RULE = "flag values don't match"
# A file of more arrays holds something else.
_MOST_ARRAYS = 10_000


def read_hdf5(
    path: Path, keys: Mapping[str, str] | None = None, purpose: Purpose = "train"
) -> tuple[Rows, Rows | None]:
    """Read the training part and, where the file has one, the test part. Raises DataError.

    Arrays are those of `keys`, or X and y, X_train, y_train, X_test and y_test, and what else `keys.choose` knows, also
    in groups. Data must lie in this very file: links to other files, external storage and virtual data sets are
    refused. The shape is compared with the bytes stored before an array is allocated. MATLAB (-v7.3) stores columns
    first: its arrays are turned, with a note.
    """

    with reading(path, "an HDF5 file"):
        if not path.is_file():
            raise FileNotFoundError(path)
        with path.open("rb") as stream:
            start = stream.read(10)
            # Those of version 4 begin with a small integer.
            if start == b"MATLAB 5.0" or (path.suffix.lower() == ".mat" and b"\0" in start[:4]):
                raise damaged(path, "an HDF5 file", "a MATLAB file of an older format", "save it with -v7.3")
        try:
            with _opened(path) as file:
                arrays = _arrays(file)
                matlab = any(_MATLAB in node.attrs for node in arrays.values())
                shapes = {name: _shape_of(node, matlab) for name, node in (arrays | _linked(file)).items()}
                shapes, frames = (shapes, ()) if keys else _without_frames(file, shapes, path)
                pairs, notes = choose(path, shapes, keys or {}, purpose)
                notes = (*notes, *frames)
                if matlab:
                    notes = (*notes, f"{path.name}: MATLAB stores columns first; its arrays are turned")
                parts = []
                for pair in pairs:
                    X = _read(file, pair.X, path, labels=False)
                    y = None if pair.y is None else _read(file, pair.y, path, labels=True)
                    if matlab:
                        X, y = _turned(X), None if y is None else _column(_turned(y))
                    if y is not None and _class_of(_follow(file, pair.y or "", path)) == "char":
                        y = _words(y)
                    parts.append(make_rows(path, X, y, pair.X, pair.y or "y", gaps=purpose != "rows"))
        except (RuntimeError, KeyError) as error:  # what h5py makes of the library's complaints
            raise damaged(path, "an HDF5 file", f"one that does not decode ({error})") from error
        first = replace(parts[0], notes=(*notes, *parts[0].notes))
        return first, parts[1] if len(parts) > 1 else None


def _opened(path: Path) -> h5py.File:
    """The file for reading; not one that another process is writing, where its file system can tell.

    One that this process has open already HDF5 opens with the same rule of locking only.
    """
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        if error.errno not in _NO_LOCKS and _OTHER_RULE not in str(error):
            raise
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if _OTHER_RULE not in str(error):
            raise
    return h5py.File(path, "r", locking=True)


def _arrays(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Every array of the file by its path, also in groups; links are not followed."""
    import h5py

    nodes: dict[str, h5py.Dataset] = {}

    def visit(name: str, node: object) -> bool | None:
        if isinstance(node, h5py.Dataset) and not name.startswith("#refs#"):
            nodes[name] = node
        return True if len(nodes) > _MOST_ARRAYS else None

    file.visititems(visit)
    return nodes


def _without_frames(
    file: h5py.File, shapes: dict[str, tuple[int, ...]], path: Path
) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]]:
    """The arrays that are no parts of a frame of pandas (columns by their types, index, names), and a note of these.

    Raises DataError where there are no others.
    """
    frames = {
        name: group.name[1:]
        for name in shapes
        for group in _above(file, name)
        if "pandas_type" in group.attrs
    }
    if not frames:
        return shapes, ()
    others = {name: shape for name, shape in shapes.items() if name not in frames}
    if not others:
        raise damaged(
            path,
            "arrays of rows and of labels",
            f"a frame that pandas wrote, {min(frames.values())!r}",
            "write it as a table, with to_parquet or to_csv",
        )
    return others, (f"{path.name}: not read: what pandas wrote, {', '.join(sorted(set(frames.values())))}",)


def _above(file: h5py.File, name: str) -> Iterator[h5py.Group]:
    """The groups that an array of that path lies in; none above a link."""
    groups = name.split("/")[:-1]
    return (file["/".join(groups[: depth + 1])] for depth in range(len(groups)))


def _linked(file: h5py.File) -> dict[str, None]:
    """Names at the top that are links, or groups that are called like an array: read, or refused, when chosen."""
    import h5py

    links = (h5py.SoftLink, h5py.ExternalLink)
    return {name: None for name in file if isinstance(file.get(name, getlink=True), links)}


def _shape_of(node: h5py.Dataset | None, turned: bool) -> tuple[int, ...]:
    shape = () if node is None or node.shape is None else tuple(node.shape)
    if not turned:
        return shape
    shape = shape[::-1] if len(shape) < 3 else shape[:1] + shape[:0:-1]
    if len(shape) == 2 and shape[0] > 1 and _class_of(node) == "char":
        return (shape[0], 1)
    return (shape[1], 1) if len(shape) == 2 and shape[0] == 1 else shape


def _turned(values: Array) -> Array:
    """(d, n) as (n, d); of images, whose last axis in MATLAB is that of the rows, (n, c, w, h) as (n, h, w, c)."""
    return values.T if values.ndim < 3 else values.transpose(0, *range(values.ndim - 1, 0, -1))


def _column(y: Array) -> Array:
    """A row vector of MATLAB's as the column it stands for."""
    return y.reshape(-1, 1) if y.ndim == 2 and y.shape[0] == 1 else y


def _class_of(node: h5py.Dataset | None) -> str:
    """The class that MATLAB gave an array, such as double, logical or char; nothing for one of others."""
    if node is None or _MATLAB not in node.attrs or node.attrs.get_id(_MATLAB).dtype.kind != "S":
        return ""
    return bytes(node.attrs[_MATLAB]).decode("ascii", "replace")


def _words(letters: Array) -> Array:
    """The rows of a matrix of letters (n, k), UTF-16, as text (n,)."""
    rows = letters.reshape(len(letters), -1).astype("<u2")
    return np.array(
        [row.tobytes().decode("utf-16-le", "replace").strip("\0 ") for row in rows], dtype=np.str_
    )


def _check_class(matlab: str, key: str, path: Path, *, labels: bool) -> None:
    """Raise for what MATLAB stores as numbers, or references, that stand for something else."""
    if matlab in ("", "logical", *_NUMBERS) or (labels and matlab == "char"):
        return
    remedy = f"store it as char({key})" if labels else "store it as double"
    raise damaged(path, f"numbers{' or char' if labels else ''} in {key}", f"MATLAB's {matlab[:40]}", remedy)


def _read(file: h5py.File, key: str, path: Path, *, labels: bool) -> Array:
    import h5py

    dataset = _follow(file, key, path)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise damaged(path, f"{key}, an array", f"{type(dataset).__name__} without a shape")
    properties = dataset.id.get_create_plist()
    if dataset.is_virtual or properties.get_external_count():
        raise damaged(path, f"{key} in the file itself", "data kept in other files")
    matlab = _class_of(dataset)
    _check_class(matlab, key, path, labels=labels)
    words = labels and h5py.check_string_dtype(dataset.dtype) is not None
    if not words:
        check_type(path, key, dataset.dtype, labels=labels)
    _check_size(dataset, key, path)
    if words:
        require_ends(path)
        try:
            return np.array(dataset.asstr("utf-8")[()], dtype=np.str_)
        except UnicodeDecodeError as error:
            raise no_text(path, key, error) from None
    array: Array = dataset[()]
    if matlab == "logical":  # stored as bytes, which are no pixels
        return array.astype(np.bool_)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _follow(file: h5py.File, key: str, path: Path) -> Any:
    """The object under `key`; soft links are followed by hand, as one may lead through a link to another file."""
    import h5py

    names, node, links = [part for part in key.split("/") if part], file["/"], 0
    while names:
        name = names.pop(0)
        link = node.get(name, getlink=True) if isinstance(node, h5py.Group) else None
        if isinstance(link, h5py.ExternalLink):
            raise damaged(path, f"{key} in the file itself", "a link to another file")
        if isinstance(link, h5py.SoftLink) and links < _LARGEST_CHAIN:
            links += 1
            names = [part for part in link.path.split("/") if part not in ("", ".")] + names
            node = file["/"] if link.path.startswith("/") else node
        elif isinstance(link, h5py.HardLink):
            node = node[name]
        else:
            raise damaged(path, f"{key}, an array", "a link that leads nowhere")
    return node


def _check_size(dataset: h5py.Dataset, key: str, path: Path) -> None:
    """Compare the shape with the bytes stored, and both with the size of the file."""
    file_size = path.stat().st_size
    stored = int(dataset.id.get_storage_size())
    claimed = values_in(dataset.shape) * dataset.dtype.itemsize
    packed = dataset.chunks is not None and dataset.id.get_create_plist().get_nfilters() > 0
    ratio = DEFLATE_RATIO if packed else 1
    if stored > file_size or claimed > ratio * stored:
        raise damaged(
            path,
            f"{claimed} bytes for {key} of shape {dataset.shape}",
            f"{stored} stored in a file of {file_size}",
            "the file is truncated or was not written to its end",
        )
    if dataset.chunks is not None:
        chunk = values_in(dataset.chunks) * dataset.dtype.itemsize
        if chunk > ratio * file_size:
            raise damaged(path, f"chunks of {key} of at most {ratio * file_size} bytes", f"{chunk}")
