"""The vectors of spellings met before: they depend on a word's letters alone, and need not be worked out twice.

Only for prediction. The store empties itself when the weights or the precision change, as far as torch tells, and is
emptied by whoever trains; it holds a bounded number of words,
and may be shared by threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.unroll import fused

MOST = 50_000
"""Words kept: 20 MB at 100 features. Then it starts anew, so that a server's memory does not grow for ever."""


class SpellingStore:
    """Word -> vector, for one spelling reader and its present weights."""

    def __init__(self, reader: nn.Module) -> None:
        self.reader = reader
        self._parts = list(reader.modules())  # `parameters()` would look for them each time
        self._lock = threading.Lock()
        self._rows: dict[str, int] = {}
        self._table = torch.zeros(0, 0)
        self._version: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> SpellingStore:
        # A copied task copies its reader first (it is a module), and starts with nothing stored.
        return SpellingStore(memo.get(id(self.reader), self.reader))

    def __reduce__(self) -> tuple[Any, ...]:
        return SpellingStore, (self.reader,)

    def vectors(self, forms: Sequence[str], compute: Callable[[list[int]], Tensor]) -> Tensor:
        """The vectors of these words, (words, features).

        Args:
            forms: distinct words.
            compute: gives the vectors of the words at some places of `forms`; asked for those not stored.
        """
        with self._lock:
            parameters = (p for part in self._parts for p in part._parameters.values() if p is not None)
            version = (fused.is_half(), *((p.data_ptr(), p._version) for p in parameters))
            if version != self._version or len(self._rows) + len(forms) > MOST:
                self._clear()
                self._version = version
            missing = [place for place, form in enumerate(forms) if form not in self._rows]
            if missing:
                new = compute(missing)
                self._make_room(len(self._rows) + len(missing), new)
                for place in missing:
                    self._rows[forms[place]] = len(self._rows)
                self._table[len(self._rows) - len(missing) : len(self._rows)] = new
            return self._table[[self._rows[form] for form in forms]]

    def forget(self) -> None:
        """Weights may change now in a way that leaves no trace: torch's fused optimizers count no version."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._rows, self._table, self._version = {}, torch.zeros(0, 0), None

    def _make_room(self, rows: int, like: Tensor) -> None:
        if rows > len(self._table):
            bigger = like.new_empty(max(2 * rows, 1024), like.shape[1])
            if len(self._rows):
                bigger[: len(self._rows)] = self._table[: len(self._rows)]
            self._table = bigger
