"""Batches of data sets that live on the device, for one run or several at once.

R runs train side by side; run r has its own inputs and labels. Everything a source hands out has the leading
dimension R.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from kernelfit.datasets import Dataset
from kernelfit.datasets.corruptions import corrupt
from kernelfit.deep.data.batches import prepare
from kernelfit.deep.data.images import centre_crop, image_shape
from kernelfit.deep.data.reading import Fetch, data_digest, pixels_digest, reader
from kernelfit.deep.recipe import Recipe
from kernelfit.deep.world import World
from kernelfit.errors import InputError
from kernelfit.progress import ProgressLike

LARGEST_VALUE = 1e15  # whitening sums squares in float32
LABEL_CORRUPTIONS = ("true", "random-labels", "corrupt-labels")  # these leave the images alone
Batch = tuple[Tensor, Tensor, Tensor]  # inputs (R, b, ...), labels (R, b), row numbers (R, b)


class Source(Protocol):
    """Training and evaluation data of R runs."""

    n: int
    n_classes: int
    shape: tuple[int, int, int]
    labels: Tensor  # (R, n) as trained on, on the device
    clean: Tensor  # (R, n) before corruption
    digest: str  # of the corrupted data: the same after a resume, or the resume is refused
    data_digests: list[str]  # of each run's data set before that, test rows included: stored with its result

    def batches(self, epoch: int, order: Tensor, first: int, batch: int, world: World) -> Iterator[Batch]:
        """The batches `first`, `first` + 1, ... of an epoch whose row order is `order` (R, n)."""
        ...

    def evaluation(self, part: str, rows: int, world: World) -> Iterator[tuple[Tensor, Tensor]]:
        """All rows of "train" (labels as trained on) or "test" (clean labels), without augmentation."""
        ...


def epoch_generator(seed: int, epoch: int, purpose: str) -> torch.Generator:
    """A CPU generator that depends on these three alone, so that any epoch can be repeated."""
    words = hashlib.sha256(f"{purpose}/{seed}/{epoch}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(words[:7], "little"))


def local_rows(order: Tensor, step: int, batch: int, world: World) -> Tensor:
    """The rows (R, b) of this process in a global batch: every `size`-th, from its rank."""
    return order[:, step * batch : (step + 1) * batch][:, world.rank :: world.size]


def steps_per_epoch(n: int, batch: int, world: World) -> int:
    """Batches of an epoch; a ragged last one counts when every process gets a row of it."""
    return n // batch + (n % batch >= world.size)


@dataclass(frozen=True)
class Pictures:
    """Network inputs on the device; `raw` are the stored images where crops or augmentation are drawn from them."""

    fingerprint: bytes
    pixels: str  # `pixels_digest` of the data set
    train: Tensor
    test: Tensor
    raw: Tensor | None


class InputCache:
    """Inputs carried from one source to the next: most runs of a sweep differ in their labels alone."""

    def __init__(self) -> None:
        self.pictures: dict[tuple[Any, ...], Pictures] = {}


class Resident:
    """Data sets in device memory; equal inputs of runs are held once, also by several sources of one `InputCache`."""

    def __init__(
        self,
        recipes: Sequence[Recipe],
        datasets: Sequence[Dataset],
        device: torch.device,
        inputs: InputCache | None = None,
    ) -> None:
        self.device = device
        self.recipes = recipes
        first = recipes[0]
        if first.varied and len(recipes) > 1:
            raise InputError(
                "recipes: runs with random crops or augmentation cannot be stacked; run them one by one"
            )
        hasher = hashlib.sha256()
        self.data_digests: list[str] = []
        shared = inputs or InputCache()
        own = InputCache()
        self.train_inputs: list[Tensor] = []
        self.test_inputs: list[Tensor] = []
        labels, clean, test_labels = [], [], []
        self.raw: Tensor | None = None
        for recipe, dataset in zip(recipes, datasets, strict=True):
            changes_labels = recipe.corruption in LABEL_CORRUPTIONS
            # Pixels are corrupted for one run, and go with it.
            cache = (shared if changes_labels else own).pictures
            key: tuple[Any, ...] = (recipe.dataset, recipe.n, recipe.n_test, recipe.side, recipe.varied)
            if not changes_labels:
                key += (recipe.corruption, recipe.seed)
            if key not in cache:
                cache[key] = self._pictures(recipe, dataset)
            pictures = cache[key]
            self.data_digests.append(data_digest(dataset, pictures.pixels))
            y_train = _corrupted(recipe, dataset).y_train if changes_labels else dataset.y_train
            hasher.update(pictures.fingerprint + np.ascontiguousarray(y_train).view(np.uint8).tobytes())
            self.raw = pictures.raw
            self.train_inputs.append(pictures.train)
            self.test_inputs.append(pictures.test)
            labels.append(torch.from_numpy(y_train))
            clean.append(torch.from_numpy(dataset.y_train))
            test_labels.append(torch.from_numpy(dataset.y_test))
        self.labels = torch.stack(labels).to(device)
        self.clean = torch.stack(clean).to(device)
        self.test_labels = torch.stack(test_labels).to(device)
        self.n = self.labels.shape[1]
        self.n_classes = len(datasets[0].classes or ())
        self.scale = datasets[0].scale
        channels, height, width = self.train_inputs[0].shape[1:]
        self.shape = (int(height), int(width), int(channels))
        self.digest = hasher.hexdigest()

    def _pictures(self, recipe: Recipe, dataset: Dataset) -> Pictures:
        corrupted = with_its_pixels(recipe, dataset)
        rows = np.ascontiguousarray(corrupted.X_train)
        images = _images(corrupted, rows).to(self.device)
        # Gaussian images are drawn in the data's own unit, as bytes are, so that one scale serves all.
        pictures = Pictures(
            hashlib.sha256(rows.view(np.uint8).data).digest(),
            pixels_digest(dataset),
            prepare(images, dataset.scale, recipe.side),
            prepare(_images(corrupted, corrupted.X_test).to(self.device), dataset.scale, recipe.side),
            images if recipe.varied else None,
        )
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # runs in other streams may read them next
        return pictures

    def batches(self, epoch: int, order: Tensor, first: int, batch: int, world: World) -> Iterator[Batch]:
        """See `Source`. Random crops and augmentation are drawn anew each epoch, for all rows at once."""
        inputs = self.train_inputs
        recipe = self.recipes[0]
        if self.raw is not None:
            generator = epoch_generator(recipe.seed, epoch, "augmentation")
            inputs = [
                prepare(
                    self.raw,
                    self.scale,
                    recipe.side,
                    crop=recipe.crop,
                    augment=recipe.augment,
                    generator=generator,
                )
            ]
        order = order.to(self.device)
        for step in range(first, steps_per_epoch(self.n, batch, world)):
            rows = local_rows(order, step, batch, world)
            if all(source is inputs[0] for source in inputs):
                x = inputs[0][rows]
            else:
                x = torch.stack([source[index] for source, index in zip(inputs, rows, strict=True)])
            yield x, self.labels.gather(1, rows), rows

    def evaluation(self, part: str, rows: int, world: World) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Source`."""
        inputs = self.train_inputs if part == "train" else self.test_inputs
        labels = self.labels if part == "train" else self.test_labels
        for first in range(0, labels.shape[1], rows):
            own = slice(first + world.rank, first + rows, world.size)
            yield torch.stack([source[own] for source in inputs]), labels[:, own]


