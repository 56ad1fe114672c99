"""What the sums of Gram matrices ask of a fitted feature map whose features come filter by filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from numpy.typing import ArrayLike, NDArray

from kernelfit.errors import InputError

if TYPE_CHECKING:  # scikit-learn comes with it
    from kernelfit.features.images import ImageFeatures


class StreamingFeatures(Protocol):
    """Z (n, n_features_out_), `features_per_filter` columns for each of `n_filters` filters.

    `kernelfit.features.streaming.StreamingImageFeatures` has all but the computation of a block.
    """

    n_filters: int
    n_features_out_: int
    threads: int | None

    @property
    def features_per_filter(self) -> int: ...

    @property
    def step_(self) -> float:
        """The unit of features that are computed as bytes; 0 where they are float32."""
        ...

    @property
    def filters_per_group(self) -> int:
        """Blocks of whole multiples of so many filters cost no more than all filters at once."""
        ...

    @property
    def flops_per_image(self) -> float: ...

    @property
    def device_program(self) -> str | None:
        """The program that computes the features on a device, of `kernelfit.streaming.device_features.PROGRAMS`."""
        ...

    @property
    def all_zero_remedy(self) -> str:
        """What helps where every feature is 0."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The options that it was made with."""
        ...

    def fitted_arrays(self) -> dict[str, NDArray[Any]]:
        """What `fit` computed: with the options it says which features these are."""
        ...

    def validated(self, X: ArrayLike) -> NDArray[Any]:
        """The rows of X as `filter_block` reads them."""
        ...

    def columns(self, start: int, stop: int) -> slice:
        """The columns of Z that belong to filters start:stop."""
        ...

    def filter_block(
        self, X: NDArray[Any], start: int, stop: int, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Z[:, columns(start, stop)] of validated rows, with the same bits in every block; into `out` if given:
        C-ordered float32, or uint8 (Z / step_) where `step_` is set."""
        ...


def streaming(features: ImageFeatures) -> StreamingFeatures:
    """`features`, if they stream."""
    if not features.streams:
        raise InputError(
            f"features: got {type(features).__name__}, expected a feature map that streams its features by filters"
        )
    return cast(StreamingFeatures, features)
