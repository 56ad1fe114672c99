"""Rows and labels of a table: which column is the label, which are features, and what is left out.

The label is the column that `target` names; else one called label, target, y, class, labels, targets, classes, outcome
or response, in this order and whatever the case; else the last. Left out are the columns of `drop`; those that name or
count the rows and are called id, or by a name that ends so, or stand first and are called index, # or not at all,
as pandas' `to_csv` writes an index; and those without any value. All others hold numbers, true and false being 1 and 0,
or words, of which each becomes a column (`kernelfit.datasets.categories`).
"""

from __future__ import annotations

import csv
import difflib
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kernelfit.errors import InputError
from kernelfit.typing import Array, Float, Missing

from .arrow import ARROW, open_arrow
from .categories import by_case_alone, categories_of, listed
from .cells import Cells, Kind, Table, composed, is_missing
from .complete_rows import complete_rows
from .csv import open_table
from .faults import damaged, damaged_by, reading
from .file_options import FileOptions
from .header import LABELS
from .rows import Rows, named_classes
from .table_columns import TableColumns
from .table_faults import (
    faults_of_commas,
    faults_of_features,
    faults_of_known_label,
    faults_of_label,
    listed_names,
    listed_words,
    strange_label,
    unsure_label,
    words_of,
)
from .table_remarks import remarks
from .text_file import PACKED

#: suffixes of tables as text, which may be packed
TEXT = (".csv", ".tsv", ".txt", ".tab", ".dat", ".data")
TABLES = (*TEXT, *ARROW)
_UNNAMED = ("", "unnamed: 0", "level_0", "__index_level_0__")
_UNNAMED_AGAIN = re.compile(r"unnamed: [01](\.\d+)*")
_IDS = (*_UNNAMED, "id", "index", "#")
_ID_WORD = re.compile(r"(?:[a-z0-9](?:Id|ID)|[^a-zA-Z](?:id|Id|ID)|^ID)$")
# Of more rows than these, different integers in a column that is called an id are one, and a word in one row is seldom.
_FEW_ROWS = 20
# Names that a message lists.
_LISTED = 8
# Said of a label that no target names, but its own name does.
_BY_NAME = ", by its name; target=NAME names another"


def suffix_of(path: Path) -> str:
    """The suffix that says what the file holds, lower case: .csv of a.csv.gz."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return Path(name).suffix


def is_table(path: Path) -> bool:
    """Whether the file's name is that of a table."""
    return suffix_of(path) in TABLES and (suffix_of(path) in TEXT or path.suffix.lower() in ARROW)


def stem_of(path: Path) -> str:
    """The file's name without the suffixes that say what it holds: a of a.csv.gz."""
    name = Path(path.name)
    return Path(name.stem).stem if name.suffix.lower() in PACKED and suffix_of(path) in TEXT else name.stem


def read_table(path: Path, options: FileOptions | None = None, like: TableColumns | None = None) -> Rows:
    """X (n, d) float64 and the labels. Raises DataError naming row and column, InputError for what was asked.

    With `like`, the columns are these, by their names, and there must be labels.
    """
    options = options or FileOptions()
    if like is None:
        options.require_table(path)
    with reading(path, "a table"):
        table = _open(path, like)
        if like is not None:
            rows = _read_like(table, like, options.missing)
            if not rows.labelled:
                raise damaged(
                    path,
                    f"labels in the column {like.target!r} that was trained on",
                    "rows without any" if like.target in table.names else "no such column",
                    "rows without labels are for kernelfit predict",
                )
            return rows
        if len(table.names) < 2:
            raise damaged(
                path, "at least 2 columns, features and label", f"{len(table.names)} in the first line"
            )
        return _read_new(table, options)


def read_columns(path: Path, like: TableColumns | None, width: int | None = None) -> Rows:
    """Rows whose features are those of `like`, found by their names, with y where there is a label column too.

    Without a header, columns are taken in their order; without `like`, all of them. Others are left aside, with a
    note; one that is called id or index names the rows. Numbers that are missing are NaN, and so is all of a line of
    nothing but delimiters. Raises DataError where a
    column is missing, and where without `like` there are not `width` of them.
    """
    with reading(path, "a table"):
        table = _open(path, like, blank_rows=True)
        if like is None:
            if width is not None and width != len(table.names):
                wanted = f"{width:,} columns, as many as values in a row that was trained on"
                raise damaged(path, wanted, f"{len(table.names):,}")
            names = tuple(str(index) for index in range(len(table.names)))
            like = TableColumns(names, None, names)
        return _read_like(table, like, None)


