"""The streamed Gram of features against the product of the whole feature matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernelfit.cpu import bytes_product
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.layout import PanelLayout
from kernelfit.streaming.block_products import block_products
from kernelfit.streaming.host_sums import HostSums
from kernelfit.streaming.sums import FeaturePass, Seconds


def fitted(rows: np.ndarray, n_filters: int = 7, **options: Any) -> RandomConv:
    return RandomConv(
        image_shape=(10, 9, 2),
        n_filters=n_filters,
        pooling="quadrants",
        n_patches=300,
        threshold=0.3,
        threads=2,
        **options,
    ).fit(rows)


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 180), dtype=np.uint8)


def zeros(layout: PanelLayout, m: int, dtype: Any) -> tuple[list[np.ndarray], np.ndarray]:
    return [np.zeros(layout.shape(j), dtype) for j in range(layout.count)], np.zeros((m, layout.n), dtype)


def accumulate(
    net: RandomConv, train: Any, test: Any, layout: PanelLayout, panels: Any, cross: Any, **options: Any
) -> None:
    HostSums(layout, panels, cross).add(FeaturePass(net, train, test, **options))


def dense(layout: PanelLayout, panels: list[np.ndarray]) -> np.ndarray:
    whole = np.zeros((layout.n, layout.n))
    for j, panel in enumerate(panels):
        whole[layout.start(j) :, layout.start(j) : layout.stop(j)] = panel
    return np.tril(whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("n", "m", "width"), [(1, 1, 1), (19, 3, 5), (40, 0, 40), (111, 20, 16), (1100, 30, 600)]
)
def test_equals_the_product_of_all_features(dtype: type, n: int, m: int, width: int) -> None:
    train, test = images(n), images(max(m, 1), 1)[:m]
    net, layout = fitted(train), PanelLayout(n, width)
    panels, _ = zeros(layout, 0, dtype)
    cross = np.zeros((m, n), np.float32)
    seconds = Seconds()
    accumulate(net, train, test, layout, panels, cross, per_block=3, seconds=seconds)
    assert min(seconds.features, seconds.gram) > 0
    z = net.transform(train).astype(np.float64)
    gram = z @ z.T.copy()
    assert np.allclose(dense(layout, panels), np.tril(gram), rtol=0, atol=2e-6 * gram.max())
    if m:
        expected = net.transform(test).astype(np.float64) @ z.T
        assert np.allclose(cross, expected, rtol=0, atol=2e-6 * gram.max())


@pytest.mark.parametrize("vnni", [True, False])
@pytest.mark.parametrize(
    ("n", "m", "width"), [(1, 1, 1), (19, 3, 5), (40, 0, 40), (111, 20, 16), (1100, 30, 600)]
)
def test_quantised_sums_are_exact(
    vnni: bool, n: int, m: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of multiplying bytes, against integers of Python's size; the block does not matter."""
    if vnni and not bytes_product.available():
        pytest.skip("this CPU, or Numba's target, has no AVX-512 VNNI")
    monkeypatch.setattr(bytes_product, "available", lambda: vnni)
    train, test = images(n), images(max(m, 1), 1)[:m]
    net, layout = fitted(train, n_filters=70, quantise=True), PanelLayout(n, width)
    steps = np.empty((n, net.n_features_out_), np.uint8)
    net.filter_block(train, 0, 70, out=steps)
    gram = steps.astype(np.int64) @ steps.astype(np.int64).T
    assert gram.max() > 2**16
    for per_block in (70, 33):
        panels, cross = zeros(layout, m, np.float64)
        accumulate(net, train, test, layout, panels, cross, per_block=per_block)
        assert np.array_equal(dense(layout, panels), np.tril(gram) * net.step_**2)
        if m:
            tests = np.rint(net.transform(test) / net.step_).astype(np.int64)
            assert np.array_equal(cross, tests @ steps.astype(np.int64).T * net.step_**2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_ways_of_multiplying_bytes_give_the_same_bits(
    dtype: type, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More features than one int32 sum may have, and largest bytes."""
    if not bytes_product.available():
        pytest.skip("this CPU, or Numba's target, has no AVX-512 VNNI")
    features = bytes_product.LONGEST + 300
    columns = [rng.integers(200, 256, (width, features), dtype=np.uint8) for width in (33, 5)]
    rows = rng.integers(200, 256, (29, features), dtype=np.uint8)
    rows[:3], columns[0][:2] = 255, 255
    computed = []
    with CpuBackend(2) as backend:
        for vnni in (True, False):
            monkeypatch.setattr(bytes_product, "available", lambda vnni=vnni: vnni)
            products = block_products(columns, 2.0**-5, backend)
            outs = [np.full((29, width), 0.5, dtype) for width in (33, 4)]
            for panel, out in enumerate(outs):
                products.add(rows, panel, out, backend)
            computed.append(outs)
    exact = rows.astype(np.int64) @ columns[0].astype(np.int64).T * 2.0**-10 + 0.5
    assert np.allclose(computed[0][0], exact, rtol=2 * np.finfo(dtype).eps, atol=0)
    for one, other in zip(*computed, strict=True):
        assert np.array_equal(one, other)


def test_can_be_taken_up_after_any_block() -> None:
    train, test = images(60), images(9, 1)
    net, layout = fitted(train), PanelLayout(60, 32)
    whole = zeros(layout, 9, np.float32)
    accumulate(net, train, test, layout, *whole, per_block=2)

    class Stop(Exception):
        pass

    def stop_at_four(done: int) -> None:
        if done == 4:
            raise Stop

    part = zeros(layout, 9, np.float32)
    with pytest.raises(Stop):
        accumulate(net, train, test, layout, *part, per_block=2, on_block=stop_at_four)
    seen: list[int] = []
    accumulate(net, train, test, layout, *part, per_block=2, first_filter=4, on_block=seen.append)
    assert seen == [6, 7]
    assert all(np.array_equal(a, b) for a, b in zip(whole[0], part[0], strict=True))
    assert np.array_equal(whole[1], part[1])


def test_one_thread_and_three_agree_bit_for_bit() -> None:
    train, test = images(70), images(9, 1)
    net, layout = fitted(train), PanelLayout(70, 32)
    results = []
    for threads in (1, 3):
        net.threads = threads
        panels, cross = zeros(layout, 9, np.float64)
        accumulate(net, train, test, layout, panels, cross)
        results.append((dense(layout, panels), cross))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])


def test_progress_adds_up() -> None:
    from contextlib import contextmanager

    done: dict[str, list[float]] = {}

    class Record:
        @contextmanager
        def phase(self, name: str, total: float, unit: str = "flop") -> Any:
            done[name] = [total, 0.0]

            def advance(amount: float) -> None:
                done[name][1] += amount

            yield advance

        def note(self, message: str) -> None: ...

    train = images(50)
    net, layout = fitted(train), PanelLayout(50, 50)
    accumulate(net, train, train[:5], layout, *zeros(layout, 5, np.float32), progress=Record())
    assert done["features"][1] == pytest.approx(done["features"][0])
    # Square diagonal tiles multiply a little more than the triangle that is counted.
    assert 1 <= done["gram of features"][1] / done["gram of features"][0] <= 2


def test_refuses() -> None:
    train, test = images(20), images(3, 1)
    net, layout = fitted(train), PanelLayout(20, 8)
    panels, cross = zeros(layout, 3, np.float32)
    with pytest.raises(InputError, match="layout: got order 20, expected 19"):
        accumulate(net, train[:19], test, layout, panels, cross)
    with pytest.raises(InputError, match=r"cross: got shape \(2, 20\), expected \(3, 20\)"):
        accumulate(net, train, test, layout, panels, cross[:2])
    with pytest.raises(InputError, match="panels: got dtype int64"):
        accumulate(net, train, test, layout, zeros(layout, 0, np.int64)[0], cross)
    with pytest.raises(InputError, match="panels: got"):
        accumulate(net, train, test, layout, panels[:-1], cross)
    with pytest.raises(InputError, match="cross: expected C-ordered"):
        accumulate(net, train, test, layout, panels, np.asfortranarray(cross))
    with pytest.raises(InputError, match="first_filter: got 8, expected 0 to 7"):
        accumulate(net, train, test, layout, panels, cross, first_filter=8)
