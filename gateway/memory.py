"""Memory that is not needed any more goes back to the system; without this the gateway keeps 25 MiB of it."""

from __future__ import annotations

import ctypes
import gc

# From malloc.h; see the manual page of mallopt.
_M_MMAP_THRESHOLD = -3
_LARGE = 1 << 20  # bytes


def return_large_blocks() -> None:
    """From now on the C library gives each large block back once it is freed.

    By itself glibc keeps blocks up to the size of the largest one freed so far: the 19 MiB of every password's hash.
    Another C library is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)


def settle() -> None:
    """After the start: what is loaded stays and need never be looked at again; what the start left over goes."""
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
