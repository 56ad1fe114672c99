"""The report: whole, self-contained, escaped, readable without eyes, and with the numbers of the record."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from kernelfit import Experiment
from kernelfit.cli import root
from kernelfit.errors import DataError, InputError, StorageError
from kernelfit.experiments.examination import Examination, examine, examine_result
from kernelfit.features import RandomConv
from kernelfit.progress import Silent
from kernelfit.report.exhibits import of_record
from kernelfit.report.html.page import page
from kernelfit.study.asked import ask_labels

VOID = {"meta", "img", "link", "br", "hr"}


class Reader(HTMLParser):
    """Checks that elements are closed in order; keeps attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def written(examination: Examination) -> str:
    return page([examination])


def test_what_it_says_is_what_the_record_says(examination: Examination, written: str) -> None:
    record = examination.record
    read = Reader(written)
    for text in (
        f"{100 * record['test_error']:.2f} %",
        f"{100 * record['loo_error']:.2f} %",
        record["command"],
    ):
        assert text in read.text
    stored = re.search(r'<script type="application/json" id="records">(.*?)</script>', written)
    assert stored is not None
    (kept,) = json.loads(stored[1])
    assert kept["rkhs_norm"] == record["rkhs_norm"]
    counts = examination.confusion()
    assert counts.sum() == 60
    assert 1 - np.trace(counts) / 60 == pytest.approx(record["test_error"])
    assert len(examination.mistakes()) == 60 - np.trace(counts)
    assert len(examination.memorised()) == round(150 * record["loo_error"])
    for title in (
        "How exact it is",
        "The ridge",
        "Class by class",
        "Norm of the function of each class",
        "Errors of each class",
        "What is taken for what",
        "Misclassified test images",
        "The weakest pivots",
        "Again",
    ):
        assert title in read.text


def test_it_needs_nothing_else_and_can_be_heard(written: str) -> None:
    read = Reader(written)
    addresses = [
        value
        for _, attributes in read.elements
        for key, value in attributes.items()
        if key in ("src", "href")
    ]
    inside = ("data:image/png;base64,", "data:text/csv;charset=utf-8,", "data:,", "#")
    assert all(str(address).startswith(inside) for address in addresses)
    assert "url(http" not in written
    assert "@import" not in written
    identifiers = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    referred = {str(address)[1:] for address in addresses if str(address).startswith("#")}
    assert referred <= set(identifiers)
    assert all(image["alt"] for image in read.all("img"))
    drawings = [attributes for attributes in read.all("div") if attributes.get("class") == "plot"]
    assert len(drawings) == len(read.all("svg")) == 3
    assert all(attributes["aria-label"] and attributes["tabindex"] == "0" for attributes in drawings)
    assert read.all("html")[0]["lang"] == "en"
    assert len(written) < 400_000


def test_names_are_escaped(examination: Examination) -> None:
    assert examination.dataset is not None
    names = tuple(f'<b>{name}</b> & "co"' for name in examination.dataset.classes or ())
    dataset = dataclasses.replace(examination.dataset, classes=names)
    record = {**examination.record, "notes": ["</script><script>alert(1)</script>"]}
    text = page([dataclasses.replace(examination, dataset=dataset, record=record)], "<i>title</i>")
    read = Reader(text)
    assert "<i>title</i>" in read.text
    assert '<b>3</b> & "co"' in read.text
    assert read.all("b") == []
    assert "</bdi> → <bdi>" in text  # names from right to left do not change places
    assert [attributes.get("id") for attributes in read.all("script")] == ["records", None]


