"""A folder of images with one sub-folder for each class.

Either ROOT/cat/1.png, ROOT/dog/1.png, ..., or the same under ROOT/train and ROOT/test, by their usual names.
"""

from __future__ import annotations

import dataclasses
import mmap
import struct
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import DataError

from .cells import composed
from .compressed import DEFLATE_RATIO
from .faults import damaged, reading, refuse_pointer
from .rows import ImageShape, Rows

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".pgm", ".ppm"))
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM")
# Where a PNG has text, what it calls EXIF and XMP data in it, and the longest such name.
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PNG_KEYS = (b"Raw profile type exif", b"XML:com.adobe.xmp")
_LONGEST_KEY = 80
# Deflate packs at most 1032 bytes of 8 one-bit pixels each into one; JPEG spends a bit on each block of 64.
_PIXELS_PER_BYTE = 8 * DEFLATE_RATIO
# An image of more pixels makes rows of more features than a dense kernel on them has a use for, and a file of
# a few hundred bytes can claim any size.
_PIXEL_LIMIT = 1 << 24


#: what the folders of the parts are called, in lower case; of several test parts the first counts
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation")
# What systems leave beside images; whatever begins with a dot is hidden, too.
_HIDDEN = frozenset(("thumbs.db", "desktop.ini", "__macosx", "@eadir"))
# Suffixes, or sub-folders, that a message lists.
_LISTED = 8


def read_image_folder(root: Path) -> tuple[Rows, Rows | None]:
    """Read the training part and, where ROOT has a sub-folder of both parts (train and test or val), the test part.

    All images must have one size once they are turned upright as their EXIF data say; grey ones give one channel, all
    others red, green and blue. Hidden files are skipped; other files that are no images are, too, and a note counts
    them, as one counts the images that were turned or converted, have transparency or move. Rows stand by class, then
    by file name. Raises DataError.
    """
    with reading(root, "a folder of images"):
        folders = {path.name.lower(): path for path in _visible(root) if path.is_dir()}
    train = next((folders[name] for name in TRAIN_NAMES if name in folders), None)
    if train is None or not any(_holds_images(path) for path in _visible(train)):
        _refuse_parts_as_classes(folders)
        return _read_part(root, None), None
    rows = _read_part(train, None)
    parts = [folders[name] for name in TEST_NAMES if name in folders]
    tests = [part for part in parts if any(_holds_images(path) for path in _visible(part))]
    notes = [
        f"{part.name} is left aside" + ("" if part in tests else ": it has no sub-folders of classes")
        for part in parts
        if part not in tests[:1]
    ]
    others = [path.name for path in _visible(root) if path.is_dir() and path not in (train, *parts)]
    if others:
        notes.append(f"folders beside {train.name} are left aside: {_names(others)}")
    files = [path.name for path in _visible(root) if not path.is_dir()]
    if files:
        notes.append(f"files beside {train.name} are left aside: {_names(files)}")
    rows = dataclasses.replace(rows, notes=(*rows.notes, *(f"{root}: {note}" for note in notes)))
    return rows, _read_part(tests[0], rows.image_shape) if tests else None


def _refuse_parts_as_classes(folders: Mapping[str, Path]) -> None:
    """Raise where the images of a training and of a test part, without classes, would be taken as two classes."""
    parts = [folders[name] for name in (*TRAIN_NAMES, *TEST_NAMES) if name in folders]
    mixed = [part for part in parts if _holds_images(part)]
    if mixed and any(part.name.lower() in TRAIN_NAMES for part in parts):
        raise damaged(
            mixed[0],
            "a sub-folder for each class",
            f"{len(_images(mixed[0]))} images in the folder itself",
            "put the images of each class into a folder of their own, train/CLASS/IMAGE",
        )


def is_plain_folder(folder: Path) -> bool:
    """Whether a folder holds images and no folder, as new images come."""
    return folder.is_dir() and bool(_images(folder)) and not any(path.is_dir() for path in _visible(folder))


def read_images(folder: Path) -> Rows:
    """The images that lie in a folder itself, by file name, without labels. Raises DataError."""
    with reading(folder, "a folder of images"):
        files = _images(folder)
        skipped = [path for path in _visible(folder) if not _is_image(path)]
    X, shape, notes = _pixels(folder, files, skipped, None)
    ids = tuple(path.name for path in files)
    return Rows(folder, X, np.empty((len(X), 0)), shape, notes=notes, ids=ids)


