"""Mapped files, and the question whether their pages are in memory (mincore(2)).

A mapped file is sent without copying it through this process. Touching a page that is not in memory
would stop the event loop until a disk has read it, so the kernel is asked before.
"""

import ctypes
import mmap
import os
import sys
from collections.abc import Callable

_PAGE = mmap.PAGESIZE
_Mincore = Callable[[int, int, "ctypes.Array[ctypes.c_char]"], int]


class _Buffer(ctypes.Structure):
    """CPython's struct Py_buffer. It gives the address of a read-only mapping; mmap does not."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("owner", ctypes.py_object),
        ("length", ctypes.c_ssize_t),
        ("item_size", ctypes.c_ssize_t),
        ("read_only", ctypes.c_int),
        ("dimensions", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("sub_offsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


def _load_mincore() -> _Mincore | None:
    """Return the C library's mincore, or None where it or its meaning differs from Linux."""
    if not sys.platform.startswith("linux") or sys.implementation.name != "cpython":
        return None
    # PyDLL keeps the interpreter lock: the call takes a microsecond and never waits.
    library = ctypes.PyDLL(None)
    if not hasattr(library, "mincore"):
        return None
    function = library.mincore
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    return function


_mincore = _load_mincore()


class Mapping:
    """A file mapped for reading: ``view`` is its content."""

    __slots__ = ("_address", "view")

    def __init__(self, fd: int, size: int):
        mapped = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        self.view = memoryview(mapped)
        buffer = _Buffer()
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(mapped), ctypes.byref(buffer), 0)
        self._address = buffer.address
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))

    def resident(self, offset: int, length: int) -> bool:
        """Whether all these bytes are in memory, so that reading them waits for no disk.

        False when the kernel does not tell.
        """
        if _mincore is None:
            return False
        start = offset - offset % _PAGE
        pages = (offset + length - start + _PAGE - 1) // _PAGE
        state = ctypes.create_string_buffer(pages)  # one byte for each page: 1 if it is in memory
        failed = _mincore(self._address + start, offset + length - start, state)
        return not failed and state.raw.count(1) == pages


def map_file(fd: int, status: os.stat_result) -> Mapping | None:
    """Map the file, or return None when the kernel does not tell which of its pages are in memory.

    Since Linux 5.2, mincore(2) tells it only to the file's owner and to processes that may write the
    file; for all others, every page looks resident. Also None for an empty file and for a file system
    that cannot be mapped.
    """
    if _mincore is None or status.st_size == 0:
        return None
    if os.geteuid() not in (0, status.st_uid) and not os.access(f"/proc/self/fd/{fd}", os.W_OK):
        return None
    try:
        return Mapping(fd, status.st_size)
    except (OSError, ValueError):
        # The file system cannot be mapped, or no address space is left: read instead.
        return None
