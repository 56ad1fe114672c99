"""Trainings that take turns: the same results as one by one, and an end in time."""

import json
import sys
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training import results, sweep  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402
from kernelfit.deep.training.turns import finish, take_turns  # noqa: E402
from kernelfit.errors import DataError, InputError, StorageError  # noqa: E402
from kernelfit.progress import Silent  # noqa: E402

CPU = torch.device("cpu")
LENGTHS = {"train": 12, "test": 6}
SMALL = {"dataset": "digits", "side": 8, "n": 60, "n_test": 20, "batch": 16, "epochs": 2}


def job(name, steps, log, closed=None):
    def begin():
        try:
            for step in range(steps):
                log.append((name, step))
                yield
        except GeneratorExit:
            closed.append(name)
            raise
        return name

    return begin


def test_steps_take_turns_and_a_free_slot_is_filled():
    log = []
    jobs = [job("a", 2, log), job("b", 1, log), job("c", 2, log)]
    assert list(take_turns(jobs, CPU, at_once=2)) == ["b", "a", "c"]
    assert log == [("a", 0), ("b", 0), ("a", 1), ("c", 0), ("c", 1)]
    assert finish(job("d", 3, log)()) == "d"


def test_a_stack_that_was_begun_is_resumed_whatever_runs_the_sweep_has_got_since(tmp_path):
    first, second, third = (default("mlp-1x512", seed=seed, **SMALL) for seed in (0, 1, 2))
    alone = sweep.run([first, second, third], tmp_path / "alone", stack=1)
    steps = sweep.training([first, third], tmp_path / "runs", hardware=Hardware(device="cpu"))
    next(steps)
    steps.close()
    progress = Silent()
    found = sweep.run([first, second, third], tmp_path / "runs", stack=3, progress=progress)
    assert any(note == f"resumed {first.key} at epoch 0, step 1" for note in progress.notes)
    assert list(found) == [first.key, third.key, second.key]
    for key, result in alone.items():
        assert found[key]["loss"] == pytest.approx(result["loss"], rel=1e-4)


def test_a_result_that_a_stack_had_no_time_to_write_is_that_of_its_checkpoint(tmp_path, monkeypatch):
    group = [default("mlp-1x512", seed=seed, **SMALL) for seed in (0, 1)]
    full = sweep.run(group, tmp_path)
    (tmp_path / group[1].key / "result.json").unlink()
    monkeypatch.setattr(sweep.Training, "_train_step", None)  # nothing is trained again
    found = sweep.run(group, tmp_path)
    assert {key: comparable(result) for key, result in found.items()} == {
        key: comparable(result) for key, result in full.items()
    }
    last = json.loads((tmp_path / "sweep.jsonl").read_text().splitlines()[-1])
    assert last["finished"] == [group[1].key]


def test_at_the_deadline_what_runs_is_closed_and_nothing_is_begun():
    log, closed = [], []

    def slow():
        for _ in range(100):
            time.sleep(0.02)
            yield

    jobs = [slow, job("b", 10_000_000, log, closed), job("c", 1, log, closed)]
    found = list(take_turns(jobs, CPU, at_once=2, deadline=time.monotonic() + 0.1))
    assert found == []
    assert closed == ["b"]
    assert ("c", 0) not in log


def test_a_failure_closes_the_others():
    closed = []

    def broken():
        yield
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(take_turns([job("a", 9, [], closed), broken], CPU, at_once=2))
    assert closed == ["a"]


def test_a_job_that_cannot_be_closed_does_not_leave_the_others_open():
    closed = []

    def unsaved():
        try:
            while True:
                yield
        finally:
            raise StorageError("no room")

    def failing():
        yield
        raise ZeroDivisionError

    jobs = [job("a", 9, [], closed), unsaved, job("b", 9, [], closed), failing]
    with pytest.raises(StorageError, match="no room"):
        list(take_turns(jobs, CPU, at_once=4))
    assert sorted(closed) == ["a", "b"]


def recipes():
    return [
        default("alexnet", **SMALL, crop=False, seed=1),
        default("mlp-1x512", **SMALL),
        default("mlp-1x512", **SMALL, corruption="random-labels"),
        default("inception-no-bn", **{**SMALL, "n": 32, "rates": (1e9, 0.01)}),
        default("alexnet", **{**SMALL, "side": 6}, crop=True, weight_decay=True),
    ]


def comparable(result):
    """What must not depend on how runs were scheduled."""
    history = [{k: v for k, v in record.items() if k != "seconds"} for record in result["history"]]
    return result["status"], result["rate"], history


def weights(folder):
    found = {}
    for path in sorted(folder.rglob("checkpoint.pt")):
        state = torch.load(path, weights_only=True)["model"]
        found[str(path.parent.relative_to(folder))] = state
    return found


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert one[key].keys() == other[key].keys()
        for name in one[key]:  # the first rate of the ladder ends in NaN
            torch.testing.assert_close(one[key][name], other[key][name], rtol=0, atol=0, equal_nan=True)


