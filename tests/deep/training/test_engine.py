"""The training engine: memorising, exact resume, stacking, ladder, refusals."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kernelfit.datasets import load  # noqa: E402
from kernelfit.deep.data import sources  # noqa: E402
from kernelfit.deep.data.sources import InputCache, Resident, load_resident  # noqa: E402
from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training import checkpoint, epoch_log, results, stopping, sweep  # noqa: E402
from kernelfit.deep.training.engine import Training  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402
from kernelfit.deep.world import World  # noqa: E402
from kernelfit.errors import DataError, DeviceError, InputError, StorageError  # noqa: E402
from kernelfit.progress import Silent  # noqa: E402

CPU = torch.device("cpu")
SMALL = {"dataset": "digits", "side": 8, "n": 150, "n_test": 60, "batch": 32}


def tiny(model="mlp-1x512", **changes):
    return default(model, **{**SMALL, "epochs": 3, **changes})


def train(recipes, folder=None, **hardware):
    recipes = recipes if isinstance(recipes, list) else [recipes]
    training = Training(
        recipes, load_resident(recipes, CPU), folder=folder, hardware=Hardware(device="cpu", **hardware)
    )
    return training, training.run()


def weights(training):
    return {name: value.clone() for name, value in training.model.state_dict().items()}


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_random_labels_are_memorised_and_stay_the_same():
    recipe = tiny(
        corruption="random-labels", epochs=200, rates=(0.05,), rate_decay=1.0, stop_when_fitted=True
    )
    training, (outcome,) = train(recipe)
    assert outcome.status == "fitted"
    assert outcome.final["train_accuracy"] == 1.0
    assert outcome.final["epoch"] < 200
    again = load_resident([recipe], CPU)
    assert torch.equal(training.source.labels, again.labels)
    assert (training.source.labels != training.source.clean).float().mean() > 0.8
    # Clean test labels, and no better than guessing by much.
    assert torch.equal(training.source.test_labels[0], torch.from_numpy(load("digits", n_test=60).y_test))
    assert outcome.final["corrupted_accuracy"] > 0.95
    assert outcome.final["corrupted_first_learned"] >= 1


@pytest.mark.parametrize(("n", "batch"), [(17, 16), (3, 1)])
def test_a_single_row_that_batch_normalisation_cannot_take_is_refused_at_the_start(n, batch):
    # Maps of 2 x 2 images are 1 x 1 in the end, those of 8 x 8 images are 2 x 2.
    few = tiny("inception", n=n, batch=batch, side=2)
    with pytest.raises(InputError, match=f"n: got {n} rows in batches of {batch}, of which one has a single"):
        train(few)
    for fine in (tiny("inception", n=n, batch=batch), tiny(n=n, batch=batch, side=2)):
        Training([fine], load_resident([fine], CPU), hardware=Hardware(device="cpu"))


NETS = """
import numpy
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, shape, n_classes):
        super().__init__()
        self.convolution = nn.Conv2d(shape[2], 3, 3, padding=1)
        self.head = nn.Linear(3 * shape[0] * shape[1], n_classes)
    def flat(self, x):
        return self.convolution(x).flatten(1)
    def forward(self, x):
        return self.head(self.flat(x))

class Viewing(Net):
    def flat(self, x):
        return self.convolution(x).view(len(x), -1)

class Deep(Net):
    def __init__(self, shape, n_classes):
        super().__init__(shape, n_classes)
        self.convolution = nn.Conv3d(1, 3, (shape[2], 3, 3), padding=(0, 1, 1))
    def flat(self, x):
        return self.convolution(x[:, None]).flatten(1)

class Fixed(Net):
    def __init__(self, shape, n_classes):
        super().__init__(shape, n_classes)
        self.requires_grad_(False)

class Bare(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.n_classes = n_classes
    def forward(self, x):
        return x.flatten(1)[:, :self.n_classes]

class Codes(Net):
    def forward(self, x):
        logits = super().forward(x)
        return logits.argmax(dim=1) if self.training else logits

class Stored(Net):
    persistent = True
    def __init__(self, shape, n_classes):
        super().__init__(shape, n_classes)
        self.norm = nn.BatchNorm2d(shape[2])
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(1), persistent=self.persistent)
    def forward(self, x):
        if self.training:
            self.seen += 1
        return super().forward(self.dropout(self.norm(x))) * self.seen

