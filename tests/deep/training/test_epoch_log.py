"""The log of a run and its TensorBoard scalars."""

import errno
import os

import pytest

pytest.importorskip("torch")

from kernelfit.deep.training import epoch_log
from kernelfit.deep.training.epoch_log import EpochLog
from kernelfit.errors import StorageError


def record(epoch):
    return {"epoch": epoch, "loss": 1.0 / epoch}


@pytest.mark.parametrize("stored", [0, 1])
def test_tensorboard_has_every_epoch_once_after_a_kill(tmp_path, stored):
    """Epochs after the last checkpoint are trained again; with none stored, all of them."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    killed = EpochLog(tmp_path, [], tensorboard=True)
    for epoch in (1, 2, 3):
        killed.write(record(epoch))
    history = [record(epoch) for epoch in range(1, stored + 1)]
    resumed = EpochLog(tmp_path, history, tensorboard=True)
    for epoch in range(stored + 1, 5):
        resumed.write(record(epoch))
    resumed.close()
    killed.scalars.close()
    (events,) = (tmp_path / "tensorboard").glob("events*")
    accumulator = EventAccumulator(str(events))
    accumulator.Reload()
    assert [event.step for event in accumulator.Scalars("loss")] == [1, 2, 3, 4]
    assert [line["epoch"] for line in epoch_log.read(tmp_path / "log.jsonl")] == [1, 2, 3, 4]


def test_a_full_disk_is_one_line_and_leaves_no_half_line(tmp_path, monkeypatch):
    log = EpochLog(tmp_path, [record(1)])
    honest, written = os.write, []

    def full(descriptor, data):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(honest(descriptor, data[:5]))
        return 5

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match=r"log\.jsonl: cannot write: No space left on device; free space"):
        log.write(record(2))
    monkeypatch.undo()
    assert (tmp_path / "log.jsonl").read_bytes().count(b"\n") == 1
    log.write(record(2))
    assert [line["epoch"] for line in epoch_log.read(tmp_path / "log.jsonl")] == [1, 2]


@pytest.mark.parametrize("rest", [b'{"epoch": 2', b'{"epoch": 22}', b"\xff\n", b"3\n", b"[" * 10_000 + b"\n"])
def test_what_a_kill_leaves_of_the_last_line_is_left_out(tmp_path, rest):
    """A line without its end is cut short even where it reads as JSON."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"epoch": 1}\n' + rest)
    assert epoch_log.read(path) == [{"epoch": 1}]


def test_a_log_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(StorageError, match=r"log\.jsonl: cannot read: Is a directory"):
        epoch_log.read(tmp_path / "log.jsonl")


def test_tensorboard_is_not_begun_where_there_is_no_room(tmp_path, monkeypatch):
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    honest = epoch_log.atomic.write_bytes

    def full(path, data):
        if len(data) >= epoch_log.ROOM:
            raise StorageError(f"{path}: cannot write: No space left on device; free space")
        honest(path, data)

    monkeypatch.setattr(epoch_log.atomic, "write_bytes", full)
    monkeypatch.setattr(tensorboard, "SummaryWriter", lambda *_: pytest.fail("begun"))
    with pytest.raises(StorageError, match="No space left"):
        EpochLog(tmp_path, [], tensorboard=True)
    monkeypatch.setattr(epoch_log.atomic, "write_bytes", honest)
    (tmp_path / "tensorboard").rmdir()
    (tmp_path / "tensorboard").write_text("a file")
    with pytest.raises(StorageError, match="tensorboard: cannot write: File exists"):
        EpochLog(tmp_path, [], tensorboard=True)