def _read_part(folder: Path, expected: ImageShape | None) -> Rows:
    with reading(folder, "a folder of images"):
        classes = sorted(filter(_holds_images, _visible(folder)), key=lambda entry: composed(entry.name))
        names = tuple(dict.fromkeys(composed(entry.name) for entry in classes))
        bare = [_with_content(entry) for entry in _visible(folder) if entry.is_dir() and entry not in classes]
        files = [(names.index(composed(entry.name)), path) for entry in classes for path in _images(entry)]
        if not files:
            raise _not_understood(folder)
        skipped = [path for entry in classes for path in _visible(entry) if not _is_image(path)]
        skipped += [path for path in _visible(folder) if not path.is_dir()]  # beside the classes, so of none
    paths = [path for _, path in files]
    X, shape, notes = _pixels(folder, paths, skipped, expected)
    if bare:
        notes = (*notes, f"{folder}: sub-folders without images are left aside: {_names(bare)}")
    y = np.array([code for code, _ in files], dtype=np.int64)
    ids = tuple(path.relative_to(folder).as_posix() for path in paths)
    return Rows(folder, X, y, shape, names, "the folder names", notes, ids=ids)


def _pixels(
    folder: Path, files: list[Path], skipped: list[Path], expected: ImageShape | None
) -> tuple[NDArray[np.uint8], ImageShape, tuple[str, ...]]:
    """Of each image its pixels as one row, the shape of all of them, and notes."""
    if expected is None:
        sizes = {_header(path) for path in files}
        channels = 1 if all(header.mode in ("1", "L") for header in sizes) else 3
        width, height = _header(files[0]).size
        expected = (height, width, channels)
    X = np.empty((len(files), expected[0] * expected[1] * expected[2]), dtype=np.uint8)
    turned = converted = transparent = animated = 0
    for row, path in enumerate(files):
        pixels, header = _decode(path, expected)
        X[row] = pixels
        turned += header.turned
        converted += header.mode != _mode(expected)
        transparent += header.transparent
        animated += header.animated
    colours = "grey" if expected[2] == 1 else "red, green and blue"
    notes = []
    if converted:
        notes.append(f"{folder}: {converted:,} of {len(files):,} images were turned into {colours}")
    if transparent:
        notes.append(f"{folder}: the transparency of {transparent:,} of {len(files):,} images is left out")
    if animated:
        notes.append(
            f"{folder}: of {animated:,} of {len(files):,} images, which move, the first picture is taken"
        )
    if turned:
        notes.append(
            f"{folder}: {turned:,} of {len(files):,} images were turned upright as their EXIF data say"
        )
    if skipped:
        notes.append(f"{folder}: files skipped: {len(skipped):,} ({_suffixes(skipped)})")
    return X, expected, tuple(notes)


def _not_understood(folder: Path) -> DataError:
    """What was there and what is wanted, all on one line."""
    entries = _visible(folder)
    folders = [path.name for path in entries if path.is_dir()]
    files = [path for path in entries if not path.is_dir()]
    what = []
    if folders:
        below = [path for name in folders for path in _visible(folder / name) if not path.is_dir()]
        files_below = f" ({_suffixes(below)})" if below else ""
        what.append(f"the sub-folders {_names(folders)} without images of their own{files_below}")
    if files:
        what.append(f"files ({_suffixes(files)})")
    return DataError(
        f"data folder: got {folder} with {' and '.join(what) or 'nothing in it'}, "
        f"expected CLASS/IMAGE ({' '.join(sorted(SUFFIXES))}), train/CLASS/IMAGE with test or val beside it, "
        "the four IDX files of MNIST, or a data set known by name as its authors or torchvision lay it out"
        + ("; of tables and arrays name the file" if any(_is_of_numbers(path) for path in files) else "")
    )


