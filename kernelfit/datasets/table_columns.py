"""What the columns of a table are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class TableColumns:
    """What the columns of a table are, so that other tables can be read like it.

    Attributes
    ----------
    features : the names of the columns of X
    target : that of the label
    every : of all columns of the file, in its order; 0, 1, 2, ... without a header
    named : whether the file has a header
    text_labels : whether labels are words
    """

    features: tuple[str, ...]
    target: str | None
    every: tuple[str, ...]
    named: bool = False
    text_labels: bool = False

    def with_text_labels(self) -> TableColumns:
        """The same where labels are words."""
        return replace(self, text_labels=True)

    def to_dict(self) -> dict[str, Any]:
        """In JSON's types; `of_dict` is the inverse."""
        return {
            "features": list(self.features),
            "target": self.target,
            "every": list(self.every),
            "named": self.named,
            "text_labels": self.text_labels,
        }

    @classmethod
    def of_dict(cls, stored: Mapping[str, Any]) -> TableColumns:
        """The inverse of `to_dict`. Raises TypeError, ValueError or LookupError for what is none."""
        names = {name: stored[name] for name in ("features", "every")}
        target, flags = stored["target"], {name: stored[name] is True for name in ("named", "text_labels")}
        if not all(
            isinstance(value, list) and all(isinstance(name, str) for name in value)
            for value in names.values()
        ):
            raise TypeError(f"got {str(names)[:60]}, expected names of columns")
        if target is not None and target not in names["every"]:
            raise ValueError(f"{str(target)[:40]} is none of the columns")
        return cls(tuple(names["features"]), target, tuple(names["every"]), **flags)