class Unstored(Stored):
    persistent = False

class Counting(Net):
    steps = 0
    def forward(self, x):
        self.steps += self.training
        return super().forward(x) / (1 + self.steps)

class Failing(Net):
    steps = 0
    def forward(self, x):
        self.steps += self.training and len(x) > 2
        if self.steps == 3:
            raise KeyError("a mistake\\nof two lines")
        return super().forward(x)

class Numpy(Net):
    def forward(self, x):
        return super().forward(x) + numpy.random.rand() * self.training

class Named(Net):
    def forward(self, x):
        logits = super().forward(x)
        return {"logits": logits} if self.training else logits
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A module `enginenets` that Python finds."""
    (tmp_path / "enginenets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("enginenets", None)


@pytest.mark.parametrize(("name", "takes"), [("Net", True), ("Viewing", False), ("Deep", False)])
def test_a_network_of_ones_own_that_takes_no_channels_last_images_is_trained_without(nets, name, takes):
    recipe, progress = tiny(f"enginenets:{name}", n=40, epochs=1), Silent()
    training = Training(
        [recipe], load_resident([recipe], CPU), hardware=Hardware(device="cpu"), progress=progress
    )
    (outcome,) = training.run()
    assert np.isfinite(outcome.final["test_loss"])
    assert training.channels_last is takes
    assert (
        any(f"{name} takes no channels-last images (RuntimeError:" in note for note in progress.notes)
        is not takes
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Fixed", "does not require grad"),
        ("Bare", "empty parameter list"),
        ("Codes", r"it gives \(2,\) while it trains"),
        ("Named", "it gives dict while it trains"),
    ],
)
def test_a_network_of_ones_own_that_cannot_learn_is_refused_before_any_training(nets, tmp_path, name, why):
    recipes = [tiny(n=40, epochs=1), tiny(f"enginenets:{name}", n=40, epochs=1)]
    message = rf"model: enginenets:{name} cannot take a step of training on 2 images \(.*({why})"
    with pytest.raises(InputError, match=message) as raised:
        sweep.run(recipes, tmp_path / "runs", hardware=Hardware(device="cpu"))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(InputError, match=message):
        train(recipes[1])


@pytest.mark.parametrize(
    ("name", "hides"),
    [("Net", False), ("Stored", False), ("Counting", True), ("Unstored", True), ("Numpy", True)],
)
def test_a_network_of_ones_own_that_no_resume_repeats_is_named(nets, tmp_path, name, hides):
    recipe, progress = tiny(f"enginenets:{name}", n=40, epochs=1), Silent()
    for folder, noted in ((tmp_path / "runs", hides), (None, False)):  # without a folder nothing is resumed
        progress.notes.clear()
        Training(
            [recipe],
            load_resident([recipe], CPU),
            folder=folder,
            hardware=Hardware(device="cpu"),
            progress=progress,
        )
        assert any(f"{name} has state that its state_dict lacks" in note for note in progress.notes) is noted


def test_a_network_of_ones_own_that_fails_in_the_middle_is_named_in_one_line(nets):
    with pytest.raises(
        InputError, match=r"^model: enginenets:Failing failed in epoch 2, step 1 \(KeyError: "
    ) as raised:
        train(tiny("enginenets:Failing", n=16, epochs=3, batch=8))
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value.__cause__, KeyError)


def test_every_epoch_sees_every_row_once_with_its_own_label(monkeypatch):
    seen = []
    honest = Resident.batches

    def watched(self, *arguments):
        for x, y, rows in honest(self, *arguments):
            seen.append((rows[0].clone(), y[0].clone(), x[0].clone()))
            yield x, y, rows

    monkeypatch.setattr(Resident, "batches", watched)
    training, _ = train(tiny(corruption="random-pixels", epochs=2))
    half = len(seen) // 2
    for part in (seen[:half], seen[half:]):
        rows = torch.cat([rows for rows, _, _ in part])
        assert torch.equal(rows.sort().values, torch.arange(150))
        for where, y, x in part:
            assert torch.equal(y, training.source.labels[0][where])
            assert torch.equal(x, training.source.train_inputs[0][where])
    assert not torch.equal(seen[0][0], seen[half][0])


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": 0.5, "corruption": "random-labels"},
        {
            "model": "alexnet",
            "crop": True,
            "augment": True,
            "side": 6,
            "n": 40,
            "batch": 16,
            "weight_decay": True,
        },
        {"model": "inception", "n": 24, "batch": 8, "epochs": 2},
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_run_stopped_inside_an_epoch_resumes_bit_for_bit(tmp_path, monkeypatch, changes, precision):
    recipe = tiny(**changes)
    full, (expected,) = train(recipe, precision=precision)

    class Stop(Exception):
        pass

    saves = []
    honest = checkpoint.save

    def stop_after_some(state, path):
        honest(state, path)
        saves.append(state["step"])
        if state["epoch"] == 1 and state["step"] == 2:
            raise Stop

    monkeypatch.setattr(checkpoint, "save", stop_after_some)
    with pytest.raises(Stop):
        train(recipe, tmp_path, checkpoint_seconds=0.0, precision=precision)
    assert saves[-1] == 2
    monkeypatch.setattr(checkpoint, "save", honest)
    resumed, (outcome,) = train(recipe, tmp_path, precision=precision)
    assert_same_weights(weights(full), weights(resumed))
    for name in ("right", "first_learned", "forgotten"):
        assert torch.equal(getattr(full.memory, name), getattr(resumed.memory, name))
    plain = [{k: v for k, v in record.items() if k != "seconds"} for record in outcome.history]
    assert plain == [{k: v for k, v in record.items() if k != "seconds"} for record in expected.history]
    assert [record["epoch"] for record in epoch_log.read(tmp_path / "log.jsonl")] == list(
        range(1, recipe.epochs + 1)
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.pop("history"),
        lambda state: state.pop("recipes"),
        lambda state: state.update(epoch=99),
        lambda state: state.update(step=-1),
        lambda state: state.update(order=state["order"][:, :9]),
        lambda state: state.update(model={}),
        lambda state: state.update(memory=None),
        lambda state: state.update(optimizer=[]),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused_in_one_line(tmp_path, damage):
    recipe = tiny(n=40, epochs=1)
    train(recipe, tmp_path)
    state = checkpoint.load(tmp_path / "checkpoint.pt", CPU)
    del state["format"]
    damage(state)
    checkpoint.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(DataError, match="does not fit mlp-1x512 as it is now; use another folder"):
        train(recipe, tmp_path)


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    recipe = tiny(n=40, epochs=1)
    training = Training(
        [recipe], load_resident([recipe], CPU), folder=tmp_path, hardware=Hardware(device="cpu")
    )
    with training.hardware.session(CPU):
        steps = training.steps_taken()
        next(steps)
        with pytest.raises(StorageError, match=f"process {os.getpid()} is working in this folder"):
            train(recipe, tmp_path)
        steps.close()
    train(recipe, tmp_path)
    assert not (tmp_path / "lock").exists()


def test_an_epoch_that_one_process_began_counts_its_rows_once_when_two_resume_it(tmp_path, monkeypatch):
    recipe = tiny(epochs=1, rates=(0.5,))
    source = load_resident([recipe], CPU)

    def in_a_world_of(rank, size, folder):
        means = {"folder": folder, "hardware": Hardware(device="cpu"), "world": World(rank, size)}
        return Training([recipe], source, **means)

    def stopped(training):
        with training.hardware.session(CPU):
            steps = training.steps_taken()
            for _ in range(3):
                next(steps)
            steps.close()
        return training

    alone = stopped(in_a_world_of(0, 1, tmp_path / "one"))
    assert alone.losses.sum() > 0
    monkeypatch.setattr(Training, "_runner", lambda self: self.model)  # there is no group of processes
    both = [in_a_world_of(rank, 2, tmp_path / "one") for rank in (0, 1)]
    assert all(training._resume() for training in both)
    assert torch.equal(sum(training.losses for training in both), alone.losses)
    assert torch.equal(sum(training.correct for training in both), alone.correct)
    # Of an epoch that two began each has its share: it is not stored.
    stopped(in_a_world_of(0, 2, tmp_path / "two"))
    assert not (tmp_path / "two" / "checkpoint.pt").exists()


def test_a_flipped_bit_in_a_checkpoint_is_seen(tmp_path):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save({"weights": torch.arange(1000.0)}, path)
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 97):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(bytes(damaged))
        try:
            state = checkpoint.load(path, CPU)
        except DataError:
            continue
        assert torch.equal(state["weights"], torch.arange(1000.0)), place


def test_a_pipe_or_a_link_in_place_of_a_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pt"
    os.mkfifo(path)
    with pytest.raises(StorageError, match="is a pipe, expected a regular file"):
        train(tiny(n=40, epochs=1), tmp_path)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is a symbolic link"):
        train(tiny(n=40, epochs=1), tmp_path)


def test_a_checkpoint_of_another_machine_brings_its_momentum_and_not_its_switches(tmp_path):
    recipe = tiny("alexnet", n=40, batch=16, epochs=2)
    full, _ = train(recipe)
    train(dataclasses.replace(recipe, epochs=1), tmp_path)
    path = tmp_path / "checkpoint.pt"
    state = checkpoint.load(path, CPU)
    state |= {"recipes": [recipe.to_json()], "status": "running"}
    state["optimizer"]["param_groups"][0] |= {"lr": torch.tensor(7.0), "fused": None}
    stored = state["optimizer"]["state"]
    stored[0]["momentum_buffer"] = stored[0]["momentum_buffer"].contiguous()
    del state["format"]
    checkpoint.save(state, path)
    resumed, _ = train(recipe, tmp_path)
    (group,) = resumed.optimizer.param_groups
    assert isinstance(group["lr"], float)
    assert group["fused"] is True
    first = next(iter(resumed.model.parameters()))
    assert resumed.optimizer.state[first]["momentum_buffer"].stride() == first.stride()
    assert_same_weights(weights(full), weights(resumed))


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from kernelfit.deep import recipe
from kernelfit.deep.data import sources
from kernelfit.deep.training import checkpoint, engine, hardware
honest = checkpoint.save
def save_then_die(state, path):
    honest(state, path)
    if (state["epoch"], state["step"]) == (1, 3):
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save = save_then_die
import json
import os
run = recipe.Recipe.from_json(json.loads(sys.argv[2]))
source = sources.load_resident([run], torch.device("cpu"))
now = hardware.Hardware(device="cpu", checkpoint_seconds=0.0)
engine.Training([run], source, folder=Path(sys.argv[1]), hardware=now).run()
"""


