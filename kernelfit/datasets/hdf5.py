"""HDF5 files with the arrays X and y, or X_train, y_train, X_test and y_test, at the top."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .compressed import DEFLATE_RATIO
from .dataset import Array
from .faults import damaged, reading
from .keys import paired_keys
from .rows import Rows, check_type, make_rows, values_in

if TYPE_CHECKING:
    import h5py

# Links to links; HDF5 itself follows 16.
_LARGEST_CHAIN = 16


def read_hdf5(path: Path, unlabelled: bool = False) -> tuple[Rows, Rows | None]:
    """Read the training part and, where the file has one, the test part. Raises DataError.

    Data must lie in this very file: links to other files, external storage and virtual data sets are refused.
    The shape is compared with the bytes stored before an array is allocated.
    """
    import h5py

    with reading(path, "an HDF5 file"):
        if not path.is_file():
            raise FileNotFoundError(path)
        try:
            with h5py.File(path, "r") as file:
                parts = []
                for X_key, y_key in paired_keys(path, list(file), unlabelled):
                    X = _read(file, X_key, path, labels=False)
                    y = None if y_key is None else _read(file, y_key, path, labels=True)
                    parts.append(make_rows(path, X, y, X_key, y_key or "y"))
        except (RuntimeError, KeyError) as error:  # what h5py makes of the library's complaints
            raise damaged(path, "an HDF5 file", f"one that does not decode ({error})") from error
        return parts[0], parts[1] if len(parts) > 1 else None


def _read(file: h5py.File, key: str, path: Path, *, labels: bool) -> Array:
    import h5py

    dataset = _follow(file, key, path)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise damaged(path, f"{key}, an array", f"{type(dataset).__name__} without a shape")
    properties = dataset.id.get_create_plist()
    if dataset.is_virtual or properties.get_external_count():
        raise damaged(path, f"{key} in the file itself", "data kept in other files")
    check_type(path, key, dataset.dtype, labels=labels)
    _check_size(dataset, key, path)
    array: Array = dataset[()]
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _follow(file: h5py.File, key: str, path: Path) -> Any:
    """The object under `key`; soft links are followed by hand, as one may lead through a link to another file."""
    import h5py

    names, node, links = [key], file["/"], 0
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
