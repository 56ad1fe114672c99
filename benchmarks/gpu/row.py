"""One row of the GPU benchmark in this process; `benchmarks.gpu` runs each in one of its own.

    python -m benchmarks.gpu.row in-core-60000 --device cuda:0

Prints JSON objects, one a line, the more the further it is; the last one is the result.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu import factor, kernels
from benchmarks.gpu.settings import Setting
from benchmarks.gpu.workers import workers
from kernelfit.device.cuda import CudaDevice
from kernelfit.errors import KernelfitError
from kernelfit.storage import json_output

Report = Callable[[dict[str, Any]], None]


def probe(setting: Setting, report: Report) -> dict[str, Any]:
    """What the device says of itself."""
    device = setting.open(2**20)
    try:
        return device.describe() if isinstance(device, CudaDevice) else {"name": device.name}
    finally:
        device.close()


BODIES: dict[str, Callable[[Setting, Report], dict[str, Any]]] = {
    "probe": probe,
    "rates": kernels.rates,
    "in-core-60000": factor.widths,
    "mnist": factor.mnist,
    "in-core-120000": partial(factor.against_cusolver, wanted=120_000),
    "budget-10gb": factor.small_budget,
    "larger-than-device": factor.larger_than_the_device,
    "precision": factor.low_precision,
    "right-hand-sides": factor.right_hand_sides,
    "kernels": kernels.own_kernels,
    "random-conv": kernels.random_conv,
    "workers": workers,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("row", choices=BODIES)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    setting = Setting(arguments.device, arguments.data_dir)

    def report(record: dict[str, Any]) -> None:
        line = json_output.dumps({**record, "scaled": setting.notes}).replace("\n", "")
        print(line, flush=True)

    try:
        report(BODIES[arguments.row](setting, report))
    except KernelfitError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