def test_runs_at_once_are_bit_for_bit_those_one_by_one(tmp_path):
    alone = sweep.run(recipes(), tmp_path / "alone", hardware=Hardware(device="cpu"))
    beside = sweep.run(recipes(), tmp_path / "beside", hardware=Hardware(device="cpu"), at_once=3)
    assert {k: comparable(v) for k, v in alone.items()} == {k: comparable(v) for k, v in beside.items()}
    assert_same(weights(tmp_path / "alone"), weights(tmp_path / "beside"))


def test_a_sweep_that_ran_out_of_time_resumes(tmp_path, monkeypatch):
    full = sweep.run(recipes(), tmp_path / "full", hardware=Hardware(device="cpu"))
    progress = Silent()
    # Time runs out after a few turns, again and again.
    clock = {"now": 0.0}
    honest = time.monotonic
    monkeypatch.setattr("kernelfit.deep.training.turns.time.monotonic", lambda: honest() + clock["now"])
    part, calls = {}, 0
    while len(part) < len(full) and calls < 200:
        calls += 1
        turns = iter(range(4))

        def tick(self, *, now=False, turns=turns, real=sweep.Training._save):
            if next(turns, None) is None:
                clock["now"] += 1e6
            return real(self, now=now)

        with monkeypatch.context() as patch:
            patch.setattr(sweep.Training, "_save", tick)
            part = sweep.run(
                recipes(),
                tmp_path / "part",
                hardware=Hardware(device="cpu"),
                at_once=2,
                minutes=1,
                progress=progress,
            )
    assert calls > 2
    assert {k: comparable(v) for k, v in full.items()} == {k: comparable(v) for k, v in part.items()}
    assert_same(weights(tmp_path / "full"), weights(tmp_path / "part"))
    lines = [json.loads(line) for line in (tmp_path / "part" / "sweep.jsonl").read_text().splitlines()]
    assert len(lines) == calls
    assert sorted(key for line in lines for key in line["finished"]) == sorted(full)
    assert sweep.seconds_so_far(tmp_path / "part") == pytest.approx(sum(line["seconds"] for line in lines))


