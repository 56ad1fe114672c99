"""Sweeps over damaged and half-finished folders: a fault stops the runs that it concerns, and no others."""

import json

import pytest

torch = pytest.importorskip("torch")

from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training import checkpoint, results, sweep  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402
from kernelfit.errors import DataError, DeviceFullError  # noqa: E402
from kernelfit.progress import Silent  # noqa: E402

HARDWARE = Hardware(device="cpu")
SMALL = {"dataset": "digits", "side": 8, "n": 40, "n_test": 10, "batch": 16, "epochs": 1}


def mlp(seed, **changes):
    return default("mlp-1x512", seed=seed, **{**SMALL, **changes})


def begin(group, folder):
    """Leave the group after its first step, and return where its checkpoint lies."""
    before = set(folder.rglob("checkpoint.pt"))
    steps = sweep.training(group, folder, hardware=HARDWARE)
    next(steps)
    steps.close()
    (path,) = set(folder.rglob("checkpoint.pt")) - before
    return path


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "flipped": lambda content: (
        content[:4000] + bytes(255 - byte for byte in content[4000:4100]) + content[4100:]
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_stack_stops_its_own_runs_and_no_others(tmp_path, damage):
    stack, others = [mlp(0), mlp(1)], [mlp(2), default("alexnet", **SMALL)]
    path, progress = begin(stack, tmp_path), Silent()
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    found = sweep.run(others, tmp_path, hardware=HARDWARE, progress=progress)
    assert list(found) == [recipe.key for recipe in others]
    assert any(f"checkpoint: {path} cannot be read" in note for note in progress.notes)
    more = [*stack, mlp(3, batch=8)]
    with pytest.raises(
        DataError, match=r"checkpoint: .*stack-.* cannot be read \(.*\); delete it to start over"
    ):
        sweep.run(more, tmp_path, hardware=HARDWARE)
    assert results.finished(more[2], tmp_path) is not None
    path.unlink()
    assert len(sweep.run(more, tmp_path, hardware=HARDWARE)) == 3


def test_a_damaged_checkpoint_or_result_stops_its_own_run_and_no_others(tmp_path):
    first, second, third = (default("alexnet", seed=seed, **SMALL) for seed in range(3))
    path = begin([first], tmp_path)
    path.write_bytes(b"")
    result = tmp_path / second.key / "result.json"
    result.parent.mkdir()
    result.write_text("{")
    progress = Silent()
    with pytest.raises(DataError, match="is not a result of this program; delete it to run again"):
        sweep.run([first, second, third], tmp_path, hardware=HARDWARE, progress=progress)
    assert [note for note in progress.notes if note.endswith("; the other runs go on")] == [
        f"result: {result} is not a result of this program; delete it to run again; the other runs go on",
        f"checkpoint: {path} cannot be read (BadZipFile); delete it to start over; the other runs go on",
    ]
    assert results.finished(third, tmp_path) is not None
    (line,) = (tmp_path / "sweep.jsonl").read_text().splitlines()
    assert json.loads(line)["finished"] == [third.key]


def test_a_run_that_was_begun_alone_is_resumed_by_a_sweep_that_could_stack_it(tmp_path):
    begin([mlp(1)], tmp_path)
    progress = Silent()
    found = sweep.run([mlp(0), mlp(1)], tmp_path, hardware=HARDWARE, progress=progress)
    assert f"resumed {mlp(1).key} at epoch 0, step 1" in progress.notes
    assert len(found) == 2


def test_a_run_of_a_stack_that_is_trained_alone_says_that_it_begins_at_its_start(tmp_path):
    begin([mlp(0), mlp(1)], tmp_path)
    progress = Silent()
    sweep.train([mlp(0)], tmp_path, hardware=HARDWARE, progress=progress)
    assert any("was begun in a stack in" in note and "begins at its start" in note for note in progress.notes)
    again = Silent()
    sweep.network(mlp(0), tmp_path, hardware=HARDWARE, progress=again)
    assert not any("in a stack" in note for note in again.notes)


def test_the_network_of_a_run_does_not_need_the_stacks_of_others(tmp_path):
    (outcome,), _ = sweep.train([mlp(0)], tmp_path, hardware=HARDWARE)
    path = begin([mlp(1), mlp(2)], tmp_path)
    path.write_bytes(b"")
    assert sweep.network(mlp(0), tmp_path, hardware=HARDWARE)[0].history == outcome.history


def test_damaged_lines_of_earlier_calls_stay_and_are_named(tmp_path):
    path = tmp_path / "sweep.jsonl"
    path.write_bytes(b'{"seconds": 5.0}\n{"seco\xff\n{"seconds": 7.0}\n')
    sweep.run([mlp(0)], tmp_path, hardware=HARDWARE)
    lines = path.read_bytes().splitlines()
    assert lines[:3] == [b'{"seconds": 5.0}', b'{"seco\xff', b'{"seconds": 7.0}']
    assert json.loads(lines[3])["finished"] == [mlp(0).key]
    with pytest.raises(DataError, match=r"sweep\.jsonl: a line has no seconds, it is damaged; remove it"):
        sweep.seconds_so_far(tmp_path)


def test_a_checkpoint_for_which_there_is_no_memory_is_not_to_be_deleted(tmp_path, monkeypatch):
    path = begin([mlp(0)], tmp_path)

    def full(*_, **__):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has others")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        checkpoint.load(path, torch.device("cpu"))
    with pytest.raises(DeviceFullError) as raised:
        sweep.run([mlp(0)], tmp_path, hardware=HARDWARE)
    assert str(raised.value) == (
        "device: cpu has no memory left (CUDA out of memory. Tried to allocate 2 GiB); take fewer runs at once, "
        "smaller stacks or a smaller batch"
    )
