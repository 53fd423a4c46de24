"""Questions and answers: what the answerer reads, learns and refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from unrolled.data.examples import Origin, Question
from unrolled.errors import BadData
from unrolled.tasks.answerer import Answerer

TINY: dict[str, Any] = {
    "hidden_size": 16,
    "encoder_hidden": 12,
    "word_size": 12,
    "attention_size": 8,
    "embedding_dropout": 0.0,
    "dropout": 0.0,
    "readout_dropout": 0.0,
    "label_smoothing": 0.0,
}


def examples() -> list[Question]:
    """For the laws of `test_every_task`: of different lengths, and some of one length."""
    return [
        Question(question="Where is Ann?", context="Ann is in the kitchen.", answer="kitchen"),
        Question(question="Where is Bob?", context="Bob is in the garden.", answer="garden"),
        Question(question="Where is Ann?", context="Bob is in the hall. Ann is in the garden.", answer="the garden"),
        Question(question="Who sleeps?", answer=("Bob", "Bob does")),
        Question(question="What is red?", answer="a rose"),
    ]


def stories() -> list[Question]:
    """Where somebody is who was last said to be somewhere."""
    found = []
    for who in ("Ann", "Bob"):
        for first in ("hall", "garden", "kitchen"):
            for second in ("hall", "garden", "kitchen"):
                context = f"Ann went to the {first}. Bob went to the {second}."
                found.append(
                    Question(question=f"Where is {who}?", context=context, answer=first if who == "Ann" else second)
                )
    return found


def trained(given: list[Question], steps: int = 200, **options: Any) -> Answerer:
    torch.manual_seed(0)
    task = Answerer.prepare(given, **{**TINY, **options})
    batch = task.collate([task.encode(example) for example in given])
    engine = torch.optim.Adam(task.parameters(), lr=0.02)
    for _ in range(steps):
        engine.zero_grad()
        loss = task.train().loss(batch)
        (loss.total / loss.count).backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        engine.step()
    return task.eval()


def test_the_answer_depends_on_the_question_and_on_its_context() -> None:
    task = trained(stories(), 400)
    said = task.predict(stories())
    assert [e.answer for e in said] == [e.answer for e in stories()]
    assert task.score(said, stories())["exact_match"] == 1.0


def test_of_several_answers_any_is_right_and_words_in_common_count() -> None:
    task = Answerer.prepare(examples(), **TINY)
    gold = [Question(question="q", answer=("Bob", "the man")), Question(question="r", answer="red rose")]
    said = [Question(question="q", answer="The man."), Question(question="r", answer="rose")]
    scores = task.score(said, gold)
    assert scores["exact_match"] == 0.5
    assert scores["f1"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_question_alone_or_with_its_context_can_be_asked_as_text() -> None:
    task = Answerer.prepare(examples(), **TINY)
    assert task.read("Who?") == Question(question="Who?")
    assert task.read(("Who?", "Ann came.")) == Question(question="Who?", context="Ann came.")
    assert "<context>" in task.encode(task.read(("Who?", "Ann came."))).tokens


@pytest.mark.parametrize("directions", ["both", "forward"])
def test_each_direction_reads_the_question_before_the_context(directions: str) -> None:
    task = Answerer.prepare(examples(), **TINY, directions=directions, source_tokens="blanks")
    read = task.encode(Question(question="Who ?", context="Ann <context> came ."))
    behind = ["<context>", "Who", "?"] if directions == "both" else []
    assert list(read.tokens) == ["Who", "?", "<context>", "Ann", "<context>", "came", ".", *behind]
    marks = [2, 7] if directions == "both" else [2]
    assert [place for place, number in enumerate(read.source.tolist()) if number == task.mark] == marks


def test_words_of_the_context_that_no_vocabulary_has_can_be_copied() -> None:
    names = ["Ann", "Bob", "Cleo", "Dan", "Eve", "Fay"]
    given = [Question(question="who came ?", context=f"today {name} came", answer=name) for name in names]
    cut = {"source_tokens": "blanks", "target_tokens": "blanks", "minimum_count": 2}
    task = trained(given, 300, copying="pointer", **cut)
    assert task.predict([Question(question="who came ?", context="today Zoe came")])[0].answer == "Zoe"


def test_questions_that_cannot_be_learnt_from_are_refused() -> None:
    with pytest.raises(BadData, match="there are no examples to learn from"):
        Answerer.prepare([])
    with pytest.raises(BadData, match=r"q\.jsonl:2: a question without an answer"):
        Answerer.prepare([Question(question="Who?", origin=Origin("q.jsonl", 2))])
    task = Answerer.prepare(examples(), **TINY)
    with pytest.raises(BadData, match=r"q\.jsonl:4: the source is empty"):
        task.encode(Question(question=" ", answer="x", origin=Origin("q.jsonl", 4)))
