"""Norms, margins, Rademacher complexity, and the kernels of a network."""

import copy
import dataclasses
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kernelfit.datasets import load  # noqa: E402
from kernelfit.datasets.corruptions import random_labels  # noqa: E402
from kernelfit.deep.analysis import analyse, bridge, norms, rademacher, tables, tangent  # noqa: E402
from kernelfit.deep.data.sources import load_resident  # noqa: E402
from kernelfit.deep.models.build import build  # noqa: E402
from kernelfit.deep.models.inception import SmallInception  # noqa: E402
from kernelfit.deep.models.mlp import MLP  # noqa: E402
from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402
from kernelfit.deep.training.outcome import Outcome  # noqa: E402
from kernelfit.errors import InputError  # noqa: E402
from kernelfit.progress import Silent  # noqa: E402

NETS = """
from torch import nn

def normed(shape, n_classes):
    height, width, channels = shape
    return nn.Sequential(
        nn.Flatten(), nn.Linear(height * width * channels, 6), nn.BatchNorm1d(6, momentum=1e-4), nn.ReLU(),
        nn.Linear(6, n_classes))

class Own(nn.Conv2d):
    def forward(self, x):
        return 2 * super().forward(x)

def doubled(shape, n_classes):
    return nn.Sequential(Own(shape[2], n_classes, 8), nn.Flatten())

def long(shape, n_classes):
    return nn.Sequential(nn.Flatten(2), nn.Conv1d(shape[2], n_classes, shape[0] * shape[1]), nn.Flatten())

def convolutional(shape, n_classes):
    return nn.Sequential(nn.Conv2d(shape[2], n_classes, 8), nn.Flatten())

class Backwards(nn.Module):
    def __init__(self, shape, n_classes):
        super().__init__()
        self.head = nn.Linear(6, n_classes, bias=False)
        self.body = nn.Linear(shape[0] * shape[1] * shape[2], 6)
    def features(self, x):
        return self.body(x.flatten(1)).relu()
    def forward(self, x):
        return self.head(self.features(x))

class Squeezing(nn.Module):
    def __init__(self, shape, n_classes):
        super().__init__()
        self.convolution = nn.Conv2d(shape[2], n_classes, shape[0])
        self.excite = nn.Linear(n_classes, n_classes)
    def forward(self, x):
        logits = self.convolution(x).flatten(1)
        return logits * self.excite(logits).sigmoid()

def scaled(shape, n_classes):
    class Net(Backwards):
        def forward(self, x):
            return super().forward(x) / 10
    return Net(shape, n_classes)

def branching(shape, n_classes):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(shape[0] * shape[1] * shape[2], n_classes)
        def forward(self, x):
            return self.head(x.flatten(1)) if x.sum() >= 0 else self.head(-x.flatten(1))
    return Net()
"""
TINY = {"dataset": "digits", "side": 8, "n": 30, "n_test": 5, "epochs": 1, "batch": 16}


