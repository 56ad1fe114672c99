"""How many shared libraries this process has loaded: who has looked through them need not look again."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


class _LibraryInfo(ctypes.Structure):
    """`struct dl_phdr_info`, see dl_iterate_phdr(3)."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("headers", ctypes.c_void_p),
        ("header_count", ctypes.c_uint16),
        ("loaded", ctypes.c_ulonglong),
    )


def libraries_loaded() -> int | None:
    """Libraries loaded since the process began, those among them that are gone included; None where no one knows."""
    count = _counter()
    return None if count is None else count()


@cache
def _counter() -> Callable[[], int] | None:
    """dl_iterate_phdr of Linux, called with the lock of Python's interpreter: to wait for it inside, while another
    thread that has it loads a library, would be to wait for ever."""
    try:
        visit_all = ctypes.PyDLL(None).dl_iterate_phdr
    except (AttributeError, OSError, TypeError):
        return None
    visitor = ctypes.PYFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(_LibraryInfo), ctypes.c_size_t, ctypes.POINTER(ctypes.c_ulonglong)
    )

    def visit(
        info: ctypes._Pointer[_LibraryInfo], size: int, count: ctypes._Pointer[ctypes.c_ulonglong]
    ) -> int:
        if size >= ctypes.sizeof(_LibraryInfo):
            count[0] = info.contents.loaded
        return 1  # the number is the same for every library

    call = visitor(visit)

    def loaded() -> int:
        count = ctypes.c_ulonglong(0)
        visit_all(call, ctypes.byref(count))
        return count.value

    return loaded if loaded() > 0 else None
