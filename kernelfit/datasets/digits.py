"""The handwritten digits that come with scikit-learn: the default data set, which needs no file.

1,797 images of 8 x 8 pixels with values 0..16, from the test part of "Optical Recognition of Handwritten
Digits" (E. Alpaydin, C. Kaynak, UCI), which 13 people wrote. The first 1,437 rows (80 %) in the stored order
train, the last 360 test: a shuffled split would put every hand on both sides.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .spec import FileCheck, Located, Spec

N_TRAIN = 1437


def read_table() -> NDArray[np.int64]:
    """(1797, 65): 64 pixels and the digit of each row.

    From scikit-learn's own file, since importing it takes longer than a solve; by it where the file lies elsewhere.
    """
    package = find_spec("sklearn")
    folders = (package.submodule_search_locations if package is not None else None) or []
    for folder in folders:
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, delimiter=",", dtype=np.int64)
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target]).astype(np.int64)


def read_digits(spec: Spec, located: Located | None) -> tuple[Dataset, tuple[FileCheck, ...]]:
    """The whole data set; X is uint8 with scale 1/16."""
    table = read_table()
    X, y = table[:, :-1].astype(np.uint8), table[:, -1]
    dataset = Dataset(
        name="digits",
        X_train=X[:N_TRAIN],
        y_train=y[:N_TRAIN],
        X_test=X[N_TRAIN:],
        y_test=y[N_TRAIN:],
        classes=tuple("0123456789"),
        image_shape=(8, 8, 1),
        scale=1 / 16,
    )
    return dataset, ()


DIGITS = Spec(
    name="digits",
    title="scikit-learn's digits",
    n_train=N_TRAIN,
    n_test=360,
    image_shape=(8, 8, 1),
    classes=tuple("0123456789"),
    source="https://archive.ics.uci.edu/dataset/80",
    licence="CC BY 4.0",
    citation="E. Alpaydin, C. Kaynak, Optical recognition of handwritten digits, UCI Machine Learning Repository, 1998",
    reader=read_digits,
)
