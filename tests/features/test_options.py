"""Options read off the constructors: parsing, help, context."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from kernelfit.errors import InputError
from kernelfit.features import feature_class, names
from kernelfit.features.options import CONTEXT, format_value, make, options, pairs


@pytest.mark.parametrize("name", names())
def test_every_option_is_documented_and_reads_back_its_default(name: str) -> None:
    known = options(name)
    parameters = set(inspect.signature(feature_class(name)).parameters)
    assert set(known) == parameters - set(CONTEXT)
    for option in known.values():
        assert len(option.help) > 5, option.name
        if option.default is not None:
            parsed = option.parse(format_value(option.default))
            assert parsed == option.default
            assert type(parsed) is type(option.default)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("wavelengths", "2.5, 4,7", (2.5, 4.0, 7.0)),
        ("stride", " 5 ", 5),
        ("power", "1", 1.0),
        ("normalize", "NO", False),
        ("low_pass", "1", True),
    ],
)
def test_parses(name: str, text: str, value: Any) -> None:
    parsed = options("gabor")[name].parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("stride", "2.5", r"stride: got '2.5', expected an integer, such as \d"),
        ("power", "half", "power: got 'half', expected a number, such as 0.5"),
        ("normalize", "maybe", "normalize: got 'maybe', expected true or false, such as true"),
        ("wavelengths", "3;4", "wavelengths: got '3;4', expected numbers separated by commas, such as 3,"),
    ],
)
def test_refuses_texts(name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        options("gabor")[name].parse(text)


def test_a_whole_number_or_none() -> None:
    levels = options("wavelet")["levels"]
    assert levels.parse("3") == 3
    assert levels.parse("none") is None


def test_make_passes_context_where_it_is_known() -> None:
    gabor = make(
        "gabor", image_shape=(8, 8, 1), scale=1 / 255, threads=2, given={"n-orientations": "5", "power": 1}
    )
    assert (gabor.image_shape, gabor.scale, gabor.threads) == ((8, 8, 1), 1 / 255, 2)
    assert (gabor.n_orientations, gabor.power) == (5, 1)  # type: ignore[attr-defined]
    net = make("random-conv", image_shape=(8, 8, 1), scale=1 / 255, given={"n_filters": 7})
    assert net.n_filters == 7  # type: ignore[attr-defined]
    with pytest.raises(
        InputError, match=r"gabor: got option 'filters', expected one of wavelengths, n_orientations"
    ):
        make("gabor", given={"filters": "3"})


def test_pairs() -> None:
    assert pairs(("a=1", "b=x=y")) == {"a": "1", "b": "x=y"}
    for wrong in ("a", "=1"):
        with pytest.raises(InputError, match="expected NAME=VALUE"):
            pairs((wrong,))
    with pytest.raises(InputError, match="pool_size twice, '3' and '4'"):
        pairs(("pool-size=3", "pool_size=4"))


def test_a_number_that_is_none_by_default() -> None:
    epsilon = options("random-conv")["zca"]
    assert epsilon.default is None
    assert (epsilon.parse("0.05"), epsilon.parse("none")) == (0.05, None)
    with pytest.raises(InputError, match=r"zca: got 'x', expected a number, such as 0.5"):
        epsilon.parse("x")
    assert options("random-conv")["contrast"].parse("unit") == "unit"
