"""Where the images of an ImageNet part lie: a folder of class folders, or shards in webdataset's format.

    ROOT/train/<class>/<image>        ROOT/val/<class>/<image>
    ROOT/train/*.tar                  ROOT/val/*.tar        members <key>.jpg (png, ...) and <key>.cls, a class code

Both give numbered images: index in the sorted list of paths, or in the sorted shards. Shards are indexed once, so that
any image can be read at any time: random labels, order and resume are those of a list and need no shuffle buffer.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from kernelfit.errors import DataError

MAX_CLASSES = 100_000  # ImageNet with all its classes has 21,841
MAX_PIXELS = 1 << 26  # ImageNet's largest image has 61 million
CODE_BYTES = 20  # of a class code in decimal digits, with white space
SUFFIXES = {".jpeg", ".jpg", ".png", ".bmp", ".webp"}


class ImageFiles(Protocol):
    """Numbered images with class codes."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class codes (n,)."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """Names."""
        ...

    def name(self, number: int) -> str:
        """What the image is called, within its part."""
        ...

    def read(self, number: int) -> bytes:
        """The encoded image."""
        ...


@dataclass(frozen=True)
class FolderFiles:
    """Images of ROOT/<class>/."""

    root: Path
    paths: list[Path]
    labels: NDArray[np.int64]
    classes: Sequence[str]

    def name(self, number: int) -> str:
        """Path below the root."""
        return str(self.paths[number].relative_to(self.root))

    def read(self, number: int) -> bytes:
        """The file."""
        path = self.paths[number]
        try:
            # A pipe would be waited for; its absence of bytes says what it is.
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise DataError(f"images: {path} is not a regular file; remove it")
                return file.read()
        except OSError as error:
            raise DataError(f"images: {path} cannot be read ({error.strerror})") from None


@dataclass(frozen=True)
class ShardFiles:
    """Images of tar shards: `where` (n, 3) has shard, first byte and bytes of each."""

    shards: list[Path]
    where: NDArray[np.int64]
    keys: list[str]
    labels: NDArray[np.int64]
    classes: Sequence[str]

    def name(self, number: int) -> str:
        """Shard and key."""
        return f"{self.shards[self.where[number, 0]].name}:{self.keys[number]}"

    def read(self, number: int) -> bytes:
        """The member's bytes."""
        shard, first, length = (int(value) for value in self.where[number])
        try:
            with open(self.shards[shard], "rb") as file:
                file.seek(first)
                return file.read(length)
        except OSError as error:
            raise DataError(f"images: {self.shards[shard]} cannot be read ({error.strerror})") from None


def find_images(root: Path, classes: Sequence[str] | None = None) -> ImageFiles:
    """The images below `root`; `classes` are those of the training part, for the others."""
    if not root.is_dir():
        raise DataError(
            f"images: {root} is not a folder; expected ROOT/train/<class>/<image> or ROOT/train/*.tar, "
            "and the same for val"
        )
    shards = sorted(root.glob("*.tar"))
    return _shards(shards, classes) if shards else _folders(root, classes)


def _folders(root: Path, classes: Sequence[str] | None) -> FolderFiles:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    names = list(classes) if classes is not None else [folder.name for folder in folders]
    codes = {name: code for code, name in enumerate(names)}
    paths: list[Path] = []
    labels: list[int] = []
    for folder in folders:
        if folder.name not in codes:
            raise DataError(f"images: {folder} is a class that train/ lacks; remove it or add it there")
        images = sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        paths += images
        labels += [codes[folder.name]] * len(images)
    if not paths or len(names) < 2:
        raise DataError(
            f"images: {root} holds {len(paths)} images of {len(names)} classes; expected at least 2 classes"
        )
    return FolderFiles(root, paths, np.array(labels, dtype=np.int64), names)


def _shards(shards: list[Path], classes: Sequence[str] | None) -> ShardFiles:
    where: list[tuple[int, int, int]] = []
    keys: list[str] = []
    labels: list[int] = []
    for number, shard in enumerate(shards):
        images, codes = _members(shard)
        for key, (first, length) in images.items():
            if key not in codes:
                raise DataError(f"images: {shard} has no {key}.cls beside {key}; expected its class code")
            where.append((number, first, length))
            keys.append(key)
            labels.append(codes[key])
    n_classes = len(classes) if classes is not None else max(labels, default=-1) + 1
    if n_classes < 2:
        raise DataError(
            f"images: {shards[0].parent} holds {len(keys)} images of {n_classes} classes; expected at least 2 classes"
        )
    if max(labels, default=0) >= n_classes:
        raise DataError(
            f"images: {shards[0].parent} has class codes {min(labels)} to {max(labels)}, "
            f"expected 0 to {n_classes - 1} as in train/"
        )
    names = list(classes) if classes is not None else [str(code) for code in range(n_classes)]
    return ShardFiles(
        shards,
        np.array(where, dtype=np.int64).reshape(-1, 3),
        keys,
        np.array(labels, dtype=np.int64),
        names,
    )


def _members(shard: Path) -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
    """Offset and bytes of images, and class codes, by key: a member's path up to the first dot of its name."""
    images: dict[str, tuple[int, int]] = {}
    codes: dict[str, int] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                folder, slash, name = member.name.rpartition("/")
                stem, _, extension = name.partition(".")
                key = folder + slash + stem
                if not member.isfile():
                    continue
                if f".{extension.lower()}" in SUFFIXES:
                    if key in images or member.issparse():
                        raise ValueError(
                            f"{member.name}: expected one image of this key, stored without holes"
                        )
                    images[key] = (member.offset_data, member.size)
                elif extension == "cls":
                    codes[key] = _class_code(tar, member)
    except (OSError, tarfile.TarError, ValueError) as error:
        raise DataError(
            f"images: {shard} cannot be read as an uncompressed tar of images and class codes ({error})"
        ) from None
    return images, codes


def _class_code(tar: tarfile.TarFile, member: tarfile.TarInfo) -> int:
    """What a .cls member holds; ValueError where that is no code from 0 to MAX_CLASSES - 1."""
    file = tar.extractfile(member)
    text = b"" if file is None else file.read(CODE_BYTES)
    code = int(text) if text.strip().isdigit() else -1
    if member.size > CODE_BYTES or not 0 <= code < MAX_CLASSES:
        shown = text[:32].decode(errors="replace").strip()
        raise ValueError(f"{member.name}: got {shown!r}, expected a class code from 0 to {MAX_CLASSES - 1}")
    return code


def decode(files: ImageFiles, number: int) -> Image.Image:
    """An RGB image, upright as its EXIF data say.

    DataError naming the file where it cannot be decoded or is larger than MAX_PIXELS.
    """
    content = files.read(number)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is below its limit
            with Image.open(io.BytesIO(content)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ValueError(f"{image.width} x {image.height} is more than {MAX_PIXELS:,} pixels")
                if image.mode in ("I", "F") or image.mode.startswith("I;"):
                    raise ValueError(f"mode {image.mode}, expected 8 bits a channel")
                ImageOps.exif_transpose(image, in_place=True)
                return image.convert("RGB")
    except Image.DecompressionBombError:
        raise DataError(
            f"images: {files.name(number)} has more than {MAX_PIXELS:,} pixels; replace or remove it"
        ) from None
    except Exception as error:  # Pillow's decoders raise whatever their format's fault provokes
        reason = str(error) if type(error) is ValueError else type(error).__name__
        raise DataError(
            f"images: {files.name(number)} cannot be decoded ({reason}); replace or remove it"
        ) from None
