"""STL-10: 96 x 96 photographs of ten classes, few of them labelled.

A file of images holds the red, green and blue planes of one after the other, each stored column by column; one of
labels a byte from 1 to 10 for each. The 100,000 images without labels are not taken, and what follows the labelled ones
in the archive is not read. MD5 sums as pinned by torchvision, sha256 and size as by TensorFlow Datasets.
"""

from __future__ import annotations

import hashlib

import numpy as np

from .archive import read_archive
from .cifar_set import file_checks, md5_digests, origin_notes
from .dataset import Dataset
from .faults import damaged, reading
from .spec import FileCheck, Layout, Located, Part, RemoteFile, Spec

_FILES = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")
_DIGESTS = md5_digests(
    _FILES,
    "918c2871b30a85fa023e0c44e0bee87f 5a34089d4802c674881badbb80307741 "
    "7f263ba9f9e0b06b93213547f721ac82 36f9794fa4beb8a2c72628de14fa638e",
)
_SIDE = 96
_IMAGE = 3 * _SIDE * _SIDE
# The archive unzips to 3.1 GB, most of it images without labels; test_X.bin has 221 MB.
_MAX_CONTENT = 4 << 30
_MAX_MEMBER = 256 << 20


def read_stl10(spec: Spec, located: Located | None) -> tuple[Dataset, tuple[FileCheck, ...]]:
    """The four files as a data set, rows in the order (height, width, channel)."""
    assert located is not None
    sizes = (spec.n_train * _IMAGE, spec.n_train, spec.n_test * _IMAGE, spec.n_test)
    if located.layout.kind == "archive":
        contents = read_archive(
            located.paths[0],
            _FILES,
            lambda content, _: content,
            max_member=_MAX_MEMBER,
            max_content=_MAX_CONTENT,
            to_end=False,
        )
    else:
        contents = []
        for path, size in zip(located.paths, sizes, strict=True):
            with reading(path, "a file of STL-10"):
                if path.stat().st_size != size:
                    raise damaged(path, f"{size} bytes", f"{path.stat().st_size}", "fetch it again")
                contents.append(path.read_bytes())
    for name, content, size in zip(_FILES, contents, sizes, strict=True):
        if len(content) != size:
            raise damaged(located.folder / name, f"{size} bytes", f"{len(content)}", "fetch it again")
    train, test = _part(located, contents[:2]), _part(located, contents[2:])
    packed = located.layout.kind == "archive"
    checks = _member_checks(located, contents) if packed else file_checks(located)
    return spec.dataset(train, test, origin_notes(checks)), checks


def _member_checks(located: Located, contents: list[bytes]) -> tuple[FileCheck, ...]:
    """Digests of what was read: one of the whole archive would take reading all of it."""
    checks = []
    for (name, official), content in zip(_DIGESTS, contents, strict=True):
        algorithm, _, expected = official.partition(":")
        digest = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
        checks.append(FileCheck(located.paths[0] / name, "member", algorithm, digest, expected))
    return tuple(checks)


def _part(located: Located, contents: list[bytes]) -> Part:
    planes = np.frombuffer(contents[0], np.uint8).reshape(-1, 3, _SIDE, _SIDE)
    labels = np.frombuffer(contents[1], np.uint8).astype(np.int64)
    wrong = np.flatnonzero((labels < 1) | (labels > 10))
    if wrong.size:
        raise damaged(located.folder, "labels 1 to 10", f"label {labels[wrong[0]]} in row {wrong[0]}")
    X = np.ascontiguousarray(planes.transpose(0, 3, 2, 1)).reshape(len(planes), -1)
    return X, labels - 1


_ARCHIVE = RemoteFile(
    "stl10_binary.tar.gz",
    "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
    2640397119,
    ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
)

STL10 = Spec(
    name="stl10",
    title="colour photographs, few labels",
    n_train=5000,
    n_test=8000,
    image_shape=(_SIDE, _SIDE, 3),
    classes=("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
    source="https://cs.stanford.edu/~acoates/stl10/",
    citation="A. Coates, H. Lee, A. Y. Ng, An analysis of single-layer networks in unsupervised feature learning, "
    "AISTATS 2011",
    reader=read_stl10,
    layouts=(
        Layout(
            "binary",
            ("stl10_binary", "stl10/stl10_binary", "stl10", "."),
            _FILES,
            _DIGESTS,
        ),
        Layout(
            "archive",
            ("stl10", "STL10", "."),
            (_ARCHIVE.name,),
            ((_ARCHIVE.name, f"sha256:{_ARCHIVE.sha256}"),),
        ),
    ),
    downloads=(_ARCHIVE,),
)
