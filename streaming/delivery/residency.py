"""Mapped files, and whether their pages are in memory (mincore(2)).

A mapped file is sent without copying it through this process. Touching a page that is not in memory
would stop the event loop until a disk has read it, so the kernel is asked first.
"""

import ctypes
import mmap
import os
import sys

_PAGE = mmap.PAGESIZE


class _Buffer(ctypes.Structure):
    """Python's Py_buffer, for the address of a read-only mapping."""

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


def _load_mincore():
    if not sys.platform.startswith("linux") or sys.implementation.name != "cpython":
        return None
    # PyDLL keeps the interpreter lock: the call takes a microsecond and never waits.
    function = getattr(ctypes.PyDLL(None), "mincore", None)
    if function is not None:
        function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    return function


_mincore = _load_mincore()


class Mapping:
    """A file mapped for reading. ``resident`` tells whether a part can be read without waiting."""

    __slots__ = ("_address", "view")

    def __init__(self, fd: int, size: int):
        mapped = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        self.view = memoryview(mapped)
        buffer = _Buffer()
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(mapped), ctypes.byref(buffer), 0)
        self._address = buffer.address
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))

    def resident(self, offset: int, length: int) -> bool:
        start = offset - offset % _PAGE
        pages = (offset + length - start + _PAGE - 1) // _PAGE
        state = ctypes.create_string_buffer(pages)  # one byte a page, 1 when it is in memory
        failed = _mincore(self._address + start, offset + length - start, state)
        return not failed and state.raw.count(1) == pages


def map_file(fd: int, status: os.stat_result) -> Mapping | None:
    """The file mapped, or None where the kernel would not say which pages are in memory.

    Linux tells that to a file's owner and to those who may write it; to others every page looks
    resident (mincore(2), since 5.2).
    """
    if _mincore is None or status.st_size == 0:
        return None
    if os.geteuid() not in (0, status.st_uid) and not os.access(f"/proc/self/fd/{fd}", os.W_OK):
        return None
    try:
        return Mapping(fd, status.st_size)
    except (OSError, ValueError):  # a file system that cannot be mapped, or no address space left
        return None
