"""Some random problems against long double; `python -m benchmarks.fuzz.problems` solves many."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fuzz import problems
from benchmarks.fuzz.checks import check
from benchmarks.fuzz.random_problems import draw
from benchmarks.fuzz.reference import Factor, entries, has_long_double
from kernelfit.kernels import ArcCosine, Gaussian, NeuralTangent

pytestmark = pytest.mark.skipif(not has_long_double(), reason="long double is float64 on this machine")
#: solved in some twenty seconds
COUNT = 120


@pytest.mark.parametrize("first", range(0, COUNT, 20))
def test_what_solutions_say_is_so(first: int) -> None:
    for index in range(first, first + 20):
        assert check(draw(0, index)).violations == [], draw(0, index).describe()


def test_a_problem_follows_from_its_seed_and_index() -> None:
    one, again, other = draw(3, 14), draw(3, 14), draw(3, 15)
    assert one.describe() == again.describe() != other.describe()
    assert np.array_equal(one.X, again.X)


def test_what_is_not_so_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An entry of K that is off by 1e-9, and the line that meets its problem again."""
    evaluate = Gaussian.evaluate

    def off(self: Gaussian, tile: object, out: np.ndarray) -> None:
        evaluate(self, tile, out)  # type: ignore[arg-type]
        out *= 1 - 1e-9

    monkeypatch.setattr(Gaussian, "evaluate", off)
    first = next(i for i in range(100) if isinstance(draw(0, i).kernel, Gaussian) and draw(0, i).plain)
    with pytest.raises(SystemExit, match=f"--seed 0 --first {first}: entries of K: "):
        problems.main(["--first", str(first), "--count", "1"])
    assert "Gaussian" in capsys.readouterr().out


def test_the_reference_is_the_formula() -> None:
    x = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], np.longdouble)

    values = entries(ArcCosine(order=0), x, x).values
    assert values[0, 1] == pytest.approx(0.75, rel=1e-15)
    assert values[0, 2] == pytest.approx(0.5, rel=1e-15)
    tangent = entries(NeuralTangent(depth=2), x, x).values
    assert np.diagonal(tangent) == pytest.approx([3.0, 6.0, 0.0], rel=1e-15)
    factor = Factor.of(values + np.eye(3))
    assert factor is not None
    assert factor.solve(values + np.eye(3)) == pytest.approx(np.eye(3), abs=1e-17)
