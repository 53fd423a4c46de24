"""Both strands of DNA are one: whichever is given, the answer is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unrolled import bundle
from unrolled.data.examples import LabelledText, Origin, Signal, TaggedTokens
from unrolled.errors import BadData, BadOption
from unrolled.inspection import laws
from unrolled.inspection.gates import gates
from unrolled.inspection.saliency import saliency
from unrolled.tasks._strands import reverse_complement
from unrolled.tasks.classifier import Classifier
from unrolled.tasks.tagger import Tagger

TINY: dict[str, Any] = {"hidden_size": 5, "word_size": 4, "layers": 1, "word_dropout": 0.0, "strands": "both"}
STRANDS = [("GATTACA", "yes"), ("CCGT", "no"), ("ACGTN", "yes"), ("TTTGCA", "no"), ("A", "no")]


def promoters() -> list[LabelledText]:
    return [LabelledText(text=text, label=label) for text, label in STRANDS]


def genes() -> list[TaggedTokens]:
    return [TaggedTokens(tokens=tuple(text), tags=tuple("+-"[base in "AT"] for base in text)) for text, _ in STRANDS]


def classifier(**options: Any) -> Classifier:
    torch.manual_seed(3)
    return Classifier.prepare(promoters(), **{**TINY, "tokens": "characters", **options}).eval()


def tagger(**options: Any) -> Tagger:
    torch.manual_seed(3)
    return Tagger.prepare(genes(), **{**TINY, "characters": "none", **options}).eval()


@pytest.mark.parametrize(
    ("given", "other"),
    [
        ("GATTACA", "TGTAATC"),
        ("gattACA", "TGTaatc"),
        ("ACGTRYSWKMBDHVN", "NBDHVKMWSRYACGT"),
        ("GGAU", "AUCC"),
        ("A-C.", ".G-T"),
        ("", ""),
    ],
)
def test_the_other_strand_by_hand(given: str, other: str) -> None:
    assert reverse_complement(given) == other


@given(st.text("ACGTacgtRYSWKMBDHVN-"))
def test_the_other_strand_of_the_other_strand_is_the_sequence(sequence: str) -> None:
    assert reverse_complement(reverse_complement(sequence)) == sequence


@pytest.mark.parametrize("tokens", ["characters", "3-mers"])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "mean_max", "attention"])
def test_a_label_is_the_same_whichever_strand_is_given(pooling: str, tokens: str) -> None:
    task = classifier(pooling=pooling, tokens=tokens)
    other = [replace(example, text=reverse_complement(example.text)) for example in promoters()]
    for one, two in zip(task.predict(promoters()), task.predict(other), strict=True):
        assert one.probabilities == pytest.approx(two.probabilities, abs=1e-6)
    plain = classifier(pooling=pooling, tokens=tokens, strands="given")
    plain.load_state_dict(task.state_dict())
    apart = [
        abs(one.probabilities["yes"] - two.probabilities["yes"])
        for one, two in zip(plain.predict(promoters()), plain.predict(other), strict=True)
    ]
    assert max(apart) > 1e-3, "else the strands do not differ, and nothing is shown"


def test_what_is_made_of_both_strands_is_their_mean() -> None:
    task, plain = classifier(pooling="max"), classifier(pooling="max", strands="given")
    plain.load_state_dict(task.state_dict())
    other = [replace(example, text=reverse_complement(example.text)) for example in promoters()]

    def pooled(some: list[LabelledText]) -> torch.Tensor:
        return plain._pooled(plain.collate([plain.encode(one) for one in some]))

    with torch.no_grad():
        expected = plain.output((pooled(promoters()) + pooled(other)) / 2)
        found = task._logits(task.collate([task.encode(one) for one in promoters()]))
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_tag_is_the_same_at_the_same_base_of_either_strand() -> None:
    task = tagger()
    other = [replace(example, tokens=tuple(reverse_complement("".join(example.tokens)))) for example in genes()]
    for one, two in zip(task.predict(genes()), task.predict(other), strict=True):
        assert one.tags == (two.tags or ())[::-1]
        assert one.confidence == pytest.approx((two.confidence or ())[::-1], abs=1e-6)
    first = task.predict(genes())[0].confidence or ()
    assert first != pytest.approx(first[::-1], abs=1e-4), "else it does not matter which base is which"


@pytest.mark.parametrize("made", [classifier, tagger])
def test_both_strands_obey_the_laws(made: Any) -> None:
    task, examples = made(), promoters() if made is classifier else genes()
    for law in (laws.batch_mates_change_nothing, laws.order_changes_nothing, laws.loss_is_the_sum_of_its_rows):
        verdict = law(task, examples)
        assert verdict.holds, verdict
    assert laws.streaming_equals_the_whole(made(directions="forward"), examples).holds is None
    verdict = laws.one_batch_can_be_overfitted(task, examples)
    assert verdict.holds, verdict


@pytest.mark.parametrize("made", [classifier, tagger])
def test_both_strands_are_looked_into_as_the_given_one(made: Any) -> None:
    task, examples = made(), promoters() if made is classifier else genes()
    found = gates(task, examples[:2])
    assert [values.elements for values in found.examples[0]] == [tuple("GATTACA")] * 2
    with pytest.raises(BadOption, match="two strands are read: what one element of one of them weighs is not told"):
        saliency(task, examples[0])
    with pytest.raises(BadOption, match="the other strand begins where a sequence ends: strands=both cannot stream"):
        made(directions="forward").stream()


def test_a_model_of_both_strands_is_saved_with_them(tmp_path: Any) -> None:
    bundle.save(classifier(), tmp_path / "m")
    again = bundle.load(tmp_path / "m")
    assert again.predict(promoters()) == classifier().predict(promoters())
    assert again.options["strands"] == "both"


def test_what_is_no_dna_is_named() -> None:
    protein = LabelledText(text="MKE", label="yes", origin=Origin("a.fasta", 7))
    with pytest.raises(BadData, match=r"^a\.fasta:7: 'E' at position 3 is no base: strands=both is for DNA and RNA$"):
        classifier().encode(protein)
    with pytest.raises(BadData, match=r"^strands=both is for bases: each token must be one letter$"):
        tagger().encode(TaggedTokens(tokens=("AC", "GT")))
    with pytest.raises(BadOption, match="strands is an option for DNA; numbers have none"):
        Classifier.prepare([Signal(values=np.zeros((2, 1)), label=x) for x in "ab"], strands="both")
