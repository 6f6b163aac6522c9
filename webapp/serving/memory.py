"""Settings of a serving process for memory: how often Python looks for garbage, and when the C library frees blocks."""

from __future__ import annotations

import ctypes
import gc
import sys

# The numbers of these settings in glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def tune_garbage_collector() -> None:
    """Make the garbage collector ignore all objects that exist now, because they live as long as the process, and run
    less often.

    It was off during the start: see `webapp/__init__.py`. A run over everything that was imported would take a tenth of
    a second, and frees only a thousand small objects.
    """
    gc.freeze()
    # Requests create thousands of objects, and few of them are in a cycle.
    gc.set_threshold(10_000, 20, 20)


def return_memory() -> None:
    """Make the C library give large blocks back to the system, and keep one heap for all threads.

    Checking a password takes a block of 19 MiB. After the first of them, glibc keeps all blocks of that size. It also
    has up to eight heaps for each processor, so that threads do not wait for each other, but Python runs one thread at
    a time anyway. Other C libraries know neither of these settings.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)
        mallopt(_M_ARENA_MAX, 1)
