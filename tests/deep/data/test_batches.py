"""Crop, augmentation and whitening on the device, against NumPy."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kernelfit.datasets import Dataset  # noqa: E402
from kernelfit.deep.data import batches, images  # noqa: E402


def dataset(rng, side=32, n=6):
    X = rng.integers(0, 256, (n, side * side * 3), dtype=np.uint8)
    y = np.arange(n) % 2
    return Dataset("made", X, y, X[:2], y[:2], ("a", "b"), (side, side, 3), 1 / 255)


def as_tensor(X, side):
    return torch.from_numpy(X).view(len(X), side, side, 3).permute(0, 3, 1, 2)


def test_crop_then_whiten_agrees_with_numpy(rng):
    data = dataset(rng)
    expected = images.whiten(images.centre_crop(data).X_train, data.scale)
    found = batches.prepare(as_tensor(data.X_train, 32), data.scale, 28)
    np.testing.assert_allclose(
        found.permute(0, 2, 3, 1).reshape(6, -1).numpy(), expected, atol=2e-5, rtol=1e-5
    )
    np.testing.assert_allclose(found.flatten(1).mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(found.flatten(1).square().mean(1), 1, atol=1e-4)


def test_centre_crop_takes_rows_and_columns_two_to_thirty(rng):
    data = dataset(rng)
    pixels = data.X_train.reshape(6, 32, 32, 3)[:, 2:30, 2:30].reshape(6, -1)
    np.testing.assert_array_equal(images.centre_crop(data).X_train, pixels)
    assert images.centre_crop(data).image_shape == (28, 28, 3)
    small = dataset(rng, side=8)
    assert images.centre_crop(small) is small


def test_flat_images_are_divided_by_one_over_root_d():
    image = torch.full((1, 3, 28, 28), 0.5)
    image[0, 0, 0, 0] = 0.5 + 1e-3
    white = batches.whiten(image)
    assert white.max().item() == pytest.approx(1e-3 * (1 - 1 / 2352) * 2352**0.5, rel=1e-2)


def test_random_crops_are_windows_at_all_25_places(rng):
    picture = as_tensor(rng.integers(0, 256, (1, 32 * 32 * 3), dtype=np.uint8), 32).expand(800, -1, -1, -1)
    crops = batches.random_crop(picture, 28, torch.Generator().manual_seed(0))
    windows = {picture[0, :, i : i + 28, j : j + 28].numpy().tobytes() for i in range(5) for j in range(5)}
    assert {crop.numpy().tobytes() for crop in crops} == windows


def test_rotation_and_flip_keep_the_centre_and_fill_with_zeros():
    image = torch.ones(400, 1, 33, 33)
    image[:, :, 16, 16] = 5.0
    turned = batches.flip_and_rotate(image, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(turned[:, 0, 16, 16], 5.0, rtol=1e-4)
    assert (turned[:, 0, 0, 0] < 1).float().mean() > 0.9
    # A mark right of the centre lands on the left in half of the images, within 25 degrees of the axis.
    mark = torch.zeros(400, 1, 33, 33)
    mark[:, :, 16, 28] = 1.0
    turned = batches.flip_and_rotate(mark, torch.Generator().manual_seed(1))[:, 0]
    column = turned.amax(dim=1).argmax(dim=1)
    row = turned.amax(dim=2).argmax(dim=1)
    assert 0.4 < (column < 16).float().mean() < 0.6
    angles = torch.atan2((row - 16).float(), (column - 16).abs().float()).rad2deg().abs()
    assert angles.max() < 25 + 4
    assert angles.max() > 20


@pytest.mark.parametrize("shape", [(33, 65), (65, 33)])
def test_images_that_are_not_square_are_turned_and_not_sheared(shape):
    """Marks to the right of the centre and below it stay as far from it as they were, under one angle."""
    middle = torch.tensor([shape[0] // 2, shape[1] // 2])
    places = []
    for row, column in ((0, 12), (12, 0)):
        mark = torch.zeros(60, 1, *shape)
        mark[
            :, :, middle[0] + row - 1 : middle[0] + row + 2, middle[1] + column - 1 : middle[1] + column + 2
        ] = 1
        turned = batches.flip_and_rotate(mark, torch.Generator().manual_seed(1))[:, 0]
        total = turned.sum((1, 2))
        rows = (turned.sum(2) * torch.arange(shape[0])).sum(1) / total - middle[0]
        columns = (turned.sum(1) * torch.arange(shape[1])).sum(1) / total - middle[1]
        places.append((rows, columns))
    (right_row, right_column), (below_row, below_column) = places
    np.testing.assert_allclose(torch.hypot(right_row, right_column), 12, atol=0.1)
    np.testing.assert_allclose(torch.hypot(below_row, below_column), 12, atol=0.1)
    angles = torch.rad2deg(torch.atan2(right_row, right_column.abs()))
    assert 20 < angles.abs().max() <= 25.5
    np.testing.assert_allclose(right_row * below_row + right_column * below_column, 0, atol=1.5)


def test_one_generator_state_gives_one_result(rng):
    stored = as_tensor(rng.integers(0, 256, (9, 32 * 32 * 3), dtype=np.uint8), 32)

    def made(seed):
        generator = torch.Generator().manual_seed(seed)
        return batches.prepare(stored, 1 / 255, 28, crop=True, augment=True, generator=generator)

    assert torch.equal(made(4), made(4))
    assert not torch.equal(made(4), made(5))