def _open(path: Path, like: TableColumns | None = None, *, blank_rows: bool = False) -> Table:
    if suffix_of(path) in ARROW:
        return open_arrow(path)
    return open_table(path, like, blank_rows=blank_rows)


def _read_new(table: Table, options: FileOptions) -> Rows:
    path, names = table.path, table.names
    label, why = _label_column(table, options.target)
    dropped = _dropped(table, options.drop)
    if label in dropped:
        raise InputError(
            f"drop: got {names[label]!r}, which is the label of {path.name}; name another with target"
        )
    features = [column for column in range(len(names)) if column != label and column not in dropped]
    if not features:
        raise InputError(
            f"drop: got {listed_names(options.drop)}, expected some column of {path.name} to be left beside the label"
        )
    ids = _ids(table, features)
    cells = table.read(features, label, ids)
    notes: list[str] = []
    if options.missing == "rows":
        numeric = [column for column in features if column not in words_of(table, cells, features)[0]]
        table, notes = complete_rows(table, cells, numeric, label, words=False)
        cells = table.read(features, label, ids) if notes else cells
    said = why or (_BY_NAME if options.target is None else "")
    notes.append(f"{path.name}: the label is column {names[label]!r}{said}")
    if dropped:
        notes.append(
            f"{path.name}: columns left out: {listed_names([names[column] for column in sorted(dropped)])}"
        )
    X = cells.numbers
    for column in ids:
        at = features.index(column)
        what = _names_rows(table, cells, column, X[:, at])
        if not what:
            continue
        if len(features) == 1:
            notes.append(f"{path.name}: column {names[column]!r} {what}, but there is no other feature")
            continue
        features, X = [*features[:at], *features[at + 1 :]], np.delete(X, at, axis=1)
        name = "the first column" if column == 0 else f"column {names[column]!r}"
        notes.append(f"{path.name}: {name} {what} and is left out")
    features, X = _without_empty(table, cells, features, X, notes)
    notes += remarks(table, features, X, label, cells.label)
    words, texts, faults = words_of(table, cells, features)
    faults = [*cells.ragged, *faults]
    if why:
        faults += unsure_label(table, cells, features, words, label)
    numeric = [column for column in features if column not in words]
    faults += faults_of_commas(table, cells, [*numeric, label])
    faults += faults_of_features(table, cells.faults, numeric, rows=len(X), training=True)
    strange = [] if options.task == "classification" else strange_label(table, cells, label, bool(why))
    faults += strange or faults_of_label(table, cells, label)
    if faults:
        raise damaged_by(path, faults)
    columns = TableColumns(
        tuple(names[column] for column in features),
        names[label],
        tuple(names),
        named=table.named,
        label=label,
        categories=tuple(words.get(column) for column in features) if words else (),
        percents=tuple(
            index
            for index, column in enumerate(features)
            if column not in words and cells.faults[column].get(Kind.PERCENT)
        ),
        percent_label=cells.faults[label].get(Kind.PERCENT) is not None,
    )
    if words:
        notes.append(
            f"{path.name}: words are encoded, a column of 0 and 1 for each: {listed_words(table, words)}"
        )
        for column, categories in words.items():
            _note_case(table, column, categories, notes)
            _note_alone(table, column, texts[column], notes)
        X = columns.encoded(
            X[:, columns.numeric], [texts[column] for column in words], notes.append, path.name
        )
    _note_classes(table, cells, label, notes)
    return _rows(table, X, cells, columns, label, notes)


