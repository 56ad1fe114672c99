"""The list of precisions, and what each stands for."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from kernelfit.errors import InputError
from kernelfit.gram.precision import CPU_PRECISIONS, PRECISIONS, precision_of
from kernelfit.typing import PrecisionName


def test_every_name_of_the_type_is_a_precision() -> None:
    assert tuple(PRECISIONS) == get_args(PrecisionName)
    assert (*CPU_PRECISIONS, "tf32") == tuple(PRECISIONS)


def test_what_a_precision_stands_for() -> None:
    assert precision_of("float64").factor == np.float64
    assert precision_of("float64").unit_roundoff == 2.0**-53
    assert precision_of("float32").unit_roundoff == 2.0**-24
    assert [name for name in PRECISIONS if precision_of(name).refined] == ["mixed", "tf32"]
    assert [precision_of(name).of_plan for name in PRECISIONS] == ["float64", "float32", "mixed", "mixed"]


@pytest.mark.parametrize("name", ["half", "", None, 64])
def test_other_names_are_refused(name: object) -> None:
    with pytest.raises(
        InputError, match=r"^precision: got .*, expected one of float64, float32, mixed, tf32$"
    ):
        precision_of(name)  # type: ignore[arg-type]
