"""Models: parameter counts, shapes, and layers against NumPy references."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kernelfit.deep.models.alexnet import LocalResponseNorm  # noqa: E402
from kernelfit.deep.models.build import build  # noqa: E402
from kernelfit.deep.models.inception import STAGES, Conv, Down, SmallInception  # noqa: E402
from kernelfit.deep.models.mlp import MLP, StackedMLP  # noqa: E402
from kernelfit.deep.models.runs import decayed_parameters  # noqa: E402
from kernelfit.deep.models.same import SameMaxPool, same_pad  # noqa: E402
from kernelfit.errors import InputError  # noqa: E402


@pytest.mark.parametrize("side", [1, 2, 3, 5, 6, 7])
@pytest.mark.parametrize("model", ["alexnet", "inception"])
def test_networks_take_images_of_any_side(model, side):
    net = build(model, shape=(side, side + 2, 1), n_classes=3)
    assert net(torch.zeros(2, 1, side, side + 2)).shape == (2, 3)


@pytest.mark.parametrize("side", [1, 2, 3, 7, 14, 28])
def test_same_pools_against_windows(side, rng):
    x = rng.standard_normal((side, side))
    total = max(0, (-(-side // 2) - 1) * 2 + 3 - side)
    padded = np.pad(x, (total // 2, total - total // 2), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))[::2, ::2]
    ours = SameMaxPool()(torch.from_numpy(x)[None, None])[0, 0].numpy()
    np.testing.assert_array_equal(ours, windows.max(axis=(2, 3)))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("inception", 1_649_402),
        ("inception-no-bn", 1_649_402),
        ("alexnet", 1_387_786),
        ("mlp-3x512", 1_735_178),
        ("mlp-1x512", 1_209_866),
    ],
)
def test_parameter_counts(name, count):
    model = build(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert model(torch.zeros(2, 3, 28, 28)).shape == (2, 10)


def test_inception_channels_and_sizes():
    model = SmallInception()
    x, shapes = torch.zeros(1, 3, 28, 28), []
    for stage in model.stages:
        x = stage(x)
        shapes.append((x.shape[1], x.shape[2], x.shape[3]))
    channels = [96, 64, 80, 160, 160, 160, 160, 144, 240, 336, 336]
    sides = [28, 28, 28, 14, 14, 14, 14, 14, 7, 7, 7]
    assert shapes == [(c, s, s) for c, s in zip(channels, sides, strict=True)]
    assert len(STAGES) == 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_alexnets_relu_behind_the_pool_is_the_one_before_it_to_the_last_bit(dtype):
    """Outputs and gradients, with ties, zeros and windows that hold nothing above 0."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randint(-3, 3, (2, 4, 15, 14), generator=generator).to(dtype) / 4
    x[:, :, :5, :5] = -1
    pool, weights = SameMaxPool(), torch.randn(2, 4, 8, 7, generator=generator).to(dtype)
    both = []
    for order in (lambda v: pool(torch.relu(v)), lambda v: torch.relu(pool(v))):
        leaf = x.clone().requires_grad_()
        y = order(leaf)
        (y * weights).sum().backward()
        both.append((y.detach(), leaf.grad))
    for before, behind in zip(*both, strict=True):
        assert torch.equal(before, behind)


def test_alexnet_sizes():
    model = build("alexnet")
    x, sides = torch.zeros(1, 3, 28, 28), []
    for layer in model.features:
        x = layer(x)
        sides.append(x.shape[-1])
    assert sides == [28, 14, 14, 14, 14, 7, 7, 7]
    assert model.hidden[0].in_features == 3136