def _read_like(table: Table, like: TableColumns, missing: Missing | None) -> Rows:
    """Rows of these columns; with `missing` None numbers that are missing are no fault and NaN."""
    path, names, notes, gaps = table.path, table.names, [], missing is not None
    if table.named and like.named:
        features, label = _by_name(table, like)
    else:
        features, label = _by_position(table, like)
        if table.named != like.named:
            notes.append(f"{path.name}: columns are taken in their order, as names are in one file alone")
    others = sorted(set(range(len(names))) - {*features, label})
    says = [column for column in others if _says_id(names[column])] if table.named else []
    # An index that pandas wrote before the file's own ids says less than these.
    ids = min(says, key=lambda column: _is_unnamed(names[column]), default=None)
    # As many columns as features and one may be a label beside them, too, unless names tell.
    by_position = not (table.named and like.named)
    unsure = others[0] if by_position and label is None and like.target is not None and others else None
    unsure = unsure if ids is None else None
    numeric = [features[index] for index in like.numeric]
    words = [features[index] for index in like.of_words]
    texts_of = (*words, *(column for column in (ids, unsure) if column is not None))
    cells = table.read(numeric, label, texts_of)
    if missing == "rows":
        table, left_out = complete_rows(table, cells, numeric, label, words=like.text_labels)
        notes += left_out
        cells = table.read(numeric, label, texts_of) if left_out else cells
    if unsure is not None:
        _require_row_names(table, like, unsure, cells.texts[unsure])
    labels = [] if label is None or like.text_labels else [label]
    faults = [*cells.ragged, *faults_of_commas(table, cells, [*numeric, *labels])]
    known = set(like.every)
    aside = [names[column] for column in others if column != ids and names[column] not in known]
    if aside:
        notes.append(f"{path.name}: columns left aside, which the training rows lack: {listed_names(aside)}")
    faults += faults_of_features(
        table, cells.faults, numeric, rows=len(cells.numbers), training=False, gaps=gaps
    )
    if label is not None:
        faults += faults_of_known_label(table, cells, label, words=like.text_labels, gaps=gaps)
    if faults:
        raise damaged_by(path, faults)
    signed = [index for index in like.numeric if cells.faults[features[index]].get(Kind.PERCENT)]
    numbers = label is not None and cells.label is not None and bool(np.isfinite(cells.label).any())
    unsigned = label is not None and numbers and cells.faults[label].get(Kind.PERCENT) is None
    like.note_percents(signed, notes.append, path.name, unsigned_label=unsigned)
    id_name, texts = table.row_names or ("", None)
    if ids is not None and any(cells.texts[ids]):  # no column that trailing delimiters leave
        id_name, texts = names[ids], cells.texts[ids]
    id_name = "" if _is_unnamed(id_name) else id_name
    texts_of_words = [cells.texts[column] for column in words]
    X = like.encoded(cells.numbers, texts_of_words, notes.append, path.name, cells.where)
    if not gaps:
        X[list(cells.blank)] = np.nan
    return _rows(table, X, cells, like, label, notes, texts, id_name)


def _rows(
    table: Table,
    X: Float,
    cells: Cells,
    columns: TableColumns,
    label: int | None,
    notes: list[str],
    ids: tuple[str, ...] | None = None,
    id_name: str = "",
) -> Rows:
    y: Array = np.empty((len(X), 0))
    classes = None
    if label is not None:
        assert cells.label is not None
        faults = cells.faults[label]
        if faults.get(Kind.TEXT) or faults.get(Kind.BOOLEAN) or columns.text_labels:
            y, classes = named_classes(np.array(cells.label_texts))
        else:
            y = cells.label
    booleans = any(faults.get(Kind.BOOLEAN) for column, faults in cells.faults.items() if column != label)
    if booleans:
        notes.append(f"{table.path.name}: true and false are taken as 1 and 0")
    percents = [table.names[column] for column, faults in cells.faults.items() if faults.get(Kind.PERCENT)]
    if percents:
        notes.append(f"{table.path.name}: 12 % is taken as 12, in {listed_names(percents)}")
    return Rows(
        table.path,
        np.ascontiguousarray(X),
        y,
        class_names=classes,
        label_name=f"column {columns.target!r}",
        notes=(*notes, *cells.notes),
        columns=columns if classes is None else columns.with_text_labels(),
        ids=ids,
        id_name=id_name,
        lines=cells.lines,
        of_file=cells.of_file,
    )


def _note_classes(table: Table, cells: Cells, label: int, notes: list[str]) -> None:
    """Notes on a label of training rows that holds words, or true and false."""
    assert cells.label is not None
    faults, name = cells.faults[label], table.path.name
    flags, text = faults.get(Kind.BOOLEAN), faults.get(Kind.TEXT)
    if not (flags or text):
        return
    classes = categories_of(cells.label_texts)
    _note_case(table, label, classes, notes)
    if absent := [called for called in classes if is_missing(called)]:
        notes.append(f"{name}: taken as classes, not as missing labels: {listed(absent)}")
    if (flags and text) or np.count_nonzero(np.isfinite(cells.label)) > (flags.count if flags else 0):
        notes.append(f"{name}: the label holds numbers and words, taken as classes")