def ended(recipe, status="finished"):
    """How a run of the last rate of its ladder ended."""
    return Outcome(recipe, status, recipe.rates[-1], 10, [])


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A module `analysednets` that Python finds."""
    (tmp_path / "analysednets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("analysednets", None)


def test_margins_and_trained_kernels_have_the_statistics_of_evaluations(nets):
    recipe = default("analysednets:normed", **TINY)
    source = load_resident([recipe], torch.device("cpu"))
    model = build(recipe.model, shape=source.shape)  # running averages at 0 and 1, as good as untouched
    inputs, before = source.train_inputs[0], {name: v.clone() for name, v in model.state_dict().items()}
    evaluated = copy.deepcopy(model).train()
    evaluated[2].momentum = 1.0
    with torch.no_grad():
        evaluated(inputs)
        margins = norms.margins(evaluated.eval()(inputs).double(), source.labels[0])
    found = analyse.analyse(
        ended(recipe), model, with_norms=True, kernel_rows=12, hardware=Hardware(device="cpu")
    )
    assert found["margins"]["min"] == pytest.approx(margins.min().item(), rel=1e-5)
    y = source.clean[0][:12].numpy()
    gram = tangent.tangent_gram(evaluated, inputs[:12])
    expected = bridge.energies(gram, y, 10, seed=recipe.seed).true
    assert [k["true"] for k in found["kernels"] if k["kernel"] == "tangent"] == pytest.approx(
        [expected, expected], rel=1e-4
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_margins():
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 1.0, 0.0]])
    assert norms.margins(logits, torch.tensor([1, 2])).tolist() == [1.0, -5.0]


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"stride": 2},
        {"padding": 2, "dilation": 2, "groups": 2},
        {"padding": 1, "padding_mode": "circular", "groups": 4},
    ],
)
def test_the_norm_of_a_convolution_is_that_of_its_matrix(options):
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(4, 4, 3, **options)
    columns = torch.eye(4 * 36).view(-1, 4, 6, 6)
    matrix = (layer(columns) - layer(torch.zeros(1, 4, 6, 6))).detach().flatten(1).T
    expected = torch.linalg.matrix_norm(matrix, 2).item()
    assert norms.convolution_norm(layer, (4, 6, 6)) == pytest.approx(expected, rel=1e-3)


def test_norms_of_parametrised_weights_are_those_of_the_weights_that_act():
    from torch.nn.utils.parametrizations import spectral_norm, weight_norm

    torch.manual_seed(0)
    start = torch.nn.Sequential(weight_norm(torch.nn.Linear(5, 4)), spectral_norm(torch.nn.Linear(4, 3)))
    model = copy.deepcopy(start)
    with torch.no_grad():
        model[0].parametrizations.weight.original0.mul_(3)
    found = norms.norms(model, start, torch.zeros(1, 5))
    first = model[0].weight.detach().double()
    assert found["layers"]["0"]["frobenius"] == pytest.approx(first.norm().item())
    assert found["layers"]["0"]["distance"] == pytest.approx(first.norm().item() * 2 / 3)
    assert found["layers"]["1"]["spectral"] == pytest.approx(1, abs=1e-2)
    assert found["left_out"] == []


def test_weights_in_other_layers_are_named():
    model = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(4, 3))
    found = norms.norms(model, model, torch.zeros(1, 1, 4))
    assert found["left_out"] == ["0.weight"]
    margins = {"min": 0.0, "deciles": [0.0] * 9}
    (table,) = tables.tables({"norms": found, "margins": margins})
    assert table.caption.endswith("; in no linear or convolution layer: 0.weight")


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("doubled", {"with_norms": True}, r"with_norms: got 0 \(Own\) with a forward of its own"),
        ("long", {"with_norms": True}, "with_norms: got Sequential without linear layers or convolutions"),
        ("convolutional", {"kernel_rows": 5}, "the conjugate kernel of .*:convolutional .* no linear layer"),
        ("convolutional", {"rademacher_draws": 2}, "the conjugate kernel of .* no linear layer"),
        ("Squeezing", {"kernel_rows": 5}, "the conjugate kernel of .* no linear layer gives its logits"),
        ("scaled", {"rademacher_draws": 2}, "the conjugate kernel of .* no linear layer gives its logits"),
        ("branching", {"kernel_rows": 5}, "the tangent kernel of .*:branching cannot be formed"),
    ],
)
def test_analyses_that_a_network_of_ones_own_cannot_have_are_refused_in_one_line(nets, name, asked, message):
    with pytest.raises(InputError, match=message) as raised:
        analyse.check_analyses(default(f"analysednets:{name}", **TINY), **asked)
    assert "\n" not in str(raised.value)
    analyse.check_analyses(default("analysednets:normed", **TINY), **asked)


def test_a_run_that_diverged_is_not_analysed():
    recipe = default("mlp-1x512", **TINY)
    model = build("mlp-1x512", shape=(8, 8, 1))
    message = r"mlp-1x512-true-.* diverged at rate 0\.01"
    with pytest.raises(InputError, match=message):
        analyse.analyse(ended(recipe, "diverged"), model, with_norms=True, hardware=Hardware(device="cpu"))
    with torch.no_grad():
        model.linears[0].weight.fill_(torch.nan)
    with pytest.raises(InputError, match=message):
        analyse.analyse(ended(recipe), model, kernel_rows=5, hardware=Hardware(device="cpu"))


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


def test_random_signs_are_fitted_on_the_pixels_and_at_the_rate_of_the_run(monkeypatch):
    recipe = default("mlp-1x512", **TINY, corruption="gaussian", seed=3, rates=(0.7, 0.02))
    trained = []

    class Watched(rademacher.Training):
        def run(self):
            trained.append((self.rate, self.source.train_inputs[0]))
            return super().run()

    monkeypatch.setattr(rademacher, "Training", Watched)
    model = build("mlp-1x512", shape=(8, 8, 1))
    analyse.analyse(ended(recipe), model, rademacher_draws=2, hardware=Hardware(device="cpu"))
    ((rate, inputs),) = trained
    assert rate == 0.02
    assert torch.equal(inputs, load_resident([recipe], torch.device("cpu")).train_inputs[0])
    with pytest.raises(InputError, match=r"rates: got \(0\.7, 0\.02\), expected the one rate"):
        rademacher.of_network(recipe, load("digits", n_train=30), draws=2)


def test_draws_of_signs_that_diverge_are_noted():
    recipe = default("mlp-1x512", **{**TINY, "epochs": 4}, rates=(1e30,))
    progress = Silent()
    rademacher.of_network(recipe, load("digits", n_train=30, n_test=5), draws=2, progress=progress)
    assert progress.notes == ["2 of 2 draws of signs diverged at rate 1e+30; their values are low"]


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


def test_the_last_linear_layer_is_the_one_that_gives_the_logits(nets):
    model, x = build("analysednets:Backwards", shape=(4, 4, 1)), torch.randn(7, 1, 4, 4)
    phi = model.features(x).detach().double()
    np.testing.assert_allclose(tangent.conjugate_gram(model, x, rows=3), (phi @ phi.T).numpy(), rtol=1e-6)
    assert not any(layer._forward_hooks for layer in model.modules())


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


def test_a_kernel_of_fewer_parameters_than_rows_gets_a_ridge_that_is_recorded(rng):
    A = rng.standard_normal((40, 10))
    y, gram, progress = np.arange(40) % 10, A @ A.T, Silent()
    found = bridge.energies(gram, y, 10, progress=progress)
    targets = bridge.centred_codes(y, 10)
    assert 0 < found.ridge < 1e-5 * np.trace(gram) / 40
    shifted = gram + found.ridge * np.eye(40)
    assert found.true == pytest.approx(np.sum(targets * np.linalg.solve(shifted, targets)), rel=1e-3)
    assert any("ridge" in note for note in progress.notes)


def test_the_random_labels_of_energies_are_not_those_that_the_network_was_trained_on(rng):
    A = rng.standard_normal((40, 40))
    y, gram = np.arange(40) % 10, A @ A.T + np.eye(40)
    found = bridge.energies(gram, y, 10, draws=4, seed=7)
    assert len(set(found.random)) == 4
    for seed in range(7, 11):
        targets = bridge.centred_codes(random_labels(y, 10, seed), 10)
        trained_on = np.sum(targets * np.linalg.solve(gram, targets))
        assert all(value != pytest.approx(trained_on) for value in found.random)


def test_a_gram_that_memory_cannot_hold_is_refused_before_any_training(monkeypatch):
    recipe = default("mlp-1x512", dataset="digits", side=8, n=100, n_test=5, epochs=1)
    monkeypatch.setattr(analyse, "total_memory", lambda: 100_000)
    monkeypatch.setattr(rademacher, "of_network", lambda *_, **__: pytest.fail("trained"))
    model = build("mlp-1x512", shape=(8, 8, 1))
    with pytest.raises(InputError, match=r"rademacher_draws: the 100 x 100 Gram .* need 0\.00 GB"):
        analyse.analyse(ended(recipe), model, rademacher_draws=2, hardware=Hardware(device="cpu"))
    with pytest.raises(InputError, match="kernel_rows: the 50 x 50 Gram"):
        analyse.analyse(ended(recipe), model, kernel_rows=50, hardware=Hardware(device="cpu"))
