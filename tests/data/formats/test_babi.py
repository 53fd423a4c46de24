"""bAbI's numbered lines."""

from __future__ import annotations

import gzip
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.examples import Pair, Question
from unrolled.data.formats.babi import BAbI
from unrolled.data.reading import read as read_file
from unrolled.errors import BadData, BadOption

CONTENT = (
    "1 Mary moved to the bathroom.\n"
    "2 John went to the hallway.\n"
    "3 Where is Mary? \tbathroom\t1\n"
    "4 Daniel took the milk.\n"
    "5 Where is John? \thallway\t2\n"
    "1 Sandra went home.\n"
    "2 What has she?\tapple,milk\t1 3\n"
)
QUESTIONS = [
    Question(
        question="Where is Mary?",
        context="Mary moved to the bathroom. John went to the hallway.",
        answer="bathroom",
    ),
    Question(
        question="Where is John?",
        context="Mary moved to the bathroom. John went to the hallway. Daniel took the milk.",
        answer="hallway",
    ),
    Question(question="What has she?", context="Sandra went home.", answer="apple,milk"),
]


def read(content: str, **options) -> list[Question]:
    return list(BAbI(Question, **options).read_stream(io.BytesIO(content.encode()), "a.txt"))


def written(examples) -> str:
    return b"".join(BAbI(Question).write_stream(examples)).decode()


def test_a_question_knows_all_statements_of_its_story_so_far_and_no_question():
    examples = read(CONTENT)
    assert examples == QUESTIONS
    assert [example.origin.line for example in examples] == [3, 5, 7]


def test_what_was_read_is_written_byte_for_byte():
    assert written(read(CONTENT)) == CONTENT
    odd = "\n1 A  b.\n\n2 C?\tx\t1\n3 d\n1 E \n2 F? \ty\n"
    assert written(read(odd)) == odd
    assert [example.context for example in read(odd)] == ["A  b.", "E"]


def test_statements_behind_the_last_question_are_dropped():
    assert written(read(CONTENT + "3 Nobody asks.\n")) == CONTENT


def test_a_question_whose_answer_is_not_known_is_to_be_predicted():
    first, second = read("1 Mary moved.\n2 Where is Mary?\n3 Is it\t\t1\n")
    assert (first.answer, second.answer) == (None, None)
    predicted = [replace(first, answer="garden"), replace(second, answer="yes")]
    assert written(predicted) == "1 Mary moved.\n2 Where is Mary?\tgarden\n3 Is it\tyes\t1\n"
    assert written([first, second]) == "1 Mary moved.\n2 Where is Mary?\n3 Is it\t\t1\n"


def test_a_predicted_answer_takes_the_place_of_the_old_one():
    predicted = [replace(example, answer="attic") for example in read(CONTENT)]
    expected = CONTENT.replace("bathroom\t1", "attic\t1").replace("hallway\t2", "attic\t2")
    assert written(predicted) == expected.replace("apple,milk", "attic")


@given(st.lists(st.sampled_from(range(3)), min_size=1, max_size=6))
def test_questions_in_any_order_keep_their_stories(order):
    examples = [read(CONTENT)[k] for k in order]
    assert read(written(examples)) == examples


def test_a_question_out_of_its_order_has_a_story_of_its_own():
    assert written([read(CONTENT)[1]]) == (
        "1 Mary moved to the bathroom.\n"
        "2 John went to the hallway.\n"
        "3 Daniel took the milk.\n"
        "4 Where is John?\thallway\n"
    )
    assert written([Question(question="Why", context="A. B.", answer="so")]) == "1 A. B.\n2 Why\tso\n"
    assert written([Question(question="Why?")]) == "1 Why?\t\n"


def test_a_story_is_told_from_its_beginning_to_the_question_and_no_further():
    content = "1 A.\n2 B.\n3 Q?\tq\n4 C.\n5 D.\n6 E.\n7 R?\tr\n8 F.\n9 S?\ts\n"
    examples = read(content)
    assert [example.context for example in examples] == ["A. B.", "A. B. C. D. E.", "A. B. C. D. E. F."]
    assert written([examples[1]]) == "1 A.\n2 B.\n3 C.\n4 D.\n5 E.\n6 R?\tr\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 A.\nB.\n", "a.txt:2: 'B.' where a number, a blank and a sentence are expected"),
        ("1 A.\n3 B.\n", "a.txt:2: line number 3 where 2, or 1 for a new story, is expected"),
        ("2 A.\n", "a.txt:1: line number 2 where 1 is expected"),
        ("0 A.\n", "a.txt:1: line number 0 where 1 is expected"),
        ("1 A.\n2 B.\n", "a.txt: the file holds no examples"),
        ("story\tquestion\tanswer\n", r"a.txt:1: 'story\tquestion\tanswer' where a number, a blank and a sentence"),
    ],
)
def test_a_broken_line_is_named(content, message):
    with pytest.raises(BadData) as caught:
        read(content)
    assert str(caught.value).startswith(message.replace("\\t", "\\t"))


def test_training_needs_answers():
    with pytest.raises(BadData, match=r"^a\.txt:2: an example without answer, which training and evaluation need$"):
        read("1 A.\n2 B?\n", filled=True)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (Question(question="a\tb"), r"cannot write 'a\\tb' as bAbI: it could not be read again"),
        (Question(question="a\nb"), r"cannot write 'a\\nb' as bAbI"),
        (Question(question=" a"), "cannot write ' a' as bAbI"),
        (Question(question="a", context="Who?"), "cannot write 'a' as bAbI"),
        (Question(question="a", context=""), "cannot write 'a' as bAbI"),
        (Question(question="a", answer="x\r"), "cannot write 'a' as bAbI"),
        (Question(question="a", answer=("x", "y")), "cannot write several answers to a question as bAbI"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(example, message):
    with pytest.raises(BadData, match=message):
        written([example])


def test_only_questions_are_held():
    with pytest.raises(
        BadOption, match=r"^the format babi holds questions with answers, not pairs of source and target"
    ):
        BAbI(Pair)


@pytest.mark.parametrize(
    ("split", "table", "count"),
    [("train.txt.gz", "train.tsv.xz", 10_000), ("test.txt", "test.tsv", 1_000)],
)
def test_the_real_file_is_the_real_table(shared_data, split, table, count):
    folder = shared_data / "babi_qa1"
    path = folder / f"qa1_single-supporting-fact_{split}"
    found = read_file(path, Question, format="babi", filled=True)
    rows = read_file(folder / table, Question, columns={"context": "story"}, filled=True)
    assert len(found) == count
    # One statement has two blanks in a row, of which the table has one.
    assert [replace(e, context=" ".join((e.context or "").split())) for e in found] == rows
    raw = path.read_bytes()
    assert written(found).encode() == (gzip.decompress(raw) if split.endswith(".gz") else raw)
