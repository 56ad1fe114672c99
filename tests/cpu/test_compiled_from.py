"""Stored code is that of the sources that are there now, those of other files included."""

from __future__ import annotations

import subprocess
import sys
from types import FunctionType

import pytest

from kernelfit.cpu import compiled_blas, few_columns
from kernelfit.cpu.compiled_from import compiled_from
from kernelfit.linalg import condition, one_tile


def test_a_number_or_a_function_of_another_file_changes_it(monkeypatch):
    """`one_tile` holds the machine code of `condition`'s functions, with the numbers that these name."""
    function = one_tile._estimate.py_func
    before = compiled_from(function)
    assert compiled_from(function) == before
    monkeypatch.setitem(condition.choose.py_func.__globals__, "_COLUMNS", 11)
    assert compiled_from(function) != before
    monkeypatch.undo()
    monkeypatch.setattr(one_tile, "learn", few_columns._rows_at_once)
    assert compiled_from(function) != before
    monkeypatch.undo()
    assert compiled_from(function) == before


def test_what_an_intrinsic_writes_is_part_of_it(monkeypatch):
    before = compiled_from(few_columns.add_compiled.py_func), compiled_from(one_tile._solve.py_func)
    monkeypatch.setattr(few_columns, "HEIGHT", few_columns.HEIGHT + 1)
    monkeypatch.setattr(compiled_blas, "_UPPER", compiled_blas._NO)
    after = compiled_from(few_columns.add_compiled.py_func), compiled_from(one_tile._solve.py_func)
    assert before[0] != after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize("change", ["constant", "set", "inner"])
def test_what_stands_in_the_code_changes_it(change):
    def make(body: str) -> FunctionType:
        scope: dict[str, object] = {}
        exec(f"def f(x):\n    '''{body}'''\n    {body}", scope)
        return scope["f"]

    first, second = {
        "constant": ("return x + 1", "return x + 2"),
        "set": ("return x in {1, 2}", "return x in {1, 3}"),
        "inner": ("return (lambda: x + 1)()", "return (lambda: x + 2)()"),
    }[change]
    assert compiled_from(make(first)) == compiled_from(make(first))
    assert compiled_from(make(first)) != compiled_from(make(second))


def test_a_caller_is_compiled_again_when_what_it_calls_has_changed(tmp_path):
    """It went on with the machine code of the old file: with pulled sources, another answer or a crash."""
    package = tmp_path / "room"
    package.mkdir()
    code = (
        "import sys, types\n"
        "import kernelfit\n"
        f"room = types.ModuleType('kernelfit.room'); room.__path__ = [{str(package)!r}]\n"
        "sys.modules['kernelfit.room'] = room\n"
        "from kernelfit.room.caller import twice\n"
        "print(twice(1.0))\n"
    )
    decorated = "from kernelfit.cpu.jit import njit\n"
    called, caller = package / "called.py", package / "caller.py"
    caller.write_text(
        decorated + "from kernelfit.room.called import once\n"
        "@njit(cache=True)\ndef twice(x):\n    return 2 * once(x)\n"
    )
    answers = []
    for number in (3.0, 44.0):
        called.write_text(decorated + f"@njit(cache=True)\ndef once(x):\n    return x + {number}\n")
        done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, timeout=280)
        answers.append(done.stdout or done.stderr[-2000:])
    assert answers == ["8.0\n", "90.0\n"]
