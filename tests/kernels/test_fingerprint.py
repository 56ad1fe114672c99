"""One kernel has one digest, in whichever process it is made; another one has another."""

from __future__ import annotations

import copy
import ctypes
import hashlib
import importlib.util
import itertools
import math
import pickle
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from scipy import special
from sklearn.gaussian_process.kernels import RBF, PairwiseKernel
from sklearn.metrics.pairwise import rbf_kernel

import kernelfit
from kernelfit.errors import InputError
from kernelfit.kernels import FromSklearn, Pairwise
from kernelfit.kernels import fingerprint as module_of_fingerprints
from kernelfit.kernels.fingerprint import file_of, fingerprint

BELL = """
import functools, math
import numpy as np
from numba import njit
import HELPERS as helpers

class Base:
    factor = 1.0
    def height(self):
        return 1.0

class Bell(Base):
    def __init__(self, width, **more):
        self.width, self.more, self.itself = width, more, self
    @functools.cached_property
    def slow(self):
        return self.width
    def __call__(self, x, y):
        return self.height() * self.factor * math.exp(-abs(x[0] - y[0]) / self.slow)
    def method(self, x, y):
        return self(x, y)

P = {"s": 1.0, "t": [1.0, np.ones(2)], "u": {"a", "b"}}
def scale(t):
    return even(t) * P["s"]
def even(t):
    return math.exp(-abs(t)) if t >= 0 else scale(-t)
def helped(x, y):
    return scale(x[0] - y[0])
def through(x, y):
    return helped(x, y) * helpers.decay(x[0] - y[0])
@functools.lru_cache
def cached(t):
    return t
def by_cache(x, y):
    return cached(x[0]) * cached(y[0])
def by_name(x, y, *, c, s=(1.0, 2.0)):
    return math.exp(-c * abs(x[0] - y[0]))
def sized(x, y, s):
    return math.exp(-s[0] * abs(x[0] - y[0]))
def nested(x, y):
    return sum((lambda t: P["s"] * t)(t) for t in x * y)
phi = np.tanh
def squashed(x, y):
    return float(phi(x @ y))
first = lambda x, y: float(x @ y); second = lambda x, y: 2.0 * float(x @ y)
"""
DECAY = "RATE = 1.0\ndef decay(t):\n    return RATE\n"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """`module(old, new)`: the file above with a change, imported as another process would."""
    numbers = itertools.count()

    def load(name: str, text: str):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        made = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, made)
        spec.loader.exec_module(made)
        return made

    def changed(old: str = "", new: str = ""):
        number = next(numbers)
        helpers = f"helpers{number}"
        load(helpers, DECAY.replace(old, new))
        return load(f"kernels{number}", BELL.replace(old, new).replace("HELPERS", helpers))

    return changed


KERNELS = {
    "object": lambda m: (m.Bell(0.7, a=[1.0]),),
    "method": lambda m: (m.Bell(0.7, a=[1.0]).method,),
    "keyword": lambda m: (m.by_name, {"c": 2.0}),
    "partial": lambda m: (m.functools.partial(m.by_name, c=2.0),),
    "list": lambda m: (m.sized, {"s": [1.0, {"a": 2.0}]}),
    "helper": lambda m: (m.helped,),
    "module": lambda m: (m.through,),
    "cache": lambda m: (m.by_cache,),
    "nested": lambda m: (m.nested,),
    "ufunc": lambda m: (m.squashed,),
    "lambda": lambda m: (m.first,),
    "compiled": lambda m: (m.njit(m.helped),),
}


@pytest.mark.parametrize("name", ["helped", "nested", "first", "Bell"])
def test_a_file_that_is_edited_after_it_was_imported_is_not_what_runs(module, name, monkeypatch):
    """The digest was that of whatever stood in these lines by then: the edited kernel passed for the one that ran."""

    def kernel(loaded):
        made = getattr(loaded, name)
        return Pairwise(made(0.7, a=[1.0]) if name == "Bell" else made)

    here, there = module(), module()
    expected = kernel(there)
    path = Path(here.__file__)
    text = path.read_text()
    path.write_text("A = 1\n\n" + text)  # elsewhere in it
    assert kernel(here) == expected
    path.write_text(re.sub(r"math\.exp\(|P\[\"s\"\] \*|float\(x @ y\)", r"0.5 * \g<0>", text))
    assert kernel(here) != expected
    (note,) = kernel(here).remarks()
    assert re.match(r"kernel: .* was edited in its file after Python read it, and runs as it was read", note)
    spec = importlib.util.spec_from_file_location("edited", path)
    edited = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "edited", edited)
    spec.loader.exec_module(edited)
    assert kernel(here) != kernel(edited)


