"""EMNIST: handwritten letters and digits of NIST's Special Database 19, in the format of MNIST.

Its images are stored column by column: they are turned, so that they stand upright as MNIST's do. All its sets are in
one zip archive (561,753,746 bytes; MD5 58c8d27c78d21e728a6bc7b3cc06412e as torchvision pins it, sha256 as TensorFlow
Datasets does), which is read in place.
"""

from __future__ import annotations

import string

from .idx_set import IdxSet
from .spec import Layout, RemoteFile, Spec

_ARCHIVE = RemoteFile(
    "gzip.zip",
    "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
    561753746,
    (
        "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
        "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
    ),
)
_FOLDERS = ("emnist", "EMNIST", "EMNIST/raw", "EMNIST/raw/gzip", "emnist/gzip", "gzip", ".")


def _emnist(
    split: str, title: str, n_train: int, n_test: int, classes: tuple[str, ...], first_label: int
) -> Spec:
    files = tuple(
        f"emnist-{split}-{part}-{what}-ubyte.gz"
        for part in ("train", "test")
        for what in ("images-idx3", "labels-idx1")
    )
    return Spec(
        name=f"emnist-{split}",
        title=title,
        n_train=n_train,
        n_test=n_test,
        image_shape=(28, 28, 1),
        classes=classes,
        source="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        citation="G. Cohen, S. Afshar, J. Tapson, A. van Schaik, EMNIST: an extension of MNIST to handwritten letters, "
        "arXiv:1702.05373, 2017",
        reader=IdxSet(
            first_label=first_label, transposed=True, members=tuple(f"gzip/{name}" for name in files)
        ),
        layouts=(Layout("idx", _FOLDERS, files), Layout("zip", _FOLDERS, (_ARCHIVE.name,))),
        downloads=(_ARCHIVE,),
        folder="emnist",
    )


EMNIST_LETTERS = _emnist(
    "letters", "handwritten letters, both cases alike", 124800, 20800, tuple(string.ascii_lowercase), 1
)
EMNIST_BALANCED = _emnist(
    "balanced",
    "handwritten digits and letters",
    112800,
    18800,
    # Of the lower-case letters those that look like no capital.
    (*string.digits, *string.ascii_uppercase, *"abdefghnqrt"),
    0,
)
EMNIST_DIGITS = _emnist("digits", "handwritten digits", 240000, 40000, tuple(string.digits), 0)
