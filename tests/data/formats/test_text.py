"""Plain text."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from unrolled.data.examples import LabelledText, Pair, Passage, Question, TaggedTokens
from unrolled.data.formats.text import PlainText
from unrolled.errors import BadData


def written(examples, **options) -> str:
    return b"".join(PlainText(type(examples[0]), **options).write_stream(examples)).decode()


def read(content: str, held, **options):
    return list(PlainText(held, **options).read_stream(io.BytesIO(content.encode())))


def test_a_line_is_a_text_with_its_blanks():
    assert [e.text for e in read("  one text \nanother\tone\n", LabelledText)] == ["  one text ", "another\tone"]


def test_tokens_stand_between_blanks_and_a_no_break_space_is_none():
    assert read("10\u00a0000  dogs\tbark\n", TaggedTokens) == [TaggedTokens(tokens=("10\u00a0000", "dogs", "bark"))]


def test_only_a_line_feed_ends_a_line():
    assert [e.text for e in read("a\x0bb\x0cc\x1cd\x85e\u2028f\rg\n", LabelledText)] == [
        "a\x0bb\x0cc\x1cd\x85e\u2028f\rg"
    ]


def test_blank_lines_are_no_examples_and_stay_where_they_are():
    content = "\n\none\n  \ntwo\n"
    examples = read(content, LabelledText)
    assert [(e.text, e.origin.line) for e in examples] == [("one", 3), ("two", 5)]
    assert written(examples) == "\n\none\n\ntwo\n"


def test_a_predicted_label_stands_before_its_text():
    (example,) = read("a fine film\n", LabelledText)
    assert written([replace(example, label="good")]) == "good\ta fine film\n"
    assert written([replace(example, label=("good", "short"))]) == "good|short\ta fine film\n"
    assert written([replace(example, label=("good", "short"))], label_separator="+") == "good+short\ta fine film\n"


def test_predicted_tags_stand_behind_their_tokens():
    (example,) = read("play 1/2 songs\n", TaggedTokens)
    assert written([replace(example, tags=("O", "B-music_item", "I-music_item"))]) == (
        "play/O 1/2/B-music_item songs/I-music_item\n"
    )


def test_a_line_may_be_tokens_with_nothing_between_them_and_their_tags_stand_before_it():
    (example,) = read("MKVA\n", TaggedTokens, spacing="none")
    assert example.tokens == ("M", "K", "V", "A")
    predicted = replace(example, tags=("C", "E", "E", "H"))
    assert written([predicted], spacing="none") == "CEEH\tMKVA\n"
    assert written([example], spacing="none") == "MKVA\n"
    with pytest.raises(BadData, match=r"^cannot write 'NOUN' with nothing between it and others"):
        written([replace(example, tags=("C", "E", "E", "NOUN"))], spacing="none")


def test_a_line_is_a_source_or_a_question_and_its_answer_stands_in_its_place():
    sources = read("a dog\n\na cat\nno\n", Pair)
    assert sources == [Pair(source="a dog"), Pair(source="a cat"), Pair(source="no")]
    targets = ("ein Hund", "eine Katze", "")
    predicted = [replace(e, target=target, score=-1.0) for e, target in zip(sources, targets, strict=True)]
    assert written(predicted) == "ein Hund\n\neine Katze\n\n"
    (question,) = read("Who barks?\n", Question)
    assert question == Question(question="Who barks?")
    assert written([replace(question, answer=" \n")]) == "\n"
    assert written([replace(question, context="A dog barks.", answer="a dog")]) == "a dog\n"


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (LabelledText(text="two\nlines"), r"cannot write the text 'two\\nlines' as plain text: it holds a line break"),
        (LabelledText(text=" "), r"cannot write the text ' ' as plain text: it holds nothing to read again"),
        (TaggedTokens(tokens=("New York",)), "cannot write the token 'New York' as plain text: it holds a blank"),
        (TaggedTokens(tokens=()), "an example without tokens"),
        (Pair(source=""), "cannot write the source '' as plain text: it holds nothing to read again"),
        (Pair(source="a", target="b\nc"), r"cannot write the target 'b\\nc' as plain text: it holds a line break"),
        (Question(question="a\nb"), r"cannot write the question 'a\\nb' as plain text: it holds a line break"),
        (Question(question="a", context="b"), "cannot write a question with its context as plain text; write jsonl"),
        (Question(question="a", answer=("b", "c")), "cannot write several answers as plain text; write jsonl instead"),
    ],
)
def test_what_a_line_cannot_hold_is_refused(example, message):
    with pytest.raises(BadData, match=message):
        written([example])


def test_lines_of_two_kinds_do_not_mix():
    with pytest.raises(BadData, match=r"^some examples have no target: plain text cannot tell which$"):
        written([Pair(source="a"), Pair(source="b", target="c")])


def test_a_passage_knows_of_the_empty_lines_above_it_and_what_may_follow_stands_behind_it():
    content = "\n\nonce upon\n\na time\n"
    examples = read(content, Passage)
    assert [(e.text, e.above) for e in examples] == [("once upon", 2), ("a time", 1)]
    assert written(examples) == content
    first = replace(examples[0], following=(("a", 0.75), ("\n", 0.125)))
    assert written([first]) == '\n\nonce upon\t"a" 0.7500, "\\n" 0.1250\n'
