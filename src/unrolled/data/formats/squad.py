"""SQuAD's JSON, Rajpurkar et al. 2016, arXiv:1606.05250, and 2018, arXiv:1806.03822: paragraphs and questions on them.

    {"version": "v2.0", "data": [{"title": "…", "paragraphs": [{"context": "…", "qas": [
        {"id": "…", "question": "…", "answers": [{"text": "…", "answer_start": 0}], "is_impossible": false}]}]}]}

The different texts among `answers` are all right. A question that is impossible has the answer "", which is the one
that the official evaluation of version 2.0 takes as right; one that has no answers and is not said to be impossible is
to be predicted. A prediction is written as `answers`, with `answer_start` (-1 where the context does not hold it) and
`score`; all else stays, and so do the answers of a question where they are the example's still.

A file is one JSON document, and is read whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from unrolled.data.examples import Example, Origin, Question
from unrolled.data.formats._json import kind, load
from unrolled.data.formats.base import TextFormat
from unrolled.data.lines import is_blank
from unrolled.errors import BadData

_KEY = re.compile(r'"question"[ \t\r\n]*:|\n')


class Place(NamedTuple):
    """The objects that a question was read from, each inside the one before; they are never changed."""

    document: Mapping[str, Any]
    article: Mapping[str, Any]
    paragraph: Mapping[str, Any]
    question: Mapping[str, Any]


_MADE = Place({"version": "2.0", "data": []}, {"title": "", "paragraphs": []}, {}, {})
"""Where questions stand that were read from elsewhere."""


class SQuAD(TextFormat):
    """Paragraphs, and questions with their answers."""

    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    holds: ClassVar[tuple[type[Example], ...]] = (Question,)
    streamed: ClassVar[bool] = False

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        text = "".join(lines)
        if is_blank(text):
            return
        places = list(_places(load(text, where), where))
        numbers = list(_lines(text))
        if len(numbers) != len(places):
            numbers = [1] * len(places)  # other objects have a key of that name
        for place, number in zip(places, numbers, strict=True):
            yield Question(
                question=place.question["question"],
                context=place.paragraph["context"],
                answer=_answer(place.question),
                origin=Origin(where, number),
                rest=place,
            )

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        document: dict[str, Any] = {}
        before = _MADE
        for number, example in enumerate(examples, 1):
            assert isinstance(example, Question)
            if example.context is None:
                raise BadData("cannot write a question without a context as SQuAD; write jsonl instead")
            place = _place(example, before, number)
            document = document or {**place.document, "data": []}
            articles = document["data"]
            same = bool(articles) and place.article is before.article
            if not same:
                articles.append({**place.article, "paragraphs": []})
            paragraphs = articles[-1]["paragraphs"]
            if not same or place.paragraph is not before.paragraph:
                paragraphs.append({**place.paragraph, "qas": []})
            paragraphs[-1]["qas"].append(_written(example, place.question))
            before = place
        yield json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _lines(text: str) -> Iterator[int]:
    """The line of each question: a key cannot stand inside a string, where its quotation marks would be escaped."""
    number = 1
    for match in _KEY.finditer(text):
        if match[0] == "\n":
            number += 1
        else:
            yield number
            number += match[0].count("\n")


def _places(document: Any, where: str | Path) -> Iterator[Place]:
    for k, article in enumerate(_get(document, "data", list, "the document", where)):
        name = f"data[{k}]"
        for i, paragraph in enumerate(_get(article, "paragraphs", list, name, where)):
            name = f"data[{k}].paragraphs[{i}]"
            _get(paragraph, "context", str, name, where)
            for j, question in enumerate(_get(paragraph, "qas", list, name, where)):
                name = f"data[{k}].paragraphs[{i}].qas[{j}]"
                _get(question, "question", str, name, where)
                for answer in _get(question, "answers", list, name, where) if "answers" in question else []:
                    _get(answer, "text", str, f"{name}.answers", where)
                yield Place(document, article, paragraph, question)


def _get(held: Any, key: str, expected: type, name: str, where: str | Path) -> Any:
    """An entry of an object. Raises `BadData` where it is not there, or is of another type."""
    wanted = "a list" if expected is list else "a string"
    if not isinstance(held, dict):
        raise BadData(f"{name} is {kind(held)} where an object is expected (is it SQuAD?)", where)
    if key not in held:
        raise BadData(f"{name} has no {key!r} (is it SQuAD?)", where)
    if not isinstance(held[key], expected):
        raise BadData(f"{key!r} of {name} is {kind(held[key])} where {wanted} is expected", where)
    return held[key]


def _answer(question: Mapping[str, Any]) -> str | tuple[str, ...] | None:
    if question.get("is_impossible") is True:
        return ""
    texts = tuple(dict.fromkeys(answer["text"] for answer in question.get("answers", ())))
    return texts if len(texts) > 1 else texts[0] if texts else None


def _place(example: Question, before: Place, number: int) -> Place:
    """Where a question was read, if its context is still that; else a place among those that are made."""
    if isinstance(example.rest, Place) and example.rest.paragraph["context"] == example.context:
        return example.rest
    paragraph: Mapping[str, Any] = {"context": example.context, "qas": []}
    if before.article is _MADE.article and before.paragraph.get("context") == example.context:
        paragraph = before.paragraph
    return _MADE._replace(paragraph=paragraph, question={"id": str(number), "question": example.question})


def _written(example: Question, question: Mapping[str, Any]) -> dict[str, Any]:
    """The question's object with the example's fields put in."""
    written = {**question, "question": example.question}
    if _answer(question) != example.answer:
        context = example.context or ""
        texts = [text for text in example.answers if example.answer != ""]
        written["answers"] = [{"text": text, "answer_start": context.find(text)} for text in texts]
        if example.answer == "" or "is_impossible" in written:
            written["is_impossible"] = example.answer == ""
    if example.score is not None:
        written["score"] = round(float(example.score), 6)
    return written
