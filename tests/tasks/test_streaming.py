"""A text that comes in pieces: cut, answered and kept as if it had been there as a whole."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled import state as states
from unrolled.data.examples import LabelledText, Pair, Passage, TaggedTokens
from unrolled.data.tokenisers.base import PACKAGE, Tokeniser
from unrolled.data.tokens import tokenise
from unrolled.errors import BadOption
from unrolled.lookup import find, names
from unrolled.tasks import _cutting
from unrolled.tasks._cutting import LINE_END, Cutter
from unrolled.tasks.base import Task
from unrolled.tasks.classifier import Classifier
from unrolled.tasks.language_model import LanguageModel
from unrolled.tasks.tagger import Tagger
from unrolled.tasks.translator import Translator

LINES = ["the dog barks (at the cat)", "", "the cat isn't here", "l'été, the dog sleeps  in the sun"]
TEXT = LINE_END.join([*LINES, ""])

KINDS = names(PACKAGE, Tokeniser)
BUILT = {kind: find(PACKAGE, kind, Tokeniser, "tokeniser").build(LINES * 3) for kind in KINDS}


def in_pieces(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(text=st.text("ab's ￭-\n", max_size=40), cuts=st.lists(st.integers(0, 60), max_size=6))
def test_however_a_text_is_parted_its_tokens_are_those_of_its_lines(kind: str, text: str, cuts: list[int]) -> None:
    tokeniser = BUILT[kind]
    cutter = Cutter(tokeniser.tokens, everywhere=tokeniser.cuts_everywhere)
    found = [token for piece in in_pieces(text, cuts) for token in cutter.cut(piece)]
    found += cutter.finish()
    *lines, rest = text.split(LINE_END)
    wanted = [token for line in lines for token in (*tokeniser.tokens(line), LINE_END)]
    assert found == wanted + tokeniser.tokens(rest)


def test_a_piece_without_white_space_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cutting, "LONGEST", 5)
    cutter = Cutter(str.split, everywhere=False)
    assert list(cutter.cut("abc")) == []
    assert list(cutter.cut("def gh")) == ["abcdef"]
    assert list(cutter.cut("ijklmno")) == ["ghijklmno"]
    assert cutter.pending == ""


def model(seed: int = 1, **options: Any) -> LanguageModel:
    torch.manual_seed(seed)
    made = LanguageModel.prepare(
        [Passage(text=line) for line in LINES], **{"hidden_size": 6, "word_size": 5, "tokens": "words", **options}
    )
    return made.eval()


def answers(task: Task, pieces: list[str], **options: Any) -> list[dict[str, Any]]:
    streamer = task.stream(**options)
    found = [answer for piece in pieces for answer in streamer.read(piece)]
    return found + list(streamer.finish())


def same(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> bool:
    return [x["element"] for x in a] == [x["element"] for x in b] and all(
        math.isclose(x["bits"], y["bits"], rel_tol=1e-6) for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("options", [{}, {"tokens": "characters"}, {"cell": "gru", "layers": 1}])
def test_its_answers_are_what_a_prediction_in_context_says(options: dict[str, Any]) -> None:
    task = model(**options)
    found = answers(task, [TEXT])
    lines = [Passage(text=LINES[0]), Passage(text=LINES[2], above=1), Passage(text=LINES[3])]
    predicted = task.predict(lines, context="text")
    said = [pair for line in predicted for pair in line.surprisals or ()]
    assert [answer["element"] for answer in found] == [element for element, _ in said]
    assert [answer["bits"] for answer in found] == pytest.approx([bits for _, bits in said], rel=1e-4)
    assert predicted[2].following is not None
    assert [name for name, _ in found[-2]["following"]] == [name for name, _ in predicted[2].following]


@pytest.mark.parametrize("options", [{}, {"tokens": "characters"}, {"cell": "gru", "layers": 1}])
def test_of_lines_that_stand_apart_its_answers_are_the_predictions_of_each(
    options: dict[str, Any], tmp_path: Path
) -> None:
    task = model(lines="apart", **options)
    lines = [Passage(text=LINES[0]), Passage(text=LINES[2], above=1), Passage(text=LINES[3])]
    said = [pair for line in task.predict(lines) for pair in line.surprisals or ()]
    whole = answers(task, [TEXT])
    assert [answer["element"] for answer in whole] == [element for element, _ in said]
    assert [answer["bits"] for answer in whole] == pytest.approx([bits for _, bits in said], rel=1e-4)
    begins = answers(task, [LINES[0] + LINE_END])[-1]["following"]  # behind a line, as if nothing had been
    assert whole[-1]["following"] == begins == answers(task, ["go" + LINE_END])[-1]["following"]
    end = TEXT.index(LINE_END)
    for cut in (end, end + 1, end + 2, TEXT.index(" dog sleeps")):  # the second stands between two line ends
        first = task.stream()
        found = [*first.read(TEXT[:cut]), *first.finish()]
        states.save(first.state, tmp_path / "state")
        second = task.stream(states.load(tmp_path / "state"))
        assert same([*found, *second.read(TEXT[cut:]), *second.finish()], whole)


def test_it_answers_at_each_element_as_soon_as_it_is_certain() -> None:
    streamer = model().stream(likeliest=2)
    assert list(streamer.read("the d")) != []
    assert list(streamer.read("og")) == []
    (dog,) = streamer.read(" ")
    assert dog["element"] == "dog"
    assert len(dog["following"]) == 2
    assert sum(p for _, p in dog["following"]) < 1
    assert [answer["element"] for answer in streamer.read("\n\n")] == [LINE_END, LINE_END]


@pytest.mark.parametrize("cut", [4, 15, 27, 28, 50])
def test_what_is_saved_goes_on_elsewhere_as_if_nothing_had_been(cut: int, tmp_path: Path) -> None:
    task, whole = model(), answers(model(), [TEXT])
    cut = TEXT.index(" ", cut)
    first = task.stream()
    found = [*first.read(TEXT[:cut]), *first.finish()]
    states.save(first.state, tmp_path / "state")
    second = model().stream(states.load(tmp_path / "state"))
    found += [*second.read(TEXT[cut:]), *second.finish()]
    assert same(found, whole)


def test_a_state_of_another_model_is_refused() -> None:
    kept = model().stream().state
    other = model(seed=7)
    with pytest.raises(BadOption, match="a stream's state of another model"):
        other.stream(kept)
    with pytest.raises(BadOption, match="no state of a stream"):
        other.stream(other.network.initial_state(1))


def test_what_cannot_stream_says_so() -> None:
    with pytest.raises(BadOption, match="a backward model reads a text from its end"):
        model(direction="backward").stream()
    with pytest.raises(BadOption, match="a stream does not learn on"):
        model().stream(cache_size=4)
    with pytest.raises(BadOption, match="a translator does not answer element by element"):
        Translator.prepare([Pair(source="a b", target="b a")] * 2).stream()


# ------------------------------------------------------------------ taggers and classifiers


SENTENCES = ["the dog barks at it", "go", "it isn't the dog's house"]


def tagger(**options: Any) -> Tagger:
    given = [TaggedTokens(tokens=tuple(tokenise(line)), tags=("X", "Y") * 9) for line in SENTENCES]
    given = [replace(e, tags=e.tags[: len(e.tokens)]) for e in given]  # type: ignore[index]
    torch.manual_seed(2)
    return Tagger.prepare(given, **{"directions": "forward", "hidden_size": 5, "word_size": 4, **options}).eval()


def classifier(**options: Any) -> Classifier:
    given = [LabelledText(text=line, label=label) for line, label in zip(SENTENCES, ("a", "b", "a"), strict=True)]
    if options.pop("many", False):
        given = [replace(e, label=(e.label,)) for e in given]  # type: ignore[type-var]
    torch.manual_seed(2)
    return Classifier.prepare(given, **{"directions": "forward", "hidden_size": 5, "word_size": 4, **options}).eval()


@pytest.mark.parametrize("options", [{}, {"connections": "skip", "cell": "gru"}, {"characters": "none", "layers": 1}])
def test_a_tagger_s_answers_are_its_predictions(options: dict[str, Any]) -> None:
    task = tagger(**options)
    found = answers(task, ["the dog ba", "rks at it\ngo\n\nit isn't the d", "og's house"])
    wanted = [pair for e in task.predict(SENTENCES) for pair in zip(e.tokens, e.tags, e.confidence, strict=True)]
    assert [(a["element"], a["tag"]) for a in found] == [(token, tag) for token, tag, _ in wanted]
    assert [a["confidence"] for a in found] == pytest.approx([p for *_, p in wanted], abs=1e-5)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "mean_max"])
@pytest.mark.parametrize("tokens", ["words", "characters"])
@pytest.mark.parametrize("many", [False, True])
def test_a_classifier_s_answers_are_its_predictions_for_the_line_so_far(pooling: str, tokens: str, many: bool) -> None:
    task = classifier(pooling=pooling, tokens=tokens, many=many)
    found = iter(answers(task, ["the dog ba", "rks at it\ngo\nit isn't the d", "og's house"]))
    for line in SENTENCES:
        cut = tokenise(line, tokens)  # type: ignore[arg-type]
        at = 0
        for token in cut:
            at = line.index(token, at) + len(token)
            (so_far,), answer = task.predict([line[:at]]), next(found)
            assert answer["element"] == token
            assert dict(answer["probabilities"]) == pytest.approx(so_far.probabilities, abs=1e-5)
            assert answer["label"] == so_far.label
    assert next(found, None) is None


def test_a_kept_tagger_goes_on_within_its_line(tmp_path: Path) -> None:
    task, whole = tagger(), answers(tagger(), [SENTENCES[0]])
    first = task.stream()
    found = [*first.read("the dog "), *first.finish()]
    states.save(first.state, tmp_path / "kept")
    second = tagger().stream(states.load(tmp_path / "kept"))
    found += [*second.read("barks at it"), *second.finish()]
    assert [a["tag"] for a in found] == [a["tag"] for a in whole]
    assert [a["confidence"] for a in found] == pytest.approx([a["confidence"] for a in whole], rel=1e-5)


def test_what_needs_what_comes_later_does_not_stream() -> None:
    for task, message in (
        (tagger(directions="both"), "both directions cannot stream"),
        (tagger(decoder="crf"), "a CRF needs the whole sentence"),
        (classifier(directions="both"), "both directions cannot stream"),
        (classifier(pooling="attention"), "this pooling looks back"),
    ):
        with pytest.raises(BadOption, match=message):
            task.stream()


# ------------------------------------------------------------------ what is kept


@pytest.mark.parametrize(
    "make",
    [
        model,
        partial(model, cell="elman", layers=1),
        tagger,
        partial(tagger, cell="lstm_peephole", characters="none"),
        classifier,
        partial(classifier, pooling="mean", many=True),
    ],
)
def test_a_state_that_is_kept_stays_what_it_was_whatever_is_heard(make: Any) -> None:
    task = make()
    first = task.stream()
    assert list(first.read("the dog "))
    kept = first.state
    copied = states.tree_map(torch.clone, kept)
    wanted = list(task.stream(copied).read("barks at it "))
    assert list(first.read("isn't here\n go to "))
    second, third = task.stream(kept), task.stream(kept)
    found = []
    for piece in ("barks ", "at ", "it "):  # turn about, each with a text of its own
        found += second.read(piece)
        assert list(third.read("go\nthe house "))
    assert found == wanted
    assert all(torch.equal(a, b) for a, b in zip(states.leaves(kept), states.leaves(copied), strict=True))
