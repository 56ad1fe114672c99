import json
import math
from pathlib import Path

import pytest

from kernelfit.errors import DataError
from kernelfit.solver import choice_record
from kernelfit.solver.ridge import RidgeChoice, RidgeTrial

CHOICE = RidgeChoice(
    ridge=0.1,
    relative=0.2,
    trials=(RidgeTrial(0.0, 0.0, None, None), RidgeTrial(0.2, 0.1, 0.25, math.inf)),
    rows=7,
    of=9,
    method="eigenvalues",
    seconds=0.5,
)


def test_a_choice_comes_back_from_its_file_with_errors_that_overflow():
    """Of targets of 1e307 a solution was stored that was said to be damaged when it was read."""
    record = json.loads(json.dumps(choice_record.to_data(CHOICE)))
    assert choice_record.of_data(Path("s.h5"), RidgeChoice, record, "ridge_choice") == CHOICE


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"ridge": math.nan}, "ridge_choice: ridge is nan"),
        ({"trials": []}, "ridge_choice: trials is "),
        ({"trials": [{"relative": 0.2}]}, "ridge_choice: trials: ridge is missing"),
    ],
)
def test_a_choice_that_is_none_is_refused(damage, message):
    with pytest.raises(DataError, match=rf"^s\.h5: {message}"):
        choice_record.of_data(
            Path("s.h5"), RidgeChoice, choice_record.to_data(CHOICE) | damage, "ridge_choice"
        )
