"""A single recording: sound, a picture, an array of numbers (`media/`). Its file is the example, without a label.

Of what is to be captioned it is a picture, or the features of one.

It is read to be predicted. What is to be learnt from stands in a table, beside the label (`--set values=path`), and so
does what was predicted, where it is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from unrolled.data import recordings
from unrolled.data.captions import Captioned, seen
from unrolled.data.examples import Example, Origin, Signal, Speech
from unrolled.data.formats._beside import BESIDE
from unrolled.data.formats._tables import Row
from unrolled.data.formats.base import Format
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.errors import BadData, BadOption


class Recording(Format):
    """One example a file."""

    suffixes: ClassVar[tuple[str, ...]] = tuple(recordings.suffixes())
    holds: ClassVar[tuple[type[Example], ...]] = BESIDE
    annotated: ClassVar[bool] = False
    streamed: ClassVar[bool] = False
    binary: ClassVar[bool] = True

    def read(self, path: str | Path) -> Iterator[Example]:
        if self.example_type is Captioned:
            kept = Row((self.columns.get("image", "image"),), (str(path),))
            yield Captioned(image=seen(path), origin=Origin(path, 1), rest=kept)
            return
        found = recordings.recorded(path)
        rest = Row((self.columns.get("values", "values"),), (str(path),))
        if self.example_type is TaggedSteps:
            yield TaggedSteps(values=found.values, origin=Origin(path, 1), rest=rest)
            return
        kind = Speech if self.example_type is Speech else Signal
        yield kind(values=found.values, rate=found.rate, origin=Origin(path, 1), rest=rest)

    def read_stream(self, stream: Iterable[bytes], where: str | Path = "standard input") -> Iterator[Example]:
        raise BadOption(f"{where}: a recording is told by its file's suffix; name a file")

    def write_stream(self, examples: Iterable[Example], where: str | Path = "standard output") -> Iterator[bytes]:
        raise BadData("a recording has no place for a label; write csv, tsv or jsonl", where)
