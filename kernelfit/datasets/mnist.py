"""MNIST and the sets in its format: Fashion-MNIST, KMNIST and QMNIST.

Digests and sizes of the files as downloaded. MNIST: published with its mirrors, and the digests of the
unzipped content were recomputed from the files. Fashion-MNIST: the sha256 that belong to the MD5 sums in its
authors' README. KMNIST and QMNIST: as pinned by TensorFlow Datasets.
"""

from __future__ import annotations

from .idx import IDX_FILES
from .idx_set import IdxSet
from .spec import Layout, RemoteFile, Spec


def idx_downloads(
    files: tuple[str, ...], mirrors: tuple[str, ...], rows: tuple[tuple[str, int, str | None], ...]
) -> tuple[RemoteFile, ...]:
    """The files at all mirrors; a row has the sha256, the size and the sha256 of the unzipped content."""
    return tuple(
        RemoteFile(name, sha256, size, tuple(mirror + name for mirror in mirrors), content)
        for name, (sha256, size, content) in zip(files, rows, strict=True)
    )


def _sharing_names() -> tuple[Spec, ...]:
    return IDX_SETS


_READER = IdxSet(rivals=_sharing_names)

MNIST = Spec(
    name="mnist",
    title="handwritten digits",
    n_train=60000,
    n_test=10000,
    image_shape=(28, 28, 1),
    classes=tuple("0123456789"),
    source="http://yann.lecun.com/exdb/mnist/",
    licence="CC BY-SA 3.0",
    citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition, "
    "Proc. IEEE 86, 1998",
    reader=_READER,
    layouts=(Layout("idx", ("mnist", "MNIST", "MNIST/raw", "."), IDX_FILES),),
    downloads=idx_downloads(
        IDX_FILES,
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
    licence="MIT",
    citation="H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning "
    "algorithms, arXiv:1708.07747, 2017",
    reader=_READER,
    layouts=(
        Layout("idx", ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "fashion", "."), IDX_FILES),
    ),
    downloads=idx_downloads(
        IDX_FILES,
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

KMNIST = Spec(
    name="kmnist",
    title="cursive hiragana",
    n_train=60000,
    n_test=10000,
    image_shape=(28, 28, 1),
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    source="http://codh.rois.ac.jp/kmnist/",
    licence="CC BY-SA 4.0",
    citation="T. Clanuwat, M. Bober-Irizar, A. Kitamoto, A. Lamb, K. Yamamoto, D. Ha, Deep learning for classical "
    "Japanese literature, arXiv:1812.01718, 2018",
    reader=_READER,
    layouts=(Layout("idx", ("kmnist", "KMNIST", "KMNIST/raw", "."), IDX_FILES),),
    downloads=idx_downloads(
        IDX_FILES,
        ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        (
            ("51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4", 18165135, None),
            ("e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17", 29497, None),
            ("edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5", 3041136, None),
            ("20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c", 5120, None),
        ),
    ),
)

_QMNIST_FILES = (
    "qmnist-train-images-idx3-ubyte.gz",
    "qmnist-train-labels-idx2-int.gz",
    "qmnist-test-images-idx3-ubyte.gz",
    "qmnist-test-labels-idx2-int.gz",
)

QMNIST = Spec(
    name="qmnist",
    title="MNIST made again, 60,000 test digits",
    n_train=60000,
    n_test=60000,
    image_shape=(28, 28, 1),
    classes=tuple("0123456789"),
    source="https://github.com/facebookresearch/qmnist",
    licence="BSD-3-Clause",
    citation="C. Yadav, L. Bottou, Cold case: the lost MNIST digits, NeurIPS 2019",
    reader=IdxSet(labels="integers"),
    layouts=(Layout("idx", ("qmnist", "QMNIST", "QMNIST/raw", "."), _QMNIST_FILES),),
    downloads=idx_downloads(
        _QMNIST_FILES,
        ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
        (
            ("9e26a7bf1683614e065d7b76460ccd52807165b3f22561fb782bd9f38c52b51d", 9704059, None),
            ("2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f", 463024, None),
            ("43fc22bf7498b8fc98de98369d72f752d0deabc280a43a7bcc364ab19e57b375", 9742279, None),
            ("9fbcbe594c3766fdf4f0b15c5165dc0d1e57ac604e01422608bb72c906030d06", 526800, None),
        ),
    ),
)

#: they share the names of their files
IDX_SETS: tuple[Spec, ...] = (MNIST, FASHION_MNIST, KMNIST)
