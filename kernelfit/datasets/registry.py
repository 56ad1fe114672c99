"""The data sets known by name: their files, where to get them, and how to recognise them.

Digests and sizes of the files as downloaded. MNIST: published with its mirrors, and the digests of the
unzipped content were recomputed from the files. Fashion-MNIST: the sha256 that belong to the MD5 sums in its
authors' README. CIFAR-10: the archives' MD5 sums stand on the authors' page (c58f30108f718f92721af3b95e74349a
for Python, c32a1d4ab5d03f1284b67883e8d87530 for binary); sha256 as pinned by Keras and MLDatasets.jl.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """A file to download: `sha256` and `size` (bytes) as served, `mirrors` addresses in order of trial."""

    name: str
    sha256: str
    size: int
    mirrors: tuple[str, ...]
    content_sha256: str | None = None  # of the unzipped content, where it is known


@dataclass(frozen=True)
class Layout:
    """One way in which a data set lies on disk: all of `files` in one of `folders` below a data folder.

    `digests` maps a file name to the official digest of its bytes ("md5:..." or "sha256:...").
    """

    kind: str
    folders: tuple[str, ...]
    files: tuple[str, ...]
    digests: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Spec:
    """A data set known by name."""

    name: str
    title: str
    n_train: int
    n_test: int
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    source: str
    layouts: tuple[Layout, ...] = ()
    downloads: tuple[RemoteFile, ...] = ()

    @property
    def n_features(self) -> int:
        height, width, channels = self.image_shape
        return height * width * channels


_DIGIT_NAMES = tuple("0123456789")
IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _idx_downloads(
    mirrors: tuple[str, ...], rows: tuple[tuple[str, int, str | None], ...]
) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(name, sha256, size, tuple(mirror + name for mirror in mirrors), content)
        for name, (sha256, size, content) in zip(IDX_FILES, rows, strict=True)
    )


DIGITS = Spec(
    name="digits",
    title="scikit-learn's digits",
    n_train=1437,
    n_test=360,
    image_shape=(8, 8, 1),
    classes=_DIGIT_NAMES,
    source="https://archive.ics.uci.edu/dataset/80",
)

MNIST = Spec(
    name="mnist",
    title="handwritten digits",
    n_train=60000,
    n_test=10000,
    image_shape=(28, 28, 1),
    classes=_DIGIT_NAMES,
    source="http://yann.lecun.com/exdb/mnist/",
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

_CIFAR_BINARY = RemoteFile(
    "cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    170052171,
    (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
    ),
)
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


def _md5(names: tuple[str, ...], digests: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, f"md5:{digest}") for name, digest in zip(names, digests.split(), strict=True))


CIFAR10 = Spec(
    name="cifar10",
    title="colour photographs",
    n_train=50000,
    n_test=10000,
    image_shape=(32, 32, 3),
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    source="https://www.cs.toronto.edu/~kriz/cifar.html",
    layouts=(
        Layout(
            "binary",
            ("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10", "."),
            _CIFAR_BINARY_FILES,
            _md5(
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
            _md5(
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

REGISTRY: dict[str, Spec] = {spec.name: spec for spec in (DIGITS, MNIST, FASHION_MNIST, CIFAR10)}
