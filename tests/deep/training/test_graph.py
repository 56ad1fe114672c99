"""The order of things around a CUDA graph, with a stand-in for the GPU; what a GPU computes is in test_cuda.py."""

import contextlib
import dataclasses
import types

import pytest

torch = pytest.importorskip("torch")

from kernelfit.deep.data.sources import load_resident  # noqa: E402
from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training import engine, graph, optimizers  # noqa: E402
from kernelfit.deep.training.engine import Training  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402

CPU = torch.device("cpu")
SMALL = {"dataset": "digits", "side": 8, "n": 150, "n_test": 60, "batch": 32, "epochs": 2}


class Stream:
    def __init__(self, device=None):
        self.waited = []

    def wait_stream(self, other):
        self.waited.append(other)


class Graph:
    """Nothing is replayed here."""


@pytest.fixture
def gpu(monkeypatch):
    """A pretended torch.cuda; its `captured` has the stream of each capture."""
    default_stream = Stream()
    here = [default_stream]
    fake = types.SimpleNamespace(captured=[], warmed=[], here=here, default=default_stream)
    fake.before_capture = lambda: None

    @contextlib.contextmanager
    def stream(one):
        here.append(one)
        yield
        here.pop()

    @contextlib.contextmanager
    def capture(_, *, stream=None, capture_error_mode="global"):
        fake.captured.append(stream)
        fake.before_capture()  # the captured step is taken here, where a GPU only notes it
        yield

    fake.stream = stream
    pretended = {
        "Stream": Stream,
        "CUDAGraph": Graph,
        "current_stream": lambda device: here[-1],
        "default_stream": lambda device: default_stream,
        "synchronize": lambda device: None,
        "stream": stream,
        "graph": capture,
        "get_rng_state": lambda device: torch.get_rng_state(),
        "set_rng_state": lambda state, device: torch.set_rng_state(state),
    }
    for name, value in pretended.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return fake


def make(gpu):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x, y):
        gpu.warmed.append(gpu.here[-1])
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach(), y

    x, y = torch.randn(4, 3), torch.tensor([0, 1, 0, 1])
    graph.GraphedStep(step, model, optimizer, x, y)


def test_a_run_with_a_stream_of_its_own_is_captured_there(gpu):
    stream_of_run, other = Stream(), Stream()
    for one in (stream_of_run, other, stream_of_run):
        with gpu.stream(one):
            make(gpu)
    assert gpu.captured == [stream_of_run, other, stream_of_run]
    steps = graph.WARM_UP + 1  # the last one is the capture
    assert gpu.warmed[: steps - 1] == [stream_of_run] * (steps - 1)


def test_the_default_stream_is_left_for_the_capture(gpu):
    make(gpu)
    (stream,) = gpu.captured
    assert stream is not gpu.default
    assert gpu.warmed[: graph.WARM_UP] == [stream] * graph.WARM_UP
    assert gpu.default.waited == [stream]


@pytest.mark.parametrize("steps_before", [0, 2])
@pytest.mark.parametrize("changes", [{}, {"momentum": 0.0}, {"optimizer": "rmsprop"}], ids=str)
def test_a_graph_leaves_everything_as_it_was(gpu, changes, steps_before):
    """A momentum of zeros is that of an optimiser that has taken no step."""
    torch.manual_seed(0)
    layers = torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2)
    model = torch.nn.Sequential(*layers)
    optimizer = optimizers.make(dataclasses.replace(default("mlp-1x512"), **changes), model.parameters(), 0.1)

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach(), y

    def snapshot():
        states = [
            {name: value.clone() for name, value in optimizer.state.get(p, {}).items() if value is not None}
            for p in model.parameters()
        ]
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        return weights, states, torch.get_rng_state()

    x, y = torch.randn(8, 3), torch.arange(8) % 2
    for _ in range(steps_before):
        step(x, y)
    weights, states, generator = snapshot()
    if optimizer.defaults["momentum"] and not steps_before:
        states = [
            {"momentum_buffer": torch.zeros_like(p)} | state
            for p, state in zip(model.parameters(), states, strict=True)
        ]
    seen = []
    gpu.before_capture = lambda: seen.append(snapshot())
    graph.GraphedStep(step, model, optimizer, x, y)
    ((weights_there, states_there, generator_there),) = seen
    torch.testing.assert_close(weights_there, weights, rtol=0, atol=0)
    torch.testing.assert_close(states_there, states, rtol=0, atol=0)
    assert torch.equal(generator_there, generator)
    assert not torch.equal(model.state_dict()["0.weight"], weights["0.weight"])  # by the captured step


@pytest.mark.parametrize("stopped", [False, True])
def test_a_run_that_ends_gives_its_graph_back(stopped):
    """At once, even where something else still holds the training: the next run is captured in the same stream."""
    recipe = default("mlp-1x512", **SMALL)
    training = Training([recipe], load_resident([recipe], CPU), hardware=Hardware(device="cpu"))
    held = object()
    steps = training.steps_taken()
    next(steps)
    training.graphed = held
    if stopped:
        steps.close()
    else:
        for _ in steps:
            pass
    assert training.graphed is None


def test_full_batches_go_through_one_graph_and_the_ragged_one_beside_it(monkeypatch):
    made, replayed, rates = [], [], []

    class Straight:
        def __init__(self, step, model, optimizer, x, y):
            made.append(x.shape)
            self.step, self.optimizer = step, optimizer

        def __call__(self, x, y):
            replayed.append(x.shape[1])
            rates.append(self.optimizer.param_groups[0]["lr"])
            return self.step(x, y)

    monkeypatch.setattr(engine, "GraphedStep", Straight)
    monkeypatch.setattr(Hardware, "resolve", lambda self: CPU)  # which refuses graphs on the CPU
    recipe = default("alexnet", **SMALL, weight_decay=True)
    results = []
    for graphed in (False, True):
        source = load_resident([recipe], CPU)
        (outcome,) = Training([recipe], source, hardware=Hardware(graph=graphed)).run()
        results.append([(record["loss"], record["test_loss"]) for record in outcome.history])
    assert results[1] == [pytest.approx(pair, rel=1e-5) for pair in results[0]]
    assert made == [(1, 32, 1, 8, 8)]
    assert replayed == [32] * 8  # 150 rows: four full batches an epoch, the fifth has 22
    assert all(rate is rates[0] for rate in rates)  # a graph holds its address
    assert float(rates[0]) == pytest.approx(0.01 * 0.95)