@pytest.mark.parametrize("name", KERNELS)
def test_another_process_has_the_same_digest(module, name):
    """Objects and keyword arguments had their address in it, lambdas the line around them."""
    here, there = module(), module("first = lambda", "\n\nzeroth, first = lambda: 0, lambda")
    assert Pairwise(*KERNELS[name](here)) == Pairwise(*KERNELS[name](there))
    if name == "keyword":
        assert (
            Pairwise(*KERNELS[name](here)).parameters["digest"]
            == (Pairwise(*KERNELS["partial"](there)).parameters["digest"])
        )


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("object", "return 1.0", "return 2.0"),
        ("object", "factor = 1.0", "factor = 2.0"),
        ("object", "= width, more", "= 2 * width, more"),
        ("method", "-abs(x", "-2 * abs(x"),
        ("keyword", "s=(1.0", "s=(3.0"),
        ("helper", "exp(-abs(t))", "exp(-2 * abs(t))"),
        ("helper", '"s": 1.0', '"s": 3.0'),
        ("helper", "[1.0, np.ones(2)]", "[1.0, np.zeros(2)]"),
        ("helper", '{"a", "b"}', '{"a", "c"}'),
        ("module", "RATE = 1.0", "RATE = 2.0"),
        ("module", "return RATE", "return 2 * RATE"),
        ("cache", "    return t\ndef by", "    return 2 * t\ndef by"),
        ("nested", '"s": 1.0', '"s": 3.0'),
        ("ufunc", "phi = np.tanh", "phi = np.cos"),
        ("lambda", "float(x @ y); second", "3.0 * float(x @ y); second"),
    ],
)
def test_what_changes_the_kernel_changes_the_digest(module, name, old, new):
    assert old in BELL or old in DECAY
    assert Pairwise(*KERNELS[name](module())) != Pairwise(*KERNELS[name](module(old, new)))


def test_other_numbers_beside_the_same_code(module):
    m = module()
    for one, other in [
        ((m.Bell(0.7),), (m.Bell(0.9),)),
        ((m.Bell(0.7).method,), (m.Bell(0.9).method,)),
        ((m.sized, {"s": [1.0, 2.0]}), (m.sized, {"s": [1.0, 3.0]})),
        ((m.by_name, {"c": 2.0}), (m.by_name, {"c": 3.0})),
        ((m.first,), (m.second,)),
        ((m.njit(m.helped),), (m.njit(fastmath=True)(m.helped),)),
    ]:
        assert Pairwise(*one) != Pairwise(*other)
    assert Pairwise(m.helped) == Pairwise(m.njit(m.helped))
    bell = m.Bell(0.7)
    before = Pairwise(bell)
    assert bell.slow == 0.7  # computed when it is first asked for
    assert Pairwise(bell) == before


@pytest.mark.parametrize(
    ("made", "one", "other"),
    [
        (lambda f: f, special.j0, special.j1),
        (re.compile, "a+", "b+"),
        (types.MappingProxyType, {"s": 1.0}, {"s": 2.0}),
        (dict.keys, {"s": 1.0}, {"t": 1.0}),
        (lambda width: Boxed(width), 1.0, 2.0),
        (lambda name: getattr(ctypes.pythonapi, name), "PyFloat_AsDouble", "PyLong_AsLong"),
        (lambda power: np.frompyfunc(lambda t: t**power, 1, 1), 2, 3),
        (lambda width: Unpickled(width), 1.0, 2.0),
    ],
)
def test_what_pickle_takes_by_a_table_or_refuses(made, one, other):
    """Those of one class had one digest, `np.tanh` and `np.cos` among them."""
    assert fingerprint(made(one)) == fingerprint(made(one))
    assert fingerprint(made(one)) != fingerprint(made(other))


class Unpickled:
    def __init__(self, width):
        self.width = width

    def __reduce__(self):
        raise TypeError


