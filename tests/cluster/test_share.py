"""Shares of a factor, as workers would use them one after another, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelfit.cluster.arithmetic import Arithmetic, Part
from kernelfit.cluster.deal import AHEAD, Deal
from kernelfit.cluster.device_arithmetic import DeviceArithmetic
from kernelfit.cluster.device_costs import columns_of, fixed_bytes, row_bytes
from kernelfit.cluster.host_arithmetic import HostArithmetic
from kernelfit.cluster.sent_gram import SentGram, ShareLost
from kernelfit.cluster.share import Share
from kernelfit.cluster.tiles import DiskTiles, RamTiles
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.gram import gram_row_bytes
from kernelfit.device.host import HostDevice
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.kernels import Laplacian
from kernelfit.linalg.cholesky import factor
from kernelfit.linalg.leave_one_out import inverse_diagonal
from kernelfit.linalg.triangular import solve_factored
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.panels import RamPanels

SHAPES = [(1, 1), (50, 50), (131, 32), (257, 64)]


def gram(rng: np.random.Generator, n: int) -> KernelGram:
    return KernelGram(Laplacian(gamma=0.2), Points(rng.standard_normal((n, 3))))


@pytest.fixture
def backend() -> Iterator[CpuBackend]:
    with CpuBackend(1) as backend:
        yield backend


def panels_of(source: KernelGram, layout: PanelLayout, backend: CpuBackend) -> RamPanels:
    store = RamPanels(layout, np.float64)
    factor(source, 0.5, store, backend)
    return store


def shares_of(
    source: KernelGram, deal: Deal, tmp_path: Path | None = None, gpu: float | None = None
) -> list[Share]:
    """With `gpu` each on a stand-in for a device, which has room for such a part of its blocks."""

    def tiles(p: int) -> RamTiles | DiskTiles:
        if tmp_path is None:
            return RamTiles(deal, np.dtype(np.float64))
        file = PanelFile.create(tmp_path / f"{p}.h5", deal.layout, np.float64, named=False, reserved=False)
        return DiskTiles(deal, file, shared=False)

    def arithmetic(p: int) -> Arithmetic:
        part = Part(deal, p, source, 0.5, CpuBackend(1))
        if gpu is None:
            return HostArithmetic(part, tiles(p))
        capacity = fixed_bytes(deal.layout, 8, gram_row_bytes(source), columns_of(1))
        capacity += int(gpu * sum(row_bytes(deal, i, 8) for i in deal.rows(p)))
        return DeviceArithmetic(part, HostDevice(capacity, seed=p), tiles(p), columns_of(1))

    return [Share(arithmetic(p)) for p in range(deal.shares)]


def factorise(shares: list[Share], last: int | None = None) -> None:
    deal, row = shares[0].deal, None
    for j in range(deal.layout.count if last is None else last):
        owner = shares[deal.owner(j)]
        early = owner.early_blocks(j) if deal.first_late(j) else None
        for share in shares:
            share.update(j, early)
        row = owner.block_row(j, row)
        for share in shares:
            share.advance(j, row)


def whole_row(share: Share, i: int) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    """Blocks left of the square of a finished row, and the square."""
    *left, square = [*share.early_blocks(i), *share.block_row(i, None)]
    return left, square


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize(("n", "width"), SHAPES)
def test_every_block_row_has_one_owner_and_the_costs_add_up(n: int, width: int, count: int) -> None:
    deal = Deal(PanelLayout(n, width), count)
    rows = sorted(i for p in range(count) for i in deal.rows(p))
    assert rows == list(range(deal.layout.count))
    square = sum(deal.height(i) * deal.layout.stop(i) for i in rows)
    assert sum(deal.elements(p) for p in range(count)) == square
    assert all(deal.received(p) <= square for p in range(count))
    assert count > 1 or deal.received(0) == 0


@pytest.mark.parametrize(
    ("on_disk", "gpu"), [(False, None), (True, None), (False, 0.0), (False, 0.5), (True, 0.5), (False, 1.0)]
)
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("n", "width"), SHAPES)
def test_shares_hold_the_factor_of_one_process(
    rng: np.random.Generator,
    backend: CpuBackend,
    tmp_path: Path,
    n: int,
    width: int,
    count: int,
    on_disk: bool,
    gpu: float | None,
) -> None:
    source, layout = gram(rng, n), PanelLayout(n, width)
    expected = panels_of(source, layout, backend)
    deal = Deal(layout, count)
    shares = shares_of(source, deal, tmp_path if on_disk else None, gpu)
    factorise(shares)
    for i in range(layout.count):
        left, square = whole_row(shares[deal.owner(i)], i)
        for piece in (piece for batch in expected.stream(range(i + 1)) for piece in batch):
            span, block = deal.span(i), square if piece.k == i else left[piece.k]
            np.testing.assert_allclose(block, piece.rows(span), rtol=0, atol=1e-14)
    for share in shares:
        share.close()


@pytest.mark.parametrize("gpu", [None, 0.4])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_solves_and_columns_of_the_inverse(
    rng: np.random.Generator, backend: CpuBackend, count: int, gpu: float | None
) -> None:
    source, layout = gram(rng, 131), PanelLayout(131, 32)
    expected = panels_of(source, layout, backend)
    deal = Deal(layout, count)
    shares = shares_of(source, deal, gpu=gpu)
    factorise(shares)
    rhs = rng.standard_normal((131, 2))
    for p, share in enumerate(shares):
        share.begin("s", {i: rhs[slice(*deal.span(i))] for i in deal.rows(p)})
    x = None
    for j in range(layout.count):
        x = shares[deal.owner(j)].solved("s", j, x)
        for share in shares:
            share.subtract("s", j, x)
    y = {}
    for j in reversed(range(layout.count)):
        sums = [share.transposed_sum("s", j) for share in shares if any(i > j for i in share.filled)]
        y[j], _ = shares[deal.owner(j)].solved_transposed("s", j, sums)
    solve_factored(expected, rhs, backend)
    np.testing.assert_allclose(
        np.concatenate([y[j] for j in range(layout.count)]), rhs, rtol=1e-12, atol=1e-14
    )

    squares = np.zeros(20)
    for share in shares:
        share.begin_identity("e", (40, 60))
    x = None
    for j in range(1, layout.count):
        x = shares[deal.owner(j)].solved("e", j, x)
        for share in shares:
            share.subtract("e", j, x)
    for share in shares:
        squares += share.squared_columns("e")
        share.end("e")
    np.testing.assert_allclose(squares, inverse_diagonal(expected, backend)[40:60], rtol=1e-12)
    with pytest.raises(ShareLost, match="knows no solve"):
        shares[0].squared_columns("e")


def test_a_share_that_was_lost_catches_up_from_the_rows_that_others_hold(
    rng: np.random.Generator, backend: CpuBackend
) -> None:
    source, deal = gram(rng, 131), Deal(PanelLayout(131, 32), 2)
    shares = shares_of(source, deal)
    factorise(shares, last=3)
    lost = deal.owner(3)
    kept = shares[1 - lost].block_row(max(i for i in deal.rows(1 - lost) if i < 3), None)
    shares[lost] = shares_of(source, deal)[lost]
    with pytest.raises(ShareLost):
        shares[lost].block_row(3, kept)
    with pytest.raises(ShareLost):
        shares[lost].advance(1, kept)
    factorise(shares)
    expected = panels_of(source, deal.layout, backend)
    left, square = whole_row(shares[deal.owner(4)], 4)
    last = expected._panels[4]
    np.testing.assert_allclose(square, last, atol=1e-14)
    assert len(left) == 4


def test_panels_are_begun_before_the_rows_are_finished_that_end_them(
    rng: np.random.Generator, backend: CpuBackend
) -> None:
    source, deal = gram(rng, 257), Deal(PanelLayout(257, 32), 2)
    shares, row, count = shares_of(source, deal), None, deal.layout.count
    begun = 0
    for j in range(count):
        for k in range(begun, min(count, j + AHEAD + 1)):  # steps up to j - 1 are done
            early = shares[deal.owner(k)].early_blocks(k)
            for share in shares:
                share.update(k, early)
        begun = j + AHEAD + 1
        row = shares[deal.owner(j)].block_row(j, row)
        for share in shares:
            share.advance(j, row)
    with pytest.raises(ShareLost, match="blocks of row"):
        shares_of(source, deal)[0].update(AHEAD + 1, [])
    expected = panels_of(source, deal.layout, backend)
    for i in range(count):
        left, square = whole_row(shares[deal.owner(i)], i)
        np.testing.assert_allclose(square, expected._panels[i][: len(square)], atol=1e-14)
        assert len(left) == i


def test_a_panel_whose_end_failed_is_begun_again(
    rng: np.random.Generator, backend: CpuBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, deal = gram(rng, 131), Deal(PanelLayout(131, 32), 1)
    (share,) = shares_of(source, deal)
    share.update(0, None)
    row = share.block_row(0, None)
    with monkeypatch.context() as patch:
        patch.setattr(RamTiles, "put", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            share.advance(0, row)
    with pytest.raises(ShareLost, match="panel 0 of row 2 was not begun"):
        share.advance(0, row)
    factorise([share])
    expected = panels_of(source, deal.layout, backend)
    for i in range(deal.layout.count):
        _, square = whole_row(share, i)
        np.testing.assert_allclose(square, expected._panels[i][: len(square)], atol=1e-14)


def test_a_step_that_is_asked_for_again_gives_the_same_report(rng: np.random.Generator) -> None:
    source, deal = gram(rng, 131), Deal(PanelLayout(131, 32), 2)
    shares = shares_of(source, deal)
    first = shares[deal.owner(0)]
    for share in shares:
        share.update(0, None)
    row = first.block_row(0, None)
    report = first.advance(0, row)
    assert report.diagonal is not None
    assert report.flops > 0
    assert first.advance(0, row) is report


def test_a_pivot_that_is_not_positive_names_its_row(rng: np.random.Generator) -> None:
    points = Points(np.repeat(rng.standard_normal((50, 2)), 2, axis=0))
    deal = Deal(PanelLayout(100, 32), 2)
    shares = [
        Share(
            HostArithmetic(
                Part(deal, p, KernelGram(Laplacian(gamma=0.2), points), 0.0, CpuBackend(1)),
                RamTiles(deal, np.dtype(float)),
            )
        )
        for p in range(2)
    ]
    with pytest.raises(NotPositiveDefiniteError) as caught:
        factorise(shares)
    assert 0 < caught.value.row < 100


def test_blocks_of_a_stored_gram_are_forgotten_when_their_steps_are_done(backend: CpuBackend) -> None:
    layout = PanelLayout(100, 20)
    gram = SentGram(layout)
    for j in range(5):
        gram.put(j, {4: np.full((20, 20), float(j))})
    out = np.empty((5, 20))
    gram.columns(80, 100, backend).fill(85, 90, out)
    assert (out == 4.0).all()
    gram.columns(20, 40, backend).fill(85, 90, out)
    assert (out == 1.0).all()
    with pytest.raises(ShareLost, match="its block row 4 was not sent"):
        gram.columns(0, 20, backend).fill(85, 90, out)
