"""Data sets known by name: from located files to a Dataset, with the official digests checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cifar import read_binary_batch
from .compressed import file_digest
from .dataset import Dataset
from .faults import damaged
from .idx import read_images_and_labels
from .locate import Located
from .registry import REGISTRY, Spec

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_official(spec: Spec, located: Located) -> Dataset:
    """Read the files of `spec`. Files of another origin are accepted with a note that names the difference."""
    if located.layout.kind == "idx":
        train, test, notes = _read_idx_set(spec, located)
    else:
        train, test, notes = _read_cifar(spec, located)
    return Dataset(
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


def _read_idx_set(spec: Spec, located: Located) -> tuple[Part, Part, tuple[str, ...]]:
    parts: list[Part] = []
    digests: list[str] = []
    for first, n_rows in ((0, spec.n_train), (2, spec.n_test)):
        images_path, labels_path = located.paths[first : first + 2]
        images, labels, pair = read_images_and_labels(images_path, labels_path)
        expected = (n_rows, *spec.image_shape[:2])
        if images.shape != expected:
            raise damaged(images_path, f"images of shape {expected}", f"{images.shape}")
        if int(labels.max()) >= len(spec.classes):
            row = int(np.argmax(labels >= len(spec.classes)))
            raise damaged(
                labels_path, f"labels 0 to {len(spec.classes) - 1}", f"label {labels[row]} in row {row}"
            )
        parts.append((images.reshape(n_rows, -1), labels.astype(np.int64)))
        digests.extend(pair)
    return parts[0], parts[1], _idx_notes(spec, located, digests)


def _idx_notes(spec: Spec, located: Located, digests: list[str]) -> tuple[str, ...]:
    notes: list[str] = []
    for remote, path, digest in zip(spec.downloads, located.paths, digests, strict=True):
        for other in REGISTRY.values():
            if other.name != spec.name and digest in {file.content_sha256 for file in other.downloads}:
                raise damaged(
                    path, spec.name, f"the official {other.name}", f"put {spec.name} in a folder of its own"
                )
        if remote.content_sha256 is not None:
            if digest != remote.content_sha256:
                notes.append(
                    _foreign(path.name, f"unzipped sha256 {digest[:12]}", remote.content_sha256[:12])
                )
        elif (found := file_digest(path)) != remote.sha256:
            notes.append(_foreign(path.name, f"sha256 {found[:12]}", remote.sha256[:12]))
    return tuple(notes)


def _foreign(name: str, found: str, official: str) -> str:
    return f"{name} is of another origin: {found}..., official {official}...; layout, shape and labels are in order"


def _read_cifar(spec: Spec, located: Located) -> tuple[Part, Part, tuple[str, ...]]:
    *train_paths, test_path = located.paths
    X = np.empty((spec.n_train, spec.n_features), dtype=np.uint8)
    y = np.empty(spec.n_train, dtype=np.int64)
    per_batch = spec.n_train // len(train_paths)
    for index, path in enumerate(train_paths):
        rows, labels = read_binary_batch(path)
        if len(rows) != per_batch:
            raise damaged(path, f"{per_batch} images", f"{len(rows)}")
        X[index * per_batch : (index + 1) * per_batch] = rows
        y[index * per_batch : (index + 1) * per_batch] = labels
    test = read_binary_batch(test_path)
    if len(test[0]) != spec.n_test:
        raise damaged(test_path, f"{spec.n_test} images", f"{len(test[0])}")
    return (X, y), test, ()
