"""Many to one: what the classifier's options mean, and what it refuses."""

from __future__ import annotations

from math import exp, log
from pathlib import Path
from typing import Any

import pytest
import torch

from unrolled.data.examples import LabelledText, Origin
from unrolled.errors import BadData
from unrolled.inspection import laws
from unrolled.tasks.classifier import Classifier

TINY: dict[str, Any] = {
    "hidden_size": 5,
    "word_size": 4,
    "character_size": 3,
    "character_hidden": 3,
    "embedding_dropout": 0.0,
    "dropout": 0.0,
    "word_dropout": 0.0,
}
POOLINGS = ["last", "mean", "max", "mean_max", "attention"]


def texts(**labelled: Any) -> list[LabelledText]:
    return [LabelledText(text=text.replace("_", " "), label=label) for text, label in labelled.items()]


def examples() -> list[LabelledText]:
    """For the laws of `test_every_task`: of different lengths, and three of one length."""
    given = {
        "a fine film": "pos",
        "a dull film": "neg",
        "warm": "pos",
        "what a long and really awful story , was it not ?": "neg",
        "it was great": "pos",
        "the plot was old and tired": "neg",
    }
    return [LabelledText(text=text, label=label) for text, label in given.items()]


def several() -> list[LabelledText]:
    """Texts with any number of labels."""
    return [
        LabelledText(text="goal in the last minute", label=("sport",)),
        LabelledText(text="the minister kicked the ball", label=("politics", "sport")),
        LabelledText(text="rain", label=()),
        LabelledText(text="a vote today", label=("politics",)),
        LabelledText(text="vote goal vote", label=("politics", "sport")),
    ]


def made(given: list[LabelledText] | None = None, **options: Any) -> Classifier:
    return Classifier.prepare(examples() if given is None else given, **{"tokens": "blanks", **TINY, **options}).eval()


def drawn(task: Classifier) -> Classifier:
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.uniform_(-1, 1)
        task.output.bias.zero_()
    return task


def logits(task: Classifier, example: LabelledText) -> list[float]:
    with torch.no_grad():
        found: list[float] = task._logits(task.collate([task.encode(example)]))[0].double().tolist()
    return found


def loss(task: Classifier, example: LabelledText) -> float:
    return float(task.loss(task.collate([task.encode(example)])).total.detach())


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


# ---------------------------------------------------------------------------------------------- decisions


def test_one_label_is_the_likeliest_of_a_softmax() -> None:
    task = drawn(made())
    for example in task.predict(examples()):
        scores = dict(zip(task.labels.symbols, logits(task, example), strict=True))
        total = sum(map(exp, scores.values()))
        assert example.probabilities == pytest.approx({label: exp(x) / total for label, x in scores.items()}, abs=1e-5)
        assert example.label == max(scores, key=lambda label: scores[label])


def test_many_labels_are_those_likelier_than_not() -> None:
    task = drawn(made(several()))
    assert task.options["decision"] == "many"
    seen = set()
    for example in task.predict(several()):
        scores = dict(zip(task.labels.symbols, logits(task, example), strict=True))
        assert example.probabilities == pytest.approx({label: sigmoid(x) for label, x in scores.items()}, abs=1e-5)
        assert example.label == tuple(label for label, x in scores.items() if x > 0)
        seen.add(len(example.label))
    assert len(seen) > 1


def test_many_labels_obey_the_laws_too() -> None:
    task = made(several())
    for verdict in laws.check(task, several()):
        assert verdict.holds is not False, verdict
    assert task.metric == "micro_f1"
    assert task.score(several(), several()) == {"exact_match": 1.0, "micro_f1": 1.0, "macro_f1": 1.0}


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("directions", ["both", "forward"])
def test_every_pooling_obeys_the_laws(pooling: str, directions: str) -> None:
    task = made(pooling=pooling, directions=directions)
    for law in (laws.batch_mates_change_nothing, laws.loss_is_the_sum_of_its_rows):
        verdict = law(task, examples())
        assert verdict.holds, verdict


@pytest.mark.parametrize("pooling", ["last", "attention"])
def test_the_order_of_the_words_matters(pooling: str) -> None:
    task = drawn(made(pooling=pooling))
    assert logits(task, LabelledText(text="fine a film")) != pytest.approx(
        logits(task, LabelledText(text="a fine film"))
    )


# ---------------------------------------------------------------------------------------------- the loss


def test_label_smoothing_by_hand() -> None:
    task, example = drawn(made(label_smoothing=0.2)), examples()[0]
    scores = logits(task, example)
    entropies = [log(sum(map(exp, scores))) - x for x in scores]
    right = entropies[task.labels.index("pos")]
    assert loss(task, example) == pytest.approx(0.8 * right + 0.2 * sum(entropies) / 2, rel=1e-5)


