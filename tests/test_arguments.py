"""Arguments that are sizes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelfit.arguments import finite, integer, parse_bytes, positive
from kernelfit.errors import InputError

UNITS = {"": 1, "B": 1, "K": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
         "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "Gi": 2**30}  # fmt: skip


@given(st.integers(1, 10**6), st.sampled_from(sorted(UNITS)), st.booleans(), st.sampled_from(["", " ", "  "]))
def test_sizes_are_read(number, unit, small, gap):
    text = f"{gap}{number}{gap}{unit.lower() if small else unit}{gap}"
    assert parse_bytes(text) == number * UNITS[unit]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8GB", 8 * 10**9),
        ("2e9", 2 * 10**9),
        ("0.5GiB", 2**29),
        ("1,234,567 bytes", 1234567),
        ("12_000", 12000),
        ("1,000GB", 10**12),
    ],
)
def test_sizes_with_points_and_exponents(text, expected):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "GB", "-1GB", "0", "nan", "inf", "1e400", "8XB", "8BB", "8GBB", "8 G B", "ten", "0.4"),
        *("1,5GB", "1,50,000", "1,2345"),
    ],
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(
        InputError, match=r"^memory: got .*expected a size such as 8GB, 512MiB or 2000000000$"
    ):
        parse_bytes(text)


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_one_line(text):
    try:
        size = parse_bytes(text, "--memory")
    except InputError as error:
        message = str(error)
    else:
        assert 1 <= size < 2**63
        return
    assert message.startswith("--memory: got ")
    assert len(message.splitlines()) == 1


def test_an_integer_beyond_those_of_float64_is_one():
    """It was called none: its nearest float64 is another one."""
    assert integer("n", 99_999_999_999_999_999_999, 0) == 99_999_999_999_999_999_999
    with pytest.raises(InputError, match="n: got 99999999999999999999, expected an integer from 0 to 10"):
        integer("n", 99_999_999_999_999_999_999, 0, 10)


@pytest.mark.parametrize(
    "value",
    [np.complex128(1.0 + 2.0j), np.complex64(1.0), np.array(1.0j), 1.0j, np.ma.masked, np.void(b"12")],
)
def test_what_float_makes_a_number_of_with_a_warning_is_none(value):
    """A complex ridge was taken for its real part."""
    for check in (finite, positive, partial(integer, minimum=0)):
        with pytest.raises(InputError, match=r"^ridge: got .*, expected a number$"):
            check("ridge", value)
