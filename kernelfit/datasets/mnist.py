"""MNIST and Fashion-MNIST: four IDX files each, of the same names.

Digests and sizes of the files as downloaded. MNIST: published with its mirrors, and the digests of the
unzipped content were recomputed from the files. Fashion-MNIST: the sha256 that belong to the MD5 sums in its
authors' README.
"""

from __future__ import annotations

import numpy as np

from .compressed import file_digest
from .dataset import Dataset
from .faults import damaged
from .idx import IDX_FILES, read_images_and_labels
from .spec import FileCheck, Layout, Located, Part, RemoteFile, Spec


def read_idx_set(spec: Spec, located: Located | None) -> tuple[Dataset, tuple[FileCheck, ...]]:
    """The four files of `spec` as a data set."""
    assert located is not None
    train, test, checks = _read_parts(spec, located)
    notes = tuple(check.note for check in checks if not check.official)
    return spec.dataset(train, test, notes), checks


def _read_parts(spec: Spec, located: Located) -> tuple[Part, Part, tuple[FileCheck, ...]]:
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
    owner = {file.content_sha256: other.name for other in IDX_SETS for file in other.downloads}
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


def _idx_downloads(
    mirrors: tuple[str, ...], rows: tuple[tuple[str, int, str | None], ...]
) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(name, sha256, size, tuple(mirror + name for mirror in mirrors), content)
        for name, (sha256, size, content) in zip(IDX_FILES, rows, strict=True)
    )


MNIST = Spec(
    name="mnist",
    title="handwritten digits",
    n_train=60000,
    n_test=10000,
    image_shape=(28, 28, 1),
    classes=tuple("0123456789"),
    source="http://yann.lecun.com/exdb/mnist/",
    reader=read_idx_set,
    layouts=(Layout("idx", ("mnist", "MNIST", "MNIST/raw", "."), IDX_FILES),),
    downloads=_idx_downloads(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        (
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                9912422,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            (
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                28881,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            (
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                1648877,
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            (
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                4542,
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
    ),
)

FASHION_MNIST = Spec(
    name="fashion-mnist",
    title="articles of clothing",
    n_train=60000,
    n_test=10000,
    image_shape=(28, 28, 1),
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    source="https://github.com/zalandoresearch/fashion-mnist",
    reader=read_idx_set,
    layouts=(
        Layout("idx", ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "fashion", "."), IDX_FILES),
    ),
    downloads=_idx_downloads(
        (
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        (
            ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26421880, None),
            ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29515, None),
            ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4422102, None),
            ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5148, None),
        ),
    ),
)

#: they share the names of their files
IDX_SETS = (MNIST, FASHION_MNIST)
