"""A data set known by name that lies in four IDX files: images and labels to train on, and to test."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .compressed import file_digest
from .dataset import Dataset
from .faults import damaged, reading
from .idx import Stream, decode_idx, read_idx
from .spec import FileCheck, Located, Part, RemoteFile, Spec

# An IDX header is at most this long.
_HEADER = 64


@dataclass(frozen=True)
class IdxSet:
    """Reads four IDX files, loose or in a zip archive (layout "zip", whose members are called `members`).

    `first_label` is the code of the first class in the files; `transposed` images are stored column by column. Labels
    that are not (n,) bytes but `labels` = "integers" (n, k) have the class in their first column. `rivals` gives the
    specs whose files have the same names, so that one can lie where another is looked for.
    """

    first_label: int = 0
    transposed: bool = False
    labels: str = "unsigned bytes"
    members: tuple[str, ...] = ()
    rivals: Callable[[], tuple[Spec, ...]] = tuple

    def __call__(self, spec: Spec, located: Located | None) -> tuple[Dataset, tuple[FileCheck, ...]]:
        """The data set, and its files beside the official ones."""
        assert located is not None
        parts: list[Part] = []
        digests: list[str] = []
        for first, n_rows in ((0, spec.n_train), (2, spec.n_test)):
            images, images_digest = self._array(located, first, (n_rows, *spec.image_shape[:2]))
            labels, labels_digest = self._array(located, first + 1, (n_rows,))
            if self.transposed:
                images = np.ascontiguousarray(images.transpose(0, 2, 1))
            parts.append((images.reshape(n_rows, -1), self._codes(spec, located, first + 1, labels)))
            digests += [images_digest, labels_digest]
        checks = self._checks(spec, located, digests)
        notes = tuple(check.note for check in checks if not check.official)
        return spec.dataset(parts[0], parts[1], notes), checks

    def _array(self, located: Located, number: int, expected: tuple[int, ...]) -> tuple[NDArray[Any], str]:
        is_labels = len(expected) == 1
        values, ndim = "unsigned bytes", len(expected)
        if is_labels and self.labels == "integers":
            values, ndim = "integers", 2
        if located.layout.kind == "zip":
            path = located.paths[0] / self.members[number]
            array, digest = _member(located.paths[0], self.members[number], ndim, values, expected)
        else:
            path = located.paths[number]
            array, digest = read_idx(path, ndim, values)
        if array.shape[: len(expected)] != expected:
            what = f"{expected[0]} labels" if is_labels else f"images of shape {expected}"
            raise damaged(path, what, f"{array.shape}")
        return array, digest

    def _codes(self, spec: Spec, located: Located, number: int, labels: NDArray[Any]) -> NDArray[np.int64]:
        codes = (labels if labels.ndim == 1 else labels[:, 0]).astype(np.int64) - self.first_label
        wrong = np.flatnonzero((codes < 0) | (codes >= len(spec.classes)))
        if wrong.size:
            path = located.paths[0 if located.layout.kind == "zip" else number]
            last = self.first_label + len(spec.classes) - 1
            row = int(wrong[0])
            raise damaged(
                path,
                f"labels {self.first_label} to {last}",
                f"label {codes[row] + self.first_label} in row {row}",
            )
        return codes

    def _checks(self, spec: Spec, located: Located, digests: list[str]) -> tuple[FileCheck, ...]:
        """Compare digests, of the unzipped content where the official one is known, else of the files themselves."""
        if located.layout.kind == "zip":
            path = located.paths[0]
            return (FileCheck(path, "file", "sha256", file_digest(path), spec.downloads[0].sha256),)
        official: tuple[RemoteFile | None, ...]
        official = spec.downloads if len(spec.downloads) == len(digests) else (None,) * len(digests)
        owner: dict[str, str] = {}
        for rival in self.rivals():
            for file in rival.downloads:
                owner |= {digest: rival.name for digest in (file.sha256, file.content_sha256) if digest}
        checks: list[FileCheck] = []
        for remote, path, digest in zip(official, located.paths, digests, strict=True):
            whole = file_digest(path)
            other = owner.get(whole) or owner.get(digest) or spec.name
            if other != spec.name:
                raise damaged(
                    path, spec.name, f"the official {other}", f"put {spec.name} into a folder of that name"
                )
            if remote is not None and remote.content_sha256 is not None:
                checks.append(FileCheck(path, "unzipped content", "sha256", digest, remote.content_sha256))
            else:
                checks.append(FileCheck(path, "file", "sha256", whole, remote.sha256 if remote else None))
        return tuple(checks)


def _member(
    archive: Path, member: str, ndim: int, values: str, expected: tuple[int, ...]
) -> tuple[NDArray[Any], str]:
    """An IDX file, gzipped inside a zip archive; its content may be no larger than what is expected of it."""
    content = int(np.prod(expected))
    with reading(archive, f"a zip archive with {member}"):
        try:
            with (
                zipfile.ZipFile(archive) as zipped,
                zipped.open(member) as packed,
                gzip.open(packed) as stream,
            ):
                return decode_idx(cast(Stream, stream), ndim, values, archive / member, content + _HEADER)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise damaged(archive, f"a zip archive with {member}", str(error)) from error
