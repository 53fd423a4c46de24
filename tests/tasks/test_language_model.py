"""What comes next: perplexity against one element at a time, text in streams, and what a prediction says."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.data.examples import Passage
from unrolled.data.feeds import Streams
from unrolled.data.long_text import LongText
from unrolled.errors import BadData, BadOption, NotFinite, UnknownName
from unrolled.tasks import _reading_on
from unrolled.tasks.language_model import LINE_END, LanguageModel
from unrolled.training.events import Step
from unrolled.training.fit import fit
from unrolled.training.settings import Settings

TINY: dict[str, Any] = {"hidden_size": 6, "word_size": 5, "layers": 2}
SIZES: dict[str, Any] = {"hidden_size": 32, "word_size": 32}
"""For the laws of `test_every_task`, one of which wants a few lines learnt by heart."""
DRY: dict[str, Any] = {"type_dropout": 0.0, "embedding_dropout": 0.0, "dropout": 0.0, "output_dropout": 0.0}


def examples() -> list[Passage]:
    """For the laws of `test_every_task`: of different lengths, and three of one length."""
    lines = [
        "the dog barks at the cat that sleeps on the warm roof of our house and does not wake up at all",
        "a big red dog sees the cat and the mouse and the bird and runs after all of them through the wet grass",
        "cats sleep when it rains and when the sun shines and when there is nothing else to do for a cat",
        "ann sees dogs in the park on each of the mornings on which she walks there with her old friend bo",
        "go home before it gets dark said the old man to the young man who did not want to hear it again",
        "the mouse sleeps here too behind the wall where no cat and no dog will ever find it and it knows",
        "a cat barks",
    ]
    return [Passage(text=line) for line in lines]


def perfect(given: list[Passage]) -> list[Passage]:
    """Each element foreseen, for the same laws."""
    return [replace(e, surprisals=tuple((token, 0.0) for token in (*e.text.split(), LINE_END))) for e in given]


def made(**options: Any) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel.prepare(examples(), **{**TINY, **options})


def one_by_one(task: LanguageModel, ids: list[int]) -> float:
    """The mean of -log p in nats, each element by a step of its own, from a state before everything."""
    task.eval()
    state, before, total = task.network.initial_state(1), task.line_end, 0.0
    with torch.no_grad():
        for this in ids:
            logits, state = task.network.step(torch.tensor([before]), state)
            total -= float(logits.double().log_softmax(1)[0, this])
            before = this
    return total / len(ids)


@pytest.mark.parametrize("at_once", [1, 2, 7, 512])
def test_perplexity_is_that_of_reading_one_element_at_a_time(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    task = made()
    monkeypatch.setattr(_reading_on, "AT_ONCE", at_once)
    ids = [int(i) for example in examples() for i in task.encode(example).ids]
    figures = task.measure(examples())
    assert len(ids) == sum(len(e.text.split()) + 1 for e in examples())  # each line end is asked for, too
    assert figures["perplexity"] == pytest.approx(math.exp(one_by_one(task, ids)), rel=1e-5)
    assert figures["bits"] == pytest.approx(math.log2(figures["perplexity"]))
    assert figures["log_probability"] == pytest.approx(-math.log(figures["perplexity"]))


def test_of_lines_that_stand_for_themselves_each_begins_anew() -> None:
    task = made(lines="apart")
    lines = [task.encode(example).ids.tolist() for example in examples()]
    total = sum(one_by_one(task, line) * len(line) for line in lines) / sum(map(len, lines))
    assert task.measure(examples())["perplexity"] == pytest.approx(math.exp(total), rel=1e-5)
    assert task.measure(examples()[::-1]) == pytest.approx(task.measure(examples()), rel=1e-6)


def test_the_loss_of_windows_with_the_state_carried_is_that_of_each_stream_read_in_one() -> None:
    task = made(**DRY).train()
    ids = np.concatenate([task.encode(example).ids for example in examples()])
    feed = Streams(ids, streams=3, window=2, vary=False, seed=1)
    total, state = 0.0, None
    for piece in feed.plan(0):
        loss = task.loss_after(task.collate(feed.take(piece)), state)
        total, state = total + float(loss.total.detach()), loss.state
    each = len(ids) // 3
    alone = 0.0
    for stream in np.split(ids[: 3 * each], 3):
        before, inner = task.network.initial_state(1), 0.0
        for this, following in pairwise(stream):
            logits, before = _step(task, this, before)
            inner -= float(logits.log_softmax(1)[0, following])
        alone += inner
    assert total == pytest.approx(alone, rel=1e-5)


def _step(task: LanguageModel, this: int, state: Any) -> tuple[torch.Tensor, Any]:
    task.eval()
    with torch.no_grad():
        found = task.network.step(torch.tensor([int(this)]), state)
    task.train()
    return found


def test_a_state_that_is_carried_has_no_graph() -> None:
    task = made().train()
    ids = np.concatenate([task.encode(example).ids for example in examples()])
    feed = Streams(ids, streams=2, window=3, vary=False, seed=1)
    loss = task.loss(task.collate(feed.take(feed.plan(0)[0])))
    assert not any(leaf.requires_grad for pair in loss.state for leaf in pair)


def test_penalties_count_in_training_alone() -> None:
    plain, with_both = made(**DRY), made(**DRY, activation_penalty=2.0, change_penalty=1.0)
    batch = plain.collate([plain.encode(examples()[1])])
    assert torch.equal(with_both.eval().loss(batch).total, plain.eval().loss(batch).total)
    x, _ = plain.network.read(batch.read)
    penalty = 2.0 * x.data.square().mean() + (x.data[1:] - x.data[:-1]).square().mean()
    expected = plain.train().loss(batch).total + len(batch.due) * penalty
    torch.testing.assert_close(with_both.train().loss(batch).total, expected)


def test_a_prediction_names_what_follows_and_how_surprising_each_element_is() -> None:
    task = made().eval()
    (said,) = task.predict(["the dog"], likeliest=3)
    assert said.following is not None
    assert said.surprisals is not None
    assert [element for element, _ in said.surprisals] == ["the", "dog", LINE_END]
    assert len(said.following) == 3
    probabilities = [p for _, p in said.following]
    assert probabilities == sorted(probabilities, reverse=True)
    logits, state = task.network.step(torch.tensor([task.line_end]), task.network.initial_state(1))
    for word in ("the", "dog"):
        logits, state = task.network.step(torch.tensor([task.elements.index(word)]), state)
    p = logits.detach().softmax(1)[0]
    assert dict(said.following) == pytest.approx({e: float(p[task.elements.index(e)]) for e, _ in said.following})
    assert said.surprisals[2][1] == pytest.approx(-math.log2(float(p[task.line_end])), rel=1e-4)
    every = task.predict(["the dog"], likeliest=10**6)[0].following
    assert sum(p for _, p in every or ()) == pytest.approx(1.0)


def test_empty_lines_are_line_ends_of_the_text() -> None:
    task = made(tokens="characters")
    assert task.encode(Passage(text="go", above=2)).tokens == (LINE_END, LINE_END, "g", "o", LINE_END)


def test_line_ends_are_counted_and_take_no_other_element_s_place(tmp_path: Path) -> None:
    """Else the frequent line end would be among the rarest elements that a sampled softmax draws from."""
    path = tmp_path / "text.txt"
    path.write_text("b a\n\n\nb a b\n\na c\n")
    lines = [Passage(text="b a"), Passage(text="b a b", above=2), Passage(text="a c", above=1)]
    for given in (lines, LongText(path)):
        for options, symbols, counts in (
            ({}, ("<unk>", LINE_END, "a", "b", "c"), (0, 6, 3, 3, 1)),
            ({"most": 2}, ("<unk>", LINE_END, "a", "b"), (1, 6, 3, 3)),
            ({"minimum_count": 99}, ("<unk>", LINE_END), (7, 6)),
        ):
            task = LanguageModel.prepare(given, samples=1, **TINY, **options)
            assert (task.elements.symbols, task.elements.counts) == (symbols, counts)
            assert int(task.network.softmax.inclusion[1:].argmax()) == 0  # type: ignore[index,union-attr]
    inside = LanguageModel.prepare([Passage(text="a\nb")], tokens="characters", **TINY)
    assert inside.elements.counts == (0, 2, 1, 1)


def test_an_unseen_element_is_unknown_and_counted() -> None:
    task = made()
    assert task.measure([Passage(text="the zebra barks")])["unknown"] == pytest.approx(1 / 4)


@pytest.mark.parametrize("windows", ["equal", "random"])
def test_it_learns_a_text_by_heart(windows: str) -> None:
    lines = [Passage(text="a b c d e f"), Passage(text="f e d c b a")] * 12
    torch.manual_seed(0)
    task = LanguageModel.prepare(lines, hidden_size=24, word_size=24, layers=1, window=8, windows=windows, **DRY)
    settings = Settings(learning_rate=2e-2, epochs=20, batch_rows=2, checks=2)
    for _ in fit(task, lines, lines[:4], settings=settings):
        pass
    assert task.measure(lines[:4])["perplexity"] < 1.5  # which of the two lines comes next is a matter of counting


def test_a_run_killed_between_windows_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    lines = examples() * 4
    settings = Settings(epochs=2, batch_rows=3, checkpoint_seconds=0.0)

    def trained(folder: Path | None, stop: int | None, *, resumed: bool = False) -> LanguageModel:
        torch.manual_seed(0)
        task = LanguageModel.prepare(lines, **TINY, window=5)
        events = fit(task, lines, lines[:3], settings=settings, checkpoints=folder, resumed=resumed)
        for place, _ in enumerate(events):
            if place == stop:
                break
        return task

    whole = trained(None, None)
    trained(tmp_path, 7)
    again = trained(tmp_path, None, resumed=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_what_it_refuses() -> None:
    with pytest.raises(BadData, match="no text"):
        LanguageModel.prepare([])
    with pytest.raises(BadOption, match="layers must be 1 or more"):
        made(layers=0)
    with pytest.raises(BadOption, match="likeliest must be 1 or more"):
        made().predict(["a"], likeliest=0)
    with pytest.raises(UnknownName, match="likliest"):
        made().predict(["a"], likliest=3)
    with pytest.raises(BadData, match="too short for 200 streams"):
        for _ in fit(made(), examples(), examples(), settings=Settings(batch_rows=200)):
            pass


def test_a_loss_that_is_no_number_stops_the_step() -> None:
    task = made()
    with torch.no_grad():
        task.network.softmax.weight[1, 0] = float("nan")
    with pytest.raises(
        NotFinite, match=r"the loss is not finite at step 1; the weights are those before the step; train"
    ):
        for _ in fit(task, examples(), examples(), settings=Settings(batch_rows=2)):
            pass


def test_a_line_end_inside_a_text_is_one() -> None:
    torch.manual_seed(0)
    task = LanguageModel.prepare([Passage(text="a\nb")], tokens="characters", **TINY)
    assert task.elements.symbols == ("<unk>", LINE_END, "a", "b")
    assert task.encode(Passage(text="a\nb")).ids.tolist() == [2, 1, 3, 1]


def test_alternatives_share_what_the_whole_texts_have_of_probability() -> None:
    task = made().eval()
    found = task.compare("the ___ barks", ["dog", "big red dog", "zebra"])
    assert [one["alternative"] for one in found] == ["dog", "big red dog", "zebra"]
    for one in found:
        (line,) = task.predict([f"the {one['alternative']} barks"])
        assert line.surprisals is not None
        assert one["bits"] == pytest.approx(sum(bits for _, bits in line.surprisals), rel=1e-5)
    total = sum(2.0 ** -one["bits"] for one in found)
    assert [one["probability"] for one in found] == pytest.approx([2.0 ** -one["bits"] / total for one in found])
    with pytest.raises(BadOption, match="the text must have one gap, ___, not 2"):
        task.compare("___ ___", ["a", "b"])
    with pytest.raises(BadOption, match="two alternatives or more, not 1"):
        task.compare("___", ["a"])


@pytest.mark.parametrize("kind", ["full", "adaptive", "sampled", "mixture"])
@pytest.mark.parametrize("tied", ["yes", "no"])
def test_every_softmax_learns_a_text_by_heart_and_is_measured_exactly(kind: str, tied: str) -> None:
    lines = [Passage(text="a b c d e f"), Passage(text="f e d c b a")] * 12
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "word_size": 20, "layers": 1, "window": 8, "samples": 4, "components": 2}
    task = LanguageModel.prepare(lines, softmax=kind, tied=tied, **sizes, **DRY)
    for _ in fit(task, lines, lines[:4], settings=Settings(learning_rate=2e-2, epochs=20, batch_rows=2, checks=2)):
        pass
    ids = [int(i) for example in lines[:4] for i in task.encode(example).ids]
    figures = task.measure(lines[:4])
    assert figures["perplexity"] < 1.6
    assert figures["perplexity"] == pytest.approx(math.exp(one_by_one(task, ids)), rel=1e-4)


def test_a_larger_vocabulary_gets_its_tails_from_the_frequencies_and_keeps_them() -> None:
    lines = [Passage(text=" ".join(f"w{k % (n + 1)}" for k in range(n, n + 40))) for n in range(400)]
    task = LanguageModel.prepare(lines, softmax="adaptive", **TINY)
    assert 0 < task.options["cutoffs"][0] < len(task.elements)
    again = LanguageModel(task.vocabularies, task.tokenisers, **task.options)
    again.load_weights(task.distinct_weights())
    assert again.measure(lines[:3]) == task.measure(lines[:3])
    with pytest.raises(BadOption, match="cutoffs must rise"):
        LanguageModel(task.vocabularies, task.tokenisers, softmax="adaptive")


def test_lines_that_stand_apart_are_trained_each_from_nothing() -> None:
    """No batch goes on from the state of the one before, whether it has as many rows or not."""
    draw = np.random.default_rng(1)
    lines = [Passage(text=" ".join(draw.choice(list("abcdef"), size))) for size in (3, 3, 3, 3, 7, 7, 1)]
    torch.manual_seed(0)
    task = LanguageModel.prepare(lines, lines="apart", **TINY, **DRY)
    settings = Settings(learning_rate=1e-12, epochs=2, batch_rows=2, checks=1, clip_norm=0)
    feed = task.feed(lines, elements=settings.batch_elements, rows=2, seed=1)
    expected = []
    with task.evaluating(), torch.no_grad():
        for epoch in range(2):
            for piece in feed.plan(epoch):
                loss = task.loss(task.collate(feed.take(piece)))
                expected.append(float(loss.total) / loss.count)
    steps = [event for event in fit(task, lines, lines, settings=settings, seed=1) if isinstance(event, Step)]
    assert [step.loss for step in steps] == pytest.approx(expected, rel=1e-5)
    assert len({step.examples for step in steps}) > 1