def _corrupted(recipe: Recipe, dataset: Dataset) -> Dataset:
    return corrupt(dataset, recipe.corruption, p=recipe.p, seed=recipe.seed)


def with_its_pixels(recipe: Recipe, dataset: Dataset) -> Dataset:
    """The images that a recipe is trained on, under their clean labels: the centre, unless crops or augmentation are
    drawn from the full image, corrupted with the recipe's seed where its corruption is one of pixels.
    """
    cropped = dataset if recipe.varied else centre_crop(dataset, recipe.side)
    return cropped if recipe.corruption in LABEL_CORRUPTIONS else _corrupted(recipe, cropped)


def _images(dataset: Dataset, X: np.ndarray) -> Tensor:
    """(n, channels, height, width) from rows in (height, width, channel) order."""
    height, width, channels = image_shape(dataset)
    return torch.from_numpy(np.ascontiguousarray(X)).view(len(X), height, width, channels).permute(0, 3, 1, 2)


def check_images(recipe: Recipe, dataset: Dataset) -> None:
    """Raise InputError where networks cannot be trained on these images as the recipe asks."""
    height, width, _ = image_shape(dataset)
    if dataset.classes is None:
        raise InputError(f"dataset: {dataset.name} has numeric targets, expected classes")
    if recipe.crop and recipe.side >= min(height, width):
        raise InputError(
            f"crop: got images of {height} x {width} in {dataset.name}, expected more than the {recipe.side} x "
            f"{recipe.side} of a crop; choose a side below {min(height, width)}"
        )
    for name, X in (("X_train", dataset.X_train), ("X_test", dataset.X_test)):
        peak = float(np.abs(X).max(initial=0.0)) * dataset.scale if X.dtype.kind == "f" else 0.0
        if not peak <= LARGEST_VALUE:
            raise InputError(
                f"{name}: got values up to {peak:.3g} in {dataset.name}, expected at most {LARGEST_VALUE:g}: their "
                "squares overflow in float32; divide them by a constant"
            )


def load_resident(
    recipes: Sequence[Recipe],
    device: torch.device,
    *,
    data_dir: Path | None = None,
    progress: ProgressLike = None,
    fetch: Fetch | None = None,
    inputs: InputCache | None = None,
) -> Resident:
    """The data of `recipes` (all of one data set and size) on the device; `fetch` reads data sets (default: `load`),
    `inputs` is shared by calls on one device whose inputs may be the same.
    """
    first = recipes[0]
    dataset = (fetch or reader(data_dir, progress))(first.dataset, first.n, first.n_test)
    for recipe in recipes:
        check_images(recipe, dataset)
    return Resident(recipes, [dataset] * len(recipes), device, inputs)
