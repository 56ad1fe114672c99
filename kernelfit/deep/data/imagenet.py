"""ImageNet from class folders or from webdataset's shards (`kernelfit.deep.data.image_files`).

Corrupted labels are one array over the images' numbers, and every augmentation is drawn from (seed, epoch, number):
both are the same in every epoch or repeat of it, whatever the number of loader processes, of training processes, or
a resume in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from kernelfit.datasets.corruptions import corrupt_labels
from kernelfit.deep.data.image_files import ImageFiles, decode, find_images
from kernelfit.deep.data.sources import Batch, local_rows, steps_per_epoch
from kernelfit.deep.recipe import Recipe
from kernelfit.deep.world import World
from kernelfit.errors import DataError, InputError

CENTRAL_SHARE = 0.875  # of the shorter side, for images that are not augmented
AREA = (0.08, 1.0)  # share of the image that a random window covers
ASPECT = (3 / 4, 4 / 3)
TRIES = 10  # windows drawn before the central one is taken
COLOUR = 0.4  # largest relative change of brightness, contrast and saturation


def central(image: Image.Image, side: int) -> Image.Image:
    """The central 87.5 % square at side x side."""
    length = round(CENTRAL_SHARE * min(image.size))
    left, top = (image.width - length) // 2, (image.height - length) // 2
    return image.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + length, top + length))


def augmented(image: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """A random window (area and aspect), a flip, and a change of brightness, contrast and saturation."""
    window = None
    for _ in range(TRIES):
        area = image.width * image.height * rng.uniform(*AREA)
        aspect = np.exp(rng.uniform(np.log(ASPECT[0]), np.log(ASPECT[1])))
        width, height = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < width <= image.width and 0 < height <= image.height:
            left = rng.integers(image.width - width + 1)
            top = rng.integers(image.height - height + 1)
            window = (int(left), int(top), int(left + width), int(top + height))
            break
    image = (
        central(image, side)
        if window is None
        else image.resize((side, side), Image.Resampling.BILINEAR, box=window)
    )
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = change(image).enhance(rng.uniform(1 - COLOUR, 1 + COLOUR))
    return image


class ImageRows(Dataset):
    """Images as float tensors (3, side, side) in [-1, 1], by (epoch, number); epoch -1 is never augmented."""

    def __init__(
        self, files: ImageFiles, chosen: NDArray[np.int64], side: int, seed: int, *, augment: bool
    ) -> None:
        self.files = files
        self.chosen = chosen
        self.side = side
        self.seed = seed
        self.augment = augment

    def __getitem__(self, index: tuple[int, int]) -> Tensor | str:
        """The image of this number as the epoch sees it, or what is wrong with it in words.

        An exception would come out of a loader process with that process's traceback in its message.
        """
        epoch, number = index
        try:
            image = decode(self.files, int(self.chosen[number]))
        except DataError as error:
            return str(error)
        if self.augment and epoch >= 0:
            image = augmented(image, self.side, np.random.default_rng([self.seed, epoch, number]))
        else:
            image = central(image, self.side)
        pixels = torch.from_numpy(np.array(image, dtype=np.float32))
        return pixels.permute(2, 0, 1) / 127.5 - 1

    def __len__(self) -> int:
        return len(self.chosen)


def _collate(rows: list[Tensor | str]) -> Tensor | str:
    """A batch (b, 3, side, side), or what is wrong with its first damaged image."""
    faults = [row for row in rows if isinstance(row, str)]
    return faults[0] if faults else default_collate(rows)


def _spread(files: ImageFiles, n: int | None) -> NDArray[np.int64]:
    """The numbers of `n` images at equal distances (the list runs class by class, so the first n would be few
    classes); all for None.
    """
    total = len(files.labels)
    count = total if n is None else min(n, total)
    return np.arange(count, dtype=np.int64) * total // count


class Images:
    """A `Source` for one run that reads images through loader processes."""

    def __init__(self, recipe: Recipe, root: Path | None, device: torch.device, *, workers: int = 0) -> None:
        if root is None:
            raise InputError("images: ImageNet needs the folder that holds train/ and val/; give it")
        if recipe.corruption not in ("true", "corrupt-labels", "random-labels"):
            raise InputError(
                f"corruption: {recipe.corruption} is for resident data sets; image folders take label noise"
            )
        if recipe.crop:
            raise InputError("crop: image folders have no crop of their own; use augment, which includes one")
        self.device = device
        self.workers = workers
        train = find_images(root / "train")
        test = find_images(root / "val", train.classes)
        chosen = {"train": _spread(train, recipe.n), "test": _spread(test, recipe.n_test)}
        clean = train.labels[chosen["train"]]
        p = {"true": 0.0, "random-labels": 1.0}.get(recipe.corruption, recipe.p)
        labels = corrupt_labels(clean, p, len(train.classes), recipe.seed)
        self.rows = {
            "train": ImageRows(train, chosen["train"], recipe.side, recipe.seed, augment=recipe.augment),
            "test": ImageRows(test, chosen["test"], recipe.side, recipe.seed, augment=False),
        }
        self.labels = torch.from_numpy(labels)[None].to(device)
        self.clean = torch.from_numpy(clean)[None].to(device)
        self.test_labels = torch.from_numpy(test.labels[chosen["test"]])[None].to(device)
        self.n = len(clean)
        self.n_classes = len(train.classes)
        self.shape = (recipe.side, recipe.side, 3)
        names = "\n".join(train.name(int(number)) for number in chosen["train"])
        self.digest = hashlib.sha256(names.encode() + labels.tobytes()).hexdigest()
        tests = "\n".join(test.name(int(number)) for number in chosen["test"])
        both = f"{names}\n\n{tests}".encode() + clean.tobytes() + test.labels[chosen["test"]].tobytes()
        self.data_digests = [hashlib.sha256(both).hexdigest()]

    def _load(self, part: str, indices: list[list[tuple[int, int]]]) -> Iterator[Tensor]:
        """Batches of images; `indices` has (epoch, number) of each row of each batch."""
        loader: Any = DataLoader(
            self.rows[part],
            batch_sampler=indices,
            num_workers=self.workers,
            collate_fn=_collate,
            pin_memory=self.device.type == "cuda",
        )
        batches = iter(loader)
        while (images := self._next(batches)) is not None:
            yield images.to(self.device, non_blocking=True)

    def _next(self, batches: Iterator[Tensor | str]) -> Tensor | None:
        """The next batch, None after the last; errors in one line."""
        try:
            images = next(batches, None)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise InputError(
                f"workers: a loader process ended ({str(error).splitlines()[0]}); take fewer of them"
            ) from None
        if isinstance(images, str):
            raise DataError(images)
        return images

    def batches(self, epoch: int, order: Tensor, first: int, batch: int, world: World) -> Iterator[Batch]:
        """See `Source`."""
        steps = range(first, steps_per_epoch(self.n, batch, world))
        numbers = [local_rows(order, step, batch, world) for step in steps]
        indices = [[(epoch, int(number)) for number in rows[0]] for rows in numbers]
        for images, rows in zip(self._load("train", indices), numbers, strict=True):
            rows = rows.to(self.device)
            yield images[None], self.labels.gather(1, rows), rows

    def evaluation(self, part: str, rows: int, world: World) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Source`."""
        labels = self.labels if part == "train" else self.test_labels
        total = labels.shape[1]
        own = [
            range(first + world.rank, min(first + rows, total), world.size) for first in range(0, total, rows)
        ]
        numbers = [batch for batch in own if len(batch)]
        indices = [[(-1, number) for number in batch] for batch in numbers]
        for images, batch in zip(self._load(part, indices), numbers, strict=True):
            yield images[None], labels[:, list(batch)]
