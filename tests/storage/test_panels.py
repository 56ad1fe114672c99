"""Panels in memory and on disk: what is written is what is streamed, in any order, from any row."""

from __future__ import annotations

import errno
import os

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelfit.errors import StorageError
from kernelfit.gram.layout import PanelLayout
from kernelfit.storage import panel_file
from kernelfit.storage.disk import DiskPanels
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.panels import RamPanels
from kernelfit.storage.write_behind import WriteBehind

both_tiers = pytest.mark.parametrize("tier", ["ram", "disk"])
LAYOUTS = [(1, 1), (19, 5), (19, 19), (111, 37), (2600, 300)]


def put(store, matrix):
    layout = store.layout
    for j in range(layout.count):
        panel = store.begin(j)
        assert panel.shape == layout.shape(j)
        panel[...] = matrix[layout.start(j) :, layout.start(j) : layout.stop(j)]
        for strip in layout.strips(layout.start(j)):
            store.settle(j, strip)
        store.finish(j)
    store.flush()


def rows_streamed(store, panels, first_row):
    """(k, rows from the first asked for on) of every panel, put together from its pieces."""
    found = []
    for batch in store.stream(panels, first_row):
        for piece in batch:
            if piece.begins:
                found.append((piece.k, piece.first, [np.array(piece.top)]))
            assert found[-1][0] == piece.k
            assert piece.start == found[-1][1] + sum(map(len, found[-1][2]))
            found[-1][2].append(np.array(piece.below))
    return [(k, first, np.concatenate(parts)) for k, first, parts in found]


@both_tiers
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "width"), LAYOUTS)
def test_what_is_written_is_what_is_streamed(rng, make_store, tier, dtype, n, width):
    layout = PanelLayout(n, width)
    matrix = rng.standard_normal((n, n)).astype(dtype)
    store = make_store(tier, layout, dtype)
    assert store.tier == tier
    put(store, matrix)
    orders = [range(layout.count), list(reversed(range(layout.count))), [0], []]
    for order in orders:
        for first_row in {0, width, (layout.count - 1) * width}:
            found = rows_streamed(store, order, first_row)
            assert [k for k, _, _ in found] == list(order)
            for k, first, rows in found:
                assert first == max(first_row, layout.start(k))
                assert np.array_equal(rows, matrix[first:, layout.start(k) : layout.stop(k)])
    for j in range(layout.count):
        inside = slice(layout.start(j), layout.stop(j))
        assert np.array_equal(store.diagonal(j), np.diagonal(matrix[inside, inside]))


@both_tiers
def test_earlier_panels_are_streamed_while_a_later_one_is_built(rng, make_store, tier):
    layout = PanelLayout(111, 20)
    matrix = rng.standard_normal((111, 111))
    store = make_store(tier, layout)
    for j in range(layout.count):
        panel = store.begin(j)
        panel[...] = matrix[layout.start(j) :, layout.start(j) : layout.stop(j)]
        for k, first, rows in rows_streamed(store, range(j), layout.start(j)):
            assert np.array_equal(rows, matrix[first:, layout.start(k) : layout.stop(k)])
        assert np.array_equal(panel, matrix[layout.start(j) :, layout.start(j) : layout.stop(j)])
        store.settle(j, (layout.start(j), layout.n))
        store.finish(j)


@both_tiers
def test_a_stream_may_be_left_early_and_started_again(rng, make_store, tier):
    layout = PanelLayout(2600, 300)
    matrix = rng.standard_normal((2600, 2600), dtype=np.float32)
    store = make_store(tier, layout, np.float32)
    put(store, matrix)
    for _ in range(5):
        stream = store.stream(range(layout.count))
        next(stream)
        stream.close()
    for k, first, rows in rows_streamed(store, range(layout.count), 0):
        assert np.array_equal(rows, matrix[first:, layout.start(k) : layout.stop(k)])


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 4000),
    st.integers(64, 1500),
    st.integers(1024, 5000),
    st.data(),
)
def test_any_number_of_rows_at_once(tmp_path_factory, n, width, rows_at_once, data):
    layout = PanelLayout(n, min(width, n))
    panels = data.draw(st.lists(st.integers(0, layout.count - 1), min_size=1, max_size=3))
    first_row = layout.start(data.draw(st.integers(0, layout.count - 1)))
    path = tmp_path_factory.mktemp("panels") / "factor.h5"
    file = PanelFile.create(path, layout, np.float32)
    store = DiskPanels(file, rows_at_once, WriteBehind(file))
    try:
        columns = np.arange(n, dtype=np.float32)
        for j in range(layout.count):
            store.begin(j)[...] = 0.25 * columns[layout.start(j) :, None] + j
            store.settle(j, (layout.start(j), n))
            store.finish(j)
        store.flush()
        for k, first, rows in rows_streamed(store, panels, first_row):
            assert len(rows) == n - first
            assert (rows == 0.25 * columns[first:, None] + k).all()
    finally:
        store.close()
        path.unlink()


