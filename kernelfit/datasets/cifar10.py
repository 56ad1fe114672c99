"""CIFAR-10 as its authors publish it: batches, loose or in an archive, in a binary or a Python format.

The archives' MD5 sums stand on the authors' page (c58f30108f718f92721af3b95e74349a for Python,
c32a1d4ab5d03f1284b67883e8d87530 for binary); sha256 as pinned by Keras and MLDatasets.jl.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from .cifar import CIFAR10_FORMAT
from .cifar_set import md5_digests, read_batches
from .dataset import Dataset
from .spec import FileCheck, Layout, Located, RemoteFile, Spec


def read_cifar10(spec: Spec, located: Located | None) -> tuple[Dataset, tuple[FileCheck, ...]]:
    """The six batches as a data set; of files of another origin a note says how they differ."""
    dataset, checks = read_batches(spec, located, CIFAR10_FORMAT, _CIFAR_BATCHES)
    foreign = [check for check in checks if not check.official]
    if not foreign:
        return dataset, checks
    X, counts = dataset.X_train, np.bincount(dataset.y_train, minlength=len(spec.classes))
    means = X.sum(axis=0, dtype=np.int64).reshape(-1, 3).sum(axis=0) / (255 * X.size / 3)
    return dataclasses.replace(
        dataset,
        notes=(
            f"{dataset.notes[0]}; training images of a class {counts.min()} to "
            f"{counts.max()} (official 5000), pixel means {means[0]:.4f}/{means[1]:.4f}/{means[2]:.4f} "
            "(official .4914/.4822/.4465)",
        ),
    ), checks


_CIFAR_BINARY = RemoteFile(
    "cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    170052171,
    (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
    ),
)
CITATION = "A. Krizhevsky, Learning multiple layers of features from tiny images, 2009"
_CIFAR_PYTHON_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_CIFAR_BATCHES = (
    "data_batch_1",
    "data_batch_2",
    "data_batch_3",
    "data_batch_4",
    "data_batch_5",
    "test_batch",
)
_CIFAR_BINARY_FILES = tuple(f"{name}.bin" for name in _CIFAR_BATCHES)
_CIFAR_FOLDERS = (".", "cifar10", "cifar-10")


CIFAR10 = Spec(
    name="cifar10",
    title="colour photographs",
    n_train=50000,
    n_test=10000,
    image_shape=(32, 32, 3),
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    source="https://www.cs.toronto.edu/~kriz/cifar.html",
    citation=CITATION,
    reader=read_cifar10,
    layouts=(
        Layout(
            "binary",
            ("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10", "."),
            _CIFAR_BINARY_FILES,
            md5_digests(
                _CIFAR_BINARY_FILES,
                "5dd7e06a14cb22eb9f671a540d1b7c25 "
                "5ea93a67294ea407fff1d09f752e9692 "
                "942cd6a4bcdd0dd3c604fbe906cb4421 "
                "ae636b3ba5c66a11e91e8cb52e771fcb "
                "53f37980c15c3d472c316c40844f3f0d "
                "803d5f7f4d78ea53de84dbe85f74fb6d",
            ),
        ),
        Layout(
            "python",
            ("cifar-10-batches-py", "cifar10/cifar-10-batches-py", "cifar10", "."),
            _CIFAR_BATCHES,
            md5_digests(
                _CIFAR_BATCHES,
                "c99cafc152244af753f735de768cd75f "
                "d4bba439e000b95fd0a9bffe97cbabec "
                "54ebc095f3ab1f0389bbae665268c751 "
                "634d18415352ddfa80567beed471001a "
                "482c414d41f54cd18b22e5b47cb7c3cb "
                "40351d587109b95175f43aff81a1287e",
            ),
        ),
        Layout(
            "binary-archive",
            _CIFAR_FOLDERS,
            (_CIFAR_BINARY.name,),
            ((_CIFAR_BINARY.name, f"sha256:{_CIFAR_BINARY.sha256}"),),
        ),
        Layout(
            "python-archive",
            _CIFAR_FOLDERS,
            ("cifar-10-python.tar.gz",),
            (("cifar-10-python.tar.gz", f"sha256:{_CIFAR_PYTHON_SHA256}"),),
        ),
    ),
    downloads=(_CIFAR_BINARY,),
)
