"""Any sequence to any other: what the translator's options mean, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from unrolled.data.examples import Origin, Pair
from unrolled.data.tokenisers.bytes import Bytes
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.kernels import library
from unrolled.tasks.translator import Translator

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


def examples() -> list[Pair]:
    """For the laws of `test_every_task`: of different lengths, and some of one length."""
    return [
        Pair(source="a dog runs", target="ein Hund rennt"),
        Pair(source="two dogs sleep in the sun", target="zwei Hunde schlafen in der Sonne"),
        Pair(source="a man", target="ein Mann"),
        Pair(source="a man sleeps", target="ein Mann schläft"),
        Pair(source="the sun", target="die Sonne"),
    ]


def reversals(count: int = 40) -> list[Pair]:
    """Words of letters, each to be said backwards, letter by letter."""
    random = torch.Generator().manual_seed(0)
    words = []
    for _ in range(count):
        drawn = torch.randint(0, 6, (int(torch.randint(2, 6, (1,), generator=random)),), generator=random).tolist()
        words.append("".join("abcdef"[n] for n in drawn))
    return [Pair(source=word, target=" ".join(reversed(word))) for word in dict.fromkeys(words)]


def trained(given: list[Pair], steps: int = 250, **options: Any) -> Translator:
    torch.manual_seed(0)
    task = Translator.prepare(given, **{**TINY, **options})
    batch = task.collate([task.encode(example) for example in given])
    engine = torch.optim.Adam(task.parameters(), lr=0.02)
    for _ in range(steps):
        engine.zero_grad()
        loss = task.train().loss(batch)
        (loss.total / loss.count).backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        engine.step()
    return task.eval()


@pytest.fixture(scope="module")
def backwards() -> Translator:
    return trained(reversals())


def test_it_learns_to_say_words_backwards(backwards: Translator) -> None:
    given = reversals()
    said = backwards.predict([replace(pair, target=None) for pair in given])
    assert [pair.target for pair in said] == [pair.target for pair in given]
    scores = backwards.score(said, given)
    assert scores["exact_match"] == 1.0
    assert scores["word_error_rate"] == scores["sequence_error_rate"] == 0.0
    assert 1.0 <= scores["perplexity"] < 1.2


def test_what_it_looked_at_is_the_letter_that_it_says() -> None:
    # One layer behind which attention stands: with the word it says there is nothing else that knows the letter.
    task = trained(reversals(), place="after", layers=1, attention="general", directions="forward", bridge="zero")
    hits = total = 0
    for source, target, weights in task.align(reversals()):
        assert weights.shape == (len(target), len(source))
        torch.testing.assert_close(weights.sum(1), torch.ones(len(target)))
        for token, row in zip(target[:-1], weights, strict=False):
            hits += source[int(row.argmax())] == token
            total += 1
    assert hits > 0.5 * total  # by chance it would be about a third


def test_ways_of_cutting_are_found_by_the_look_of_the_texts() -> None:
    spelt = Translator.prepare([Pair(source="abc", target="A B C"), Pair(source="de", target="D E")], **TINY)
    assert [spelt.tokenisers[side].name for side in ("source", "target")] == ["characters", "blanks"]
    assert spelt.metric == "exact_match"
    running = [Pair(source=f"word{k} and other{k}, then", target=f"Wort{k} und Andere{k}.") for k in range(600)]
    learnt = Translator.prepare(running, **TINY, pieces=300)
    assert [learnt.tokenisers[side].name for side in ("source", "target")] == ["bpe", "bpe"]
    assert learnt.metric == "bleu"


@pytest.mark.parametrize("joining", ["apart", "joint"])
def test_of_bytes_each_is_known_on_both_sides_however_rare_it_is(joining: str) -> None:
    task = Translator.prepare(
        examples(), **TINY, joining=joining, source_tokens="bytes", target_tokens="bytes", minimum_count=1000
    )
    for side in (task.source, task.target):
        assert (side.encode(side.tokeniser.tokens("né 日本 \x00\x7f <0xC3> <begin>")) != 0).all()
        assert len(side.encode(Bytes.closed)) == len(set(side.encode(Bytes.closed).tolist()) - {0}) == 256
    assert (task.vocabularies["source"] == task.vocabularies["target"]) is (joining == "joint")


def test_a_joint_vocabulary_is_one_and_can_tie_everything() -> None:
    task = Translator.prepare(examples(), **TINY, joining="joint", tied="all")
    assert task.vocabularies["source"] == task.vocabularies["target"]
    assert task.network.encoder.embedding.weight is task.network.target.weight is task.network.softmax.weight
    with pytest.raises(BadOption, match="a joint vocabulary needs one way of cutting, not words and characters"):
        Translator.prepare(examples(), joining="joint", source_tokens="words", target_tokens="characters")


def test_greedy_is_a_beam_of_one_and_more_answers_come_with_their_scores(backwards: Translator) -> None:
    given = [pair.source for pair in reversals()]
    one, five = backwards.predict(given, beam=1), backwards.predict(given, beam=5, best=3)
    assert [pair.alternatives for pair in one] == [None] * len(given)
    for greedy, best in zip(one, five, strict=True):
        assert best.alternatives is not None
        assert len(best.alternatives) == 2
        scores = [best.score, *(score for _, score in best.alternatives)]
        assert scores == sorted(scores, reverse=True)
        assert greedy.score is not None
        assert best.score is not None
        assert best.score >= greedy.score - 1e-6


def test_a_prediction_begins_holds_and_avoids_what_it_is_told(backwards: Translator) -> None:
    assert backwards.predict(["abc"])[0].target == "c b a"
    assert backwards.predict(["abc"], prefix="d d")[0].target.startswith("d d")
    assert "b" not in backwards.predict(["abc"], forbidden=["b"])[0].target.split()
    assert "f" in backwards.predict(["abc"], required=["f"])[0].target.split()
    assert len(backwards.predict(["abc"], maximum_length=2)[0].target.split()) == 2
    assert len(backwards.predict(["abc"], minimum_length=6)[0].target.split()) >= 6
    said = backwards.predict(["aabaa"], no_repeat_ngram=1)[0].target.split()
    assert len(set(said)) == len(said)


def test_in_bfloat16_nearly_all_is_said_alike(backwards: Translator) -> None:
    words = [pair.source for pair in reversals()]
    exact, rounded = backwards.predict(words), backwards.predict(words, precision="bfloat16")
    assert sum(a.target != b.target for a, b in zip(exact, rounded, strict=True)) <= 1
    if library.load() is not None:
        assert [pair.score for pair in exact] != [pair.score for pair in rounded]
    assert backwards.predict(words) == exact


def test_samples_are_the_same_for_a_seed_whatever_stands_beside(backwards: Translator) -> None:
    options: dict[str, Any] = {"decoding": "sample", "temperature": 2.0, "best": 3}
    words = [pair.source for pair in reversals()]
    together = backwards.predict(words, seed=5, **options)
    assert backwards.predict(words, seed=5, **options) == together
    alone = [backwards.predict([word], seed=5, **options)[0] for word in words]
    assert [pair.target for pair in alone] == [pair.target for pair in together]
    assert [pair.target for pair in backwards.predict(words, seed=6, **options)] != [p.target for p in together]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "a beam needs a width of 1 or more, not 0"),
        ({"best": 0}, "best must be 1 or more, not 0"),
        ({"best": 7}, "a beam of 5 can give its 1 to 5 best hypotheses, not 7"),
        ({"decoding": "guess"}, "decoding is 'beam' or 'sample', not 'guess'"),
        ({"precision": "half"}, "the precision is 'float32' or 'bfloat16', not 'half'"),
        ({"unknown": "guess"}, "unknown is 'source', 'drop' or 'mark', not 'guess'"),
        ({"minimum_length": 9, "maximum_length": 3}, "at least 9 tokens, but at most 3"),
    ],
)
def test_options_that_cannot_be_are_refused(backwards: Translator, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        backwards.predict(["abc"], **options)


def test_an_option_that_is_none_is_named_with_the_nearest(backwards: Translator) -> None:
    with pytest.raises(UnknownName, match="unknown option of predicting 'beams'; did you mean 'beam'"):
        backwards.predict(["abc"], beams=3)


def test_a_word_that_no_vocabulary_has_is_copied_or_put_in_from_the_source() -> None:
    names = ["Ann", "Bob", "Cleo", "Dan", "Eve", "Fay"]
    given = [Pair(source=f"hello {name} !", target=f"hallo {name} !") for name in names]
    cut = {"source_tokens": "blanks", "target_tokens": "blanks", "minimum_count": 2}
    copying = trained(given, 300, copying="pointer", **cut)
    assert "Ann" not in copying.vocabularies["target"]
    assert [pair.target for pair in copying.predict([e.source for e in given])] == [e.target for e in given]
    assert copying.predict(["hello Zoe !"])[0].target == "hallo Zoe !"
    plain = trained(given, 300, **cut)
    assert plain.predict(["hello Zoe !"], unknown="mark")[0].target == "hallo <unk> !"
    assert plain.predict(["hello Zoe !"], unknown="drop")[0].target == "hallo !"
    replaced = plain.predict(["hello Zoe !"])[0].target
    assert replaced is not None
    assert "<unk>" not in replaced
    assert len(replaced.split()) == 3


def test_marks_in_the_data_are_no_marks() -> None:
    given = [Pair(source="<begin> a", target="<end> b"), Pair(source="c <end>", target="<begin> d")]
    task = Translator.prepare(given, **TINY, source_tokens="blanks", target_tokens="blanks")
    for example in given:
        encoded = task.encode(example)
        assert encoded.target is not None
        assert not {task.begin, task.end} & set(encoded.target.tolist())


def test_of_several_pronunciations_any_is_right(backwards: Translator) -> None:
    gold = [Pair(source="ab", target="b a"), Pair(source="ab", target="x y"), Pair(source="cd", target="d c")]
    said = [Pair(source="ab", target="x y"), Pair(source="ab", target="x y"), Pair(source="cd", target="d d")]
    scores = backwards.score(said, gold)
    assert scores["exact_match"] == scores["sequence_error_rate"] == 0.5
    assert scores["word_error_rate"] == 0.25


def test_teacher_forcing_gives_way_to_the_models_own_words_by_and_by() -> None:
    given = reversals(12)
    torch.manual_seed(0)
    task = Translator.prepare(given, **TINY, scheduled_sampling=1.0)
    batch = task.collate([task.encode(example) for example in given])
    losses = {}
    for progress in (0.0, 1.0):
        task.progress = progress
        losses[progress] = [float(task.train().loss(batch).total.detach()) for _ in range(2)]
    assert losses[0.0][0] == losses[0.0][1]
    assert losses[1.0][0] != losses[0.0][0]
    assert float(task.eval().loss(batch).total.detach()) == losses[0.0][0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "there are no examples to learn from"),
        ([Pair(source="a", target=None, origin=Origin("p.tsv", 3))], "p.tsv:3: a source without a target"),
    ],
)
def test_examples_that_cannot_be_learnt_from_are_refused(given: list[Pair], message: str) -> None:
    with pytest.raises(BadData, match=message):
        Translator.prepare(given)


def test_texts_that_are_empty_or_too_long_are_named_with_their_line() -> None:
    task = Translator.prepare(examples(), **TINY, longest=8)
    with pytest.raises(BadData, match=r"p\.tsv:7: the source is empty"):
        task.encode(Pair(source="  ", target="x", origin=Origin("p.tsv", 7)))
    with pytest.raises(BadData, match=r"p\.tsv:9: the target has 9 tokens, and longest=8 is the limit"):
        task.encode(Pair(source="a", target="a b c d e f g h i", origin=Origin("p.tsv", 9)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing must be a share from 0 up to 1, not 1.0"),
        ({"scheduled_sampling": -0.1}, "scheduled_sampling must be a share from 0 up to 1, not -0.1"),
        ({"longest": 0}, "longest must be 1 or more, not 0"),
        ({"attention": "none", "copying": "pointer"}, "copying needs attention"),
    ],
)
def test_networks_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        Translator.prepare(examples(), **{**TINY, **options})
