"""The log of a run and its TensorBoard scalars."""

import errno

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


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    log = EpochLog(tmp_path, [record(1)])

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(epoch_log, "open", full, raising=False)
    with pytest.raises(StorageError, match=r"log\.jsonl: cannot write: No space left on device; free space"):
        log.write(record(2))
    assert [line["epoch"] for line in epoch_log.read(tmp_path / "log.jsonl")] == [1]


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
