"""Addressed randomness: every draw has an address, so no order of processes, batches or resumes can change it."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray


def generator(seed: int, purpose: str, *address: int) -> np.random.Generator:
    """A Philox generator of its own for (seed, purpose, *address), for example (0, "order", epoch)."""
    key = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), len(address), *address])
    return np.random.Generator(np.random.Philox(key))


def uniforms(seed: int, purpose: str, epoch: int, rows: int, columns: int) -> NDArray[np.float32]:
    """One table of uniforms in [0, 1), [rows, columns]: row i belongs to image i whatever batch it falls into."""
    return generator(seed, purpose, epoch).random((rows, columns), dtype=np.float32)


def torch_seed(seed: int, purpose: str, *address: int) -> int:
    """A 63-bit seed for a torch generator at the same kind of address (dropout, initial weights)."""
    return int(generator(seed, purpose, *address).integers(2**63 - 1))
