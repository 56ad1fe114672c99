"""Which device is taken; whether a GPU is there is what the driver's files say."""

from __future__ import annotations

from functools import cache

import pytest

from kernelfit.device import choose
from kernelfit.device.host import HostDevice
from kernelfit.errors import DeviceError, InputError


class Opened(HostDevice):
    def __init__(self) -> None:
        super().__init__(1_000)
        self.name, self.slab.capacity = "cuda:0", 10**9


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """The two files of the driver, neither of which is there."""
    files = (tmp_path / "version", tmp_path / "nvidiactl")
    monkeypatch.setattr(choose, "_DRIVER_FILES", files)
    monkeypatch.setattr(choose, "had_driver", cache(choose.has_driver))
    monkeypatch.setattr(choose, "find_spec", lambda name: object())
    monkeypatch.setattr(choose, "CudaDevice", lambda index, memory: Opened())
    return files


@pytest.mark.parametrize("which", [0, 1])
def test_auto_sees_a_gpu_by_either_file_of_the_driver(driver, which):
    """A container shows /dev/nvidiactl, and often not /proc/driver."""
    notes = []
    assert choose.open_devices("auto", 10, notes.append) == ()
    assert choose.open_devices("auto", 10**5, notes.append) == ()
    assert notes == []
    driver[which].touch()  # as the first program that asks for a GPU does
    (opened,) = choose.open_devices("auto", 10**5, notes.append)
    assert isinstance(opened, Opened)
    assert opened.slab.used == 0
    assert notes == ["device auto: cuda:0 with 1,000,000,000 bytes free, as 100,000 rows pay for it"]


def test_auto_says_why_it_takes_the_cpu(driver, monkeypatch):
    driver[1].touch()
    notes = []
    assert choose.open_devices("auto", 100, notes.append) == ()
    assert notes == ["device auto: cpu, as 100 rows take less time than opening a GPU"]

    def lost(index, memory):
        raise DeviceError("device: cuda:0 failed")

    monkeypatch.setattr(choose, "CudaDevice", lost)
    with pytest.raises(DeviceError, match="failed"):
        choose.open_devices("cuda", 10, notes.append)
    assert choose.open_devices("auto", 10**5, notes.append) == ()
    assert notes[1] == "device auto: cpu, as the GPU cannot be used (device: cuda:0 failed)"
    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    assert choose.open_devices("auto", 10**5, notes.append) == ()
    assert notes[2].startswith("device auto: cpu; there is a GPU, but not CuPy")


def test_auto_takes_the_cpu_where_kernels_do_not_compile(driver, monkeypatch):
    """As without headers of CUDA, or for a GPU that is too old: it opens all the same."""
    driver[0].touch()
    notes, opened = [], Opened()

    def fails(stream, block):
        raise DeviceError("device: cuda:0 failed: panels.cu does not compile")

    monkeypatch.setattr(opened, "set_identity", fails)
    monkeypatch.setattr(choose, "CudaDevice", lambda index, memory: opened)
    assert choose.open_devices("auto", 10**5, notes.append) == ()
    assert notes == [
        "device auto: cpu, as the GPU cannot be used (device: cuda:0 failed: panels.cu does not compile)"
    ]
    assert opened._memory.size == 0
    assert choose.open_devices("cuda", 10**5, notes.append) == (opened,)


def test_several_gpus_may_be_named_with_blanks_between_them():
    """The message that refused 'cuda:0, cuda:1' named it as what is expected."""
    choose.check_device("cuda:0, cuda:1")
    assert choose._indices("cuda:0, cuda:1") == [0, 1]


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:0,cpu", "", "cuda:0,cuda:0"])
def test_what_is_no_device_is_refused(device):
    with pytest.raises(InputError, match=r"^device: got "):
        choose.check_device(device)
