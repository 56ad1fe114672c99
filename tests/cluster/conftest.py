"""A cluster whose workers are threads of this process."""

from __future__ import annotations

from typing import Any

import pytest


def local_cluster(workers: int) -> Any:
    distributed = pytest.importorskip("distributed")
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        dashboard_address=":0",
        memory_limit=0,
        silence_logs=50,
    )
