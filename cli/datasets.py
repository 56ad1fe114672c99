"""`kernelfit datasets`: which data sets there are, where they lie, whether they are the official ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from kernelfit.datasets.download import fetch as download
from kernelfit.datasets.locate import data_folders, locate
from kernelfit.datasets.registry import REGISTRY
from kernelfit.datasets.spec import Located, Spec
from kernelfit.errors import DataError
from kernelfit.report.grid import Grid, Pairs
from kernelfit.storage import json_output

from .options import KnownName, data_dir_option, json_option
from .output import CommandGroup, emit
from .wording import terminal_progress

EMBEDDED = "embedded"
MISSING = "missing"

_names = KnownName(list(REGISTRY))


@click.group(name="datasets", cls=CommandGroup)
def command() -> None:
    """List, fetch, verify and locate data sets."""


@command.command(name="list")
@data_dir_option
@json_option
def list_(data_dir: Path | None, json_target: str | None) -> None:
    """Show every data set known by name and where it lies."""
    json_output.check_target(json_target)
    records = [{**_describe(spec), **_place(spec, data_dir)} for spec in REGISTRY.values()]
    _show(records, json_target, _list_table)


@command.command(name="show")
@click.argument("name", type=_names, metavar="NAME")
@data_dir_option
@json_option
def show(name: str, data_dir: Path | None, json_target: str | None) -> None:
    """Show what is known of a data set: its sizes, classes, source, licence, and whom to cite."""
    json_output.check_target(json_target)
    spec = REGISTRY[name]
    record = {**_describe(spec), **_place(spec, data_dir)}
    table = Pairs()
    rows = f"{spec.n_train:,} to train on, {spec.n_test:,} to test"
    shape = " x ".join(map(str, spec.image_shape))
    for title, text in (
        ("Name", name),
        ("Data", spec.title),
        ("Rows", rows),
        ("Features", f"{spec.n_features:,} ({shape})"),
        ("Classes", f"{len(spec.classes)}: {', '.join(spec.classes)}"),
        ("Source", spec.source),
        ("Download", _megabytes(spec.download_bytes) or "none, it comes with scikit-learn"),
        ("Licence", spec.licence),
        ("Cite", spec.citation),
        ("Place", record["place"]),
    ):
        table.add_row(title, text)
    emit(record, json_target, table)


@command.command(name="fetch")
@click.argument("name", type=_names, metavar="NAME")
@data_dir_option
@json_option
def fetch(name: str, data_dir: Path | None, json_target: str | None) -> None:
    """Download a data set, unless it is there already."""
    json_output.check_target(json_target)
    spec = REGISTRY[name]
    fetched = False
    if spec.downloads and locate(spec, data_dir) is None:
        download(spec, data_dir, terminal_progress())
        fetched = True
    _show([{"name": name, "fetched": fetched, **_place(spec, data_dir)}], json_target, _place_table)


@command.command(name="verify")
@click.argument("names", nargs=-1, type=_names, metavar="[NAME]...")
@click.option("--strict", is_flag=True, help="Count files of another origin as a failure.")
@data_dir_option
@json_option
def verify(names: tuple[str, ...], strict: bool, data_dir: Path | None, json_target: str | None) -> None:
    """Read data sets whole and compare every file with the official digest; without NAMES, all that are here.

    The status is `official`, `other origin` (readable, but not the official bytes) or `damaged`.
    """
    json_output.check_target(json_target)
    records = [_verify(REGISTRY[name], data_dir) for name in names or REGISTRY]
    if not names:
        records = [record for record in records if record["status"] != MISSING]
    _show(records, json_target, _verify_table)
    refused = ("damaged", MISSING, "other origin") if strict else ("damaged", MISSING)
    failed = [record for record in records if record["status"] in refused]
    if failed:
        raise DataError(f"{failed[0]['name']}: {failed[0]['status']}; {failed[0]['reason']}")


@command.command(name="path")
@click.argument("name", type=_names, metavar="[NAME]", required=False)
@data_dir_option
@json_option
def path(name: str | None, data_dir: Path | None, json_target: str | None) -> None:
    """Print the folder in which NAME lies; without NAME, the folders that are searched, in order."""
    json_output.check_target(json_target)
    if name is None:
        folders = [str(folder) for folder in data_folders(data_dir)]
        _print_lines(folders, {"folders": folders}, json_target)
        return
    place = _place(REGISTRY[name], data_dir)
    if place["place"] == MISSING:
        raise DataError(f"{name}: not here; {_how_to_get(name)}")
    _print_lines([place["place"]], {"name": name, **place}, json_target)


def _describe(spec: Spec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "title": spec.title,
        "n_train": spec.n_train,
        "n_test": spec.n_test,
        "n_features": spec.n_features,
        "image_shape": spec.image_shape,
        "classes": spec.classes,
        "source": spec.source,
        "download_bytes": spec.download_bytes,
        "licence": spec.licence,
        "citation": spec.citation,
    }


def _place(spec: Spec, data_dir: Path | None) -> dict[str, Any]:
    """Where the data set lies (a folder, `embedded` or `missing`) and in which layout."""
    if not spec.downloads:
        return {"place": EMBEDDED, "layout": None, "files": []}
    located = locate(spec, data_dir)
    if located is None:
        return {"place": MISSING, "layout": None, "files": []}
    return {"place": str(located.folder), "layout": located.layout.kind, "files": list(located.paths)}


def _verify(spec: Spec, data_dir: Path | None) -> dict[str, Any]:
    record: dict[str, Any] = {"name": spec.name, "status": "official", "reason": "", "files": []}
    if not spec.downloads:
        return record | {"reason": "comes with scikit-learn"}
    located: Located | None = locate(spec, data_dir)
    if located is None:
        return record | {"status": MISSING, "reason": _how_to_get(spec.name)}
    try:
        dataset, checks = spec.read(located)
    except DataError as error:
        return record | {"status": "damaged", "reason": str(error)}
    record["files"] = [
        {
            "path": check.path,
            "of": check.of,
            "algorithm": check.algorithm,
            "found": check.found,
            "expected": check.expected,
            "official": check.official,
        }
        for check in checks
    ]
    if dataset.notes:
        record |= {"status": "other origin", "reason": "; ".join(dataset.notes)}
    return record


def _how_to_get(name: str) -> str:
    return f"run `kernelfit datasets fetch {name}`, or set $KERNELFIT_DATA or --data-dir to its folder"


def _show(
    records: list[dict[str, Any]], target: str | None, table: Callable[[list[dict[str, Any]]], Grid]
) -> None:
    emit(records, target, table(records))


def _print_lines(lines: list[str], record: dict[str, Any], target: str | None) -> None:
    if target is not None:
        json_output.write(record, target)
    if target != json_output.STDOUT:
        # Plain text: a path may go straight into another command.
        for line in lines:
            click.echo(line)


def _list_table(records: list[dict[str, Any]]) -> Grid:
    headings = ("Name", "Data", "Train", "Test", "Features", "Classes", "Download", "Licence", "Place")
    table = Grid(headings, right=range(2, 7), words=(1, 7, 8), optional=(1, 7, 4, 5, 3, 6))
    for record in records:
        table.add_row(
            record["name"],
            record["title"],
            f"{record['n_train']:,}",
            f"{record['n_test']:,}",
            f"{record['n_features']:,}",
            str(len(record["classes"])),
            _megabytes(record["download_bytes"]),
            record["licence"],
            record["place"],
        )
    return table


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size else ""


def _place_table(records: list[dict[str, Any]]) -> Grid:
    table = Grid(("Name", "Downloaded", "Place"), words=(2,))
    for record in records:
        table.add_row(
            record["name"], "now" if record["fetched"] else "no need, it was there", record["place"]
        )
    return table


def _verify_table(records: list[dict[str, Any]]) -> Grid:
    table = Grid(("Name", "Status", "Files", "Reason"), words=(3,))
    colours = {"official": "green", "other origin": "yellow"}
    for record in records:
        status = record["status"]
        colour = colours.get(status, "red")
        same = sum(file["official"] for file in record["files"])
        files = f"{same} of {len(record['files'])} official" if record["files"] else ""
        table.add_row(record["name"], Text(status, style=colour), files, record["reason"])
    return table
