"""Examples whose numbers stand in a file of their own, beside the table that names it: recordings, pictures, arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unrolled.data.captions import Captioned, seen
from unrolled.data.examples import Example, Origin, Signal, Speech
from unrolled.data.recordings import recorded
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.errors import BadData, UnknownName

BESIDE = (Signal, TaggedSteps, Speech, Captioned)
"""The types of such examples."""


class Beside:
    """Reads what rows name. Several captions of one picture, row after row, share it in memory."""

    def __init__(self) -> None:
        self._last: tuple[Path, NDArray[Any]] | None = None

    def example(
        self, kind: type[Example], path: str, where: str | Path, blank: Any, *, origin: Origin, rest: Any
    ) -> Example:
        """The example of a row.

        Args:
            kind: one of `BESIDE`.
            path: that the row names, from the folder of the table `where` on.
            blank: what the row has for the example's blank.
            origin, rest: of the example.

        Raises `BadData` for all that is wrong with the file.
        """
        try:
            if kind is Captioned:
                return Captioned(image=self._seen(path, where), caption=blank, origin=origin, rest=rest)
            found = recorded(path, beside=where)
        except (BadData, UnknownName) as error:
            raise BadData(str(error)) from None
        if kind is TaggedSteps:
            return TaggedSteps(values=found.values, tags=blank, origin=origin, rest=rest).checked()
        if kind is Speech:
            return Speech(values=found.values, rate=found.rate, transcript=blank, origin=origin, rest=rest)
        return Signal(values=found.values, rate=found.rate, label=blank, origin=origin, rest=rest)

    def _seen(self, path: str, where: str | Path) -> NDArray[Any]:
        key = Path(where).parent / path
        if self._last is None or self._last[0] != key:
            self._last = key, seen(path, beside=where)
        return self._last[1]


def without_path(example: Example) -> BadData:
    """The error that says of an example that there is no file that a row could name."""
    if isinstance(example, Captioned):
        return BadData("a picture of no file of its own has no path to write; write jsonl instead")
    return BadData("numbers of no file of their own have no path to write; write npz or jsonl instead")
