"""A folder of images with one sub-folder for each class.

Either ROOT/cat/1.png, ROOT/dog/1.png, ..., or the same under ROOT/train and ROOT/test.
"""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from .compressed import DEFLATE_RATIO
from .faults import damaged, reading
from .rows import ImageShape, Rows

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".pgm", ".ppm"))
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM")
# Deflate packs at most 1032 bytes of 8 one-bit pixels each into one; JPEG spends a bit on each block of 64.
_PIXELS_PER_BYTE = 8 * DEFLATE_RATIO
# An image of more pixels makes rows of more features than a dense kernel on them has a use for, and a file of
# a few hundred bytes can claim any size.
_PIXEL_LIMIT = 1 << 24


def read_image_folder(root: Path) -> tuple[Rows, Rows | None]:
    """Read the training part and, where ROOT has the sub-folders train and test, the test part.

    All images must have one size; grey ones give one channel, all others red, green and blue (a note says
    when an image was turned into that). Rows stand by class, then by file name. Raises DataError.
    """
    train, test = root / "train", root / "test"
    if train.is_dir() and test.is_dir():
        rows = _read_part(train, None)
        return rows, _read_part(test, rows.image_shape)
    return _read_part(root, None), None


def _read_part(folder: Path, expected: ImageShape | None) -> Rows:
    with reading(folder, "a folder of images"):
        names = tuple(sorted(entry.name for entry in folder.iterdir() if _holds_images(entry)))
        files = [(code, path) for code, name in enumerate(names) for path in _images(folder / name)]
    if not files:
        raise damaged(folder, "sub-folders with images, one for each class", "none")
    if expected is None:
        sizes = {_header(path) for _, path in files}
        channels = 1 if all(mode in ("1", "L") for mode, _ in sizes) else 3
        width, height = _header(files[0][1])[1]
        expected = (height, width, channels)
    X = np.empty((len(files), expected[0] * expected[1] * expected[2]), dtype=np.uint8)
    converted = 0
    for row, (_, path) in enumerate(files):
        pixels, changed = _decode(path, expected)
        X[row] = pixels
        converted += changed
    kind = "grey" if expected[2] == 1 else "red, green and blue"
    notes = (f"{folder}: {converted} of {len(files)} images were turned into {kind}",) if converted else ()
    y = np.array([code for code, _ in files], dtype=np.int64)
    return Rows(folder, X, y, expected, names, "the folder names", notes)


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and bool(_images(folder))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The image, its pixels not decoded yet.

    Pillow asks its stream for as many bytes as a chunk of the file claims, and an ordinary stream allocates them all
    before it reads; a memory map gives no more than there are.
    """
    from PIL import Image

    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we refuse them much earlier
        with Image.open(cast(IO[bytes], content), formats=_FORMATS) as image:
            yield image


def _header(path: Path) -> tuple[str, tuple[int, int]]:
    """Mode and (width, height) from the file's header; no pixel is decoded."""
    try:
        with _opened(path) as image:
            mode, size = image.mode, image.size
    except Exception as error:  # Pillow's decoders raise whatever their format's fault provokes
        raise damaged(
            path, f"an image ({', '.join(_FORMATS)})", str(error) or type(error).__name__
        ) from error
    limit = min(_PIXEL_LIMIT, _PIXELS_PER_BYTE * path.stat().st_size)
    if size[0] * size[1] > limit:
        raise damaged(path, f"at most {limit} pixels in a file of its size", f"{size[0]} x {size[1]}")
    if mode in ("I", "F") or mode.startswith("I;"):
        raise damaged(path, "8 bits a channel", f"mode {mode}", "convert it to 8 bits")
    return mode, size


def _decode(path: Path, expected: ImageShape) -> tuple[NDArray[np.uint8], bool]:
    """The pixels as one row, and whether the mode had to be changed."""
    height, width, channels = expected
    mode, size = _header(path)
    if size != (width, height):
        raise damaged(
            path, f"{width} x {height} pixels like the first image", f"{size[0]} x {size[1]}", "resize it"
        )
    wanted = "L" if channels == 1 else "RGB"
    try:
        with _opened(path) as image:
            pixels = np.asarray(image.convert(wanted), dtype=np.uint8)
    except Exception as error:  # as above
        raise damaged(path, "an image that decodes", str(error) or type(error).__name__) from error
    return pixels.reshape(-1), mode != wanted
