"""A checksum sees any change of an array, whatever its type, its size and its order in memory."""

import numpy as np
import pytest

from kernelfit.errors import InputError
from kernelfit.gram.unchanged import Witness, checksum


def changes(array):
    """The same with one number, two signs, all signs or two rows changed."""
    other = array.copy(order="K")
    other[-1, -1] += 1
    yield other
    for rows in (slice(0, 2), slice(None)):
        other = array.copy(order="K")
        other[rows] = -other[rows]
        yield other
    other = array.copy(order="K")
    other[[0, 8]] = other[[8, 0]]
    yield other


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int16"])
@pytest.mark.parametrize("shape", [(9, 1), (9, 7), (40, 64), (1500, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_change_is_seen(rng, dtype, shape, order):
    array = np.asarray(rng.integers(1, 100, shape), dtype, order=order)
    array[:, 0] = np.arange(1, len(array) + 1)
    before = checksum(array)
    assert checksum(array.copy(order="K")) == before
    assert all(checksum(other) != before for other in changes(array))


def test_parts_of_arrays_and_unaligned_ones_have_the_checksum_of_their_copies(rng):
    array = rng.standard_normal((1500, 12))
    assert checksum(array[:, ::2]) == checksum(array[:, ::2])
    unaligned = np.frombuffer(b"x" + array.tobytes(), np.uint8)[1:].view(np.float64).reshape(array.shape)
    assert checksum(unaligned) == checksum(array)


def test_one_row_of_many_is_missed_by_the_few_that_are_remembered_and_not_by_the_whole(rng):
    array = rng.standard_normal((500, 3))
    witness = Witness(array)
    array[1] += 1.0
    witness.require(array, "X: the array", whole=False)
    with pytest.raises(InputError, match=r"^X: the array that the solution is of was changed"):
        witness.require(array, "X: the array")


@pytest.mark.parametrize("row", range(0, 64, 9))
def test_of_few_rows_any_is_seen(rng, row):
    array = rng.standard_normal((64, 3))
    witness = Witness(array)
    witness.require(array.copy(), "X: the array")
    array[row] += 1.0
    with pytest.raises(InputError, match=r"^X: the array that the solution is of was changed"):
        witness.require(array, "X: the array")


@pytest.mark.parametrize("order", ["C", "F"])
def test_threads_share_a_large_array_and_miss_no_part_of_it(rng, order):
    array = np.asarray(rng.standard_normal((700_000, 2)), order=order)
    before = checksum(array)
    assert checksum(array, 2) == checksum(array, None) == before
    for row in (0, 300_000, -1):
        array[row, 1] = -array[row, 1]
        assert checksum(array, 2) != before
        array[row, 1] = -array[row, 1]
