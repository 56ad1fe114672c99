"""Signals that ask a command to end: nothing that it made for the while stays."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import click
import pytest

from kernelfit import cli
from kernelfit.cli.signals import Ended, ended_by_signals


@pytest.fixture(autouse=True)
def default_handlers() -> object:
    """As a process has them that nohup did not start."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_temporary_files_go_and_the_exit_code_is_the_signals(
    tmp_path: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The process died at once, with gigabytes in the folder for scratch."""

    @click.command()
    def stopped() -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path):
            try:
                os.kill(os.getpid(), number)
            except Exception:
                pytest.fail("taken for an error")

    monkeypatch.setattr(cli, "_group", lambda: stopped)
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 128 + number
    assert capsys.readouterr().err == f"kernelfit: stopped by {number.name}\n"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is signal.SIG_DFL


def test_the_same_signal_to_process_and_group_is_one() -> None:
    with ended_by_signals():
        with pytest.raises(Ended):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ended_by_signals():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_forked_child_ends_at_once() -> None:
    with ended_by_signals():
        child = os.fork()
        if child == 0:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGTERM
