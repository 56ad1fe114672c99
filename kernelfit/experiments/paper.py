"""What Zhang, Bengio, Hardt, Recht and Vinyals (2016) report for kernels: Section 5 and Table 3.

All of it is for whole training sets and no ridge unless a field says so. The norms are those of "the minimum norm
solution", given for MNIST only; of a ridge the text says that it improves neither MNIST figure.
"""

from __future__ import annotations

from dataclasses import dataclass

CITATION = "Zhang et al. (2016), Section 5"


@dataclass(frozen=True)
class PaperRow:
    """One row: test error as a fraction, and the norm of the interpolant where the paper gives one.

    `filters` counts the filters of the random convolution net.
    """

    dataset: str
    features: str
    n_train: int
    test_error: float
    rkhs_norm: float | None = None
    test_error_with_ridge: float | None = None
    n_test: int = 10_000
    filters: int | None = None

    @property
    def name(self) -> str:
        """Such as `mnist-gabor`."""
        return f"{self.dataset}-{self.features}"


ROWS: tuple[PaperRow, ...] = (
    PaperRow("mnist", "none", 60_000, 0.012, rkhs_norm=220.0),
    PaperRow("mnist", "gabor", 60_000, 0.006, rkhs_norm=390.0),
    PaperRow("cifar10", "none", 50_000, 0.46),
    PaperRow("cifar10", "random-conv", 50_000, 0.17, test_error_with_ridge=0.15, filters=32_000),
)


def find(dataset: str, features: str) -> PaperRow | None:
    """The paper's row for a data set and its features; None where the paper has none."""
    return next((row for row in ROWS if (row.dataset, row.features) == (dataset, features)), None)