def test_kill_9_inside_an_epoch(tmp_path):
    recipe = tiny(corruption="random-labels", dropout=0.2)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), json.dumps(recipe.to_json())], check=False
    )
    assert done.returncode == -9
    state = checkpoint.load(tmp_path / "checkpoint.pt", CPU)
    assert (state["epoch"], state["step"]) == (1, 3)
    resumed, _ = train(recipe, tmp_path)
    full, _ = train(recipe)
    assert_same_weights(weights(full), weights(resumed))


def test_a_finished_run_is_not_trained_again(tmp_path):
    recipe = tiny()
    first, (outcome,) = train(recipe, tmp_path)
    second, (again,) = train(recipe, tmp_path)
    assert again.history == outcome.history
    assert_same_weights(weights(first), weights(second))


def test_a_checkpoint_of_another_recipe_or_of_other_data_is_refused(tmp_path):
    recipe = tiny()
    train(recipe, tmp_path)
    with pytest.raises(DataError, match="another recipe"):
        train(dataclasses.replace(recipe, seed=1), tmp_path)
    source = load_resident([recipe], CPU)
    source.labels = (source.labels + 1) % 10
    with pytest.raises(DataError, match="other data"):
        Training([recipe], source, folder=tmp_path, hardware=Hardware(device="cpu")).run()
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match="cannot be read"):
        train(recipe, tmp_path)


