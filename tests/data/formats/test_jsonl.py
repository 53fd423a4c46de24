"""JSON lines."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from unrolled.data import splits
from unrolled.data.examples import LabelledText, Pair, Passage, Question, Signal, TaggedTokens
from unrolled.data.formats.conllu import CoNLLU
from unrolled.data.formats.jsonl import JSONLines
from unrolled.data.formats.tsv import TSV
from unrolled.errors import BadData, UnknownName


def read(content: str, held=LabelledText, **options):
    return list(JSONLines(held, **options).read_stream(io.BytesIO(content.encode()), "a.jsonl"))


def written(examples, **options) -> str:
    return b"".join(JSONLines(type(examples[0]), **options).write_stream(examples)).decode()


def test_other_keys_come_back_in_their_order_with_their_values():
    content = '{"id": 7, "review": "été", "tree": {"a": [1.5, null]}, "label": "good"}\n'
    (example,) = read(content, columns={"text": "review"})
    assert example == LabelledText(text="été", label="good")
    assert written([example], columns={"text": "review"}) == content


def test_a_list_of_labels_is_several_and_null_or_nothing_is_none():
    content = (
        '{"text": "a", "label": ["x", "y"]}\n{"text": "b", "label": []}\n{"text": "c", "label": null}\n{"text": "d"}\n'
    )
    examples = read(content)
    assert [e.label for e in examples] == [("x", "y"), (), None, None]
    assert written(examples) == content


def test_labels_may_be_numbers_and_stay_numbers():
    content = '{"text": "a", "label": 1}\n{"text": "b", "label": true}\n{"text": "c", "label": "1"}\n'
    examples = read(content)
    assert [e.label for e in examples] == ["1", "true", "1"]
    assert written(examples) == content
    predicted = [replace(example, label="0") for example in examples]
    assert written(predicted).splitlines()[0] == '{"text": "a", "label": 0}'
    assert read(written(predicted)) == predicted
    for label in ("01", " 1", "1.00", "x", "true"):
        assert json.loads(written([replace(examples[0], label=label)]))["label"] == label


def test_tokens_and_tags_are_lists_and_may_hold_blanks():
    content = '{"tokens": ["New York", "sleeps"], "tags": ["PROPN", "VERB"], "pos": ["a", "b"]}\n'
    (example,) = read(content, TaggedTokens, features={"part": "pos"})
    assert example == TaggedTokens(tokens=("New York", "sleeps"), tags=("PROPN", "VERB"), features={"part": ("a", "b")})
    assert written([example], features={"part": "pos"}) == content


def test_tokens_may_be_the_characters_of_a_string():
    content = '{"tokens": "MKV", "tags": "CEH"}\n{"tokens": "A", "tags": null}\n'
    examples = read(content, TaggedTokens, spacing="none")
    assert examples == [TaggedTokens(tokens=("M", "K", "V"), tags=("C", "E", "H")), TaggedTokens(tokens=("A",))]
    assert written(examples, spacing="none") == content
    with pytest.raises(BadData, match="a string where a list of strings is expected"):
        read(content, TaggedTokens)


def test_predictions_bring_their_probabilities():
    predicted = LabelledText(text="a", label="x", probabilities={"x": 0.75, "y": 0.25})
    assert json.loads(written([predicted])) == {
        "text": "a",
        "label": "x",
        "confidence": 0.75,
        "probabilities": {"x": 0.75, "y": 0.25},
    }
    several = replace(predicted, label=("x",))
    assert json.loads(written([several])) == {"text": "a", "label": ["x"], "probabilities": {"x": 0.75, "y": 0.25}}
    tagged = TaggedTokens(tokens=("a", "b"), tags=("X", "Y"), confidence=(0.5, 1 / 3))
    assert json.loads(written([tagged]))["confidence"] == [0.5, 0.333333]
    assert read(written([predicted, several])) == [predicted, several]


def test_answers_are_one_or_several_and_stay_what_they_were():
    content = (
        '{"question": "a", "context": "b", "answer": "x"}\n'
        '{"question": "a", "answer": ["x", "y"], "id": 7}\n'
        '{"question": "a", "answer": ["x"]}\n'
        '{"question": "a", "answer": []}\n'
        '{"question": "a", "context": null, "answer": null}\n'
        '{"question": "a", "answer": ""}\n'
        '{"question": "a", "answer": 12}\n'
    )
    examples = read(content, Question)
    assert [example.answer for example in examples] == ["x", ("x", "y"), "x", None, None, "", "12"]
    assert [example.context for example in examples] == ["b", *[None] * 6]
    assert written(examples) == content


def test_a_sequence_that_was_found_brings_its_score_and_its_alternatives():
    (pair,) = read('{"id": 7, "en": "a dog"}\n', Pair, columns={"source": "en", "target": "de"})
    pair = replace(pair, target="ein Hund", score=-1 / 3, alternatives=(("der Hund", -1.5), ("", -4.0)))
    line = json.loads(written([pair], columns={"source": "en", "target": "de"}))
    others = [{"target": "der Hund", "score": -1.5}, {"target": "", "score": -4.0}]
    assert line == {"id": 7, "en": "a dog", "de": "ein Hund", "score": -0.333333, "alternatives": others}
    question = Question(question="Who?", answer="a dog", score=-0.5, alternatives=(("a cat", -2.0),))
    assert json.loads(written([question])) == {
        "question": "Who?",
        "answer": "a dog",
        "score": -0.5,
        "alternatives": [{"answer": "a cat", "score": -2.0}],
    }
    assert json.loads(written([Pair(source="a", target="b")])) == {"source": "a", "target": "b"}


def test_what_another_format_read_is_written_as_far_as_it_goes():
    (row,) = TSV(LabelledText).read_stream(io.BytesIO(b"id\ttext\n7\tfine\n"))
    assert json.loads(written([row])) == {"id": "7", "text": "fine"}
    (tree,) = CoNLLU(TaggedTokens).read_stream(io.BytesIO(b"1\ta\t_\tX\t_\t_\t_\t_\t_\t_\n\n"))
    assert json.loads(written([tree])) == {"tokens": ["a"], "tags": ["X"]}
    (back,) = read('{"id": 7, "text": "fine", "more": {"a": 1}}\n')
    assert b"".join(TSV(LabelledText).write_stream([back])) == b'id\ttext\tmore\n7\tfine\t{"a": 1}\n'


@pytest.mark.parametrize(
    ("line", "held", "message"),
    [
        ('{"text": "a"', LabelledText, "a.jsonl:2: not JSON: Expecting ',' delimiter at character 13"),
        ('["a"]', LabelledText, "a.jsonl:2: a list where a JSON object is expected"),
        ('{"text": 1}', LabelledText, "a.jsonl:2: the text is a number where a string is expected"),
        ('{"text": null}', LabelledText, "a.jsonl:2: the text is null where a string is expected"),
        (
            '{"text": "a", "label": {}}',
            LabelledText,
            "a.jsonl:2: the label is an object where a string or a list of strings is expected",
        ),
        ('{"tokens": "a b"}', TaggedTokens, "a.jsonl:2: a string where a list of strings is expected"),
        ('{"tokens": ["a"], "tags": [1]}', TaggedTokens, "a.jsonl:2: a list where a list of strings is expected"),
        ('{"tokens": ["a"], "tags": ["X", "Y"]}', TaggedTokens, "a.jsonl:2: 1 tokens but 2 tags"),
        ('{"tokens": [""]}', TaggedTokens, "a.jsonl:2: tokens 1 of 1 is empty"),
        ('{"tokens": []}', TaggedTokens, "a.jsonl:2: an example without tokens"),
        ('{"source": 1}', Pair, "a.jsonl:2: the source is a number where a string is expected"),
        ('{"source": "a", "target": ["b"]}', Pair, "a.jsonl:2: the target is a list where a string is expected"),
        ('{"question": null}', Question, "a.jsonl:2: the question is null where a string is expected"),
        ('{"question": "a", "context": []}', Question, "a.jsonl:2: the context is a list where a string is expected"),
        (
            '{"question": "a", "answer": [null]}',
            Question,
            "a.jsonl:2: the label is null where a string or a list of strings is expected",
        ),
        (r'{"text": "\ud800"}', LabelledText, r"a.jsonl:2: \ud800 is half a character (a lone surrogate)"),
    ],
)
def test_a_broken_line_is_named(line, held, message):
    good = '{"text": "a", "tokens": ["a"], "source": "a", "question": "a"}\n'
    with pytest.raises(BadData) as caught:
        read(good + line + "\n", held)
    assert str(caught.value) == message


def test_a_pair_of_surrogates_is_a_character():
    assert read(r'{"text": "\ud83d\ude00"}' + "\n") == [LabelledText(text="😀")]


@pytest.mark.parametrize("line", ['{"text": ' + "[" * 100_000, '{"text": "a", "n": ' + "1" * 10_000 + "}"])
def test_json_that_python_cannot_hold_is_refused(line):
    with pytest.raises(BadData, match=r"^a\.jsonl:1: not JSON"):
        read(line + "\n")


def test_a_missing_key_is_an_unknown_column():
    with pytest.raises(UnknownName) as caught:
        read('{"text": "a"}\n{"txt": "b"}\n')
    assert str(caught.value) == "a.jsonl:2: unknown column 'text'; did you mean 'txt'?"


def test_an_empty_text_and_an_empty_label_are_kept():
    examples = [LabelledText(text="", label=""), LabelledText(text="\0")]
    assert read(written(examples)) == examples


def test_what_may_follow_a_passage_and_its_surprisals_are_written_beside_it():
    (passage,) = read('{"text": "a dog"}\n', Passage)
    passage = replace(passage, following=(("barks", 0.5),), surprisals=(("a", 1 / 3), ("dog", 2.0)))
    assert json.loads(written([passage])) == {
        "text": "a dog",
        "following": [{"element": "barks", "probability": 0.5}],
        "surprisals": [{"element": "a", "bits": 0.3333}, {"element": "dog", "bits": 2.0}],
    }


def test_numbers_that_cannot_be_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    bad = {
        '{"values": 3}': "a number where a list of lists of numbers is expected",
        '{"values": [1, 2]}': "a list where a list of lists of numbers is expected",
        '{"values": [[1], [2, 3]]}': "step 2 of the values has 2 numbers where the first has 1",
        '{"values": [["a"]]}': "step 1 of the values holds a string where a number or null is expected",
        '{"values": [[true]]}': "holds true or false where a number",
        '{"values": [[1' + "0" * 400 + "]]}": "a whole number that is too large",
    }
    for line, message in bad.items():
        path.write_text('{"values": [[1]]}\n' + line + "\n")
        with pytest.raises(BadData, match=rf"a\.jsonl:2: .*{message}"):
            list(JSONLines(Signal).read(path))


def test_texts_beside_which_numbers_stand_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for line, kind in (
        ('{"text": "a b", "label": "x", "values": [1, 2]}', LabelledText),
        ('{"text": "a b", "label": "x"}', LabelledText),
        ('\n{"values": [[1, 2]], "label": "x"}', Signal),
    ):
        path.write_text(line + "\n")
        assert splits.example_type(path, (LabelledText, Signal)) is kind


def test_a_quantity_in_the_place_of_a_number_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": 1.5}\n{"text": "b", "label": 2}\n')
    first, second = JSONLines(LabelledText).read(path)
    JSONLines(LabelledText).write(path, [replace(first, label="2"), replace(second, label="2.25")])
    assert [json.loads(line)["label"] for line in path.read_text().splitlines()] == [2, 2.25]
