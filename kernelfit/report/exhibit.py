"""A record as a chapter of a report, before it is a page or files: words, charts, tables, pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import RenderableType

from kernelfit.errors import DataError, InputError, KernelfitError
from kernelfit.report.chart import Chart
from kernelfit.typing import Array


@dataclass(frozen=True)
class Picture:
    """An image: pixels of a row and their shape (height, width, channels), or the content of a PNG file."""

    description: str
    caption: str
    row: Array | None = None
    shape: tuple[int, int, int] = (0, 0, 0)
    png: bytes = b""


@dataclass(frozen=True)
class Part:
    """Something that is shown under a heading: charts with a caption, a table, pictures; any may be missing."""

    heading: str = ""
    words: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    caption: str = ""
    table: RenderableType | None = None
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Exhibit:
    """A chapter.

    Attributes
    ----------
    title : of the chapter
    about : what was asked, and how to read the answer
    parts : what is shown, in order
    record : what it is made from
    figures : the numbers that a reader looks for first, name and value each
    made_by : the command that made the record, where the record does not say
    """

    title: str
    about: str
    parts: tuple[Part, ...]
    record: dict[str, Any] = field(repr=False)
    figures: tuple[tuple[str, str], ...] = ()
    made_by: str = ""

    @property
    def command(self) -> str:
        """What made the record; empty where nobody says."""
        return str(self.record.get("command") or self.made_by)


def checked(make: Callable[[], Any], what: str) -> Any:
    """What `make` gives. A record that lacks something, or holds it in another form, is one line of DataError."""
    try:
        return make()
    except InputError as error:  # of the record, which this version refuses
        raise DataError(f"runs: got {what}, a record that cannot be shown ({error}); make it again") from None
    except KernelfitError:
        raise
    except KeyError as error:
        raise DataError(f"runs: got {what}, whose record lacks {error}; make it again") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"runs: got {what}, a record that cannot be shown ({type(error).__name__}: {reason}); make it again"
        ) from None
