import numpy as np
import pytest

from kernelfit.linalg.ridge_weights import weight_norms


def test_directions_that_are_lost_in_rounding_leave_the_weights_unknown():
    """A row of 1e-18 beside one of 1: |w| = 1e18 was said to be 1 to 15 digits."""
    features, targets = np.diag([1.0, 1e-18]), np.array([[1.0, 1.0], [1.0, 0.0]])
    norms, errors = weight_norms(lambda start, stop: features[start:stop], 1.0, targets, 0.0)
    assert np.isinf(errors[0])
    assert norms[1] == pytest.approx(1.0, rel=1e-14)
    assert errors[1] < 1e-14
