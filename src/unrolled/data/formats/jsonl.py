"""JSON lines: one JSON object a line.

Tokens, tags and feature values are lists of strings. A label is a string, a number, true or false; a list of them is
several labels; `null` or nothing is a label that is not known. An answer is what a label is; where it is a list, any of
them is right. Numbers at each step are `values`, a list of lists, `null` where one is missing, or a string, the path of
a file that holds them (`media/`); the `tags` of their steps may be numbers, true or false as well. An `image` is the
path of a picture, or the picture or its features themselves as nested lists. Blank lines are skipped. The keys of a
line are kept in their order, and so are their values.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from unrolled.data import recordings
from unrolled.data.captions import Captioned, as_image
from unrolled.data.examples import Example, LabelledText, Origin, Pair, Passage, Question, Signal, Speech, TaggedTokens
from unrolled.data.formats._beside import BESIDE
from unrolled.data.formats._json import kind, load
from unrolled.data.formats._signal_rows import STEPS
from unrolled.data.formats._tables import Label, Row, Table, one_or_several
from unrolled.data.formats.base import together
from unrolled.data.lines import is_blank, read_lines, suffix, without_end
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.errors import BadData


class JSONLines(Table):
    """An object a line."""

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    machine_readable: ClassVar[bool] = True

    @classmethod
    def tells(cls, path: Path, kinds: Sequence[type[Example]], columns: Mapping[str, str]) -> type[Example]:
        """Numbers, where the first line has a list of lists of some, or the path of a file that holds them."""
        name = columns.get("values", "values")
        first = next((line for line in read_lines(path) if not is_blank(line)), "{}")
        given = _object(first, path, 1)
        values = given.get(name)
        is_signal = isinstance(values, list) and all(isinstance(step, list) for step in values)
        is_signal = is_signal or (isinstance(values, str) and suffix(values) in recordings.suffixes())
        return next((kind for kind in kinds if kind in STEPS and is_signal), kinds[0])

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        for number, line in enumerate(lines, 1):
            if is_blank(line):
                continue
            cells = _object(line, where, number)
            self._find(cells, f"{where}:{number}")
            yield self._example(cells, Row(tuple(cells), tuple(cells.values())), where, number)

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        for example in examples:
            yield json.dumps(self._cells(example), ensure_ascii=False) + "\n"

    def _example(self, cells: Mapping[str, Any], row: Row, where: str | Path, line: int) -> Example:
        if self.example_type not in BESIDE or isinstance(cells[self._inputs[0]], str):
            return super()._example(cells, row, where, line)
        # Numbers are kept once, not as they were written besides.
        kept = Row(row.names, tuple(None if n == self._inputs[0] else v for n, v in zip(*row, strict=True)))
        blank = cells.get(self._blank)
        try:
            origin = Origin(where, line)
            if self.example_type is Captioned:
                caption = self._get_optional(blank, "caption")
                return Captioned(image=as_image(cells[self._inputs[0]]), caption=caption, origin=origin, rest=kept)
            values = _numbers(cells[self._inputs[0]])
            if self.example_type is Speech:
                said = self._get_optional(blank, "transcript")
                return Speech(values=values, transcript=said, origin=origin, rest=kept)
            if self.example_type is TaggedSteps:
                tags = None if blank is None else self._get_tags(blank)
                return TaggedSteps(values=values, tags=tags, origin=origin, rest=kept).checked()
            label = None if blank is None else self._get_label(blank)
            return Signal(values=values, label=label, origin=origin, rest=kept)
        except BadData as error:
            raise BadData(error.problem, where, line) from None

    def _cells(self, example: Example) -> dict[str, Any]:
        if not isinstance(example, BESIDE):
            return super()._cells(example)
        cells = dict(zip(*example.rest, strict=True)) if isinstance(example.rest, Row) else dict[str, Any]()
        if isinstance(cells.get(self._inputs[0]), str):  # the file of their own that they were read from
            return super()._cells(example)
        cells[self._inputs[0]] = example.image.tolist() if isinstance(example, Captioned) else _listed(example.values)
        if getattr(example, example.blank) is not None or self._blank in cells:
            before = cells.get(self._blank)
            if isinstance(example, Signal):
                cells[self._blank] = self._put_label(example.label, before)
            elif isinstance(example, TaggedSteps):
                cells[self._blank] = self._put_tags(example.checked().tags, before)
            else:
                cells[self._blank] = getattr(example, example.blank)
        return cells | {self._column(field): value for field, value in self._put_prediction(example).items()}

    def _get_text(self, value: Any, field: str) -> str:
        if not isinstance(value, str):
            raise BadData(f"the {field} is {kind(value)} where a string is expected")
        return value

    def _get_optional(self, value: Any, field: str) -> str | None:
        return None if value is None else self._get_text(value, field)

    def _get_list(self, value: Any) -> tuple[str, ...]:
        if self.spacing == "none" and isinstance(value, str):
            return tuple(value)
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise BadData(f"{kind(value)} where a list of strings is expected")
        return tuple(value)

    def _get_label(self, value: Any) -> Label:
        if isinstance(value, list):
            return tuple(_one_label(one) for one in value)
        return _one_label(value)

    def _get_answer(self, value: Any) -> Label:
        found = self._get_label(value)
        return one_or_several(found) if isinstance(found, tuple) else found

    def _put_optional(self, text: str | None) -> str | None:
        return text

    def _put_list(self, parts: tuple[str, ...] | None) -> list[str] | str | None:
        if parts is None:
            return None
        return list(parts) if self.spacing == "blanks" else together(parts)

    def _put_answer(self, answer: Label, before: Any) -> Any:
        if isinstance(before, list) and not isinstance(answer, tuple):
            return [] if answer is None else [answer]
        return self._put_label(answer, before)

    def _get_tags(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise BadData(f"the tags are {kind(value)} where a list is expected, a tag a step")
        return tuple(_one_label(tag, "a tag") for tag in value)

    def _put_tags(self, tags: tuple[str, ...] | None, before: Any) -> list[Any] | None:
        if tags is None:
            return None
        same = isinstance(before, list) and len(before) == len(tags)
        return [self._put_label(tag, old) for tag, old in zip(tags, before if same else tags, strict=True)]

    def _put_label(self, label: Label, before: Any) -> Any:
        if isinstance(label, tuple):
            return list(label)
        # A label that was a number in the file stays one.
        if label is not None and isinstance(before, (bool, int, float)):
            try:
                value = json.loads(label)
            except ValueError:
                return label
            alike = isinstance(before, bool) == isinstance(value, bool)
            return value if alike and json.dumps(value) == label else label
        return label

    def _put_following(self, following: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
        return [{"element": element, "probability": round(float(figure), 6)} for element, figure in following]

    def _put_prediction(self, example: Example) -> dict[str, Any]:
        if isinstance(example, Passage) and example.surprisals is not None:
            return {"surprisals": [{"element": e, "bits": round(float(bits), 4)} for e, bits in example.surprisals]}
        if isinstance(example, (LabelledText, Signal)) and example.probabilities is not None:
            found = {label: round(float(figure), 6) for label, figure in example.probabilities.items()}
            sure = found.get(example.label) if isinstance(example.label, str) else None
            return ({} if sure is None else {"confidence": sure}) | {"probabilities": found}
        if isinstance(example, (TaggedTokens, TaggedSteps)) and example.confidence is not None:
            return {"confidence": [round(float(figure), 6) for figure in example.confidence]}
        if isinstance(example, (Pair, Question, Speech, Captioned)):
            return _scores(example)
        return {}


def _object(line: str, where: str | Path, number: int) -> dict[str, Any]:
    value = load(without_end(line), where, number)
    if not isinstance(value, dict):
        raise BadData(f"{kind(value)} where a JSON object is expected", where, number)
    return value


def _numbers(value: Any) -> np.ndarray:
    """Of each step. Raises `BadData` for all but lists of as many numbers each."""
    if not isinstance(value, list) or not all(isinstance(step, list) for step in value):
        raise BadData(f"the values are {kind(value)} where a list of lists of numbers is expected, a list a step")
    for number, step in enumerate(value, 1):
        if len(step) != len(value[0]):
            raise BadData(f"step {number} of the values has {len(step)} numbers where the first has {len(value[0])}")
        for one in step:
            if one is not None and (isinstance(one, bool) or not isinstance(one, (int, float))):
                raise BadData(f"step {number} of the values holds {kind(one)} where a number or null is expected")
    rows = [[float("nan") if one is None else one for one in step] for step in value]
    whole = all(isinstance(one, int) and -(2**63) <= one < 2**63 for step in rows for one in step)
    try:
        found = np.array(rows, dtype=np.int64 if whole else np.float64)
    except OverflowError:
        raise BadData("the values hold a whole number that is too large") from None
    return found.reshape(len(value), len(value[0]) if value else 0)


def _listed(values: np.ndarray) -> list[list[Any]]:
    """Of each step its numbers, None where one is missing."""
    rows = (values + 0 if values.dtype.kind == "b" else values).tolist()
    return [[None if number != number else number for number in row] for row in rows]


def _one_label(value: Any, called: str = "the label") -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    wanted = "a string or a list of strings" if called == "the label" else "a string or a number"
    raise BadData(f"{called} is {kind(value)} where {wanted} is expected")


def _scores(example: Pair | Question | Speech | Captioned) -> dict[str, Any]:
    scores: dict[str, Any] = {} if example.score is None else {"score": round(float(example.score), 6)}
    if example.alternatives is not None:
        others = [{example.blank: text, "score": round(float(score), 6)} for text, score in example.alternatives]
        scores["alternatives"] = others
    return scores
