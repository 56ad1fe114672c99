"""What of an image's channels can be shown."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

#: of a picture in colours
_COLOURS = 3


def is_colour(picture: NDArray[Any]) -> bool:
    """Whether its channels are red, green and blue."""
    return picture.ndim == 3 and picture.shape[2] == _COLOURS


def visible(image: NDArray[Any]) -> NDArray[Any]:
    """(height, width, 3) of three channels or four, (height, width) of any other number: what `unseen` words."""
    return image[:, :, :_COLOURS] if image.shape[2] in (_COLOURS, 4) else image[:, :, 0]


def unseen(channels: int) -> str:
    """A sentence where some channels are not shown."""
    if channels in (1, _COLOURS):
        return ""
    shown = "first three are shown, as red, green and blue" if channels == 4 else "first is shown"
    return f"Of the {channels} channels of an image the {shown}."
