from itertools import count

import pytest

from kernelfit.cpu import recent
from kernelfit.cpu.recent import recent as decorated


def test_an_answer_stands_for_a_moment(monkeypatch):
    clock, numbers = [100.0], count()
    monkeypatch.setattr(recent, "SECONDS", 0.05)
    monkeypatch.setattr(recent.time, "monotonic", lambda: clock[0])
    ask = decorated(lambda: next(numbers))
    assert [ask(), ask()] == [0, 0]
    clock[0] += 0.06
    assert [ask(), ask()] == [1, 1]
    clock[0] -= 50.0  # a clock that was set back
    assert ask() == 2


def test_nothing_stands_where_it_failed(monkeypatch):
    monkeypatch.setattr(recent, "SECONDS", 1e9)
    answers = iter([OSError("busy"), 7])

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    question = decorated(ask)
    with pytest.raises(OSError, match="busy"):
        question()
    assert question() == question() == 7