def convolve_same(image, kernel, stride):
    """TensorFlow's SAME convolution, by its definition: image (c, h, w), kernel (o, c, k, k)."""
    channels, height, width = image.shape
    size = kernel.shape[-1]
    out_h, out_w = -(-height // stride), -(-width // stride)
    total = max((out_h - 1) * stride + size - height, 0)
    before = total // 2
    padded = np.zeros((channels, height + total, width + total))
    padded[:, before : before + height, before : before + width] = image
    out = np.zeros((len(kernel), out_h, out_w))
    for i in range(out_h):
        for j in range(out_w):
            window = padded[:, i * stride : i * stride + size, j * stride : j * stride + size]
            out[:, i, j] = (kernel * window).sum(axis=(1, 2, 3))
    return out


@pytest.mark.parametrize(
    ("side", "kernel", "stride"), [(28, 3, 2), (14, 3, 2), (8, 3, 1), (7, 3, 2), (6, 1, 1)]
)
def test_same_padding_is_tensorflows(rng, side, kernel, stride):
    image = rng.standard_normal((2, side, side))
    weights = rng.standard_normal((3, 2, kernel, kernel))
    padded = same_pad(torch.from_numpy(image)[None], kernel, stride)
    out = torch.nn.functional.conv2d(padded, torch.from_numpy(weights), stride=stride)[0].numpy()
    np.testing.assert_allclose(out, convolve_same(image, weights, stride), atol=1e-12)


def test_at_stride_two_only_the_bottom_and_the_right_are_padded():
    padded = same_pad(torch.ones(1, 1, 28, 28), 3, 2)
    assert padded.shape == (1, 1, 29, 29)
    assert padded[0, 0, 28].sum() == padded[0, 0, :, 28].sum() == 0
    assert padded[0, 0, :28, :28].min() == 1


def test_max_pool_overhangs_at_the_bottom_and_the_right(rng):
    image = rng.standard_normal((1, 14, 14))
    pooled = Down(1, 1, norm=True).pool(torch.from_numpy(image)[None])[0, 0].numpy()
    expected = [[image[0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max() for j in range(7)] for i in range(7)]
    np.testing.assert_array_equal(pooled, expected)


def test_local_response_normalisation_is_tensorflows(rng):
    image = rng.standard_normal((64, 3, 3)) * 10
    layer = build("alexnet").features[3]
    out = layer(torch.from_numpy(image)[None])[0].numpy()
    # depth_radius 4, bias 1, alpha .001 / 9, beta .75: the sum runs over c - 4 ... c + 4 within the channels.
    sums = np.stack([(image[max(0, c - 4) : c + 5] ** 2).sum(axis=0) for c in range(64)])
    np.testing.assert_allclose(out, image / (1 + 0.001 / 9 * sums) ** 0.75, rtol=1e-12)


@pytest.mark.parametrize("channels", [3, 9, 64])
def test_local_response_normalisation_is_torchs(channels):
    x = torch.randn(2, channels, 4, 5, generator=torch.Generator().manual_seed(channels)) * 30
    # torch divides alpha by the size.
    theirs = torch.nn.LocalResponseNorm(9, alpha=0.001, beta=0.75, k=1.0)
    found = []
    for layer in (theirs, LocalResponseNorm(channels)):
        inputs = x.clone().requires_grad_()
        out = layer(inputs)
        out.square().sum().backward()
        found.append((out.detach(), inputs.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_local_response_normalisation_of_bf16_sums_in_float32():
    layer = LocalResponseNorm(64)
    x = (torch.randn(2, 64, 4, 4, generator=torch.Generator().manual_seed(0)) * 30).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, layer(x.float()).bfloat16())
    assert not layer.state_dict()


@pytest.mark.parametrize("shape", [(3, 12, 3, 4), (1, 3, 1, 1)])
def test_the_gradient_of_local_response_normalisation_is_that_of_its_formula(shape):
    layer = LocalResponseNorm(shape[1])
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 40

    def formula(x):
        sums = torch.nn.functional.conv2d(x.square(), layer.band.double())
        return x * (1 + 0.001 / 9 * sums) ** -0.75

    def jacobians(layer):
        return torch.func.vmap(torch.func.jacrev(lambda row: layer(row[None])[0]))(x)

    assert torch.autograd.gradcheck(layer, (x.clone().requires_grad_(),))
    torch.testing.assert_close(layer(x), formula(x), rtol=1e-14, atol=0)
    torch.testing.assert_close(jacobians(layer), jacobians(formula), rtol=1e-12, atol=1e-14)


def test_batch_normalisation_has_a_shift_and_no_scale(rng):
    unit = Conv(3, 5, 1, norm=True).double().train()
    x = rng.standard_normal((8, 3, 4, 4))
    with torch.no_grad():
        unit.shift.copy_(torch.arange(5.0) - 2)
        out = unit(torch.from_numpy(x)).numpy()
        pre = np.einsum("oc,bchw->bohw", unit.conv.weight.numpy()[:, :, 0, 0], x)
    mean, variance = pre.mean(axis=(0, 2, 3)), pre.var(axis=(0, 2, 3))
    normal = (pre - mean[:, None, None]) / np.sqrt(variance + 0.001)[:, None, None]
    np.testing.assert_allclose(out, np.maximum(normal + (np.arange(5.0) - 2)[:, None, None], 0), atol=1e-12)
    np.testing.assert_allclose(unit.norm.running_mean.numpy(), 0.0003 * mean, rtol=1e-6)
    assert [name for name, _ in unit.named_parameters()] == ["shift", "conv.weight"]


def test_initialisation():
    alexnet = build("alexnet", seed=3)
    first, second = alexnet.features[0], alexnet.features[4]
    assert first.weight.abs().max() <= 0.1
    assert first.weight.std().item() == pytest.approx(0.05 / 1.3**0.5, rel=0.03)
    assert (first.bias == 0).all()
    assert (second.bias == 0.1).all()
    assert all((linear.bias == 0.1).all() for linear in alexnet.hidden)
    assert alexnet.head.weight.abs().max() <= 2 / 192
    mlp = build("mlp-1x512")
    assert mlp.linears[0].weight.std().item() == pytest.approx((2 / (2352 + 512)) ** 0.5, rel=0.01)
    inception = build("inception")
    weight = inception.stages[3].three.conv.weight
    assert weight.var().item() == pytest.approx(2 / (80 * 9), rel=0.02)


def test_the_seed_decides_the_weights_and_nothing_else_moves():
    before = torch.get_rng_state()
    one, same, other = build("mlp-1x512", seed=1), build("mlp-1x512", seed=1), build("mlp-1x512", seed=2)
    assert torch.equal(one.linears[0].weight, same.linears[0].weight)
    assert not torch.equal(one.linears[0].weight, other.linears[0].weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_stacked_networks_equal_their_members(rng):
    members = [MLP(12, (7, 5), 3) for _ in range(4)]
    stacked = StackedMLP(members)
    x = torch.from_numpy(rng.standard_normal((4, 6, 12)).astype(np.float32))
    for r, member in enumerate(members):
        torch.testing.assert_close(stacked(x)[r], member(x[r]))
    with torch.no_grad():
        stacked.weights[0].add_(1.0)
    stacked.write_to(members)
    torch.testing.assert_close(stacked(x)[2], members[2](x[2]))


def test_weight_decay_acts_on_weights_and_in_alexnet_on_the_hidden_linear_layers():
    alexnet = build("alexnet")
    assert [p.shape for p in decayed_parameters(alexnet)] == [(384, 3136), (192, 384)]
    mlp = build("mlp-3x512")
    assert len(decayed_parameters(mlp)) == 4
    assert len(decayed_parameters(build("inception"))) == 1 + 2 * 8 + 2 + 1


def test_refusals():
    with pytest.raises(InputError, match="model: got 'vgg'"):
        build("vgg")
    with pytest.raises(InputError, match=r"dropout: got 1\.0"):
        build("mlp-1x512", dropout=1.0)


def test_a_torchvision_of_another_torch_is_named(monkeypatch):
    import builtins

    honest = builtins.__import__

    def broken(name, *arguments, **options):
        if name.startswith("torchvision"):
            raise RuntimeError("operator torchvision::nms does not exist")
        return honest(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(
        InputError,
        match=r"built for torch .* \(operator torchvision::nms does not exist\); pip install .* torchvision",
    ):
        build("inception-v3", shape=(299, 299, 3))


@pytest.mark.parametrize("shape", [(224, 224, 3), (299, 298, 3), (299, 299, 1)])
def test_inception_v3_takes_colour_images_of_299_pixels_and_more(shape):
    message = (
        r"model: inception-v3 got images of 2\d\d x 2\d\d x \d, expected three channels of at least 299 x 299"
    )
    with pytest.raises(InputError, match=message):
        build("inception-v3", shape=shape)


@pytest.mark.slow
def test_inception_v3_has_two_heads_while_training(torchvision_operators):
    model = build("inception-v3", shape=(299, 299, 3), n_classes=7)
    logits, auxiliary = model.train()(torch.zeros(2, 3, 299, 299))
    assert logits.shape == auxiliary.shape == (2, 7)
    assert model.eval()(torch.zeros(1, 3, 299, 299)).shape == (1, 7)
