"""Tallies in one field of a row. Pages read them, so nothing of the engine is imported here."""

import io

import numpy as np


def pack(system_a: np.ndarray, system_b: np.ndarray, counts: np.ndarray) -> bytes:
    """A compressed .npz of database ids (m,), (m,) and counts (m, 4) of A, B, tie, both bad."""
    file = io.BytesIO()
    np.savez_compressed(file, system_a=system_a, system_b=system_b, counts=counts.astype(np.int64))
    return file.getvalue()


def unpack(npz: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``pack`` read back."""
    with np.load(io.BytesIO(bytes(npz)), allow_pickle=False) as file:
        return file["system_a"], file["system_b"], file["counts"]
