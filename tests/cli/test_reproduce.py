"""`kernelfit reproduce table3`: files, resuming row by row, what it says when it is smaller than the paper."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from matplotlib.text import Text
from rich.console import Console

from kernelfit.cli import root
from kernelfit.errors import InputError
from kernelfit.experiments import paper
from kernelfit.experiments.experiment import Experiment
from kernelfit.report import table3 as report
from kernelfit.report.exhibits import of_record
from kernelfit.streaming import gram_file

SMALL = ("--n", "120", "--n-test", "60", "--filters", "8")


def table3(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["reproduce", "table3", *arguments], catch_exceptions=False)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Rows that were computed rather than taken over, in their order."""
    from kernelfit.cli import reproduce

    names: list[str] = []
    run_row = reproduce.run_row

    def recording(row: Any, *arguments: Any) -> dict[str, Any]:
        names.append(row.name)
        return run_row(row, *arguments)

    monkeypatch.setattr(reproduce, "run_row", recording)
    return names


def test_mnist_rows_one_after_the_other(mnist_dir: Path, tmp_path: Path, computed: list[str]) -> None:
    out = tmp_path / "t3"
    common = ("--out", str(out), "--data-dir", str(mnist_dir), *SMALL)
    first = table3(*common, "--row", "mnist-none", "--json", "-")
    content = json.loads(first.stdout)
    assert [row["row"] for row in content["rows"]] == ["mnist-none"]
    assert content["missing"] == [row.name for row in paper.ROWS[1:]]
    assert content["rows"][0]["scaled_down"] == ["n = 120 of 60,000", "test rows 60 of 10,000"]
    assert content["rows"][0]["paper"]["rkhs_norm"] == 220
    assert content == json.loads((out / "table3.json").read_text())
    second = table3(*common, "--row", "mnist-none", "--row", "mnist-gabor")
    assert computed == ["mnist-none", "mnist-gabor"]
    assert "mnist-none: finished before" in second.stderr
    assert "n = 120 of 60,000" in second.stdout
    assert "not computed yet: cifar10-none, cifar10-random-conv" in second.stdout
    assert max(map(len, (out / "table3.txt").read_text().splitlines())) <= 100
    assert "…" not in second.stdout
    assert (out / "table3.png").read_bytes().startswith(b"\x89PNG")
    assert "mnist-gabor" in (out / "table3.txt").read_text()
    rows = {row["row"]: row for row in json.loads((out / "table3.json").read_text())["rows"]}
    assert 0 < rows["mnist-gabor"]["test_error"] <= rows["mnist-none"]["test_error"] < 0.5
    assert sorted(path.name for path in out.iterdir()) == ["rows", "table3.json", "table3.png", "table3.txt"]


def test_other_sizes_do_not_overwrite_finished_rows(
    mnist_dir: Path, tmp_path: Path, computed: list[str]
) -> None:
    common = ("--out", str(tmp_path), "--data-dir", str(mnist_dir), "--n-test", "20", "--row", "mnist-none")
    table3(*common, "--n", "60")
    before = (tmp_path / "rows" / "mnist-none.json").read_bytes()
    with pytest.raises(InputError, match="n_train 60, not 70; give the same options, or another folder"):
        table3(*common, "--n", "70")
    assert (tmp_path / "rows" / "mnist-none.json").read_bytes() == before
    assert computed == ["mnist-none"]


def test_a_row_that_fails_keeps_those_before_it(
    mnist_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kernelfit.cli import reproduce

    run_row = reproduce.run_row

    def failing(row: Any, *arguments: Any) -> dict[str, Any]:
        if row.name == "mnist-gabor":
            raise InputError("power cut")
        return run_row(row, *arguments)

    monkeypatch.setattr(reproduce, "run_row", failing)
    with pytest.raises(InputError, match="power cut"):
        table3("--out", str(tmp_path), "--data-dir", str(mnist_dir), "--n", "60", "--n-test", "20")
    assert [path.name for path in (tmp_path / "rows").iterdir()] == ["mnist-none.json"]


def test_random_convolution_on_real_images(cifar10_dir: Path, tmp_path: Path) -> None:
    arguments = (
        "--out",
        str(tmp_path),
        "--data-dir",
        str(cifar10_dir),
        *SMALL,
        "--row",
        "cifar10-random-conv",
    )
    result = table3(*arguments, "--json", "-")
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)["rows"]
    assert row["n_features"] == 8 * 18
    assert "filters 8 of 32,000" in row["scaled_down"]
    assert row["paper"]["test_error_with_ridge"] == 0.15
    assert row["ridge"] >= 0
    assert row["rkhs_norm_with_ridge"] <= row["rkhs_norm"]
    assert [path.name for path in (tmp_path / "rows").iterdir()] == ["cifar10-random-conv.json"]