def test_label_smoothing_of_many_labels_by_hand() -> None:
    task, example = drawn(made(several(), label_smoothing=0.2)), several()[0]
    # Each label is a yes or no of its own: 1 becomes 0.9, 0 becomes 0.1.
    wanted = {"sport": 0.9, "politics": 0.1}
    expected = 0.0
    for label, x in zip(task.labels.symbols, logits(task, example), strict=True):
        expected -= wanted[label] * log(sigmoid(x)) + (1 - wanted[label]) * log(1 - sigmoid(x))
    assert loss(task, example) == pytest.approx(expected, rel=1e-5)


def test_balanced_class_weights_by_hand() -> None:
    given = texts(a_b="X", c_d="X", e_f="X", g_h="Y")
    task = drawn(made(given, class_weights="balanced"))
    weight = {"X": 4 / (2 * 3), "Y": 4 / (2 * 1)}
    for example in given:
        scores = logits(task, example)
        plain = log(sum(map(exp, scores))) - scores[task.labels.index(example.label)]
        assert loss(task, example) == pytest.approx(weight[example.label] * plain, rel=1e-5)


def test_a_loss_counts_its_texts() -> None:
    task = made()
    assert task.loss(task.collate([task.encode(e) for e in examples()])).count == len(examples())


# ---------------------------------------------------------------------------------------------- what it reads


@pytest.mark.parametrize(
    ("tokens", "length"), [("words", 4), ("blanks", 2), ("characters", 9)], ids=["words", "blanks", "characters"]
)
def test_a_text_is_cut_as_asked(tokens: str, length: int) -> None:
    assert made(tokens=tokens).encode(LabelledText(text="don't go!")).length == length


@pytest.mark.parametrize("characters", ["lstm", "cnn", "none"])
def test_spellings_tell_unknown_words_apart_where_they_are_read(characters: str) -> None:
    task = drawn(made(characters=characters))
    a, b = (logits(task, LabelledText(text=word)) for word in ("tall", "mill"))
    assert (a == b) is (characters == "none")


def test_rare_words_are_unknown() -> None:
    assert set(made(minimum_count=3).vocabularies["words"]) == {"<unk>", "a", "was"}


def test_words_begin_with_the_vectors_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "small.vec").write_text("2 3\nfilm 1 2 3\nzebra 4 5 6\n")
    task = made(vectors=str(tmp_path / "small.vec"))
    assert task.reader.words.weight[task.vocabularies["words"].index("film")].tolist() == [1.0, 2.0, 3.0]


def test_raw_text_and_lists_of_tokens_are_read() -> None:
    text, tokens = made().predict(["a fine film", ["a", "fine", "film"]])
    assert text.text == tokens.text == "a fine film"
    assert text.probabilities == tokens.probabilities


@pytest.mark.parametrize("pooling", POOLINGS)
def test_read_forward_only_it_streams(pooling: str) -> None:
    for whole, stepped in drawn(made(directions="forward", pooling=pooling)).stream_outputs(examples()):
        torch.testing.assert_close(stepped, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_text_of_100_000_tokens_works(pooling: str) -> None:
    task = made(hidden_size=2, pooling=pooling)
    (found,) = task.predict(["a film " * 50_000])
    assert sum(found.probabilities.values()) == pytest.approx(1.0, abs=1e-5)


# ---------------------------------------------------------------------------------------------- mistakes


def test_a_label_that_training_never_saw_is_named_with_the_nearest() -> None:
    example = LabelledText(text="a film", label="poz", origin=Origin("test.tsv", 12))
    with pytest.raises(BadData, match=r"^test\.tsv:12: unknown label 'poz'; did you mean 'pos'\?"):
        made().encode(example)


def test_a_label_that_training_never_saw_does_not_hinder_a_prediction() -> None:
    (found,) = made().predict([LabelledText(text="a film", label="poz")])
    assert found.label in ("pos", "neg")


def test_texts_without_a_label_are_refused() -> None:
    blank = LabelledText(text="a film", origin=Origin("train.tsv", 3))
    with pytest.raises(BadData, match=r"^train\.tsv:3: a text without a label$"):
        made([*examples(), blank])
    task = made()
    with pytest.raises(BadData, match="an example without a label cannot be learnt from"):
        task.loss(task.collate([task.encode(blank)]))
    with pytest.raises(BadData, match=r"^train\.tsv:3: a text without a label$"):
        task.score([blank], [blank])


@pytest.mark.parametrize(("tokens", "text"), [("words", " \t"), ("blanks", " "), ("characters", "")])
def test_an_empty_text_is_refused(tokens: str, text: str) -> None:
    example = LabelledText(text=text, label="pos", origin=Origin("x.tsv", 5))
    with pytest.raises(BadData, match=rf"^x\.tsv:5: an empty text: .* has no {tokens} in it$"):
        made(tokens=tokens).predict([example])


def test_no_examples_are_refused() -> None:
    with pytest.raises(BadData, match="no examples"):
        made([])