def test_stacked_runs_equal_single_ones():
    recipes = [
        tiny(seed=0),
        tiny(seed=1, corruption="random-labels", weight_decay=0.004),
        tiny(seed=2, corruption="gaussian"),
        tiny(seed=3, corruption="shuffled-pixels"),
    ]
    stacked, outcomes = train(recipes)
    for r, recipe in enumerate(recipes):
        single, (alone,) = train(recipe)
        assert outcomes[r].final["loss"] == pytest.approx(alone.final["loss"], rel=1e-4)
        for one, other in zip(stacked.members[r].parameters(), single.members[0].parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_only_mlps_without_random_crops_are_stacked():
    source = load_resident([tiny("alexnet")] * 2, CPU)
    with pytest.raises(InputError, match="cannot be stacked"):
        Training([tiny("alexnet"), tiny("alexnet", seed=1)], source, hardware=Hardware(device="cpu"))
    with pytest.raises(InputError, match="cannot be stacked"):
        load_resident([tiny(crop=True, side=6), tiny(crop=True, side=6, seed=1)], CPU)
    recipes = [tiny(seed=s) for s in range(5)] + [tiny("alexnet"), tiny(n=100), tiny(plateau=2)]
    assert [len(group) for group in sweep.stacks(recipes, size=3)] == [3, 2, 1, 1, 1]


@pytest.mark.parametrize(
    "changes",
    [{"dropout": 0.2}, {"stop_when_fitted": True}, {"dataset": "imagenet"}, {"rates": (0.1, 0.01)}],
)
def test_runs_whose_numbers_would_depend_on_those_beside_them_are_not_stacked(tmp_path, changes):
    recipes = [tiny(seed=0, **changes), tiny(seed=1, **changes)]
    assert [len(group) for group in sweep.stacks(recipes)] == [1, 1]
    with pytest.raises(InputError, match="run them one by one"):
        sweep.train(recipes, tmp_path, hardware=Hardware(device="cpu"))


def test_a_run_that_is_resumed_in_another_precision_says_so(tmp_path):
    recipe = tiny(n=40, epochs=2)
    train(dataclasses.replace(recipe, epochs=1), tmp_path, precision="bf16")
    path = tmp_path / "checkpoint.pt"
    state = checkpoint.load(path, CPU)
    del state["format"]
    checkpoint.save(state | {"recipes": [recipe.to_json()], "status": "running"}, path)
    progress = Silent()
    training = Training(
        [recipe],
        load_resident([recipe], CPU),
        folder=tmp_path,
        hardware=Hardware(device="cpu"),
        progress=progress,
    )
    (outcome,) = training.run()
    assert any("trained in bf16 so far, from here in float32" in note for note in progress.notes)
    system = results.record(outcome, Hardware(device="cpu"))["system"]
    assert (system["precision"], system["device"]) == ("bf16 then float32", "cpu")
    # What only reads the finished run has no part in it; a checkpoint of older runs says nothing of precision.
    _, (outcome,) = train(recipe, tmp_path, precision="bf16")
    assert outcome.systems == training.systems
    state = checkpoint.load(path, CPU)
    del state["format"], state["systems"]
    checkpoint.save(state, path)
    _, (outcome,) = train(recipe, tmp_path)
    assert outcome.systems == []


def test_a_run_that_is_resumed_with_other_threads_says_so(tmp_path):
    recipe = tiny(n=40, epochs=2)
    train(dataclasses.replace(recipe, epochs=1), tmp_path)
    path = tmp_path / "checkpoint.pt"
    state = checkpoint.load(path, CPU)
    assert state["systems"][0]["threads"] == state["systems"][0]["processes"] == 1
    del state["format"]
    state["systems"][0]["threads"] = 3
    checkpoint.save(state | {"recipes": [recipe.to_json()], "status": "running"}, path)
    progress = Silent()
    source = load_resident([recipe], CPU)
    training = Training([recipe], source, folder=tmp_path, hardware=Hardware(device="cpu"), progress=progress)
    (outcome,) = training.run()
    assert any("trained with 3 threads so far, from here with 1" in note for note in progress.notes)
    assert [system["threads"] for system in outcome.systems] == [3, 1]


def test_the_network_of_a_finished_run_comes_from_its_checkpoint(tmp_path, monkeypatch):
    recipes = [tiny(n=40, epochs=1, seed=seed) for seed in range(3)]
    hardware, progress = Hardware(device="cpu"), Silent()
    (alone,), (member,) = sweep.train(recipes[:1], tmp_path, hardware=hardware)
    stacked, members = sweep.train(recipes[1:], tmp_path, hardware=hardware)
    before = {recipe.key: (tmp_path / recipe.key / "result.json").read_bytes() for recipe in recipes}
    later = Hardware(device="cpu", precision="bf16", evaluate_every=7)
    with monkeypatch.context() as patch:
        patch.setattr(Training, "_train_step", lambda *_: pytest.fail("trained again"))
        for recipe, outcome, trained in zip(recipes, [alone, *stacked], [member, *members], strict=True):
            found, network = sweep.network(recipe, tmp_path, hardware=later, progress=progress)
            assert found.history == outcome.history
            assert_same_weights(network.state_dict(), trained.state_dict())
    assert not any("trained again" in note for note in progress.notes)
    next(tmp_path.glob("stack-*/checkpoint.pt")).unlink()
    sweep.network(recipes[2], tmp_path, hardware=later, progress=progress)
    assert any("its network is trained again, the result stays" in note for note in progress.notes)
    assert before == {recipe.key: (tmp_path / recipe.key / "result.json").read_bytes() for recipe in recipes}


def test_weight_decay_is_the_gradient_of_half_the_squared_weights():
    plain, _ = train(tiny(epochs=1, n=32))
    decayed, _ = train(tiny(epochs=1, n=32, weight_decay=0.5))
    start = Training([tiny(n=32)], load_resident([tiny(n=32)], CPU), hardware=Hardware(device="cpu"))
    first, last = plain.members[0].linears[0], decayed.members[0].linears[0]
    expected = first.weight - 0.01 * 0.5 * start.members[0].linears[0].weight
    torch.testing.assert_close(last.weight, expected, rtol=1e-4, atol=1e-7)
    assert torch.equal(first.bias, last.bias)


def test_the_rate_falls_each_epoch():
    _, (outcome,) = train(tiny(epochs=4))
    assert [record["rate"] for record in outcome.history] == pytest.approx([0.01 * 0.95**k for k in range(4)])


def test_the_ladder_goes_on_after_a_diverged_rate(tmp_path):
    recipe = tiny(rates=(1e9, 0.01), epochs=2)
    progress = Silent()
    outcomes, _ = sweep.train([recipe], tmp_path, hardware=Hardware(device="cpu"), progress=progress)
    assert outcomes[0].rate == 0.01
    assert outcomes[0].status == "finished"
    assert any("diverged at rate 1e+09, trying 0.01" in note for note in progress.notes)
    stored = results.finished(recipe, tmp_path)
    assert stored["corrupted_test_error"] is None
    assert (stored["rung"], stored["rate"]) == (1, 0.01)


def test_a_rate_at_which_nothing_is_learned_counts_as_stuck():
    _, (outcome,) = train(tiny("alexnet", rates=(1e-9, 1e-8), epochs=5, ladder_patience=2, n=20, batch=10))
    assert outcome.status == "stuck"
    assert outcome.final["epoch"] == 2


def test_a_run_that_diverges_does_not_stop_those_beside_it():
    training = Training(
        [tiny(seed=0), tiny(seed=1)],
        load_resident([tiny(seed=0), tiny(seed=1)], CPU),
        hardware=Hardware(device="cpu"),
    )
    with torch.no_grad():
        training.model.weights[0][0].fill_(torch.inf)
    broken, fine = training.run()
    assert (broken.status, fine.status) == ("diverged", "finished")
    assert fine.final["epoch"] == 3
    assert np.isfinite(fine.final["train_loss"])


def test_a_run_that_diverges_in_a_stack_ends_where_it_ends_alone():
    recipes = [tiny(weight_decay=1e30), tiny()]
    _, (alone,) = train(recipes[0], evaluate_every=3)
    _, (broken, fine) = train(recipes, evaluate_every=3)
    assert (broken.status, fine.status) == ("diverged", "finished")
    assert broken.final["epoch"] == alone.final["epoch"] < fine.final["epoch"]
    assert broken.final["test_accuracy"] == alone.final["test_accuracy"]
    assert np.isfinite(fine.final["train_loss"])


def test_a_run_that_stops_early_is_evaluated(tmp_path):
    _, (outcome,) = train(tiny(rates=(1e-9,), plateau=2, epochs=30), evaluate_every=20)
    assert outcome.final["epoch"] == 3
    assert "train_accuracy" not in outcome.history[1]
    assert outcome.final["test_accuracy"] == outcome.final["best_test_accuracy"]


def test_a_run_ends_when_it_fits_however_often_it_is_evaluated():
    recipe = tiny(n=40, epochs=60, rates=(0.1,), rate_decay=1.0, stop_when_fitted=True)
    every, (often,) = train(recipe)
    seldom, (rarely,) = train(recipe, evaluate_every=50)
    assert often.status == rarely.status == "fitted"
    assert often.final["epoch"] == rarely.final["epoch"] < 50
    assert rarely.final["test_accuracy"] == often.final["test_accuracy"]
    assert not any("test_accuracy" in record for record in rarely.history[:-1])
    assert_same_weights(weights(every), weights(seldom))


def test_a_plateau_stops():
    _, (outcome,) = train(tiny(rates=(1e-9,), plateau=2, epochs=30))
    assert outcome.status == "plateau"
    assert outcome.final["epoch"] == 3
    exact = [{"loss": 0.0}] * 3  # no loss is better
    assert stopping.status_after(tiny(plateau=2, epochs=30), [exact], 10) == "plateau"


def test_converged_step_is_the_end_of_the_first_window_below_the_threshold():
    _, (outcome,) = train(tiny(threshold=1e9))
    assert outcome.converged_step == 5  # 150 rows in batches of 32: one window of 5 steps
    _, (outcome,) = train(tiny(threshold=0.0))
    assert outcome.converged_step is None


def test_a_sweep_runs_each_recipe_once(tmp_path, monkeypatch):
    recipes = [tiny(seed=0), tiny(seed=1), tiny(seed=0), tiny(corruption="random-labels")]
    first = sweep.run(recipes, tmp_path, hardware=Hardware(device="cpu"))
    assert len(first) == 3
    monkeypatch.setattr(sweep, "train", lambda *_, **__: pytest.fail("trained again"))
    progress = Silent()
    second = sweep.run(recipes, tmp_path, hardware=Hardware(device="cpu"), progress=progress)
    assert {key: value["loss"] for key, value in first.items()} == {k: v["loss"] for k, v in second.items()}
    assert progress.notes == [f"3 of 3 runs were finished before, in {tmp_path}"]
    (tmp_path / recipes[0].key / "result.json").write_text("{}")
    with pytest.raises(DataError, match="is not a result"):
        sweep.run(recipes, tmp_path, hardware=Hardware(device="cpu"))


def test_pixel_corruptions_act_on_the_crop_before_whitening():
    recipe = tiny(corruption="shuffled-pixels", side=6)
    shuffled = load_resident([recipe], CPU).train_inputs[0].flatten(1)
    true = load_resident([tiny(side=6)], CPU).train_inputs[0].flatten(1)
    assert shuffled.shape == (150, 36)
    torch.testing.assert_close(shuffled.sort(1).values, true.sort(1).values, rtol=1e-4, atol=1e-4)
    moved = [int((true[:, k, None] - shuffled).abs().sum(0).argmin()) for k in range(36)]
    assert moved != list(range(36))


def test_the_system_refuses_what_the_cpu_lacks(monkeypatch):
    for switch in ({"graph": True}, {"compile": True}, {"precision": "tf32"}):
        with pytest.raises(InputError, match="CUDA"):
            Hardware(device="cpu", **switch).resolve()
    with pytest.raises(InputError, match="precision: got"):
        Hardware(precision="fp8")
    with pytest.raises(InputError, match="evaluate_every: got 0"):
        Hardware(evaluate_every=0)
    with pytest.raises(InputError, match="evaluation_rows: got 0"):
        Hardware(evaluation_rows=0)
    with pytest.raises(InputError, match="checkpoint_seconds: got nan"):
        Hardware(checkpoint_seconds=float("nan"))
    with pytest.raises(InputError, match="device: got"):
        Hardware(device="abacus").resolve()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no CUDA device"):
        Hardware(device="cuda").resolve()


@pytest.mark.parametrize(
    "recipes",
    [
        [tiny(seed=0), tiny(seed=1, weight_decay=0.004)],
        [tiny("alexnet", n=64, batch=16, rates=(0.002,))],
        [tiny("inception", n=24, batch=8, epochs=2, rates=(0.01,))],
        [tiny("inception-no-bn", n=24, batch=8, epochs=2, rates=(0.01,))],
    ],
    ids=lambda recipes: recipes[0].model,
)
def test_bf16_rounds_and_stays_near_float32(recipes):
    exact, fine = train(recipes)
    rounded, coarse = train(recipes, precision="bf16")
    for one, other in zip(fine, coarse, strict=True):
        for record, near in zip(one.history, other.history, strict=True):
            assert near["loss"] == pytest.approx(record["loss"], rel=0.05)
    assert not torch.equal(next(exact.model.parameters()), next(rounded.model.parameters()))
    # Weights, momentum and losses stay float32.
    assert {value.dtype for value in rounded.model.parameters()} == {torch.float32}
    states = rounded.optimizer.state.values()
    assert {state["momentum_buffer"].dtype for state in states} == {torch.float32}
    assert rounded.losses.dtype == torch.float32


def test_emulated_bf16_is_noted(tmp_path, monkeypatch):
    for has, noted in (({"avx2": True}, True), ({"avx512_bf16": True}, False), (None, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", has and (lambda has=has: has), raising=False)
        progress = Silent()
        sweep.run(
            [tiny(epochs=1)],
            tmp_path / str(has),
            hardware=Hardware(device="cpu", precision="bf16"),
            progress=progress,
        )
        assert any("no bf16 instructions" in note for note in progress.notes) is noted
        assert Hardware(device="cpu").caution(CPU) is None


def test_runs_of_one_network_share_what_was_compiled_and_mlps_are_not_compiled(monkeypatch):
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    honest = torch.compile
    monkeypatch.setattr(Hardware, "resolve", lambda self: CPU)  # which refuses to compile on the CPU
    monkeypatch.setattr(torch, "compile", lambda model: honest(model, backend=counter, fullgraph=True))
    torch.compiler.reset()
    counts = []
    for seed, model in enumerate(["inception", "inception", "alexnet", "inception", "alexnet", "mlp-1x512"]):
        recipe = tiny(model, n=20, batch=8, epochs=2, seed=seed)
        train(recipe, compile=True)
        counts.append(counter.frame_count)
    assert counts == [1, 1, 2, 2, 2, 2]
    torch.compiler.reset()


def test_tensorboard_scalars(tmp_path):
    pytest.importorskip("tensorboard")
    train(tiny(epochs=1), tmp_path, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_runs_that_differ_in_their_labels_alone_share_their_inputs_on_the_device(monkeypatch):
    prepared = []
    honest = sources.prepare

    def watched(images, *arguments, **named):
        prepared.append(len(images))
        return honest(images, *arguments, **named)

    monkeypatch.setattr(sources, "prepare", watched)
    inputs = InputCache()
    recipes = [
        tiny("alexnet"),
        tiny("alexnet", corruption="random-labels", seed=1),
        tiny("alexnet", corruption="corrupt-labels", p=0.5),
        tiny("alexnet", corruption="shuffled-pixels"),
        tiny("alexnet", n=100),
    ]
    loaded = [load_resident([recipe], CPU, inputs=inputs) for recipe in recipes]
    assert prepared == [150, 60] * 2 + [100, 60]
    assert loaded[0].train_inputs[0] is loaded[1].train_inputs[0]
    assert len(inputs.pictures) == 2  # corrupted pixels are let go with their run
    for recipe, source in zip(recipes, loaded, strict=True):
        alone = load_resident([recipe], CPU)
        assert source.digest == alone.digest
        assert torch.equal(source.labels, alone.labels)
        assert torch.equal(source.train_inputs[0], alone.train_inputs[0])


def test_epoch_generators_differ_by_seed_epoch_and_purpose():
    keys = [(0, 0, "order"), (0, 1, "order"), (1, 0, "order"), (0, 0, "augmentation")]
    draws = {float(torch.rand(1, generator=sources.epoch_generator(*key))) for key in keys}
    assert len(draws) == 4
    one, same = (torch.rand(3, generator=sources.epoch_generator(5, 6, "order")) for _ in range(2))
    np.testing.assert_array_equal(one, same)


@pytest.mark.slow
def test_512_cifar_images_with_random_labels(cifar10_dir):
    recipe = default(
        "mlp-1x512", n=512, n_test=1000, epochs=60, corruption="random-labels", stop_when_fitted=True
    )
    training = Training(
        [recipe], load_resident([recipe], CPU, data_dir=cifar10_dir), hardware=Hardware(device="cpu")
    )
    assert training.run()[0].final["train_accuracy"] == 1.0
