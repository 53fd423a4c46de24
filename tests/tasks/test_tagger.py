"""A label per element: what the tagger's options mean, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
import torch

from unrolled.data.examples import Origin, TaggedTokens
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.inspection import laws
from unrolled.tasks.tagger import Tagger

TINY: dict[str, Any] = {
    "hidden_size": 5,
    "word_size": 4,
    "character_size": 3,
    "character_hidden": 3,
    "feature_size": 2,
    "layers": 1,
    "embedding_dropout": 0.0,
    "dropout": 0.0,
    "word_dropout": 0.0,
    "label_smoothing": 0.0,
}


def tagged(text: str, **further: Any) -> TaggedTokens:
    """An example of `token/tag token/tag`."""
    pairs = [part.rsplit("/", 1) for part in text.split()]
    return TaggedTokens(tokens=tuple(t for t, _ in pairs), tags=tuple(tag for _, tag in pairs), **further)


def examples() -> list[TaggedTokens]:
    """For the laws of `test_every_task`: of different lengths, and three of one length."""
    return [
        tagged("The/DET dog/NOUN barks/VERB"),
        tagged("A/DET big/ADJ red/ADJ dog/NOUN sees/VERB the/DET cat/NOUN"),
        tagged("Cats/NOUN sleep/VERB"),
        tagged("Ann/NOUN sees/VERB dogs/NOUN"),
        tagged("Go/VERB"),
        tagged("the/DET mouse/NOUN sleeps/VERB here/ADV too/ADV"),
        tagged("a/DET cat/NOUN barks/VERB"),
    ]


def spans() -> list[TaggedTokens]:
    return [
        tagged("Ann/B-PER Lee/I-PER lives/O in/O New/B-LOC York/I-LOC"),
        tagged("Bo/B-PER left/O"),
        tagged("Rome/B-LOC is/O old/O"),
        tagged("we/O met/O Ann/B-PER"),
    ]


def made(given: list[TaggedTokens] | None = None, **options: Any) -> Tagger:
    return Tagger.prepare(examples() if given is None else given, **{**TINY, **options}).eval()


def emissions(task: Tagger, example: TaggedTokens) -> torch.Tensor:
    """Scores of each tag at each token of one example, (tokens, tags)."""
    with torch.no_grad():
        return task.output(task.reader(task.collate([task.encode(example)])).data).double()


# ---------------------------------------------------------------------------------------------- decisions


def test_tags_without_rules_get_a_softmax_and_spans_a_crf() -> None:
    assert made().options["decoder"] == "softmax"
    assert made(spans()).options["decoder"] == "crf"
    assert made(spans(), decoder="softmax").crf is None


def test_a_softmax_decides_each_token_by_itself() -> None:
    task = made(decoder="softmax")
    (example,) = task.predict(examples()[:1])
    for row, tag, confidence in zip(emissions(task, example), example.tags, example.confidence, strict=True):
        probabilities = [exp(x) / sum(map(exp, row.tolist())) for x in row.tolist()]
        assert confidence == pytest.approx(max(probabilities), abs=1e-5)
        assert task.tags.symbols[probabilities.index(max(probabilities))] == tag


def crf_scores(task: Tagger, example: TaggedTokens) -> dict[tuple[int, ...], float]:
    """The score of every sequence of tags that is valid, by adding up."""
    assert task.crf is not None
    e, crf, symbols = emissions(task, example).tolist(), task.crf, task.tags.symbols
    start, end, step = (p.double().tolist() for p in (crf.start, crf.end, crf.transitions))
    found = {}
    for path in product(range(len(symbols)), repeat=len(example.tokens)):
        if valid([symbols[tag] for tag in path]):
            score = start[path[0]] + end[path[-1]] + sum(e[t][tag] for t, tag in enumerate(path))
            found[path] = score + sum(step[a][b] for a, b in pairwise(path))
    return found


def valid(tags: list[str]) -> bool:
    before = ["O", *tags]
    return all(not b.startswith("I-") or a in (f"B-{b[2:]}", b) for a, b in pairwise(before))


def drawn(task: Tagger) -> Tagger:
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.uniform_(-1, 1)
    return task


def test_a_crf_gives_the_likeliest_sequence_and_its_marginals_by_enumeration() -> None:
    task = drawn(made(spans(), decoder="crf"))
    for example in task.predict([replace(e, tags=None) for e in spans()[1:]]):
        scores = crf_scores(task, example)
        best = max(scores, key=lambda path: scores[path])
        assert tuple(task.tags.symbols[tag] for tag in best) == example.tags
        total = sum(map(exp, scores.values()))
        for t, (tag, confidence) in enumerate(zip(best, example.confidence or (), strict=True)):
            marginal = sum(exp(score) for path, score in scores.items() if path[t] == tag) / total
            assert confidence == pytest.approx(marginal, abs=1e-5)


def test_the_loss_of_a_crf_is_minus_the_log_likelihood_by_enumeration() -> None:
    task = drawn(made(spans(), decoder="crf"))
    for example in spans()[1:]:
        scores = crf_scores(task, example)
        gold = tuple(task.tags.encode(example.tags).tolist())
        expected = log(sum(map(exp, scores.values()))) - scores[gold]
        loss = task.loss(task.collate([task.encode(example)]))
        assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-4)
        assert loss.count == len(example.tokens)


def test_a_crf_predicts_valid_spans_whatever_its_weights_are() -> None:
    task = made(spans(), decoder="crf")
    invalid = 0
    for seed in range(20):
        torch.manual_seed(seed)
        for example, by_itself in zip(
            drawn(task).predict(spans()), drawn(made(spans(), decoder="softmax")).predict(spans()), strict=True
        ):
            assert valid(list(example.tags))
            invalid += not valid(list(by_itself.tags))
    assert invalid, "so a softmax would not have been enough to show it"


def test_spans_are_chosen_by_their_f1_and_tags_by_their_accuracy() -> None:
    assert made(spans()).metric == "f1"
    assert made().metric == "accuracy"
    assert {"f1", "precision", "recall", "accuracy"} <= set(made(spans()).score(spans(), spans()))
    assert "f1" not in made().score(examples(), examples())


# ---------------------------------------------------------------------------------------------- the loss


def cross_entropies(task: Tagger, example: TaggedTokens) -> list[list[float]]:
    """-log p of each tag at each token."""
    return (-emissions(task, example).log_softmax(-1)).tolist()


def test_label_smoothing_by_hand() -> None:
    task, example = made(decoder="softmax", label_smoothing=0.2), examples()[0]
    tags = task.tags.encode(example.tags).tolist()
    # The target is 0.8 on the tag, and 0.2 spread evenly over all tags.
    expected = sum(
        0.8 * row[tag] + 0.2 * sum(row) / len(row)
        for row, tag in zip(cross_entropies(task, example), tags, strict=True)
    )
    assert float(task.loss(task.collate([task.encode(example)])).total.detach()) == pytest.approx(expected, rel=1e-5)


def test_balanced_class_weights_by_hand() -> None:
    given = [tagged("a/X b/X c/X d/Y"), tagged("e/X f/Y")]  # X four times, Y twice
    task, example = made(given, decoder="softmax", class_weights="balanced"), given[0]
    weight = {"X": 6 / (2 * 4), "Y": 6 / (2 * 2)}
    tags = task.tags.encode(example.tags).tolist()
    expected = sum(
        weight[tag] * row[place]
        for row, place, tag in zip(cross_entropies(task, example), tags, example.tags, strict=True)
    )
    assert float(task.loss(task.collate([task.encode(example)])).total.detach()) == pytest.approx(expected, rel=1e-5)


# ---------------------------------------------------------------------------------------------- what it reads


@pytest.mark.parametrize("characters", ["lstm", "cnn"])
def test_spellings_tell_unknown_words_apart(characters: str) -> None:
    task = drawn(made(characters=characters))
    a, b = (TaggedTokens(tokens=(word,)) for word in ("gods", "bags"))  # letters that are known
    assert not torch.allclose(emissions(task, a), emissions(task, b))


def test_without_spellings_all_unknown_words_are_one() -> None:
    task = drawn(made(characters="none"))
    a, b, known = (TaggedTokens(tokens=(word,)) for word in ("zebra", "quagga", "dog"))
    assert torch.equal(emissions(task, a), emissions(task, b))
    assert not torch.allclose(emissions(task, a), emissions(task, known))


def test_words_are_looked_up_in_lower_case() -> None:
    task = drawn(made(characters="none"))
    assert torch.equal(*(emissions(task, TaggedTokens(tokens=(word,))) for word in ("DOG", "dog")))


def test_rare_words_are_unknown() -> None:
    task = made(minimum_count=2)
    assert set(task.vocabularies["words"]) == {"<unk>", "the", "a", "dog", "cat", "sees", "barks"}


def with_case(example: TaggedTokens) -> TaggedTokens:
    return replace(example, features={"case": tuple(str(t.istitle()) for t in example.tokens)})


def test_further_columns_are_read() -> None:
    task = drawn(made([with_case(e) for e in examples()], characters="none"))
    a, b = (TaggedTokens(tokens=("dog",), features={"case": (value,)}) for value in ("True", "False"))
    assert not torch.allclose(emissions(task, a), emissions(task, b))
    must_hold(laws.batch_mates_change_nothing(task, [with_case(e) for e in examples()]))


def must_hold(verdict: laws.Verdict) -> None:
    assert verdict.holds, verdict.found


def test_a_further_column_that_is_missing_is_named() -> None:
    task = made([with_case(e) for e in examples()])
    lost = TaggedTokens(tokens=("dog",), origin=Origin("new.conll", 7))
    with pytest.raises(BadData, match=r"^new\.conll:7: the model also reads the column 'case', which is not there$"):
        task.predict([lost])


def test_words_begin_with_the_vectors_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "small.vec").write_text("2 3\ndog 1 2 3\nzebra 4 5 6\n")
    task = made(vectors=str(tmp_path / "small.vec"))
    assert task.options["word_size"] == 3
    table = task.reader.words.weight
    assert table[task.vocabularies["words"].index("dog")].tolist() == [1.0, 2.0, 3.0]
    assert "zebra" not in task.vocabularies["words"]


def test_raw_text_and_lists_of_tokens_are_read() -> None:
    task = made()
    text, tokens = task.predict(["the dog barks", ["the", "dog", "barks"]])
    assert text.tokens == tokens.tokens == ("the", "dog", "barks")
    assert text.tags == tokens.tags


# ---------------------------------------------------------------------------------------------- streaming, length


@pytest.mark.parametrize("layers", [1, 2])
def test_read_forward_only_it_streams(layers: int) -> None:
    task = drawn(made(directions="forward", layers=layers))
    for whole, stepped in task.stream_outputs(examples()):
        torch.testing.assert_close(stepped, whole, rtol=1e-5, atol=1e-5)


def test_read_in_both_directions_it_says_that_it_cannot_stream() -> None:
    with pytest.raises(BadOption, match="cannot stream"):
        list(made().stream_outputs(examples()))


@pytest.mark.parametrize("decoder", ["softmax", "crf"])
def test_a_sentence_of_100_000_tokens_works(decoder: str) -> None:
    task = made(spans(), decoder=decoder, hidden_size=2, characters="none")
    long = TaggedTokens(tokens=("Ann", "left") * 50_000)
    (found,) = task.predict([long])
    assert len(found.tags) == 100_000
    assert all(0 < p <= 1 for p in found.confidence)


# ---------------------------------------------------------------------------------------------- mistakes


def test_a_tag_that_training_never_saw_is_named_with_the_nearest() -> None:
    example = tagged("dog/NOUNS", origin=Origin("test.conllu", 12))
    with pytest.raises(BadData, match=r"^test\.conllu:12: unknown tag 'NOUNS'; did you mean 'NOUN'\?"):
        made().encode(example)


def test_examples_without_tags_are_refused() -> None:
    blank = TaggedTokens(tokens=("dog",), origin=Origin("train.conll", 3))
    with pytest.raises(BadData, match=r"^train\.conll:3: a sentence without tags$"):
        made([*examples(), blank])
    task = made()
    with pytest.raises(BadData, match="an example without tags cannot be learnt from"):
        task.loss(task.collate([task.encode(blank)]))
    with pytest.raises(BadData, match=r"^train\.conll:3: a sentence without tags$"):
        task.score([blank], [blank])


def test_a_tag_too_few_is_refused() -> None:
    with pytest.raises(BadData, match="2 tokens but 1 tags"):
        made([TaggedTokens(tokens=("a", "b"), tags=("X",))])


def test_a_sentence_without_tokens_is_refused() -> None:
    empty = TaggedTokens(tokens=(), tags=(), origin=Origin("x.conll", 1))
    with pytest.raises(BadData, match=r"^x\.conll:1: a sentence without tokens$"):
        made([empty])
    with pytest.raises(BadData, match=r"^a sentence without tokens$"):
        made().predict([""])


def test_no_examples_are_refused() -> None:
    with pytest.raises(BadData, match="no examples"):
        made([])


def test_options_that_no_part_would_refuse_are_refused() -> None:
    for name, value in (("label_smoothing", 1.0), ("word_dropout", -0.1), ("label_smoothing", float("nan"))):
        with pytest.raises(BadOption, match=f"{name} must be "):
            made(**{name: value})
    with pytest.raises(UnknownName, match="unknown option of the cell elman 'nonlinear'; did you mean 'nonlinearity'"):
        made(cell="elman", cell_options={"nonlinear": "relu"})


# ---------------------------------------------------------------------------------------------- residues


def residues() -> list[TaggedTokens]:
    """Single characters, and of some no tag is known."""
    pairs = [("MKVLA", "CEEC-"), ("GT", "-C"), ("AAKG", "HHHC"), ("VV", "--")]
    return [TaggedTokens(tokens=tuple(tokens), tags=tuple(tags)) for tokens, tags in pairs]


def test_a_tag_that_is_ignored_is_neither_learnt_nor_counted() -> None:
    task = made(residues(), ignored_tag="-")
    assert sorted(task.tags.symbols) == ["C", "E", "H"]
    known = [
        -log_p[task.tags.index(tag)]
        for example in residues()
        for log_p, tag in zip(emissions(task, example).log_softmax(-1).tolist(), example.tags or (), strict=True)
        if tag != "-"
    ]
    loss = task.loss(task.collate([task.encode(example) for example in residues()]))
    assert loss.count == len(known) == 9
    assert loss.total.item() == pytest.approx(sum(known), rel=1e-5)
    log_p, gold = task.chances(task.collate([task.encode(example) for example in residues()]))
    assert len(log_p) == len(gold) == 9
    # Two of the nine known tags are wrong; what is said where none is known does not matter.
    guesses = ["CEECC", "HE", "HHHH", "EE"]
    said = [replace(example, tags=tuple(guess)) for example, guess in zip(residues(), guesses, strict=True)]
    assert task.score(said, residues())["accuracy"] == pytest.approx(7 / 9)


def test_a_batch_without_a_known_tag_changes_nothing() -> None:
    task = made(residues(), ignored_tag="-")
    loss = task.loss(task.collate([task.encode(residues()[3])]))
    assert (loss.total.item(), loss.count) == (0.0, 1)


def test_an_ignored_tag_is_predicted_nowhere_and_obeys_the_laws() -> None:
    task = made(residues(), ignored_tag="-")
    assert "-" not in {tag for example in task.predict(residues()) for tag in example.tags or ()}
    for law in (laws.batch_mates_change_nothing, laws.order_changes_nothing, laws.loss_is_the_sum_of_its_rows):
        must_hold(law(task, residues()))


def test_a_tag_that_is_ignored_asks_for_a_softmax_and_for_another_tag() -> None:
    with pytest.raises(BadOption, match="ignored_tag=- is for decoder=softmax, and no tag that is learnt"):
        made(residues(), ignored_tag="-", decoder="crf")
    with pytest.raises(BadData, match="there is no tag to learn from but '-', which is ignored"):
        made([residues()[3]], ignored_tag="-")
    with pytest.raises(BadData, match="there is no tag to score but '-', which is ignored"):
        made(residues(), ignored_tag="-").score([residues()[3]], [residues()[3]])
    assert made(spans(), ignored_tag="_").crf is None


def test_raw_text_is_cut_as_the_training_examples_are() -> None:
    assert made(residues()).predict(["MKV"])[0].tokens == ("M", "K", "V")
    assert made().predict(["MKV"])[0].tokens == ("MKV",)
    assert made(cut="characters").predict(["MKV"])[0].tokens == ("M", "K", "V")
    assert [said["element"] for said in made(residues(), directions="forward").stream().read("MK")] == ["M", "K"]
