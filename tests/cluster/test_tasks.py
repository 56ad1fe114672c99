"""What a worker does with tasks that come at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kernelfit.cluster import tasks
from kernelfit.gram.layout import PanelLayout
from kernelfit.linalg.product import Product


def test_products_of_a_worker_come_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the worker has threads ran at once, each on all threads, with memory planned for one."""
    worker = SimpleNamespace(state=SimpleNamespace(nthreads=2))
    ended, at_once = threading.Barrier(2), []
    busy: list[None] = []

    def multiply(*arguments: Any, **options: Any) -> Product:
        busy.append(None)
        try:
            ended.wait(0.2)  # for the other, which is not there
        except threading.BrokenBarrierError:
            at_once.append(len(busy))
        else:
            at_once.append(2)
        busy.pop()
        return Product(np.zeros((3, 1)))

    monkeypatch.setattr(tasks, "_worker", lambda: worker)
    monkeypatch.setattr(tasks, "symmetric_product", multiply)
    source: Any = None
    with ThreadPoolExecutor(2) as pool:
        futures = [
            pool.submit(
                tasks.partial_product, source, "run", PanelLayout(3, 3), range(1), np.zeros((3, 1)), True
            )
            for _ in range(2)
        ]
        assert all(future.result().values.shape == (3, 1) for future in futures)
    assert at_once == [1, 1]
