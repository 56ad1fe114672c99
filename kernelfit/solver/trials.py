"""What leave-one-out on one set of rows says of widths of a kernel, each with all its ridges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.pairs import Pairs
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.gram.submatrix import submatrix
from kernelfit.kernels import Kernel, build, named
from kernelfit.linalg.ridge_path import ROUNDOFF
from kernelfit.linalg.spectrum import Spectrum
from kernelfit.metrics import error_rate, root_mean_square
from kernelfit.progress import Advance
from kernelfit.solver.gamma import Widths
from kernelfit.solver.ridge import RidgeTrial, extended, half_decades, improves, min_misclassified
from kernelfit.typing import Float

#: multiples of the mean diagonal of K: one eigendecomposition serves as many as one likes
RIDGES = half_decades(-20, 6)
# Where a ridge may be had for the asking, none is taken that leaves alpha fewer than some four digits: the last ones of
# a path towards ever wider kernels with ever smaller ridges gain a thousandth and cost all of them.
_MARGIN = 1e4


@dataclass(frozen=True)
class Asked:
    """A kernel by name with its other parameters, and its ridge; or None, and whether 0 is among those tried.

    Row i counts `weights`_i times (see `kernelfit.solver.weights`). `roundoff` is that of the factor which the solve is
    left with, u of float64 or of float32.
    """

    kernel: str
    parameters: dict[str, Any]
    ridge: float | None = None
    zero: bool = True
    seed: int = 0
    weights: Float | None = None
    roundoff: float = ROUNDOFF

    @property
    def margin(self) -> float:
        """Least eigenvalues of K + ridge I below this times n u K_ii, u of float64, count as 0."""
        factor = 10.0 * self.roundoff / ROUNDOFF
        return factor if self.ridge is not None else max(_MARGIN, factor)

    def with_width(self, widths: Widths | None, exponent: float) -> Kernel:
        """The kernel of width 2^exponent from the median rule's."""
        width = {} if widths is None else {widths.parameter: widths.at(exponent)}
        return build(self.kernel, **self.parameters, **width)


class Trials:
    """Leave-one-out on some rows, with targets (n, c) near 1, of widths 2^k from the median rule's by their k.

    `at_once` widths are tried side by side, each by one thread, so that the result does not depend on how many.
    """

    def __init__(
        self,
        asked: Asked,
        widths: Widths | None,
        points: Points,
        targets: Float,
        one_hot: bool,
        backend: CpuBackend,
        at_once: int,
        advance: Advance,
    ) -> None:
        self._asked, self._widths = asked, widths
        self._roots = None if asked.weights is None else np.sqrt(asked.weights)[:, None]
        self._targets = targets if self._roots is None else self._roots * targets
        self._total = 1.0 if asked.weights is None else float(np.sqrt(asked.weights.mean()))
        self._backend, self._at_once, self._advance = backend, at_once, advance
        self.rows = points.shape[0]
        self._classes = targets.argmax(axis=1) if one_hot else None
        kernel = asked.with_width(widths, 0)
        self._gram: Callable[[Kernel], Float]
        if widths is not None:
            self._gram = Pairs(points, kernel, backend).gram
        else:
            gram = submatrix(KernelGram(kernel, points), np.arange(self.rows), backend)
            self._gram = lambda _: gram
        #: k -> the trials of its ridges, ascending
        self.paths: dict[float, list[RidgeTrial]] = {}

    def run(self, exponents: Iterable[float]) -> None:
        """Try the widths that were not tried yet."""
        missing = [exponent for exponent in exponents if exponent not in self.paths]
        for start in range(0, len(missing), self._at_once):
            self._backend.run(self._try, missing[start : start + self._at_once])

    @property
    def usable(self) -> dict[float, RidgeTrial]:
        """k -> the trial of its best ridge, for those that have one."""
        best = {exponent: best_of(path) for exponent, path in self.paths.items()}
        return {exponent: trial for exponent, trial in best.items() if trial is not None}

    def best(self) -> float | None:
        """The k of least error; of those that differ by less than a thousandth, the nearest to the median rule's."""
        usable = self.usable
        if not usable:
            return None
        least = min(usable.values(), key=rank)
        return min((k for k in usable if not improves(least, usable[k])), key=abs)

    def best_but_for_chance(self) -> float | None:
        """The k of least squared residual, among those whose misclassified rows differ by chance from the least."""
        usable = self.usable
        equals = min_misclassified(list(usable.values()), self.rows)
        return min(
            (k for k in usable if usable[k] in equals),
            key=lambda k: (*rank(usable[k])[1:2], abs(k)),
            default=None,
        )

    def gains(self, end: float, step: float) -> bool:
        """Whether the last step, to `end`, lowered the error."""
        before = self.usable.get(end - step)
        return before is None or improves(self.usable[end], before)

    def _try(self, exponent: float) -> None:
        gram = self._gram(self._asked.with_width(self._widths, exponent))
        if self._roots is not None:
            gram = gram * (self._roots * self._roots.T)
        mean = float(np.mean(np.diagonal(gram)))
        path: list[RidgeTrial] = []
        if mean > 0 and np.isfinite(gram).all():
            try:
                path = self._path(Spectrum.of(gram), mean)
            except np.linalg.LinAlgError:  # the iteration for the eigenvalues did not converge
                path = []
        self.paths[exponent] = path
        self._advance(1)

    def _path(self, spectrum: Spectrum, mean: float) -> list[RidgeTrial]:
        asked = self._asked

        def judge(relatives: Sequence[float]) -> list[RidgeTrial]:
            ridges = [float(f"{relative * mean:.6g}") for relative in relatives]
            return self._judged(spectrum, relatives, ridges)

        if asked.ridge is not None:
            return self._judged(spectrum, [asked.ridge / mean], [asked.ridge])
        path = extended(judge([0.0] * asked.zero + list(RIDGES)), judge, best_of)
        best = best_of(path)
        if best is not None and best.relative > 0:
            between = [float(f"{best.relative * 10.0 ** (k / 8):.3g}") for k in (-3, -2, -1, 1, 2, 3)]
            path += judge(between)
        return sorted(path, key=lambda trial: trial.relative)

    def _judged(
        self, spectrum: Spectrum, relatives: Sequence[float], ridges: Sequence[float]
    ) -> list[RidgeTrial]:
        trials = []
        left_out = spectrum.left_out(self._targets, ridges, self._asked.margin)
        for relative, ridge, residuals in zip(relatives, ridges, left_out, strict=True):
            error = rmse = None
            if residuals is not None:
                rmse = root_mean_square(residuals) / self._total
                if self._classes is not None:
                    error = error_rate(self._targets - residuals, self._classes, self._asked.weights)
            trials.append(RidgeTrial(relative, ridge, error, rmse))
        return trials


def best_of(path: Sequence[RidgeTrial]) -> RidgeTrial | None:
    """The one of least error; None where K + ridge I is singular for all."""
    usable = [trial for trial in path if trial.loo_rmse is not None]
    return min(usable, key=rank) if usable else None


def rank(trial: RidgeTrial) -> tuple[float, float, float]:
    """Misclassified rows; squared residual, of which a millionth is no difference; ridge."""
    return trial.loo_error or 0.0, float(f"{trial.loo_rmse:.6g}"), trial.relative


def has_width(kernel: str) -> bool:
    """Whether the kernel of that name has a gamma or a length scale."""
    return bool(named(kernel).width_parameter)
