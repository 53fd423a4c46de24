"""SQuAD's JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from unrolled.data.examples import Pair, Question
from unrolled.data.formats.jsonl import JSONLines
from unrolled.data.formats.squad import SQuAD
from unrolled.errors import BadData, BadOption

# The shape of version 2.0, where a paragraph's context stands behind its questions.
DOCUMENT = {
    "version": "v2.0",
    "data": [
        {
            "title": "Dogs",
            "paragraphs": [
                {
                    "qas": [
                        {
                            "question": "Who barks?",
                            "id": "d1",
                            "answers": [
                                {"text": "a dog", "answer_start": 3},
                                {"text": "dog", "answer_start": 5},
                                {"text": "a dog", "answer_start": 3},
                            ],
                            "is_impossible": False,
                        },
                        {
                            "plausible_answers": [{"text": "a dog", "answer_start": 3}],
                            "question": "Who sings?",
                            "id": "d2",
                            "answers": [],
                            "is_impossible": True,
                        },
                    ],
                    "context": "If a dog barks, it barks.",
                },
                {
                    "qas": [{"question": "Été?", "id": "d3", "answers": [{"text": "oui", "answer_start": 0}]}],
                    "context": "oui",
                    "page": 7,
                },
            ],
        },
        {"title": "Nothing", "paragraphs": [{"context": "Nobody asks.", "qas": []}]},
        {"title": "Cats", "paragraphs": [{"context": "A cat sleeps.", "qas": [{"id": "c1", "question": "Who?"}]}]},
    ],
}
BARKS = "If a dog barks, it barks."
QUESTIONS = [
    Question(question="Who barks?", context=BARKS, answer=("a dog", "dog")),
    Question(question="Who sings?", context=BARKS, answer=""),
    Question(question="Été?", context="oui", answer="oui"),
    Question(question="Who?", context="A cat sleeps."),
]


def read(document, **options) -> list[Question]:
    content = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    return list(SQuAD(Question, **options).read_stream(io.BytesIO(content.encode()), "a.json"))


def written(examples) -> dict:
    return json.loads(b"".join(SQuAD(Question).write_stream(examples)))


def asked(document) -> list[dict]:
    return [q for article in document["data"] for paragraph in article["paragraphs"] for q in paragraph["qas"]]


def test_paragraphs_are_contexts_and_the_different_answers_are_all_right():
    assert read(DOCUMENT) == QUESTIONS
    assert [example.answers for example in read(DOCUMENT)] == [("a dog", "dog"), ("",), ("oui",), ()]


def test_what_was_read_is_written_as_it_was_but_for_paragraphs_that_nobody_asks_about():
    expected = {**DOCUMENT, "data": [DOCUMENT["data"][0], DOCUMENT["data"][2]]}
    found = written(read(DOCUMENT))
    assert found == expected
    assert [list(q) for q in asked(found)] == [list(q) for q in asked(expected)]


def test_a_prediction_fills_in_the_answers_and_keeps_the_ids():
    predicted = [
        replace(example, answer=answer, score=-0.25)
        for example, answer in zip(read(DOCUMENT), ("dog", "it", "", "A cat"), strict=True)
    ]
    found = written(predicted)
    assert [q["answers"] for q in asked(found)] == [
        [{"text": "dog", "answer_start": 5}],
        [{"text": "it", "answer_start": 16}],
        [],
        [{"text": "A cat", "answer_start": 0}],
    ]
    assert [q.get("is_impossible") for q in asked(found)] == [False, False, True, None]
    assert [q["id"] for q in asked(found)] == ["d1", "d2", "d3", "c1"]
    assert [q["score"] for q in asked(found)] == [-0.25] * 4
    assert read(found) == predicted


def test_an_answer_that_the_context_does_not_hold_starts_nowhere():
    (example,) = read({"data": [DOCUMENT["data"][2]]})
    assert asked(written([replace(example, answer="a lion")]))[0]["answers"] == [{"text": "a lion", "answer_start": -1}]


def test_gold_answers_do_not_stay_where_the_blank_is_empty():
    blank = [replace(example, answer=None) for example in read(DOCUMENT)]
    assert [q.get("answers") for q in asked(written(blank))] == [[], [], [], None]
    assert read(written(blank)) == blank


def test_questions_from_elsewhere_share_a_paragraph_where_their_context_is_one():
    rows = "".join(
        json.dumps({"question": question, "context": context, "answer": "x"}) + "\n"
        for question, context in [("a", "C x"), ("b", "C x"), ("c", "D")]
    )
    found = written(JSONLines(Question).read_stream(io.BytesIO(rows.encode())))
    (article,) = found["data"]
    assert [(p["context"], len(p["qas"])) for p in article["paragraphs"]] == [("C x", 2), ("D", 1)]
    assert [q["id"] for q in asked(found)] == ["1", "2", "3"]


def test_questions_taken_out_of_their_order_keep_their_contexts():
    examples = [read(DOCUMENT)[k] for k in (2, 0, 3, 1)]
    assert read(written(examples)) == examples
    changed = [replace(examples[0], context="non, oui")]
    assert read(written(changed)) == changed
    assert asked(written(changed))[0]["id"] == "1"


def test_questions_know_their_lines_and_a_file_of_one_line_has_one():
    text = json.dumps(DOCUMENT, indent=2)
    lines = text.split("\n")
    numbers = [example.origin.line for example in read(text)]
    expected = [number for number, line in enumerate(lines, 1) if '"question":' in line]
    assert numbers == expected
    assert [example.origin.line for example in read(DOCUMENT)] == [1] * 4
    # A key of that name elsewhere: then nobody can tell, and nothing is told wrongly.
    assert [e.origin.line for e in read(json.dumps({"question": 1, **DOCUMENT}, indent=2))] == [1] * 4


def test_a_quoted_key_in_a_text_is_no_key():
    odd = {"data": [{"paragraphs": [{"context": 'a "question": b', "qas": [{"question": "Who?"}]}]}]}
    text = json.dumps(odd, indent=1)
    before = text[: text.index('"question": "Who?"')]
    assert read(text)[0].origin.line == before.count("\n") + 1
    text = json.dumps(DOCUMENT, indent=1).replace('"question":', '"question"\n:')
    lines = text.split("\n")
    assert [e.origin.line for e in read(text)] == [k for k, line in enumerate(lines, 1) if '"question"' in line]


def test_an_impossible_question_has_no_answer_whatever_else_it_says():
    assert read(place(is_impossible=True, answers=[{"text": "x"}]))[1].answer == ""
    assert read(place(is_impossible=False, answers=[]))[1].answer is None


def test_paragraphs_that_are_alike_stay_two():
    twice = {
        "data": [
            {"paragraphs": [{"context": "b", "qas": [{"question": "a"}]}, {"context": "b", "qas": [{"question": "a"}]}]}
        ]
    }
    assert written(read(twice)) == twice


def place(**changes) -> dict:
    question = {"question": "a", **changes}
    return {"data": [{"paragraphs": [{"context": "b", "qas": [{"question": "x"}, question]}]}]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"data": [\n1,]}', "a.json:2: not JSON: Expecting value at character 3"),
        ('{"data": "\\ud800"}', r"a.json: \ud800 is half a character (a lone surrogate)"),
        ("[" * 100_000, "a.json: not JSON that can be read: "),
        ("[]", "a.json: the document is a list where an object is expected (is it SQuAD?)"),
        ("{}", "a.json: the document has no 'data' (is it SQuAD?)"),
        ('{"data": {}}', "a.json: 'data' of the document is an object where a list is expected"),
        ('{"data": [{}]}', "a.json: data[0] has no 'paragraphs' (is it SQuAD?)"),
        ('{"data": [{"paragraphs": [{}]}]}', "a.json: data[0].paragraphs[0] has no 'context' (is it SQuAD?)"),
        (place(question=None), "a.json: 'question' of data[0].paragraphs[0].qas[1] is null where a string is expected"),
        (place(answers="a"), "a.json: 'answers' of data[0].paragraphs[0].qas[1] is a string where a list is expected"),
        (place(answers=["a"]), "a.json: data[0].paragraphs[0].qas[1].answers is a string where an object is expected"),
        (place(answers=[{}]), "a.json: data[0].paragraphs[0].qas[1].answers has no 'text' (is it SQuAD?)"),
        ('{"data": []}', "a.json: the file holds no examples"),
    ],
)
def test_what_is_no_squad_is_named(document, message):
    with pytest.raises(BadData) as caught:
        read(document)
    assert str(caught.value).startswith(message)


def test_training_needs_answers_and_an_impossible_question_has_one():
    assert read({"data": DOCUMENT["data"][:1]}, filled=True) == QUESTIONS[:3]
    with pytest.raises(BadData, match=r"^a\.json:1: an example without answer, which training and evaluation need$"):
        read(DOCUMENT, filled=True)


def test_a_question_without_a_context_is_refused():
    with pytest.raises(BadData, match="cannot write a question without a context as SQuAD; write jsonl instead"):
        written([Question(question="a")])


def test_only_questions_are_held():
    with pytest.raises(BadOption, match=r"^the format squad holds questions with answers, not pairs of source"):
        SQuAD(Pair)