def _is_of_numbers(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv", ".txt", ".parquet", ".npz", ".h5", ".hdf5", ".mat", ".gz")


def _with_content(folder: Path) -> str:
    """What a folder is called, and what it holds."""
    content = _visible(folder)
    return f"{folder.name} ({_suffixes(content)})" if content else folder.name


def _names(folders: list[str]) -> str:
    more = f" and {len(folders) - _LISTED} more" if len(folders) > _LISTED else ""
    return ", ".join(folders[:_LISTED]) + more


def _suffix(path: Path) -> str:
    if path.is_file():
        return path.suffix.lower() or "no suffix"
    if path.is_dir():
        return "folder"
    return "link that leads nowhere" if path.is_symlink() else "no regular file"


def _suffixes(paths: list[Path]) -> str:
    counts = Counter(map(_suffix, paths))
    return ", ".join(f"{suffix} {count}" for suffix, count in counts.most_common(_LISTED))


def _visible(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, without what systems hide there."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in entries if not path.name.startswith(".") and path.name.lower() not in _HIDDEN]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _images(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if _is_image(path)]


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and bool(_images(folder))


@dataclass(frozen=True)
class _Header:
    """Mode and (width, height) of an image as it stands upright, whether it was stored otherwise, whether it may be
    transparent, and whether it has several pictures."""

    mode: str
    size: tuple[int, int]
    turned: bool
    transparent: bool
    animated: bool


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


def _has_exif(image: Image.Image, path: Path) -> bool:
    """Whether an orientation may be stored; where none can be, Pillow would decode a whole PNG in search of one."""
    return "exif" in image.info or "xmp" in image.info or (image.format == "PNG" and _png_has_exif(path))


def _png_has_exif(path: Path) -> bool:
    """Whether a chunk of a PNG, before its pixels or after them, holds EXIF or XMP data."""
    with path.open("rb") as file:
        at = len(b"\x89PNG\r\n\x1a\n")
        while file.seek(at) and len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"eXIf" or (
                name in _PNG_TEXTS and file.read(_LONGEST_KEY).split(b"\0")[0] in _PNG_KEYS
            ):
                return True
            at += length + 12
    return False


def _bits(image: Image.Image) -> int:
    """Of a channel as the file has it; of 16 Pillow keeps 8 where there are colours."""
    codec, _, _, options = image.tile[0] if image.tile else ("", None, 0, None)
    if image.format == "PNG":
        return 16 if str(options).endswith(";16B") else 8
    return 16 if codec in ("ppm", "ppm_plain") and isinstance(options, tuple) and options[-1] > 255 else 8


def _header(path: Path) -> _Header:
    """What the file's header says; no pixel is decoded."""
    from PIL import ExifTags, UnidentifiedImageError

    orientation, limit = 1, min(_PIXEL_LIMIT, _PIXELS_PER_BYTE * path.stat().st_size)
    try:
        with _opened(path) as image:
            mode, size, transparent = image.mode, image.size, image.has_transparency_data
            bits, animated = _bits(image), getattr(image, "is_animated", False)
            # Pillow decodes a PNG for its EXIF data.
            if size[0] * size[1] <= limit and _has_exif(image, path):
                orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:  # Pillow's decoders raise whatever their format's fault provokes
        refuse_pointer(path)
        found = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):  # its own words are an address in memory
            found = "none of these"
        elif not path.stat().st_size:
            found = "an empty file"
        raise damaged(path, f"an image ({', '.join(_FORMATS)})", found, "mend or remove the file") from error
    if size[0] * size[1] > limit:
        raise damaged(path, f"at most {limit} pixels in a file of its size", f"{size[0]} x {size[1]}")
    if mode in ("I", "F") or mode.startswith("I;"):
        raise damaged(path, "8 bits a channel", f"mode {mode}", "convert it to 8 bits")
    if bits > 8:
        raise damaged(path, "8 bits a channel", f"{bits}", "convert it to 8 bits")
    turned = orientation in range(2, 9)
    # From 5 on rows and columns change places.
    return _Header(mode, size[::-1] if turned and orientation >= 5 else size, turned, transparent, animated)


def _mode(shape: ImageShape) -> str:
    return "L" if shape[2] == 1 else "RGB"


def _decode(path: Path, expected: ImageShape) -> tuple[NDArray[np.uint8], _Header]:
    """The pixels as one row, upright, and the header of their file."""
    from PIL import ImageOps

    height, width, _ = expected
    header = _header(path)
    if header.size != (width, height):
        raise damaged(
            path,
            f"{width} x {height} pixels like the first image",
            f"{header.size[0]} x {header.size[1]}",
            "resize it",
        )
    try:
        with _opened(path) as image:
            upright = ImageOps.exif_transpose(image) if header.turned else image
            pixels = np.asarray(upright.convert(_mode(expected)), dtype=np.uint8)
    except Exception as error:  # as above
        raise damaged(path, "an image that decodes", str(error) or type(error).__name__) from error
    return pixels.reshape(-1), header
