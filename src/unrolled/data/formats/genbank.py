"""GenBank flat files: sequences with what is known of their parts, by Biopython.

The text of an example is the sequence. Its label is what the record says under a name: `organism`, where nothing else
is said (`--set label=…`): an annotation of the record, or a qualifier of its `source` feature.

As tokens with tags each base is a token, and its tag the type of the feature in which it lies, `CDS` or what
`--set tags=CDS,tRNA` names, the first of them that does; elsewhere it is `O`. Features on either strand count, and of a
joined location its parts. Predicted tags are written as features of these types, in place of those that were there; all
else of a record is written again.
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from unrolled.data.examples import Example, LabelledText, Origin, Passage, TaggedTokens
from unrolled.data.formats._sequences import legal
from unrolled.data.formats.base import TextFormat, aligned
from unrolled.errors import BadData, BadOption, MissingExtra

ELSEWHERE = "O"
"""The tag of a base that lies in no feature."""


class GenBankRecord(NamedTuple):
    """What was read besides: Biopython's record."""

    record: Any


class _Lines:
    """Lines as a file that is only read forwards, and how many were taken."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines, self.taken = iter(lines), 0

    def readline(self, size: int = -1) -> str:
        line = next(self._lines, "")
        self.taken += bool(line)
        return line

    def __iter__(self) -> Iterator[str]:
        return iter(self.readline, "")

    def read(self, size: int = -1) -> str:
        return "" if size == 0 else "".join(self)


class GenBank(TextFormat):
    """One sequence a record."""

    suffixes: ClassVar[tuple[str, ...]] = (".gb", ".gbk", ".genbank")
    holds: ClassVar[tuple[type[Example], ...]] = (LabelledText, TaggedTokens, Passage)

    def _check(self) -> None:
        super()._check()
        for field in ("text", "tokens"):
            if field in self.columns:
                raise BadOption(f"{field}={self.columns[field]}: a GenBank file has no columns")
        self._types = [name.strip() for name in self.columns.get("tags", "CDS").split(",")]

    @property
    def _key(self) -> str:
        return self.columns.get("label", "organism")

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        seqio = _biopython("SeqIO")
        handle = _Lines(lines)
        records = seqio.parse(handle, "genbank")
        begun = 1
        while True:
            try:
                record = _next(records)
                if record is None:
                    return
                yield self._example(record, Origin(where, begun))
            except (ValueError, AssertionError, IndexError, KeyError, AttributeError) as error:
                problem = f"not GenBank: {error or type(error).__name__} (the record begins in line {begun})"
                raise BadData(problem, where, max(handle.taken, 1)) from None
            except BadData as error:
                raise BadData(error.problem, where, begun) from None
            begun = handle.taken + 1

    def _example(self, record: Any, origin: Origin) -> Example:
        try:
            sequence = legal(str(record.seq))
        except Exception as error:  # Biopython's own, of a record that names where its sequence is and has none
            if isinstance(error, BadData):
                raise
            raise BadData(f"the record {record.id} has no sequence") from None
        if not sequence:
            raise BadData(f"the record {record.id} has no sequence")
        rest = GenBankRecord(record)
        if self.example_type is Passage:
            return Passage(text=sequence, origin=origin, rest=rest)
        if self.example_type is LabelledText:
            return LabelledText(text=sequence, label=_value(record, self._key), origin=origin, rest=rest)
        tags = self._tags(record, len(sequence))
        return TaggedTokens(tokens=tuple(sequence), tags=tags, origin=origin, rest=rest)

    def _tags(self, record: Any, length: int) -> tuple[str, ...] | None:
        """Of each base; None where the record has no feature at all, not even of its source."""
        if not record.features:
            return None
        tags = [ELSEWHERE] * length
        for name in reversed(self._types):  # the first named is painted last
            for feature in record.features:
                if feature.type == name:
                    for part in feature.location.parts:
                        begin, end = int(part.start), int(part.end)
                        tags[begin:end] = [name] * (min(end, length) - begin)
        return tuple(tags)

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        seqio = _biopython("SeqIO")
        for number, example in enumerate(examples, 1):
            text = io.StringIO()
            seqio.write([self._record(example, number)], text, "genbank")
            yield text.getvalue()

    def _record(self, example: Example, number: int) -> Any:
        tokens = isinstance(example, TaggedTokens)
        sequence = legal("".join(aligned(example).tokens) if tokens else example.text)  # type: ignore[arg-type, attr-defined]
        if tokens and len(sequence) != len(example.tokens):  # type: ignore[attr-defined]
            raise BadData("a token of GenBank is one letter")
        if not sequence:
            raise BadData(f"cannot write an empty sequence: example {number}")
        if isinstance(example.rest, GenBankRecord):
            record = example.rest.record[:]  # a copy of what changes
            record.annotations = dict(example.rest.record.annotations)
            record.seq = _biopython("Seq").Seq(sequence)
        else:
            letters = set(sequence.upper())
            kind = "DNA" if letters <= set("ACGTRYSWKMBDHVN-.*") else "RNA" if letters <= set("ACGUN") else "protein"
            record = _biopython("SeqRecord").SeqRecord(
                _biopython("Seq").Seq(sequence), str(number), str(number), annotations={"molecule_type": kind}
            )
        if isinstance(example, LabelledText):
            self._put_label(record, example)
        elif isinstance(example, TaggedTokens) and example.tags is not None:
            self._put_tags(record, example.tags)
        return record

    def _put_label(self, record: Any, example: LabelledText) -> None:
        if example.label is None:
            record.annotations.pop(self._key, None)
            return
        if not isinstance(example.label, str):
            raise BadData("cannot write several labels of a sequence as GenBank; write jsonl instead")
        record.annotations[self._key] = example.label

    def _put_tags(self, record: Any, tags: tuple[str, ...]) -> None:
        """Features in place of those of the types that are asked for. Raises `BadData` for any other tag."""
        features = _biopython("SeqFeature")
        kept = [feature for feature in record.features if feature.type not in self._types]
        if not kept:  # else a record that has none of them could not be told from one of which nothing is known
            kept.append(features.SeqFeature(features.SimpleLocation(0, len(tags)), type="source"))
        at = 0
        for tag, run in groupby(tags):
            end = at + len(list(run))
            if tag != ELSEWHERE:
                if tag not in self._types:
                    raise BadData(f"the tag {tag!r} could not be read again: tags are {', '.join(self._types)}")
                kept.append(features.SeqFeature(features.SimpleLocation(at, end), type=tag))
            at = end
        record.features = sorted(kept, key=lambda feature: (int(feature.location.start), -int(feature.location.end)))


def _next(records: Iterator[Any]) -> Any:
    """The next record, or None. What Biopython warns of, and would pass over, is an error where it is of features."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        record = next(records, None)
    for warning in caught:
        if "feature" in str(warning.message):
            raise BadData(f"not GenBank: {warning.message}")
    return record


def _value(record: Any, key: str) -> str | None:
    """What a record says under a name: an annotation, else a qualifier of its source."""
    found = record.annotations.get(key)
    if found is None:
        sources = [feature for feature in record.features if feature.type == "source"]
        found = next((feature.qualifiers[key] for feature in sources if key in feature.qualifiers), None)
    if isinstance(found, (list, tuple)):
        found = found[0] if len(found) == 1 else None
    return str(found) if found not in (None, "", ".") else None


def _biopython(module: str) -> Any:
    try:
        return importlib.import_module(f"Bio.{module}")
    except ImportError:
        raise MissingExtra("biopython", extra="biology", need="reading and writing GenBank files") from None
