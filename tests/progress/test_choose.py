"""`progress=True`: what it shows, and where."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import InputError
from kernelfit.features import Gabor
from kernelfit.progress import NotebookProgress, Silent, TerminalProgress, as_progress


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))


def test_true_is_standard_error_and_false_is_silence() -> None:
    shown = as_progress(True)
    assert isinstance(shown, TerminalProgress)
    assert shown.console.stderr
    assert isinstance(as_progress(False), Silent)
    assert isinstance(as_progress(None), Silent)
    own = Silent()
    assert as_progress(own) is own


def test_in_a_notebook_it_is_drawn_there(monkeypatch: pytest.MonkeyPatch) -> None:
    shells: Any = {name: type(name, (), {})() for name in ("ZMQInteractiveShell", "TerminalInteractiveShell")}
    for name, expected in (
        ("ZMQInteractiveShell", NotebookProgress),
        ("TerminalInteractiveShell", TerminalProgress),
    ):
        ipython = SimpleNamespace(get_ipython=lambda name=name: shells[name])
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        assert isinstance(as_progress(True), expected)


@pytest.mark.parametrize("value", ["yes", 1, object()])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(
        InputError, match=r"progress: got .*, expected True, False or an object with phase and note"
    ):
        as_progress(value)


def test_public_functions_take_it_and_say_nothing_without_it(
    rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    X, Y = rng.standard_normal((30, 3)), rng.standard_normal(30)
    images = rng.integers(0, 256, (4, 64), dtype=np.uint8)

    def use(progress: bool) -> None:
        twice = np.concatenate([X, X[:1]]), np.concatenate([Y, Y[:1]])
        solution = kernelfit.solve(*twice, gamma=1.0, progress=progress)
        solution.predict(X, progress)
        solution.leave_one_out(progress)
        solution.solve(np.ones(31), progress)
        solution.close()
        kernelfit.KernelInterpolator(gamma=1.0, progress=progress).fit(X, Y).predict(X)
        kernelfit.datasets.load("digits", n_train=30, progress=progress)
        kernelfit.Experiment("digits", n_train=30, n_test=5).run(progress=progress)
        Gabor(image_shape=(8, 8, 1)).fit(images, progress=progress).transform(images, progress=progress)

    use(False)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
    use(True)
    said = capsys.readouterr()
    assert said.out == ""
    assert "note: " in said.err
    assert "repeats an earlier row" in said.err