def _note_case(table: Table, column: int, words: Sequence[str], notes: list[str]) -> None:
    if alike := by_case_alone(words):
        notes.append(
            f"{table.path.name}: words that differ in case alone are different ones in column "
            f"{table.names[column]!r}: {listed(alike)}"
        )


def _note_alone(table: Table, column: int, cells: Sequence[str], notes: list[str]) -> None:
    """A note of words in one row alone where most stand in more: one may be of a row of totals, or mistyped."""
    often = Counter(cells)
    alone = [word for word, count in often.items() if count == 1]
    if len(cells) > _FEW_ROWS and 0 < 2 * len(alone) <= len(often):
        notes.append(
            f"{table.path.name}: words that stand in one row alone, as of a total or mistyped, in column "
            f"{table.names[column]!r}: {listed(alone)}"
        )


def _label_column(table: Table, target: str | None) -> tuple[int, str]:
    """The label's column, and why it is this one where that was a guess."""
    if target is not None:
        return _column(table, target, "target"), ""
    lowered = [name.lower() for name in table.names]
    if table.named:
        for name in LABELS:
            if lowered.count(name) == 1:
                return lowered.index(name), ""
        if _says_id(table.names[-1]):
            raise damaged(
                table.path,
                "the label in the last column where no other is called so",
                f"{table.names[-1]!r}, which names rows",
                "name the label with target=NAME",
            )
    return len(lowered) - 1, ", the last; target=NAME names another"


def _entries(entry: str, names: Sequence[str]) -> list[str]:
    """What an entry of `drop` names: one column, or several between commas."""
    if entry in names:
        return [entry]
    return [name.strip() for name in next(csv.reader([entry], skipinitialspace=True), [])]


def _dropped(table: Table, drop: Sequence[str]) -> set[int]:
    """The columns that `drop` names. Raises InputError, for all names that the table has not at once."""
    wanted = [composed(name) for entry in drop for name in _entries(entry, table.names)]
    lowered = {name.lower() for name in table.names}
    unknown = [
        name for name in wanted if name.lower() not in lowered and not re.fullmatch(r"\s*[+-]?\d+\s*", name)
    ]
    if unknown:
        raise _no_columns(table, unknown, "drop")
    return {_column(table, name, "drop") for name in wanted}


def _no_columns(table: Table, unknown: Sequence[str], argument: str) -> InputError:
    """The error for names that are no columns."""
    close = [repr(match) for name in unknown for match in difflib.get_close_matches(name, table.names, n=1)]
    hint = f"did you mean {listed_names(close)}?" if close else f"its columns are {listed_names(table.names)}"
    what = "a column" if len(unknown) == 1 else "columns"
    got = listed_names([repr(name) for name in unknown])
    return InputError(f"{argument}: got {got}, expected {what} of {table.path.name}; {hint}")


def _column(table: Table, wanted: str, argument: str) -> int:
    """The column of that name, whatever its case, or of that index. Raises InputError."""
    names, wanted = table.names, composed(wanted)
    for same in (
        [index for index, name in enumerate(names) if name == wanted],
        [index for index, name in enumerate(names) if name.lower() == wanted.lower()],
    ):
        if len(same) == 1:
            return same[0]
        if same:
            raise InputError(
                f"{argument}: got {wanted!r}, but {len(same)} columns of {table.path.name} are called so; give an "
                f"index, one of {', '.join(map(str, same[:_LISTED]))}"
            )
    try:
        return range(len(names))[int(wanted)]
    except ValueError:
        raise _no_columns(table, [wanted], argument) from None
    except IndexError:
        raise InputError(
            f"{argument}: got {wanted}, expected a column of {table.path.name}, 0 to {len(names) - 1}"
        ) from None


def _ids(table: Table, features: Sequence[int]) -> list[int]:
    """Columns whose names say that they are ids; index or no name say so of first columns alone, of which a table that
    was written twice has two."""
    if not table.named:
        return []
    leading = list(itertools.takewhile(lambda column: _says_id(table.names[column]), features))
    others = [column for column in features if _ID_WORD.search(table.names[column]) and column not in leading]
    return [*leading, *others]


def _says_id(name: str) -> bool:
    """Of an index, or ending in id as a word: PassengerId, row_id; not acid."""
    return name.lower() in _IDS or _is_unnamed(name) or _ID_WORD.search(name) is not None


def _is_unnamed(name: str) -> bool:
    """Of a column without a name, also as pandas calls it on reading: Unnamed: 0, and Unnamed: 0.1 of a second."""
    return name.lower() in _UNNAMED or _UNNAMED_AGAIN.fullmatch(name.lower()) is not None


