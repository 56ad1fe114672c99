"""What is known of a data set known by name: its files, where to get them, how to recognise and read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset

#: X (n, d) and class codes (n,)
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


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
class Located:
    """The files of a data set, in the order of `layout.files`."""

    layout: Layout
    paths: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        return self.paths[0].parent


@dataclass(frozen=True)
class FileCheck:
    """The digest of one file beside the official one, None where none is published; `of` says what was hashed."""

    path: Path
    of: str
    algorithm: str
    found: str
    expected: str | None

    @property
    def official(self) -> bool:
        return self.found == self.expected

    @property
    def note(self) -> str:
        """What is said of a file of another origin."""
        if self.expected is None:
            return f"{self.path.name}: no digest of it is published, so that its origin was not checked"
        # The first digits tell two digests apart; `kernelfit datasets verify --json` gives them whole.
        return (
            f"{self.path.name} is of another origin: {self.algorithm} of the {self.of} {self.found[:12]}..., "
            f"of the official one {self.expected[:12]}..."
        )


@dataclass(frozen=True)
class Spec:
    """A data set known by name.

    `reader` makes a Dataset of the located files, and compares them with the official ones; files of another origin
    are accepted with a note that names the difference. One that comes with a package has no layouts and no downloads,
    and its reader gets None. Downloads lie in a folder called `folder`, by default `name`; sets made of the same files
    share it. `licence` is what the authors state of it, and `citation` whom to cite.
    """

    name: str
    title: str
    n_train: int
    n_test: int
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    source: str
    reader: Reader
    layouts: tuple[Layout, ...] = ()
    downloads: tuple[RemoteFile, ...] = ()
    folder: str | None = None
    licence: str = "none stated"
    citation: str = ""

    @property
    def download_bytes(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.downloads)

    @property
    def n_features(self) -> int:
        height, width, channels = self.image_shape
        return height * width * channels

    def dataset(self, train: Part, test: Part, notes: tuple[str, ...]) -> Dataset:
        """The data set of these rows of bytes and class codes."""
        return Dataset(
            name=self.name,
            X_train=train[0],
            y_train=train[1],
            X_test=test[0],
            y_test=test[1],
            classes=self.classes,
            image_shape=self.image_shape,
            scale=1 / 255,
            notes=notes,
        )

    def read(self, located: Located | None) -> tuple[Dataset, tuple[FileCheck, ...]]:
        """The data set and what its files were compared with.

        Raises DataError for a file that is truncated, corrupt, of another shape, or that belongs to another set.
        """
        return self.reader(self, located)


#: a spec and its files -> the data set and what they were compared with
Reader = Callable[[Spec, Located | None], tuple[Dataset, tuple[FileCheck, ...]]]
