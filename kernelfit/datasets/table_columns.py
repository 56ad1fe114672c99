"""What the columns of a table are, and how they become the columns of X."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError
from kernelfit.typing import Float

from .categories import listed, one_hot
from .cells import is_missing


@dataclass(frozen=True)
class TableColumns:
    """What the columns of a table are, so that other tables can be read like it.

    Attributes
    ----------
    features : the names of the columns that X is made of
    target : that of the label
    every : of all columns of the file, in its order; 0, 1, 2, ... without a header
    named : whether the file has a header
    text_labels : whether labels are words
    label : where the label stands in `every`; by default the first column called `target`
    categories : of each feature the words that it may hold, None where it holds numbers; () where all do
    percents : which features have a percent sign behind each number, 12 % being 12
    percent_label : whether labels have

    X has the numbers first, then a column for each category of each feature of words.
    """

    features: tuple[str, ...]
    target: str | None
    every: tuple[str, ...]
    named: bool = False
    text_labels: bool = False
    categories: tuple[tuple[str, ...] | None, ...] = ()
    label: int | None = None
    percents: tuple[int, ...] = ()
    percent_label: bool = False

    def __post_init__(self) -> None:
        if self.label is None and self.target is not None:
            object.__setattr__(self, "label", self.every.index(self.target))

    @property
    def numeric(self) -> list[int]:
        """Which features hold numbers."""
        return [index for index in range(len(self.features)) if self.words(index) is None]

    @property
    def of_words(self) -> list[int]:
        """Which features hold words."""
        return [index for index in range(len(self.features)) if self.words(index) is not None]

    def words(self, index: int) -> tuple[str, ...] | None:
        """What a feature may hold, None where it holds numbers."""
        return self.categories[index] if self.categories else None

    def by_position(self, count: int) -> tuple[list[int], int | None] | None:
        """Where features and label stand among `count` columns without names: all of the training file's, all but its
        label, or the features alone; None where it can be none of these."""
        d, label, features = len(self.features), self.label, set(self.features)
        if count == d:
            return list(range(d)), None
        every = [index for index, name in enumerate(self.every) if name in features and index != label]
        if count == len(self.every) and len(every) == d:
            return every, label
        if count == len(self.every) - 1 and label is not None and len(every) == d:
            return [index - (index > label) for index in every], None
        return None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of X: features, and FEATURE=CATEGORY."""
        numbers = [self.features[index] for index in self.numeric]
        words = [
            f"{self.features[index]}={category}"
            for index in self.of_words
            for category in self.words(index) or ()
        ]
        return (*numbers, *words)

    @property
    def indicators(self) -> NDArray[np.bool_] | None:
        """Which columns of X (d,) stand for words; None where none does."""
        return np.arange(len(self.names)) >= len(self.numeric) if self.of_words else None

    def encoded(
        self,
        numbers: Float,
        words: Sequence[Sequence[str]],
        note: Callable[[str], None],
        name: str,
        where: Callable[[int], str] = "row {} (counted from 0)".format,
    ) -> Float:
        """X from the numbers (n, k) and the cells of each feature of words; cells that are no category are 0 in all.

        `note` is told of these; `name` is what holds them, and `where` says where in it a row stands.
        """
        parts = [numbers]
        for index, cells in zip(self.of_words, words, strict=True):
            part, unknown = one_hot(cells, self.words(index) or ())
            parts.append(part)
            if unknown is not None:
                note(
                    f"{name}: column {self.features[index]!r} holds words that were not trained on, "
                    f"{listed(unknown.categories)} in {unknown.rows} of {len(cells)} rows, the first in "
                    f"{where(unknown.first)}: they count as none of the known ones"
                )
        return np.hstack(parts) if len(parts) > 1 else numbers

    def note_percents(
        self,
        signed: Collection[int],
        note: Callable[[str], None],
        name: str,
        *,
        unsigned_label: bool = False,
    ) -> None:
        """Tell `note` of percents that have lost their sign, where `signed` are the features of `name` that have one,
        and labels stand there with `unsigned_label`: 0.12 may be meant by what is 12 in the training rows."""
        lost = [self.features[index] for index in self.percents if index not in signed]
        if unsigned_label and self.percent_label and self.target is not None:
            lost.append(self.target)
        if lost:
            said = "taken as they stand, without the percent sign of the training rows (12 is 12 %)"
            note(f"{name}: {said}: {listed(lost)}")

    def encoded_frame(self, frame: Any, note: Callable[[str], None], name: str) -> Float:
        """X of a frame that has the features. Raises `InputError`."""
        numbers = np.empty((len(frame), len(self.numeric)))
        for place, index in enumerate(self.numeric):
            column = self.features[index]
            try:
                # NumPy makes 10 of the word 1_0, and a real number of a complex one.
                if what := _no_numbers(np.asarray(frame[column])):
                    raise TypeError
                numbers[:, place] = np.asarray(frame[column], dtype=np.float64)
            except (TypeError, ValueError):
                what = what or "words"
                raise InputError(f"{name}: got {what} in column {column!r}, expected numbers") from None
        words = [_cells(frame[self.features[index]], self.words(index) or ()) for index in self.of_words]
        return self.encoded(numbers, words, note, name)

    def with_text_labels(self) -> TableColumns:
        """The same where labels are words."""
        return replace(self, text_labels=True)

    def to_dict(self) -> dict[str, Any]:
        """In JSON's types; `of_dict` is the inverse."""
        return {
            "features": list(self.features),
            "target": self.target,
            "every": list(self.every),
            "label": self.label,
            "named": self.named,
            "text_labels": self.text_labels,
            "categories": [None if words is None else list(words) for words in self.categories],
            "percents": list(self.percents),
            "percent_label": self.percent_label,
        }

    @classmethod
    def of_dict(cls, stored: Mapping[str, Any]) -> TableColumns:
        """The inverse of `to_dict`. Raises TypeError, ValueError or LookupError for what is none."""
        names = {name: stored[name] for name in ("features", "every")}
        target, flags = stored["target"], {name: stored[name] is True for name in ("named", "text_labels")}
        categories = stored["categories"]
        if not all(map(_are_texts, names.values())) or not isinstance(categories, list):
            raise TypeError(f"got {str(names)[:60]}, expected names of columns")
        if not all(words is None or _are_texts(words) for words in categories):
            raise TypeError(f"got {str(categories)[:60]}, expected words or null of each feature")
        if len(categories) not in (0, len(names["features"])):
            raise ValueError(
                f"categories of {len(categories)} features, of which there are {len(names['features'])}"
            )
        if target is not None and target not in names["every"]:
            raise ValueError(f"{str(target)[:40]} is none of the columns")
        # Tables of before name their label's column without its place.
        label = stored.get("label", None if target is None else names["every"].index(target))
        if (label is None) != (target is None) or (
            label is not None and not _stands(label, target, names["every"])
        ):
            raise ValueError(f"column {str(label)[:40]} is not called {str(target)[:40]}")
        percents = stored.get("percents", [])
        if not isinstance(percents, list) or not all(
            type(index) is int and 0 <= index < len(names["features"]) for index in percents
        ):
            raise ValueError(f"percents {str(percents)[:40]} are no features")
        of_each = tuple(None if words is None else tuple(words) for words in categories)
        return cls(
            tuple(names["features"]),
            target,
            tuple(names["every"]),
            **flags,
            categories=of_each,
            label=label,
            percents=tuple(percents),
            percent_label=stored.get("percent_label") is True,
        )


def _stands(label: Any, target: str, every: list[str]) -> bool:
    return type(label) is int and 0 <= label < len(every) and every[label] == target


def _are_texts(names: Any) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _no_numbers(cells: NDArray[Any]) -> str:
    """What cells are that are no numbers; nothing of others."""
    if cells.dtype.kind == "c":
        return "complex numbers"
    kinds = set(map(type, cells)) if cells.dtype == object else {cells.dtype.type}
    return "words" if any(issubclass(kind, str | bytes) for kind in kinds) else ""


def _cells(column: Any, categories: Sequence[str]) -> tuple[str, ...]:
    """A column of a frame as the cells of a table.

    Pandas' readers make one missing value of NA, None, null and empty cells: it is the category that stands for one,
    and an empty cell where none does, or several do.
    """
    missing = [category for category in categories if is_missing(category)]
    empty = missing[0] if len(missing) == 1 else ""
    cells = np.asarray(column, dtype=object)  # those of Arrow are no Python objects
    return tuple(empty if _is_absent(value) else str(value).strip() for value in cells)


def _is_absent(value: Any) -> bool:
    """Whether it is None, NaN, NaT or pandas' NA, which has no truth."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True