def test_the_file_opens_with_h5py(rng, make_store, tmp_path):
    layout = PanelLayout(111, 37)
    matrix = rng.standard_normal((111, 111))
    store = make_store("disk", layout)
    put(store, matrix)
    store.close()
    with h5py.File(tmp_path / "factor-0.h5") as file:
        assert dict(file["panels"].attrs) == {"n": 111, "width": 37}
        assert sorted(file["panels"]) == ["00000", "00001", "00002"]
        for j in range(layout.count):
            rows = file[f"panels/{j:05d}"][()]
            assert np.array_equal(rows, matrix[layout.start(j) :, layout.start(j) : layout.stop(j)])


def test_blocks_are_reserved_and_aligned(tmp_path):
    layout = PanelLayout(500, 100)
    file = PanelFile.create(tmp_path / "factor.h5", layout, np.float64)
    assert all(offset % 4096 == 0 for offset in file.offsets)
    assert (tmp_path / "factor.h5").stat().st_blocks * 512 >= layout.elements * 8
    file.close()


def test_bytes_moved_are_counted(rng, make_store):
    layout = PanelLayout(111, 20)
    store = make_store("disk", layout)
    put(store, rng.standard_normal((111, 111)))
    assert store.bytes_written == layout.elements * 8
    before = store.bytes_read
    rows_streamed(store, range(layout.count), 0)
    assert store.bytes_read - before == layout.elements * 8
    memory = RamPanels(layout, np.float64)
    put(memory, rng.standard_normal((111, 111)))
    assert memory.bytes_read == memory.bytes_written == 0


def test_a_truncated_file_is_an_error_and_no_hang(rng, make_store, tmp_path):
    layout = PanelLayout(300, 64)
    store = make_store("disk", layout)
    put(store, rng.standard_normal((300, 300)))
    path = tmp_path / "factor-0.h5"
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(
        StorageError, match=r"factor-0\.h5: ended at byte \d+, \d+ more expected; truncated\?$"
    ):
        rows_streamed(store, range(layout.count), 0)


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(StorageError) as caught:
        PanelFile.create(tmp_path / "missing" / "factor.h5", PanelLayout(3, 1), np.float64)
    assert "missing/factor.h5" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stream_that_outlives_its_store_ends_quietly(rng, make_store):
    store = make_store("disk", PanelLayout(111, 37))
    put(store, rng.standard_normal((111, 111)))
    stream = store.stream(range(3))
    next(stream)
    store.close()
    stream.close()


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_blocks_are_written_where_the_file_system_cannot_reserve_them(tmp_path, monkeypatch, number):
    """glibc does so itself, musl answers with an error."""

    def refused(descriptor, start, size):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refused)
    file = PanelFile.create(tmp_path / "factor.h5", PanelLayout(111, 37), np.float64)
    about = os.stat(tmp_path / "factor.h5")
    assert about.st_blocks * 512 >= about.st_size > 8 * 111 * 37
    file.close()


def test_a_file_without_a_name_has_none_while_its_blocks_are_reserved(tmp_path, monkeypatch):
    """A kill meanwhile left a file as large as the factor in the folder for scratch."""
    there = []
    monkeypatch.setattr(panel_file, "reserve_blocks", lambda *_: there.extend(tmp_path.iterdir()))
    PanelFile.create(tmp_path / "factor.h5", PanelLayout(10, 4), np.float64, named=False).close()
    assert not there
    assert not list(tmp_path.iterdir())
