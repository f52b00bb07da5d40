"""How often something came before, for millions of things: eight bytes each."""

import numpy as np

LEVEL_RATIO = 4  # a level is merged into the one below when it has grown to a quarter of it


class HashLog:
    """Counts occurrences of 64-bit hashes, exactly but for collisions (one in 10^7 at a million hashes).

    Sorted arrays of growing size, as in a log-structured merge tree; only what came more than once is
    also in a dictionary.
    """

    def __init__(self) -> None:
        self._levels: list[np.ndarray] = []
        self._repeated: dict[int, int] = {}

    def ordinals(self, hashes: list[int]) -> list[int]:
        """For each hash (a signed 64-bit integer), in order: how many equal ones came before it."""
        array = np.array(hashes, dtype=np.int64)
        before = np.zeros(len(array), dtype=bool)
        for level in self._levels:
            at = np.searchsorted(level, array)
            at[at == len(level)] = 0
            before |= level[at] == array
        if not before.any() and len(fresh := np.unique(array)) == len(array):
            self._append(fresh)
            return [0] * len(hashes)
        result, counts = [], {}
        for value, known in zip(hashes, before.tolist(), strict=True):
            count = counts.get(value)
            if count is None:
                count = self._repeated.get(value, 1) if known else 0
            result.append(count)
            counts[value] = count + 1
        self._repeated.update((value, count) for value, count in counts.items() if count > 1)
        self._append(np.unique(array[~before]))
        return result

    def _append(self, hashes: np.ndarray) -> None:
        if not len(hashes):
            return
        self._levels.append(hashes)
        while len(self._levels) > 1 and len(self._levels[-1]) * LEVEL_RATIO >= len(
            self._levels[-2]
        ):
            last = self._levels.pop()
            self._levels[-1] = np.sort(np.concatenate([self._levels[-1], last]), kind="stable")
