"""Data sets known by name: from located files to a Dataset, with the official digests checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .cifar import Batch, decode_binary, decode_python, read_archive, read_binary_batch, read_python_batch
from .compressed import file_digest
from .dataset import Dataset
from .faults import damaged
from .idx import read_images_and_labels
from .locate import Located
from .registry import REGISTRY, Layout, Spec

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class FileCheck:
    """The digest of one file beside the official one; `of` says what was hashed."""

    path: Path
    of: str
    algorithm: str
    found: str
    expected: str

    @property
    def official(self) -> bool:
        return self.found == self.expected


def read_official(spec: Spec, located: Located) -> tuple[Dataset, tuple[FileCheck, ...]]:
    """Read the files of `spec` and compare their digests.

    Files of another origin are accepted with a note in the data set that names the difference.
    Raises DataError for a file that is truncated, corrupt, of another shape, or that belongs to another set.
    """
    if located.layout.kind == "idx":
        train, test, checks = _read_idx_set(spec, located)
        notes = tuple(_foreign(check) for check in checks if not check.official)
    else:
        train, test = _read_cifar(spec, located)
        checks = _cifar_checks(located)
        notes = _cifar_notes(spec, checks, *train)
    dataset = Dataset(
        name=spec.name,
        X_train=train[0],
        y_train=train[1],
        X_test=test[0],
        y_test=test[1],
        classes=spec.classes,
        image_shape=spec.image_shape,
        scale=1 / 255,
        notes=notes,
    )
    return dataset, checks


def _read_idx_set(spec: Spec, located: Located) -> tuple[Part, Part, tuple[FileCheck, ...]]:
    parts: list[Part] = []
    digests: list[str] = []
    n_classes = len(spec.classes)
    for first, n_rows in ((0, spec.n_train), (2, spec.n_test)):
        images_path, labels_path = located.paths[first : first + 2]
        images, labels, pair = read_images_and_labels(images_path, labels_path)
        expected = (n_rows, *spec.image_shape[:2])
        if images.shape != expected:
            raise damaged(images_path, f"images of shape {expected}", f"{images.shape}")
        if int(labels.max()) >= n_classes:
            row = int(np.argmax(labels >= n_classes))
            raise damaged(labels_path, f"labels 0 to {n_classes - 1}", f"label {labels[row]} in row {row}")
        parts.append((images.reshape(n_rows, -1), labels.astype(np.int64)))
        digests.extend(pair)
    return parts[0], parts[1], _idx_checks(spec, located, digests)


def _idx_checks(spec: Spec, located: Located, digests: list[str]) -> tuple[FileCheck, ...]:
    """Compare digests, of the unzipped content where the official one is known, else of the file itself."""
    owner = {file.content_sha256: other.name for other in REGISTRY.values() for file in other.downloads}
    checks: list[FileCheck] = []
    for remote, path, digest in zip(spec.downloads, located.paths, digests, strict=True):
        # Sets in this format share their file names, so one can lie where the other is looked for.
        if owner.get(digest, spec.name) != spec.name:
            raise damaged(
                path,
                spec.name,
                f"the official {owner[digest]}",
                f"put {spec.name} into a folder of that name",
            )
        if remote.content_sha256 is not None:
            checks.append(FileCheck(path, "unzipped content", "sha256", digest, remote.content_sha256))
        else:
            checks.append(FileCheck(path, "file", "sha256", file_digest(path), remote.sha256))
    return tuple(checks)


def _read_cifar(spec: Spec, located: Located) -> tuple[Part, Part]:
    *train, test = _cifar_batches(located)
    X = np.empty((spec.n_train, spec.n_features), dtype=np.uint8)
    y = np.empty(spec.n_train, dtype=np.int64)
    per_batch = spec.n_train // len(train)
    for index, (rows, labels) in enumerate(train):
        if len(rows) != per_batch:
            raise damaged(located.folder, f"{per_batch} images in batch {index + 1}", f"{len(rows)}")
        part = slice(index * per_batch, (index + 1) * per_batch)
        X[part], y[part] = rows, labels
    if len(test[0]) != spec.n_test:
        raise damaged(located.folder, f"{spec.n_test} images in the test batch", f"{len(test[0])}")
    return (X, y), test


def _cifar_batches(located: Located) -> list[Batch]:
    """The five training batches and the test batch."""
    match located.layout.kind:
        case "binary":
            return [read_binary_batch(path) for path in located.paths]
        case "python":
            return [read_python_batch(path) for path in located.paths]
    binary, python = (_member_names(kind) for kind in ("binary", "python"))
    if located.layout.kind == "binary-archive":
        return read_archive(located.paths[0], binary, decode_binary)
    return read_archive(located.paths[0], python, decode_python)


def _member_names(kind: str) -> tuple[str, ...]:
    layout: Layout = next(layout for layout in REGISTRY["cifar10"].layouts if layout.kind == kind)
    return layout.files


def _cifar_checks(located: Located) -> tuple[FileCheck, ...]:
    official = dict(located.layout.digests)
    checks = []
    for path in located.paths:
        algorithm, expected = official[path.name].split(":")
        checks.append(FileCheck(path, "file", algorithm, file_digest(path, algorithm), expected))
    return tuple(checks)


def _cifar_notes(
    spec: Spec, checks: tuple[FileCheck, ...], X: NDArray[np.uint8], y: NDArray[np.int64]
) -> tuple[str, ...]:
    foreign = [check for check in checks if not check.official]
    if not foreign:
        return ()
    counts = np.bincount(y, minlength=len(spec.classes))
    means = X.sum(axis=0, dtype=np.int64).reshape(-1, 3).sum(axis=0) / (255 * X.size / 3)
    return (
        f"{len(foreign)} of {len(checks)} files are of another origin, so rows may stand in another order than "
        f"the official one: {_foreign(foreign[0])}; training images of a class {counts.min()} to "
        f"{counts.max()} (official 5000), pixel means {means[0]:.4f}/{means[1]:.4f}/{means[2]:.4f} "
        "(official .4914/.4822/.4465)",
    )


def _foreign(check: FileCheck) -> str:
    # The first digits tell two digests apart; `kernelfit datasets verify --json` gives them whole.
    return (
        f"{check.path.name} is of another origin: {check.algorithm} of the {check.of} {check.found[:12]}..., "
        f"of the official one {check.expected[:12]}..."
    )
