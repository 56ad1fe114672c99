"""The line that says that code is being compiled."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from numba.core import event
from rich.console import Console

from kernelfit.cli import first_use
from kernelfit.cpu.jit import njit
from kernelfit.gram import distances

STORED = next(value for value in vars(distances).values() if hasattr(value, "py_func"))


@pytest.fixture
def shown() -> Callable[..., str]:
    def compiled(*functions: object, terminal: bool = True) -> str:
        console = Console(file=io.StringIO(), force_terminal=terminal)
        listener = first_use.announce(console)
        try:
            for function in functions:
                with event.trigger_event("numba:compile", {"dispatcher": function}):
                    pass
        finally:
            if terminal:
                event.unregister("numba:compile", listener)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    return compiled


def test_it_is_said_once_and_on_a_terminal(shown: Callable[..., str]) -> None:
    text = "compiling, which is stored: the next time takes some seconds less\n"
    assert shown(STORED, STORED) == text
    assert shown(STORED, terminal=False) == ""


def test_what_is_compiled_every_time_is_no_first_use(shown: Callable[..., str]) -> None:
    assert shown(njit()(lambda x: x)) == ""