def test_gpus_are_asked_for_once(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(results, "gpus", lambda: asked.append(1) or [{"name": "made"}])
    results._gpus.cache_clear()
    found = sweep.run(recipes()[:3], tmp_path, hardware=Hardware(device="cpu"), stack=1)
    results._gpus.cache_clear()
    assert asked == [1]
    assert all(result["machine"]["gpu"] == [{"name": "made"}] for result in found.values())
    stored = [results.finished(recipe, tmp_path) for recipe in recipes()[:3]]
    assert stored == list(found.values())


def test_the_epochs_so_far_of_a_run_that_is_not_finished(tmp_path):
    recipe = default("alexnet", **SMALL)
    sweep.run([recipe], tmp_path, hardware=Hardware(device="cpu"))
    (tmp_path / recipe.key / "result.json").unlink()
    assert [record["epoch"] for record in results.history_so_far(recipe, tmp_path)] == [1, 2]
    assert results.history_so_far(default("mlp-1x512", **SMALL), tmp_path) == []


def test_half_a_line_does_not_hide_the_calls_after_it(tmp_path):
    path = tmp_path / "sweep.jsonl"
    path.write_text('{"seconds": 5.0, "finished": []}\n{"seconds": 7')
    sweep.run([default("mlp-1x512", **SMALL)], str(tmp_path), hardware=Hardware(device="cpu"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [lines[0]["seconds"], len(lines)] == [5.0, 2]


def test_refusals(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="at_once: got 0"):
        sweep.run(recipes(), tmp_path, at_once=0)
    with pytest.raises(InputError, match="minutes: got 0"):
        sweep.run(recipes(), tmp_path, minutes=0)
    with pytest.raises(InputError, match="minutes: got nan"):
        sweep.run(recipes(), tmp_path, minutes=float("nan"))
    with pytest.raises(InputError, match="stack: got 0"):
        sweep.run(recipes(), tmp_path, stack=0)
    with pytest.raises(InputError, match="recipes: got none"):
        sweep.train([], tmp_path, hardware=Hardware(device="cpu"))
    with pytest.raises(InputError, match="with dropout draw from one generator"):
        sweep.run([default("alexnet", **SMALL, dropout=0.5)], tmp_path, at_once=2)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="would stop at different steps"):
        sweep.run(recipes(), tmp_path, minutes=1.0)


NETS = """
import torch
from torch import nn

def plain(shape, n_classes, p=0.0):
    height, width, channels = shape
    flat = height * width * channels
    return nn.Sequential(
        nn.Flatten(), nn.Linear(flat, 4), nn.BatchNorm1d(4), nn.Dropout(p), nn.Linear(4, n_classes))

def narrow():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

def dropping(shape, n_classes):
    return plain(shape, n_classes, 0.3)

class Noisy(nn.Module):
    def __init__(self, shape, n_classes):
        super().__init__()
        self.net = plain(shape, n_classes)
    def forward(self, x):
        return self.net(x + torch.randn_like(x) if self.training else x)
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A module `turnnets` that Python finds."""
    (tmp_path / "turnnets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("turnnets", None)


@pytest.mark.parametrize("name", ["dropping", "Noisy"])
def test_networks_of_ones_own_that_draw_do_not_train_side_by_side(tmp_path, nets, name):
    recipes = [default(f"turnnets:{name}", **SMALL, seed=seed) for seed in (0, 1)]
    with pytest.raises(InputError, match=f"at_once: turnnets:{name} takes random numbers while it trains"):
        sweep.run(recipes, tmp_path / "runs", hardware=Hardware(device="cpu"), at_once=2)
    plain = [default("turnnets:plain", **SMALL, seed=seed) for seed in (0, 1)]
    beside = sweep.run(plain, tmp_path / "beside", hardware=Hardware(device="cpu"), at_once=2)
    alone = sweep.run(plain, tmp_path / "alone", hardware=Hardware(device="cpu"))
    assert {k: comparable(v) for k, v in alone.items()} == {k: comparable(v) for k, v in beside.items()}


def test_networks_that_cannot_be_made_are_refused_before_anything_is_trained(tmp_path, nets, monkeypatch):
    monkeypatch.setattr(sweep, "training", lambda *_, **__: pytest.fail("trained"))
    fine = default("mlp-1x512", **SMALL)
    for broken, message in (
        (default("turnnets:narrow", **SMALL), r"narrow gives \(2, 3\) for 2 images, expected .* \(2, 10\)"),
        (
            default("inception", **SMALL | {"side": 2, "n": 17}),
            "n: got 17 rows in batches of 16, of which one",
        ),
        (default("inception-v3", **SMALL), "inception-v3 got images of 8 x 8 x 1, expected three channels"),
        (
            default("inception-v3", side=224),
            "inception-v3 got images of 224 x 224 x 3, .* at least 299 x 299",
        ),
    ):
        with pytest.raises(InputError, match=message):
            sweep.run([fine, broken], tmp_path, hardware=Hardware(device="cpu"), data_dir=tmp_path)


def test_a_finished_run_belongs_to_the_data_that_the_file_held(tmp_path, monkeypatch):
    path, hardware = tmp_path / "mine.npz", Hardware(device="cpu")
    parts = {
        f"X_{part}": np.arange(16 * n, dtype=np.uint8).reshape(n, 4, 4, 1) for part, n in LENGTHS.items()
    }
    parts |= {f"y_{part}": np.arange(n) % 2 for part, n in LENGTHS.items()}
    np.savez(path, **parts)
    recipes = [default("mlp-1x512", dataset=str(path), side=4, epochs=1, seed=seed) for seed in (0, 1)]
    first = sweep.run(recipes, tmp_path / "runs", hardware=hardware)
    assert len({result["data_digest"] for result in first.values()}) == 1  # whatever was stacked with what
    assert sweep.run(recipes, tmp_path / "runs", hardware=hardware) == first
    parts["X_test"][1, 2, 3] += 1
    np.savez(path, **parts)
    message = "mlp-1x512-true-seed0-.* was trained on other data than .*mine.npz holds now; restore that data"
    with pytest.raises(DataError, match=message):
        sweep.run(recipes, tmp_path / "runs", hardware=hardware)
    with pytest.raises(DataError, match=message):
        sweep.network(recipes[0], tmp_path / "runs", hardware=hardware)
    target = tmp_path / "runs" / recipes[0].key / "result.json"
    stored = json.loads(target.read_text())
    del stored["data_digest"]  # as older results lack it
    target.write_text(json.dumps(stored))
    assert sweep.run(recipes[:1], tmp_path / "runs", hardware=hardware) == {recipes[0].key: stored}
    for recipe in recipes:
        (tmp_path / "runs" / recipe.key / "result.json").unlink()
    with pytest.raises(DataError, match="was trained on other data than is loaded now"):
        sweep.run(recipes, tmp_path / "runs", hardware=hardware)


def test_of_several_processes_the_first_writes_what_a_call_took(tmp_path, monkeypatch):
    recipe, progress = default("mlp-1x512", **{**SMALL, "n": 20, "epochs": 1}), Silent()
    monkeypatch.setenv("RANK", "1")
    sweep.run([recipe], tmp_path, hardware=Hardware(device="cpu"), progress=progress)
    sweep.run([recipe], tmp_path, hardware=Hardware(device="cpu"), progress=progress)
    assert not (tmp_path / "sweep.jsonl").exists()
    assert progress.notes == []


def test_results_of_another_precision_are_not_taken_in_silence(tmp_path):
    recipe = default("mlp-1x512", **SMALL)
    sweep.run([recipe], tmp_path, hardware=Hardware(device="cpu"))
    path = tmp_path / recipe.key / "result.json"
    stored = json.loads(path.read_text())
    assert stored["system"]["precision"] == "float32"
    stored["system"]["precision"] = "bf16"
    path.write_text(json.dumps(stored))
    progress = Silent()
    sweep.run([recipe], tmp_path, hardware=Hardware(device="cpu"), progress=progress)
    assert any("trained in bf16, not in float32" in note for note in progress.notes)
