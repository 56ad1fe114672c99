"""Freed blocks that stay with the process: no page of the next block is mapped anew."""

import os
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


SOME = """
import resource, sys
import numpy as np
from kernelfit.cpu.freed_blocks import keep_some

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.ones(2**18) for _ in range(4)]
    blocks.clear()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = [faults() for _ in range(3)][-1]
keep_some()
print(first, [faults() for _ in range(3)][-1])
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators keep what they like")
def test_some_are_kept_for_solves():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", SOME], check=True, capture_output=True, text=True, env=environment
    )
    before, after = map(int, done.stdout.split())
    assert after < 100 < 1_000 < before
