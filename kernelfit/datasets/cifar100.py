"""CIFAR-100 as its authors publish it, with its 100 fine classes or its 20 coarse ones.

The archives' MD5 sums stand on the authors' page (eb9058c3a382ffc7106e4002c42a8d85 for Python,
03b5dce01913d631647c71ecec9e9cb8 for binary); the sha256 of the binary one as pinned by TensorFlow Datasets, the
MD5 sums of the unpacked Python batches as by torchvision. None are published of the unpacked binary ones.
"""

from __future__ import annotations

from functools import partial

from .cifar import CifarFormat
from .cifar10 import CITATION
from .cifar_set import md5_digests, read_batches
from .spec import Layout, RemoteFile, Spec

_ARCHIVE = RemoteFile(
    "cifar-100-binary.tar.gz",
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    168513733,
    ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
)
_NAMES = ("train", "test")
_FOLDERS = (".", "cifar100", "cifar-100")
# The training batch of 50,000 images has 154 MB.
_MAX_BYTES = 192 << 20

FINE = CifarFormat("CIFAR-100", 100, "fine_labels", label_bytes=2, column=1, max_bytes=_MAX_BYTES)
COARSE = CifarFormat("CIFAR-100", 20, "coarse_labels", label_bytes=2, column=0, max_bytes=_MAX_BYTES)

_FINE_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree
wolf woman worm
"""
_COARSE_CLASSES = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""


def _cifar100(name: str, title: str, classes: str, batches: CifarFormat) -> Spec:
    return Spec(
        name=name,
        title=title,
        n_train=50000,
        n_test=10000,
        image_shape=(32, 32, 3),
        classes=tuple(classes.split()),
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
        citation=CITATION,
        reader=partial(read_batches, batches=batches, names=_NAMES),
        layouts=(
            Layout(
                "binary",
                ("cifar-100-binary", "cifar100/cifar-100-binary", "cifar100", "."),
                tuple(f"{part}.bin" for part in _NAMES),
            ),
            Layout(
                "python",
                ("cifar-100-python", "cifar100/cifar-100-python", "cifar100", "."),
                _NAMES,
                md5_digests(_NAMES, "16019d7e3df5f24257cddd939b257f8d f0ef6b0ae62326f3e7ffdfab6717acfc"),
            ),
            Layout(
                "binary-archive",
                _FOLDERS,
                (_ARCHIVE.name,),
                ((_ARCHIVE.name, f"sha256:{_ARCHIVE.sha256}"),),
            ),
            Layout(
                "python-archive",
                _FOLDERS,
                ("cifar-100-python.tar.gz",),
                (("cifar-100-python.tar.gz", "md5:eb9058c3a382ffc7106e4002c42a8d85"),),
            ),
        ),
        downloads=(_ARCHIVE,),
        folder="cifar100",
    )


CIFAR100 = _cifar100("cifar100", "colour photographs", _FINE_CLASSES, FINE)
CIFAR100_COARSE = _cifar100("cifar100-coarse", "colour photographs, 20 groups", _COARSE_CLASSES, COARSE)