class Boxed:
    """As an instance of a class that Numba compiled: its state is where pickle does not look."""

    __slots__ = ("_at",)
    _numba_type_ = types.SimpleNamespace(struct={"width": None})

    def __init__(self, width):
        self._at = width

    @property
    def width(self):
        return self._at

    def __reduce__(self):
        return Boxed, ()


def test_code_at_a_prompt_with_functions_inside():
    def made(factor):
        names: dict = {}
        text = f"def f(x, y):\n    return sum((lambda t: {factor} * t)(t) for t in x * y if t not in {{'a', 'b'}})"
        exec(text, names)
        return Pairwise(names["f"])

    assert made(2.0) == made(2.0)
    assert made(2.0) != made(3.0)


def test_installed_packages_count_by_name(monkeypatch):
    """The next release of one that only helps is the same kernel."""

    def mean(x, y):
        return float(np.mean(x) * np.mean(y))

    before = fingerprint(mean), fingerprint(rbf_kernel), fingerprint(rbf_kernel, home=file_of(rbf_kernel))
    assert len({*before}) == 3
    monkeypatch.setattr(rbf_kernel, "__defaults__", (None, 3.0))
    assert before[:2] == (fingerprint(mean), fingerprint(rbf_kernel))
    assert before[2] != fingerprint(rbf_kernel, home=file_of(rbf_kernel))


def test_kernels_of_scikit_learn_have_all_their_digits_and_code(module):
    widths = np.ones(2000)
    other = widths.copy()
    other[1000] = 2.0
    assert FromSklearn(RBF(widths)) != FromSklearn(RBF(other))
    assert FromSklearn(RBF(0.5)) != FromSklearn(RBF(0.5 * (1 + 1e-12)))
    assert FromSklearn(RBF(0.5)) == FromSklearn(RBF(np.float64(0.5)))
    here, there, edited = module(), module(), module('"s": 1.0', '"s": 3.0')
    assert FromSklearn(PairwiseKernel(metric=here.helped)) == FromSklearn(PairwiseKernel(metric=there.helped))
    assert FromSklearn(PairwiseKernel(metric=here.helped)) != FromSklearn(
        PairwiseKernel(metric=edited.helped)
    )


class Counting:
    """A kernel that counts its calls, which count in its digest unless its state is said to be without them."""

    def __init__(self):
        self.calls, self.width = 0, 1.0

    def __call__(self, x, y):
        self.calls += 1
        return math.exp(-self.width * abs(x[0] - y[0]))


class Uncounted(Counting):
    def __getstate__(self):
        return {"width": self.width}


def memo():
    known = {}

    def kernel(x, y):
        return known.setdefault((x[0], y[0]), math.exp(-abs(x[0] - y[0])))

    return kernel


@pytest.mark.parametrize(
    ("make", "changed"), [(memo, "known"), (Counting, "calls"), (lambda: Counting().__call__, "calls")]
)
def test_what_a_call_changes_is_named_before_the_solution_is_refused(rng, tmp_path, make, changed):
    """It was refused, with no word in the solve, in the process that had stored it."""
    kernel = make()
    solution = kernelfit.solve(rng.standard_normal((6, 1)), np.ones(6), kernel=kernel)
    (note,) = (note for note in solution.notes if "a call of" in note)
    assert note.startswith(
        f"kernel: a call of {solution.kernel.parameters['function']} changes {changed}, and is another"
    )
    solution.save(tmp_path / "s.h5")
    with pytest.raises(InputError, match=r"^function: its code .* as it is before it is called$"):
        kernelfit.load(tmp_path / "s.h5", kernel)
    assert kernelfit.load(tmp_path / "s.h5", make()).kernel == solution.kernel


def test_what_a_call_changes_outside_of_the_state_does_not_count(rng, tmp_path):
    kernel = Uncounted()
    solution = kernelfit.solve(rng.standard_normal((6, 1)), np.ones(6), kernel=kernel)
    assert not any("a call of" in note for note in solution.notes)
    assert kernel.calls > 0
    solution.save(tmp_path / "s.h5")
    assert kernelfit.load(tmp_path / "s.h5", kernel).kernel == solution.kernel


WIDTH = 1.0


def of_width(x, y):
    return math.exp(-abs(x[0] - y[0]) / WIDTH)


