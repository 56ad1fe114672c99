"""svmlight files, of which each line is a label and INDEX:VALUE for what is not 0: told from tables, never read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

#: what to do with one
REMEDY = (
    "sklearn.datasets.load_svmlight_file reads such files: X, y = load_svmlight_file(FILE), then "
    "numpy.savez('mine.npz', X=X.toarray(), y=y)"
)
_PAIR = re.compile(r"\d+:[+-]?[\d.eE+-]+")
# Lines that tell, and how much of each.
_SAMPLE, _LONGEST = 32, 1 << 16


def is_pair(cell: str) -> bool:
    """Whether the cell is an index and a value; a time of day may be one, too."""
    return _PAIR.fullmatch(cell) is not None


def are_sparse(lines: Sequence[str]) -> bool:
    """Whether most of what stands behind the first words of the lines are an index and a value."""
    words = [word for line in lines for word in line.partition("#")[0].split()[1:]]
    return 2 * sum(map(is_pair, words)) > len(words)


def is_sparse_file(path: Path) -> bool:
    """Whether the first lines of a file are so."""
    with path.open("rb") as file:
        lines = islice(iter(lambda: file.readline(_LONGEST), b""), _SAMPLE)
        return are_sparse([line.decode("latin-1") for line in lines])
