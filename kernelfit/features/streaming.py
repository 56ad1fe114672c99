"""Feature maps with too many features to hold at once: they are computed filter by filter, in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.arguments import integer
from kernelfit.errors import InputError
from kernelfit.features.images import Float32, ImageFeatures, RowTask
from kernelfit.progress import Silent


class StreamingImageFeatures(ImageFeatures):
    """Base of the feature maps that stream: Z = [Z_1, ..., Z_F], `features_per_filter` columns for each filter.

    A subclass sets itself up in `_fit` (its `n_filters` and `features_per_filter`, and `n_features_out_` =
    `n_filters` times `features_per_filter`) and gives the computation of some filters by `_block_task`. It may compute
    bytes: then `step_`, their unit, is set in `_fit`, and K is a sum of products of bytes, which is exact. What the
    sums of Gram matrices ask of it is `kernelfit.streaming.protocol.StreamingFeatures`.
    """

    streams = True
    default_kernel = "linear"

    n_filters: int
    #: columns of Z that one filter gives
    features_per_filter: int
    #: the unit of features that are computed as bytes; 0 where they are float32
    step_: float = 0.0
    #: blocks of whole multiples of so many filters are computed at no more cost than all filters at once
    filters_per_group: ClassVar[int] = 1
    #: what helps where every feature is 0
    all_zero_remedy: ClassVar[str] = "choose other options"

    @property
    def device_program(self) -> str | None:
        """The program that computes the features on a device, of `kernelfit.streaming.device_features.PROGRAMS`; None:
        they are computed on the host and copied there."""
        return None

    @property
    def flops_per_image(self) -> float:
        """Floating point operations for the features of one image; by default one multiplication by each filter."""
        return 2.0 * float(np.prod(self.image_shape_)) * self.n_filters

    def fitted_arrays(self) -> dict[str, NDArray[Any]]:
        """What `fit` computed, in order of names: with the options it says which features these are."""
        arrays = {name: value for name, value in vars(self).items() if name.endswith("_")}
        return {name: arrays[name] for name in sorted(arrays) if isinstance(arrays[name], np.ndarray)}

    def columns(self, start: int, stop: int) -> slice:
        """The columns of Z that belong to filters start:stop."""
        return slice(self.features_per_filter * start, self.features_per_filter * stop)

    def blocks(self, X: ArrayLike, filters_per_block: int = 256) -> Iterator[tuple[slice, Float32]]:
        """The features of consecutive filters, for all rows: pairs (columns, Z[:, columns])."""
        filters_per_block = integer("filters_per_block", filters_per_block, 1)
        rows = self.validated(X)
        for start in range(0, self.n_filters, filters_per_block):
            stop = min(start + filters_per_block, self.n_filters)
            yield self.columns(start, stop), self.filter_block(rows, start, stop)

    def filter_block(
        self, X: NDArray[Any], start: int, stop: int, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Z[:, columns(start, stop)] for rows X that were validated already.

        `out`, if given, receives the block: C-ordered float32, or, where `step_` is set, uint8: Z / step_.
        Raises `InputError` for another.
        """
        shape = (len(X), self.features_per_filter * (stop - start))
        dtypes = (np.float32, np.uint8) if self.step_ else (np.float32,)
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or out.dtype not in dtypes or not out.flags.c_contiguous:
            names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
            raise InputError(f"out: got {out.dtype} {out.shape}, expected C-ordered {names} {shape}")
        self._compute(self._block_task(start, stop), X, out, Silent())
        return out

    def _task(self) -> RowTask:
        return self._block_task(0, self.n_filters)

    def _block_task(self, start: int, stop: int) -> RowTask:
        """What computes some rows of the features of filters start:stop on one thread, as `ImageFeatures._task`.

        A filter's features must have the same bits in every block.
        """
        raise NotImplementedError
