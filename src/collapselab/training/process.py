"""What a process that trains sets once, before its first step."""

from __future__ import annotations

import ctypes
import sys

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h


def prepare(threads: int) -> None:
    """Threads (0: as many as torch finds), denormals flushed, freed memory kept.

    A saturated regime fills its gradients with denormals, which slow a CPU up to five times.
    """
    torch.set_num_threads(threads or torch.get_num_threads())
    torch.set_flush_denormal(True)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let the C library hand freed blocks out again instead of giving them back to the system.

    By default each activation of a megabyte or more is mapped anew at every step, and the system clears its pages: for a
    vision transformer that costs more than the arithmetic between its matrix products. Other C libraries are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
