"""Freed blocks that stay with the process: no page of the next block is mapped anew."""

import platform
import subprocess
import sys

import pytest

from kernelfit.cpu import freed_blocks

# In a process of its own: what is asked of the C library cannot be taken back.
FAULTS = """
import ctypes, resource
from kernelfit.cpu import freed_blocks
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = library.malloc(size)
    ctypes.memset(block, 1, size)
    library.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
size = 96 << 20
outside = [faults(size), faults(size)]
with freed_blocks.kept() as asked:
    inside = [faults(size), faults(size)]
    held = int(open("/proc/self/statm").read().split()[1])
left = int(open("/proc/self/statm").read().split()[1])
print(asked, min(outside), inside[1], (held - left) * resource.getpagesize())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_the_next_block_is_the_freed_one_and_goes_back_at_the_end():
    out = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    asked, outside, inside, returned = out.stdout.split()
    assert asked == "True"
    assert int(outside) > 50, "no block was mapped: this tells nothing"  # of 2 MiB pages, where those are on
    assert int(inside) < 10
    assert int(returned) > 90 << 20


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(freed_blocks.ctypes, "CDLL", lambda name: object())
    with freed_blocks.kept() as asked:
        assert not asked
