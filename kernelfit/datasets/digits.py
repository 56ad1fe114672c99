"""The handwritten digits that come with scikit-learn: the default data set, which needs no file.

1,797 images of 8 x 8 pixels with values 0..16, from the test part of "Optical Recognition of Handwritten
Digits" (E. Alpaydin, C. Kaynak, UCI), which 13 people wrote. The first 1,437 rows (80 %) in the stored order
train, the last 360 test: a shuffled split would put every hand on both sides.
"""

from __future__ import annotations

import numpy as np

from .dataset import Dataset
from .spec import FileCheck, Located, Spec

N_TRAIN = 1437


def read_digits(spec: Spec, located: Located | None) -> tuple[Dataset, tuple[FileCheck, ...]]:
    """The whole data set; X is uint8 with scale 1/16."""
    from sklearn import datasets as sklearn_datasets

    bunch = sklearn_datasets.load_digits()
    X = bunch.data.astype(np.uint8)
    y = bunch.target.astype(np.int64)
    dataset = Dataset(
        name="digits",
        X_train=X[:N_TRAIN],
        y_train=y[:N_TRAIN],
        X_test=X[N_TRAIN:],
        y_test=y[N_TRAIN:],
        classes=tuple(str(name) for name in bunch.target_names),
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
    reader=read_digits,
)
