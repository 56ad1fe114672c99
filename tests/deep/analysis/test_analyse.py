"""Norms, margins, Rademacher complexity, and the kernels of a network."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kernelfit.datasets import load  # noqa: E402
from kernelfit.deep.analysis import analyse, bridge, norms, rademacher, tangent  # noqa: E402
from kernelfit.deep.models.build import build  # noqa: E402
from kernelfit.deep.models.inception import SmallInception  # noqa: E402
from kernelfit.deep.models.mlp import MLP  # noqa: E402
from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402
from kernelfit.errors import InputError  # noqa: E402


def test_margins():
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 1.0, 0.0]])
    assert norms.margins(logits, torch.tensor([1, 2])).tolist() == [1.0, -5.0]


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0)])
def test_the_norm_of_a_convolution_is_that_of_its_matrix(stride, padding):
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(2, 3, 3, stride=stride, padding=padding, bias=False).double()
    columns = torch.eye(2 * 36, dtype=torch.double).view(-1, 2, 6, 6)
    matrix = layer(columns).detach().flatten(1).T
    expected = torch.linalg.matrix_norm(matrix, 2).item()
    assert norms.convolution_norm(layer, (2, 6, 6)) == pytest.approx(expected, rel=1e-3)


def test_path_norm_is_the_sum_over_paths():
    model = MLP(3, (4, 2), 2)
    first, second, third = (linear.weight.detach().double().numpy() for linear in model.linears)
    total = sum(
        (third[o, k] * second[k, j] * first[j, i]) ** 2
        for o in range(2)
        for k in range(2)
        for j in range(4)
        for i in range(3)
    )
    assert norms.path_norm(model) == pytest.approx(total**0.5)


def test_norms_of_an_mlp():
    model, start = MLP(5, (4,), 3), MLP(5, (4,), 3)
    found = norms.norms(model, start, torch.zeros(1, 5))
    weight = [linear.weight.detach().double().numpy() for linear in model.linears]
    before = [linear.weight.detach().double().numpy() for linear in start.linears]
    layer = found["layers"]["linears.1"]
    assert layer["spectral"] == pytest.approx(np.linalg.norm(weight[1], 2))
    assert layer["frobenius"] == pytest.approx(np.linalg.norm(weight[1]))
    assert layer["distance"] == pytest.approx(np.linalg.norm(weight[1] - before[1]))
    assert found["spectral_product"] == pytest.approx(np.prod([np.linalg.norm(w, 2) for w in weight]))


def test_norms_cover_every_layer_of_the_convolutional_networks():
    model = SmallInception(1, 4)
    found = norms.norms(model, model, torch.zeros(1, 1, 8, 8))
    assert len(found["layers"]) == 1 + 2 * 8 + 2 + 1
    assert found["distance"] == 0
    assert found["path"] is None
    assert len(norms.norms(*[build("alexnet", shape=(8, 8, 1))] * 2, torch.zeros(1, 1, 8, 8))["layers"]) == 5


def test_rademacher_of_a_ball_against_its_definition(rng):
    phi = rng.standard_normal((30, 4))
    found = rademacher.of_kernel(phi @ phi.T, 2.0, draws=50, seed=1)
    # sup over ||f|| <= B of (1/n) sum sigma_i <f, phi_i> is (B/n) ||sum sigma_i phi_i||.
    sigma = rademacher.signs(30, 50, 1)
    np.testing.assert_allclose(found.draws, 2 / 30 * np.linalg.norm(sigma @ phi, axis=1))
    assert found.standard_error == pytest.approx(np.std(found.draws, ddof=1) / 50**0.5)
    assert found.mean <= 2 * np.trace(phi @ phi.T) ** 0.5 / 30 + 2 * found.standard_error


def test_a_network_that_memorises_has_complexity_one():
    recipe = default(
        "mlp-1x512",
        dataset="digits",
        side=8,
        n=40,
        n_test=5,
        epochs=60,
        batch=20,
        rates=(0.05,),
        rate_decay=1.0,
    )
    data = load("digits", n_train=40, n_test=5)
    found = rademacher.of_network(recipe, data, draws=3, hardware=Hardware(device="cpu", evaluate_every=60))
    assert found.mean == 1.0
    assert found.standard_error == 0.0
    lazy = rademacher.of_network(dataclasses.replace(recipe, rates=(1e-9,), epochs=1), data, draws=3)
    assert lazy.mean < 0.9
    with pytest.raises(InputError, match="draws: got 1"):
        rademacher.of_network(recipe, data, draws=1)


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4, 6)])
def test_the_tangent_kernel_is_the_gram_of_the_gradients(monkeypatch, hidden):
    model = MLP(6, hidden, 3).double()
    x = torch.randn(7, 6, dtype=torch.double)
    rows = []
    for k in range(7):
        gradients = []
        for o in range(3):
            model.zero_grad()
            model(x[k : k + 1])[0, o].backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
        rows.append(torch.stack(gradients))
    jacobian = torch.stack(rows)
    expected = torch.einsum("iop,jop->ij", jacobian, jacobian).numpy() / 3
    np.testing.assert_allclose(tangent.tangent_gram(model, x), expected, rtol=1e-10)
    np.testing.assert_allclose(tangent.jacobian_gram(model, x), expected, rtol=1e-10)
    # Ragged blocks of two rows give the same matrix.
    numbers = sum(p.numel() for p in model.parameters())
    monkeypatch.setattr(tangent, "BLOCK_BYTES", 2 * 8 * numbers * 3)
    np.testing.assert_allclose(tangent.jacobian_gram(model, x), expected, rtol=1e-10)


def test_the_tangent_kernel_of_a_convolutional_network_is_positive():
    model = SmallInception(1, 3)
    gram = tangent.tangent_gram(model, torch.randn(4, 1, 8, 8))
    np.testing.assert_allclose(gram, gram.T)
    assert np.linalg.eigvalsh(gram)[0] > 0


def test_the_conjugate_kernel_is_the_gram_of_the_last_features():
    model = MLP(6, (5,), 3)
    x = torch.randn(7, 6)
    phi = torch.relu(model.linears[0](x)).detach().double()
    np.testing.assert_allclose(tangent.conjugate_gram(model, x, rows=3), (phi @ phi.T + 1).numpy(), rtol=1e-6)


def test_energies_are_those_of_the_dense_solve_and_larger_for_random_labels():
    data = load("digits", n_train=150)
    x = torch.from_numpy(data.X_train.astype(np.float32) * data.scale)
    gram = tangent.tangent_gram(build("mlp-1x512", shape=(8, 8, 1)), x)
    found = bridge.energies(gram, data.y_train, 10, draws=3)
    targets = bridge.centred_codes(data.y_train, 10)
    assert found.true == pytest.approx(np.sum(targets * np.linalg.solve(gram, targets)), rel=1e-6)
    assert found.ridge == 0
    assert found.backward_error < 1e-12
    assert len(found.random) == 3
    assert found.ratio > 1.5
    ridged = bridge.energies(gram, data.y_train, 10, draws=1, relative_ridge=0.1)
    assert ridged.true < found.true


def test_a_gram_that_memory_cannot_hold_is_refused_before_any_training(monkeypatch):
    recipe = default("mlp-1x512", dataset="digits", side=8, n=100, n_test=5, epochs=1)
    monkeypatch.setattr(analyse, "total_memory", lambda: 100_000)
    monkeypatch.setattr(rademacher, "of_network", lambda *_, **__: pytest.fail("trained"))
    model = build("mlp-1x512", shape=(8, 8, 1))
    with pytest.raises(InputError, match=r"rademacher_draws: the 100 x 100 Gram .* need 0\.00 GB"):
        analyse.analyse(recipe, model, rademacher_draws=2, hardware=Hardware(device="cpu"))
    with pytest.raises(InputError, match="kernel_rows: the 50 x 50 Gram"):
        analyse.analyse(recipe, model, kernel_rows=50, hardware=Hardware(device="cpu"))
