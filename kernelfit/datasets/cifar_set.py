"""A data set known by name that lies in batches of CIFAR: training batches of one size, then a test batch."""

from __future__ import annotations

import numpy as np

from .cifar import CifarFormat
from .compressed import file_digest
from .dataset import Dataset
from .faults import damaged
from .spec import FileCheck, Located, Spec


def read_batches(
    spec: Spec, located: Located | None, batches: CifarFormat, names: tuple[str, ...]
) -> tuple[Dataset, tuple[FileCheck, ...]]:
    """The data set, and its files beside the official ones. `names` are the batches' without a suffix."""
    assert located is not None
    suffix = ".bin" if located.layout.kind.startswith("binary") else ""
    members = tuple(name + suffix for name in names)
    *train, test = batches.read(located.paths, located.layout.kind, members)
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
    checks = file_checks(located)
    return spec.dataset((X, y), test, origin_notes(checks)), checks


def file_checks(located: Located) -> tuple[FileCheck, ...]:
    """Every file's digest beside that of its layout."""
    official = dict(located.layout.digests)
    checks = []
    for path in located.paths:
        algorithm, _, expected = official.get(path.name, "sha256:").partition(":")
        checks.append(FileCheck(path, "file", algorithm, file_digest(path, algorithm), expected or None))
    return tuple(checks)


def origin_notes(checks: tuple[FileCheck, ...]) -> tuple[str, ...]:
    """One note for all files that are not the official ones."""
    unknown = [check for check in checks if check.expected is None]
    foreign = [check for check in checks if not check.official and check.expected is not None]
    if foreign:
        return (
            f"{len(foreign)} of {len(checks)} files are of another origin, so rows may stand in another order than "
            f"the official one: {foreign[0].note}",
        )
    return (unknown[0].note,) if unknown else ()


def md5_digests(names: tuple[str, ...], digests: str) -> tuple[tuple[str, str], ...]:
    """Digests of a layout's files, from MD5 sums separated by blanks."""
    return tuple((name, f"md5:{digest}") for name, digest in zip(names, digests.split(), strict=True))
