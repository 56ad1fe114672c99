"""SVHN, house numbers from street views: cropped digits of 32 x 32 pixels in two MATLAB files.

A file holds X (32, 32, 3, n) of bytes and y (n, 1), where a zero has the label 10. MD5 sums as pinned by torchvision,
sha256 and sizes as by TensorFlow Datasets. The 531,131 further images of its "extra" part are not read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kernelfit.errors import DataError

from .cifar_set import file_checks, md5_digests, origin_notes
from .compressed import DEFLATE_RATIO
from .dataset import Dataset
from .faults import damaged
from .spec import FileCheck, Layout, Located, Part, RemoteFile, Spec

_FILES = ("train_32x32.mat", "test_32x32.mat")
_SIDE = 32


def read_svhn(spec: Spec, located: Located | None) -> tuple[Dataset, tuple[FileCheck, ...]]:
    """The two files as a data set, rows in the order (height, width, channel)."""
    assert located is not None
    sizes = (spec.n_train, spec.n_test)
    train, test = (read_mat(path, n) for path, n in zip(located.paths, sizes, strict=True))
    checks = file_checks(located)
    return spec.dataset(train, test, origin_notes(checks)), checks


def read_mat(path: Path, n: int) -> Part:
    """X (n, 3072) and class codes (n,) of a file that holds n images. Raises DataError."""
    from scipy.io import loadmat, whosmat

    X_shape, y_shape = (_SIDE, _SIDE, 3, n), (n, 1)
    try:
        # Shapes and sizes are compared before anything of their size is allocated.
        listed = {name: (shape, kind) for name, shape, kind in whosmat(path)}
        for name, shape in (("X", X_shape), ("y", y_shape)):
            if listed.get(name) is None or listed[name][0] != shape:
                raise damaged(path, f"{name} of shape {shape}", f"{listed.get(name, ('none',))[0]}")
        if listed["X"][1] != "uint8":
            raise damaged(path, "X of bytes", listed["X"][1])
        if np.prod(X_shape) > path.stat().st_size * DEFLATE_RATIO:
            raise damaged(path, f"{n} images", "a file too short for them", "fetch it again")
        content = loadmat(path, variable_names=["X", "y"])
        X, labels = content["X"], content["y"].astype(np.int64).ravel()
    except DataError:
        raise
    except Exception as error:  # SciPy's reader raises whatever the fault provokes
        reason = str(error) or type(error).__name__
        raise damaged(path, "a MATLAB file of SVHN", f"a file that does not decode ({reason})") from error
    wrong = np.flatnonzero((labels < 1) | (labels > 10))
    if wrong.size:
        raise damaged(path, "labels 1 to 10", f"label {labels[wrong[0]]} in row {wrong[0]}")
    return np.ascontiguousarray(X.transpose(3, 0, 1, 2)).reshape(n, -1), labels % 10


def _remote(name: str, sha256: str, size: int) -> RemoteFile:
    return RemoteFile(name, sha256, size, (f"http://ufldl.stanford.edu/housenumbers/{name}",))


SVHN = Spec(
    name="svhn",
    title="house numbers",
    n_train=73257,
    n_test=26032,
    image_shape=(_SIDE, _SIDE, 3),
    classes=tuple("0123456789"),
    source="http://ufldl.stanford.edu/housenumbers/",
    licence="non-commercial use only",
    citation="Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu, A. Y. Ng, Reading digits in natural images with "
    "unsupervised feature learning, NIPS Workshop on Deep Learning 2011",
    reader=read_svhn,
    layouts=(
        Layout(
            "mat",
            ("svhn", "SVHN", "."),
            _FILES,
            md5_digests(_FILES, "e26dedcc434d2e4c54c9b2d4a06d8373 eb5a983be6a315427106f1b164d9cef3"),
        ),
    ),
    downloads=(
        _remote(_FILES[0], "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8", 182040794),
        _remote(_FILES[1], "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b", 64275384),
    ),
)