def test_mistakes_and_memorised_rows_come_clearest_first(examination: Examination) -> None:
    dataset = dataclasses.replace(
        examination.dataset,  # type: ignore[type-var]
        X_test=np.zeros((3, 64), np.uint8),
        y_test=np.array([0, 1, 1]),
    )
    scores = np.zeros((3, 10))
    scores[0, 0], scores[1, 2], scores[2, 3] = 1, 0.2, 0.9
    examined = dataclasses.replace(examination, dataset=dataset, scores=scores)
    assert examined.mistakes().tolist() == [2, 1]
    assert examined.confusion()[1].tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    rows = examination.dataset.X_train.astype(float)  # type: ignore[union-attr]
    distances = ((rows - rows[7]) ** 2).sum(axis=1)
    assert examination.nearest_to(7) == np.argsort(distances)[1]


def test_regression_and_records_alone_have_chapters(
    tmp_path: Path, rng: np.random.Generator, examination: Examination
) -> None:
    X = rng.random((60, 2))
    target = np.sin(3 * X[:, 0]) + X[:, 1]
    lines = ["a,b,price", *(f"{a},{b},{t}" for (a, b), t in zip(X, target, strict=True))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    Experiment(train=tmp_path / "rows.csv", ridge=1e-6).run(tmp_path / "run")
    study = ask_labels(Experiment("digits", n_train=60, n_test=20), levels=(0, 1), seeds=range(1))
    read = Reader(
        page([examine(tmp_path / "run"), of_record(study, "study.json"), Examination(examination.record)])
    )
    for title in ("Predicted against true", "Residuals against predictions", "How far predictions miss"):
        assert title in read.text
    assert "labels drawn at random" in read.text
    links = [str(attributes["href"]) for attributes in read.all("a")]
    assert [link for link in links if link.startswith("#")] == ["#chapter1", "#chapter2", "#chapter3"]
    with pytest.raises(
        DataError, match=r"runs: got odd\.json, expected the JSON of kernelfit solve, study, fit"
    ):
        of_record({"a": 1}, "odd.json")
    with pytest.raises(DataError, match=r"runs: got odd\.json, "):
        of_record({"trials": [], "summary": []}, "odd.json")


@pytest.mark.parametrize(
    ("key", "value"), [("n_train", "many"), ("ridge", []), ("test_error", {}), ("command", 1e308)]
)
def test_a_record_of_other_types_is_one_line(examination: Examination, key: str, value: Any) -> None:
    with pytest.raises(DataError, match="runs: got the record of a solve of digits, ") as caught:
        page([Examination({**examination.record, key: value})])
    assert "\n" not in str(caught.value)


def test_no_figure_of_the_paper_beside_corrupted_rows(examination: Examination) -> None:
    record = {**examination.record, "dataset": "mnist", "features": "none", "ridge": 0.0}
    true, corrupted = (
        page([Examination({**record, **options})]) for options in ({}, {"corruption": "random-labels"})
    )
    for words in ("Beside the paper", "paper 1.20 %"):
        assert words in true
        assert words not in corrupted


def test_the_command_writes_one_file(run: Path, tmp_path: Path, examination: Examination) -> None:
    record = tmp_path / "solve.json"
    record.write_text(json.dumps(examination.record, default=str))
    target = tmp_path / "report.html"
    done = CliRunner().invoke(
        root, ["report", str(run), str(record), "-o", str(target)], catch_exceptions=False
    )
    assert done.stdout.startswith(f"report: {target}, ")
    assert len(Reader(target.read_text()).all("article")) == 2
    for arguments, error in (
        (["report", str(tmp_path)], InputError),
        (["report", str(tmp_path / "x.json")], DataError),
    ):
        assert isinstance(CliRunner().invoke(root, [*arguments, "-o", str(target)]).exception, error)


def test_a_result_is_not_lost_with_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise StorageError(f"{path}: no space")

    monkeypatch.setattr("kernelfit.cli.report.atomic.write_bytes", full)
    monkeypatch.setattr("kernelfit.cli.report.page_and_charts", lambda entries, title: ("page", {}))
    words = ["solve", "--n", "40", "--n-test", "20", "--report", str(tmp_path / "page.html"), "--json", "-"]
    done = CliRunner().invoke(root, words)
    assert isinstance(done.exception, StorageError)
    assert json.loads(done.stdout)["n_train"] == 40


def test_a_class_of_a_folder_that_is_no_text_has_its_charts(examination: Examination) -> None:
    """A name that is not UTF-8 ended the page, in the address of a chart's CSV."""
    assert examination.dataset is not None
    names = ("caf\udce9", *(examination.dataset.classes or ())[1:])
    dataset = dataclasses.replace(examination.dataset, classes=names)
    text = page([dataclasses.replace(examination, dataset=dataset)]).encode("utf-8", "replace").decode()
    addresses = [str(link["href"]) for link in Reader(text).all("a") if "download" in link]
    assert any("%0D%0Acaf%3F%2C" in address for address in addresses)


def test_a_solve_writes_its_own_report(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    words = ["solve", "--n", "60", "--n-test", "20", "--report", str(target), "--json", "-"]
    done = CliRunner().invoke(root, [*words, "--loo"], catch_exceptions=False)
    record = json.loads(done.stdout)
    read = Reader(target.read_text())
    assert f"{100 * record['test_error']:.2f} %" in read.text
    assert "What is taken for what" in read.text
    assert (
        f"{round(60 * record['loo_error'])} of 60 training images would be taken for another class"
        in read.text
    )
    refused = CliRunner().invoke(root, ["solve", "--report", str(tmp_path / "no" / "page.html")])
    assert isinstance(refused.exception, InputError)
    assert str(refused.exception) == f"--report: the folder {tmp_path / 'no'} does not exist; make it first"


@pytest.mark.parametrize("centre", [False, True])
def test_what_was_just_solved_and_what_is_read_again_are_looked_at_alike(
    tmp_path: Path, rng: np.random.Generator, centre: bool
) -> None:
    X = rng.random((40, 2))
    lines = ["a,b,price", *(f"{a},{b},{5 + a * b}" for a, b in X)]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    experiment = Experiment(train=tmp_path / "rows.csv", ridge=1e-3, loo=True, centre=centre)
    now = examine_result(experiment.run(tmp_path / "run"))
    again = examine(tmp_path / "run")
    for name in ("left_out", "isolation"):
        np.testing.assert_allclose(getattr(now, name), getattr(again, name), rtol=1e-9)
    assert Examination(now.record).record == again.record


def test_a_run_whose_data_are_gone_still_shows_its_record(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,label\n" + "\n".join(f"{i},{i % 2}" for i in range(20)))
    Experiment(train=tmp_path / "rows.csv", gamma=1.0).run(tmp_path / "run")
    (tmp_path / "rows.csv").unlink()
    examined = examine(tmp_path / "run")
    assert examined.dataset is None
    assert "could not be looked at" in examined.notes[0]
    assert "rows.csv" in Reader(page([examined])).text


@pytest.mark.parametrize("loo", [False, True])
@pytest.mark.parametrize("part", ["train", "test"])
def test_rows_that_have_changed_are_not_shown_beside_the_record(tmp_path: Path, part: str, loo: bool) -> None:
    for name, rows in (("train", range(20)), ("test", range(7))):
        lines = ["a,b,label", *(f"{i},{i * i % 7},{i % 2}" for i in rows)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    files = {"train": tmp_path / "train.csv", "test": tmp_path / "test.csv"}
    Experiment(**files, gamma=1.0, loo=loo, threads=1).run(tmp_path / "run")
    assert examine(tmp_path / "run").dataset is not None
    files[part].write_text(files[part].read_text().replace("0,0,0", "0,0,1"))
    progress = Silent()
    examined = examine(tmp_path / "run", progress)
    assert examined.dataset is None
    assert examined.notes[0] in progress.notes  # the command's standard error shows these
    words = "training" if part == "train" else "test"
    assert f"the {words} rows of {files['train']} are no longer those of the run" in examined.notes[0]
    assert examined.record["train_error"] == 0


def test_thousands_of_classes_are_a_list_of_pairs(examination: Examination) -> None:
    many = 3_000
    names = tuple(f"class {k}" for k in range(many))
    truth = np.arange(60) * 50
    scores = np.zeros((60, many), np.float32)
    scores[np.arange(60), truth] = 1
    scores[:4, 7] = 2
    dataset = dataclasses.replace(examination.dataset, classes=names, y_test=truth)  # type: ignore[type-var]
    examined = dataclasses.replace(examination, dataset=dataset, scores=scores, left_out=None)
    assert examined.confused(3) == [(0, 7, 1), (50, 7, 1), (100, 7, 1)]
    read = Reader(page([examined]))
    assert "class 150class 71" in read.text  # the cells of the last pair: class, taken for, rows
    assert "Class by class" not in read.text


def test_a_class_without_test_rows_has_no_test_error(examination: Examination) -> None:
    dataset, left_out = examination.dataset, examination.left_out
    assert dataset is not None
    assert left_out is not None
    others = np.where(dataset.y_test == 3, 4, dataset.y_test)
    examined = dataclasses.replace(examination, dataset=dataclasses.replace(dataset, y_test=others))
    rows = dataset.y_train == 3
    wrong = 100 * np.mean(left_out[rows].argmax(axis=1) != 3)
    assert f"30{wrong:.2f}–" in Reader(page([examined])).text  # class, test rows, leave-one-out, test


def test_filters_are_counted_and_their_colours_are_told(
    examination: Examination, rng: np.random.Generator
) -> None:
    """A page shows 48 pictures of the 64 that a map gives of its filters."""
    for channels, scale in (
        (1, "blue weights are negative, red positive"),
        (3, "around grey, which is zero"),
    ):
        feature = RandomConv((8, 8, channels), n_filters=1_100).fit(rng.integers(0, 256, (40, 64 * channels)))
        pictures = tuple(feature.filter_pictures())
        record = {**examination.record, "features": "random-conv", "ridge_path": None}
        text = Reader(page([Examination(record, filters=pictures, filter_count=feature.filter_count)])).text
        assert "48 of 1,100 filters of the feature map random-conv" in text
        assert scale in text


def test_no_class_is_most_complex_by_a_norm_that_is_not_resolved() -> None:
    result = Experiment("digits", n_train=60, n_test=20).run()
    values = list(result.record["rkhs_norm_per_class"])
    values[3] = float("nan")
    unresolved = dataclasses.replace(result, record={**result.record, "rkhs_norm_per_class": values})
    assert "to tell a class from the others: most for " not in page([examine_result(unresolved)])


def test_images_are_called_as_in_the_users_files(examination: Examination) -> None:
    """Rows of a folder are drawn and held out in another order than they stand in."""
    assert examination.dataset is not None
    names = tuple(f"three/{row}.png" for row in range(150))
    dataset = dataclasses.replace(examination.dataset, origin=names, test_origin=np.arange(60) + 1_000)
    record = {**examination.record, "ridge_path": None, "min_pivot_row": 7}
    text = page([dataclasses.replace(examination, dataset=dataset, record=record)])
    read = Reader(text)
    descriptions = [str(image["alt"]) for image in read.all("img")]
    wrong, known, (weak, *_) = (
        examination.mistakes()[0],
        examination.memorised()[0],
        examination.nearly_dependent(1),
    )
    for description, caption in (
        (
            f"test image {wrong} (row {wrong + 1_000:,} of the file, counted from 0): ",
            f"row {wrong + 1_000:,} of the",
        ),
        (f"training image {known} (three/{known}.png): labelled ", f"three/{known}.png"),
        (f"training image {weak[0]} (three/{weak[0]}.png), nearly dependent", f"three/{weak[0]}.png, "),
    ):
        assert any(each.startswith(description) for each in descriptions)
        assert caption in read.text
    assert "at training row 7 (three/7.png)" in read.text


def test_figures_are_files(run: Path, tmp_path: Path) -> None:
    figures, target = tmp_path / "figures", tmp_path / "report.html"
    words = ["report", str(run), "-o", str(target), "--figures", str(figures)]
    done = CliRunner().invoke(root, words, catch_exceptions=False)
    assert "figures: " in done.stdout
    names = ["01-ridge-path", "02-norms", "03-leave-one-out"]
    expected = {f"{name}.{ending}" for name in names for ending in ("png", "svg", "csv")}
    assert {path.name for path in figures.iterdir()} == expected
    (tmp_path / "both").mkdir()
    words = [*words[:2], "-o", str(tmp_path / "both" / "report.html"), "--figures", str(tmp_path / "both")]
    CliRunner().invoke(root, words, catch_exceptions=False)
    assert {path.name for path in (tmp_path / "both").iterdir()} == {"report.html", *expected}
    assert (figures / "02-norms.csv").read_text().splitlines()[0] == "name,RKHS norm"
    refused = CliRunner().invoke(root, words)
    assert isinstance(refused.exception, InputError)
    assert str(refused.exception).startswith("--figures: ")


def test_weak_pivots_are_told_by_leave_one_out(examination: Examination) -> None:
    """1 / (A^-1)_ii over A_ii, from the rows themselves."""
    record = examination.record
    assert examination.dataset is not None
    rows = examination.dataset.X_train / 16.0
    distances = ((rows[:, None] - rows) ** 2).sum(axis=2)
    A = np.exp(-record["kernel"]["gamma"] * distances) + record["ridge"] * np.eye(len(rows))
    expected = 1 / np.diag(np.linalg.inv(A)) / np.diag(A)
    np.testing.assert_allclose(examination.isolation, expected, rtol=1e-6)
    pairs = examination.nearly_dependent(3)
    assert pairs[0][0] == expected.argmin()
    assert all(near == examination.nearest_to(row) for row, near, _ in pairs)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[1]", "expected the JSON of kernelfit"),
        ("{", "expected a folder of a run or a JSON file"),
        ('{"study": "sgd", "rows": 3}', "a record that cannot be shown (TypeError: "),
        ('{"study": []}', "expected the JSON of kernelfit"),
        ('{"recipe": {}, "history": []}', "whose record lacks 'rates'"),
        ('{"target": "table1", "choices": []}', "whose record lacks 'scaled_down'"),
        ('{"entries": [], "winner": 1}', "whose record lacks 'task'"),
    ],
)
def test_what_is_no_record_or_an_old_one_is_one_line(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "odd.json").write_text(content)
    refused = CliRunner().invoke(
        root, ["report", str(tmp_path / "odd.json"), "-o", str(tmp_path / "report.html")]
    )
    assert isinstance(refused.exception, DataError)
    message = str(refused.exception)
    assert says in message
    assert "\n" not in message
    assert not (tmp_path / "report.html").exists()


def test_a_run_that_is_not_finished_says_so(tmp_path: Path) -> None:
    (tmp_path / "run.h5").write_bytes(b"")
    refused = CliRunner().invoke(root, ["report", str(tmp_path), "-o", str(tmp_path / "report.html")])
    assert isinstance(refused.exception, InputError)
    assert str(refused.exception).startswith("RUN: got ")
    assert str(refused.exception).endswith(f"; finish it with kernelfit resume {tmp_path}")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "or a JSON file; no such file"), ("id,price\n1,2\n", "which is no JSON, expected")],
)
def test_what_is_no_record_is_refused_in_words(tmp_path: Path, content: str | None, says: str) -> None:
    file = tmp_path / "pred.csv"
    if content is not None:
        file.write_text(content)
    refused = CliRunner().invoke(root, ["report", str(file), "-o", str(tmp_path / "report.html")])
    assert isinstance(refused.exception, DataError)
    assert says in str(refused.exception)
    assert "Errno" not in str(refused.exception)
    assert "char 0" not in str(refused.exception)
