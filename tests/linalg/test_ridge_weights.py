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


@pytest.mark.parametrize("ridge", [0.0, 1e-12])
def test_features_that_are_zero_in_every_row_leave_the_weights_known(rng, ridge):
    """As the borders of digits are: the bound was infinite without a ridge, 1 beside one of 1e-12."""
    features, targets = rng.standard_normal((30, 5)), rng.standard_normal((30, 2))
    among = np.insert(features, [0, 3, 5], 0.0, axis=1)
    known = weight_norms(lambda start, stop: features[start:stop], 4.0, targets, ridge)
    norms, errors = weight_norms(lambda start, stop: among[start:stop], 4.0, targets, ridge)
    np.testing.assert_allclose(norms, known[0], rtol=1e-13)
    np.testing.assert_allclose(errors, known[1], rtol=1e-6)
    nothing = weight_norms(lambda start, stop: 0.0 * features[start:stop], 0.0, targets, ridge)
    assert not np.array(nothing).any()