def test_a_compiled_kernel_is_that_of_what_it_read_and_what_changed_since_is_named(monkeypatch, rng):
    """It had the digest of what was there before, and the next solve no word of what it did not read any more."""
    x = rng.standard_normal((6, 1))
    kernel = Pairwise(of_width)
    assert kernel.parameters["digest"]
    monkeypatch.setitem(globals(), "WIDTH", 2.0)
    solution = kernelfit.solve(x, np.ones(6), kernel=kernel)
    assert not any("changed" in note for note in solution.notes)
    assert solution.kernel == kernel == Pairwise(of_width)
    monkeypatch.setitem(globals(), "WIDTH", 4.0)
    again = kernelfit.solve(x, np.ones(6), kernel=copy.deepcopy(kernel))
    assert np.array_equal(again.alpha, solution.alpha)
    assert again.kernel == kernel != Pairwise(of_width)
    (note,) = (note for note in again.notes if "changed" in note)
    assert note.startswith("kernel: WIDTH of of_width changed after it was compiled")
    pickled = pickle.loads(pickle.dumps(kernel))
    pickled.compile()
    assert pickled == Pairwise(of_width)


def test_a_copy_of_a_kernel_in_python_has_an_object_of_its_own():
    kernel = Pairwise(Counting())
    kernel.compile()
    twin = copy.deepcopy(kernel)
    assert twin == kernel
    assert twin.function is not kernel.function


def test_a_table_is_hashed_when_it_is_compiled_and_once_a_solve(monkeypatch):
    """Gigabytes were, from a copy, and thrice when it was made."""
    hashed = []

    def sha256(data):
        hashed.append(memoryview(data).nbytes)
        return hashlib.sha256(data)

    monkeypatch.setattr(module_of_fingerprints, "hashlib", types.SimpleNamespace(sha256=sha256))
    table = np.eye(400)

    def looked_up(x, y):
        return table[int(x[0]), int(y[0])]

    for called_by in (looked_up, Table(table)):
        hashed.clear()
        kernel = Pairwise(called_by)
        kernel.compile()
        assert not any("a call of" in line for line in kernel.remarks())
        assert sum(size >= table.nbytes for size in hashed) == 2


class Table:
    def __init__(self, table):
        self.table = table

    def __call__(self, x, y):
        return self.table[int(x[0]), int(y[0])]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.arange(12.0).reshape(3, 4).T,
        np.array(2.5),
        np.empty((0, 3)),
        np.zeros(3, dtype="V0"),
        np.array(["a", "bc"]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[["b"]],
    ],
)
def test_the_bytes_of_any_array_are_hashed_in_the_order_of_c(array):
    expected = hashlib.sha256(array.tobytes()).hexdigest()
    assert hashlib.sha256(module_of_fingerprints._bytes(array)).hexdigest() == expected


@pytest.mark.parametrize(
    ("stored", "function"),
    [
        ({"function": "first", "source_sha256": "0" * 64}, min),
        ({"kernel": "RBF()", "sha256": "0" * 64}, RBF()),
    ],
)
def test_a_kernel_without_a_digest_is_one_of_an_earlier_version(stored, function):
    """It was said to differ, whatever was given."""
    with pytest.raises(InputError, match=r"^function: the saved kernel '.*' has no digest of its code"):
        (Pairwise if function is min else FromSklearn).from_parameters(stored, None, function)


def test_an_object_reads_its_solution_in_another_process(module, rng, tmp_path):
    x, y = rng.standard_normal((12, 2)), rng.standard_normal(12)
    here, there = module(), module()
    for kernel, params, again, other in [
        (here.Bell(0.7), None, there.Bell(0.7), there.Bell(0.9)),
        (here.Bell(0.7).method, None, there.Bell(0.7).method, there.Bell(0.9).method),
        (here.by_name, {"c": 2.0}, here.functools.partial(there.by_name, c=2.0), there.by_name),
    ]:
        solution = kernelfit.solve(x, y, kernel=kernel, kernel_params=params, ridge=0.1)
        solution.save(tmp_path / "own.h5")
        assert np.array_equal(kernelfit.load(tmp_path / "own.h5", again).predict(x), solution.predict(x))
        with pytest.raises(InputError, match=r"^function: its code or the data that it reads differ"):
            kernelfit.load(tmp_path / "own.h5", other)
