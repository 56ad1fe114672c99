"""Files in which Linux tells about processes and control groups: a few lines each, read without buffers or codecs."""

from __future__ import annotations

import os

# The kernel hands out a page of text at a time.
_PAGE = 4_096


def read(path: str) -> bytes | None:
    """All of the file; None where there is none, or it may not be read."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        text = part = os.read(file, _PAGE)
        while part:
            part = os.read(file, _PAGE)
            text += part
        return text
    except OSError:
        return None
    finally:
        os.close(file)
