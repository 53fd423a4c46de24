"""Examples as values."""

from __future__ import annotations

from dataclasses import replace

from unrolled.data.examples import LabelledText, Origin, Pair, Question, TaggedTokens


def test_where_it_came_from_and_how_sure_one_is_does_not_make_an_example_another():
    text = LabelledText(text="a", label="x")
    assert text == replace(text, origin=Origin("a.tsv", 3), rest=("more",), probabilities={"x": 1.0})
    tokens = TaggedTokens(tokens=("a",), tags=("X",))
    assert tokens == replace(tokens, origin=Origin("a.conll", 3), confidence=(0.5,))
    assert text != replace(text, label="y")
    found = {"score": -1.0, "alternatives": (("b", -2.0),)}
    pair, question = Pair(source="a", target="x"), Question(question="a", answer="x")
    assert pair == replace(pair, origin=Origin("a.tsv", 3), rest=("more",), **found) != replace(pair, target="y")
    assert question == replace(question, **found) != replace(question, answer=("x", "y"))


def test_the_content_is_what_is_given_without_the_blank():
    assert LabelledText(text="a", label="x").content == LabelledText(text="a").content == "a"
    assert TaggedTokens(tokens=("a", "b"), tags=("X", "Y")).content == ("a", "b")
    assert Pair(source="a", target="x").content == "a"
    assert Question(question="a", answer="x").content == ("a", None)
    assert Question(question="a", context="b").content != Question(question="a").content


def test_the_blank_is_a_field_that_may_be_empty():
    assert getattr(LabelledText(text="a"), LabelledText.blank) is None
    assert getattr(TaggedTokens(tokens=("a",)), TaggedTokens.blank) is None
    assert getattr(Pair(source="a"), Pair.blank) is None
    assert getattr(Question(question="a"), Question.blank) is None


def test_the_answers_of_a_question_are_all_that_are_right():
    assert [Question(question="a", answer=answer).answers for answer in (None, "x", "", ("x", "y"))] == [
        (),
        ("x",),
        ("",),
        ("x", "y"),
    ]


def test_a_problem_names_the_line():
    assert str(LabelledText(text="a", origin=Origin("a.tsv", 3)).problem("wrong")) == "a.tsv:3: wrong"
    assert str(LabelledText(text="a").problem("wrong")) == "wrong"
