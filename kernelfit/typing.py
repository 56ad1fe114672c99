"""Types that several rooms share: arrays, spans, and every option that is one of a fixed set of strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Array = NDArray[Any]
#: first and one past the last of some rows or columns
Span = tuple[int, int]

#: in what numbers K is factored: float64; float32 without refinement; float32 refined in float64; or on a device with
#: products on its tensor cores, refined likewise
PrecisionName = Literal["float64", "float32", "mixed", "tf32"]
#: what may be asked for: one of these, or `mixed` where it is faster and an estimate promises that it succeeds
PrecisionLike = PrecisionName | Literal["auto"]
#: where the factor lives on the CPU's side; `auto` takes memory where it fits
Tier = Literal["auto", "ram", "disk"]
#: how the equations are solved: by a Cholesky factor, by preconditioned conjugate gradients, by blocks of rows, or by
#: conjugate gradients where a factor does not fit into memory and they do
SolverName = Literal["cholesky", "pcg", "askotch", "auto"]
#: who does the arithmetic: this process, or the workers of a Dask cluster
EngineName = Literal["process", "dask"]
#: what an estimator does where K has no Cholesky factor
Singular = Literal["ridge", "raise"]
#: how gamma is chosen from the training rows: by the median of what it multiplies, or by leave-one-out
GammaRule = Literal["median", "auto"]
#: how the ridge is chosen: by leave-one-out
RidgeRule = Literal["auto"]
#: a ridge: a number, one for each target, or a rule
RidgeLike = float | RidgeRule | Sequence[float] | NDArray[Any]
#: whether labels of the user's own files are classes or numbers
TaskName = Literal["classification", "regression"]

#: what is done with rows of a table in which a value is missing
Missing = Literal["refuse", "rows"]
#: of `kernelfit.datasets.corruptions`
Corruption = Literal[
    "true", "random-labels", "corrupt-labels", "shuffled-pixels", "random-pixels", "gaussian"
]
#: where the filters of `RandomConv` come from, and how its responses are pooled
Draw = Literal["patches", "gaussian", "laplace"]
Contrast = Literal["unit", "var10"]
Pooling = Literal["grid", "quadrants"]
#: of `Wavelet`: decimated at each level or not, and how an image continues past its border
WaveletTransform = Literal["discrete", "stationary"]
#: of `kernelfit.expressivity.fit`
Variant = Literal["plain", "clipped", "multiplexer"]