def _names_rows(table: Table, cells: Cells, column: int, values: Float) -> str:
    """What a column, of a name that says so, does with the rows; nothing where it may be a feature."""
    faults, name = cells.faults[column], table.names[column]
    if faults.get(Kind.TEXT):
        texts = cells.texts[column]
        return (
            "names the rows"
            if name.lower() in _IDS or _is_unnamed(name) or len(set(texts)) == len(texts)
            else ""
        )
    if faults.seen:
        return ""
    if values[0] in (0, 1) and np.array_equal(values, values[0] + np.arange(len(values))):
        return "counts the rows"
    # What is left of an index when rows were drawn from a frame.
    different = len(np.unique(values)) == len(values) and bool((values == np.floor(values)).all())
    sure = _is_unnamed(name) or len(values) > _FEW_ROWS
    return "numbers the rows" if different and sure else ""


def _require_row_names(table: Table, like: TableColumns, column: int, texts: Sequence[str]) -> None:
    """Raise for a column that stands where training rows have one that was left out, and does not name or number rows:
    the file may be features and a label, with no such column."""
    named = len(set(texts)) == len(texts) and not any(map(_is_fraction, texts))
    if named:
        return
    trained = [name for index, name in enumerate(like.every) if index != like.label][column]
    raise damaged(
        table.path,
        f"names or numbers of rows in column {column}, where the training rows have {trained!r}, which was left out",
        f"{texts[0]!r}, so that it may be a feature beside a label",
        f"give the header of the training rows, or the columns {listed_names(like.features)} alone",
    )


def _is_fraction(text: str) -> bool:
    try:
        return not float(text).is_integer()
    except ValueError:
        return False


def _by_name(table: Table, like: TableColumns) -> tuple[list[int], int | None]:
    names, columns, label = table.names, like.features, _label_by_name(table, like)
    others = [column for column in range(len(names)) if column != label]
    where = {names[column]: column for column in others}
    missing = [name for name in columns if name not in where]
    if missing:
        raise damaged(
            table.path,
            f"the columns that were trained on, {listed_names(columns)}",
            f"no {listed_names(missing)}",
            f"its columns are {listed_names(names)}",
        )
    known = set(columns)
    wanted = [column for column in others if names[column] in known]
    own = tuple(names[column] for column in wanted)
    if len(known) == len(columns) == len(own):
        return [where[name] for name in columns], label
    # Names that occur twice say nothing: then their order has to be the same.
    if own != columns:
        raise damaged(
            table.path,
            f"the columns {listed_names(columns)}, of which some have one name",
            listed_names(names),
        )
    return wanted, label


def _label_by_name(table: Table, like: TableColumns) -> int | None:
    """The label's column, None where there is none; of several of its name that which it is among those of training."""
    if like.target is None:
        return None
    places = [column for column, name in enumerate(table.names) if name == like.target]
    trained = like.every.count(like.target)
    if len(places) == trained:
        return places[like.every[: like.label].count(like.target)]
    if len(places) == like.features.count(
        like.target
    ):  # those of its name are features, the label is not there
        return None
    raise damaged(
        table.path,
        f"{trained} columns called {like.target!r}, as the training rows have, of which one is the label"
        if trained > 1
        else f"one column called {like.target!r}, the label",
        f"{len(places)} of that name",
        "give each column a name of its own",
    )


def _by_position(table: Table, like: TableColumns) -> tuple[list[int], int | None]:
    """Of columns without names: all of the training file's, all but its label, or the features alone."""
    count = len(table.names)
    places = like.by_position(count)
    if places is not None:
        return places
    raise damaged(
        table.path,
        f"{len(like.features)} columns, those that were trained on, or {len(like.every)} as the training file has",
        f"{count}",
    )


def _without_empty(
    table: Table, cells: Cells, features: list[int], X: Float, notes: list[str]
) -> tuple[list[int], Float]:
    """Features without those that have no value in any row, as Excel and trailing delimiters leave them."""
    empty = {
        column
        for column in features
        if (missing := cells.faults[column].get(Kind.MISSING)) and missing.count == len(X)
    }
    if not empty or len(empty) == len(features):
        return features, X
    names = listed_names([table.names[column] for column in sorted(empty)])
    notes.append(f"{table.path.name}: columns without any value are left out: {names}")
    kept = [index for index, column in enumerate(features) if column not in empty]
    return [features[index] for index in kept], X[:, kept]