def test_a_killed_row_resumes_within_its_filters(cifar10_dir: Path, tmp_path: Path) -> None:
    arguments = ["--data-dir", str(cifar10_dir), "--n", "50", "--n-test", "10", "--filters", "3000"]
    arguments += ["--row", "cifar10-random-conv"]
    out, full = tmp_path / "killed", tmp_path / "full"
    command = [sys.executable, "-m", "kernelfit", "reproduce", "table3", "--out", str(out), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sums = out / "rows" / "cifar10-random-conv.unfinished.h5"
    while process.poll() is None and not sums.exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = gram_file.read(sums).done
    assert 0 < done < 3000
    result = table3("--out", str(out), *arguments)
    assert f"resumed after {done} of 3000 filters" in result.stderr
    table3("--out", str(full), *arguments)
    rows = [json.loads((folder / "rows/cifar10-random-conv.json").read_text()) for folder in (out, full)]
    for key in ("rkhs_norm", "test_error", "ridge", "log_det"):
        assert rows[0]["chosen"][key] == rows[1]["chosen"][key]
    assert not sums.exists()


@pytest.mark.parametrize("arguments", [("--out", "x", "--row", "imagenet"), ("--out", "x", "--filters", "0")])
def test_wrong_options_exit_with_2(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(root, ["reproduce", "table3", *arguments])
    assert result.exit_code == 2
    assert not Path("x").exists()


# The comparison itself


def record(row: paper.PaperRow, **sizes: int) -> dict[str, Any]:
    solution = {
        "kernel": {"name": "gaussian", "gamma": 0.02},
        "test_error": 0.02,
        "rkhs_norm": 145.0,
        "backward_error": 1e-16,
        "ridge": 1e-3,
        "peak_rss_bytes": 10**9,
        "notes": ["a note"],
    }
    return {
        "n_train": row.n_train,
        "n_test": row.n_test,
        "filters": row.filters,
        "n_features": 784,
        "interpolation": solution,
        "chosen": solution,
        "ridge_choice": {"relative": 1e-3, "rows": 6000},
        "seconds": 60.0,
        "notes": [],
        **sizes,
    }


def test_full_sizes_are_not_called_smaller() -> None:
    content = report.summary({row.name: record(row) for row in paper.ROWS})
    assert content["missing"] == []
    assert [row["scaled_down"] for row in content["rows"]] == [[]] * 5
    text = render(content)
    assert text.count("full size") == 5
    assert "145" in text
    assert "220" in text


def test_every_smaller_size_is_said() -> None:
    row = paper.ROWS[3]
    small = record(row, n_train=5000, n_test=2000, filters=3000)
    assert report.scaled_down(row, small) == [
        "n = 5,000 of 50,000",
        "test rows 2,000 of 10,000",
        "filters 3,000 of 32,000",
    ]


def test_pictures_mark_what_is_other_than_in_the_paper() -> None:
    plain, small, corrupted = paper.ROWS[:3]
    records = {
        plain.name: record(plain),
        small.name: record(small, n_train=5000),
        corrupted.name: record(corrupted)
        | {"parameters": {"corruption": "corrupt-labels", "corruption_p": 0.5}},
    }
    content = report.summary(records)
    picture = report.figure(content)
    (caption,) = (text.get_text() for text in picture.findobj(Text) if "other than" in text.get_text())
    assert caption.splitlines() == [
        "* other than in the paper",
        f"{small.name}: n = 5,000 of 60,000",
        f"{corrupted.name}: corrupt-labels, p = 0.5",
    ]
    labels = [label.get_text().endswith("*") for label in picture.axes[0].get_xticklabels()]
    assert labels == [False, True, True]
    chapter = of_record(content, "table3.json")
    assert [name.endswith("*") for name in chapter.parts[0].charts[0].y.names or ()] == [False, True, True]
    assert "* marks rows that are other than in the paper" in chapter.about


def test_a_row_without_an_interpolant_is_still_shown() -> None:
    without = record(paper.ROWS[3])
    without["interpolation"] = None
    content = report.summary({paper.ROWS[3].name: without})
    assert "–" in render(content)
    assert len(report.figure(content).axes) == 2


def render(content: dict[str, Any]) -> str:
    text = io.StringIO()
    Console(file=text, width=100).print(report.table(content))
    return text.getvalue()


@pytest.mark.parametrize("corruption", ["random-labels", "shuffled-pixels"])
def test_a_corruption_is_named_and_no_other_folder_taken(
    corruption: str, mnist_dir: Path, tmp_path: Path
) -> None:
    common = ("--out", str(tmp_path), "--data-dir", str(mnist_dir), *SMALL, "--row", "mnist-none")
    result = table3(*common, "--corruption", corruption, "--json", "-")
    (row,) = json.loads(result.stdout)["rows"]
    assert row["corruption"] == corruption
    alone = Experiment(
        "mnist", n_train=120, n_test=60, data_dir=mnist_dir, corruption=corruption, gamma="auto", ridge="auto"
    ).run()
    assert row["test_error"] == alone.without_ridge["test_error"]
    assert row["rkhs_norm"] == pytest.approx(alone.without_ridge["rkhs_norm"], rel=1e-9)
    with pytest.raises(InputError, match="corruption"):
        table3(*common)
    shown = Console(file=io.StringIO(), width=80)
    shown.print(report.table(json.loads(result.stdout)))
    assert corruption in " ".join(shown.file.getvalue().split())  # type: ignore[attr-defined]


def test_a_share_belongs_to_corrupted_labels(mnist_dir: Path, tmp_path: Path) -> None:
    common = ("--out", str(tmp_path), "--data-dir", str(mnist_dir), *SMALL, "--row", "mnist-none")
    with pytest.raises(InputError, match=r"^--corruption-p: got 0.5"):
        table3(*common, "--corruption-p", "0.5")
