"""BLEU and chrF from their definitions, on texts short enough to count."""

from __future__ import annotations

import re
from math import exp

import pytest

from unrolled.errors import UnknownName
from unrolled.metrics.translation import translation_scores

GOLD = ["The cat sat on the mat.", "A dog runs through the park."]
PREDICTED = ["The cat sat on the hat.", "A dog runs through the park."]
# The . is a token. Right n-grams of the first: 6 of 7, 4 of 6, 3 of 5, 2 of 4; of the second all 7, 6, 5, 4.
BLEU = 100 * ((13 / 14) * (10 / 12) * (8 / 10) * (6 / 8)) ** 0.25


def test_bleu_is_that_of_the_corpus_in_hundreds():
    assert translation_scores(GOLD, PREDICTED).bleu == pytest.approx(BLEU)
    assert translation_scores(GOLD, GOLD).bleu == pytest.approx(100)
    assert translation_scores(GOLD, PREDICTED[::-1]).bleu < 20


def test_short_translations_are_penalised():
    # 7 of 14 tokens are there, all n-grams of which are right.
    assert translation_scores([GOLD[0] + " " + GOLD[1]], [GOLD[0]]).bleu == pytest.approx(100 * exp(1 - 14 / 7))


def test_chrf_by_hand():
    # 1-grams: 1 of 2 both ways; 2-grams: 0 of 1; none longer. Precision and recall are the means of these, 1/4.
    assert translation_scores(["ab"], ["ac"]).chrf == pytest.approx(25)
    # Blanks do not count. 1-grams: 2 of 3 predicted, 2 of 2; 2-grams: 1 of 2, 1 of 1. So P = 7/12, R = 1; with beta 2,
    # F = 5 P R / (4 P + R).
    assert translation_scores(["a b"], ["abc"]).chrf == pytest.approx(100 * 5 * (7 / 12) / (4 * 7 / 12 + 1))


def test_the_reference_that_fits_counts_and_may_be_one_of_several_or_of_one():
    gold = [["A mat lay there.", GOLD[0]], GOLD[1]]
    scores = translation_scores(gold, PREDICTED)
    assert scores.bleu == pytest.approx(BLEU)
    assert "nrefs:var" in scores.bleu_signature
    assert translation_scores([["x", GOLD[0]], [GOLD[1], "y"]], GOLD).chrf == pytest.approx(100)
    assert "nrefs:2" in translation_scores([["x", "y"]], ["x"]).chrf_signature


def test_case_counts_unless_everything_is_in_lower_case():
    upper = [text.upper() for text in GOLD]
    kept = translation_scores(upper, PREDICTED)
    lower = translation_scores(upper, PREDICTED, case="lower")
    assert kept.bleu < 10
    assert kept.chrf < 20
    assert lower.bleu == pytest.approx(BLEU)
    assert lower.chrf == translation_scores([t.lower() for t in GOLD], [t.lower() for t in PREDICTED]).chrf
    assert "case:mixed" in kept.bleu_signature
    assert "case:mixed" in kept.chrf_signature
    assert "case:lc" in lower.bleu_signature
    assert "case:lc" in lower.chrf_signature


def test_the_signatures_are_what_others_need_to_repeat_the_figures():
    scores = translation_scores(GOLD, PREDICTED, case="lower")
    assert re.fullmatch(r"nrefs:1\|case:lc\|eff:no\|tok:13a\|smooth:exp\|version:[\d.]+", scores.bleu_signature)
    assert re.fullmatch(r"nrefs:1\|case:lc\|eff:yes\|nc:6\|nw:0\|space:no\|version:[\d.]+", scores.chrf_signature)


@pytest.mark.parametrize(
    ("tokenisation", "right"),
    # Tokens of the reference that are predicted: all of "ab,cd" is one token, three, or its five characters.
    [("none", [(0, 1)]), ("13a", [(2, 3)]), ("intl", [(2, 3)]), ("char", [(4, 5)])],
)
def test_texts_are_cut_as_told(tokenisation, right):
    pad = "u v w x y z"  # the same in both, so that no n-gram count is 0
    scores = translation_scores([f"ab,cd {pad}"], [f"ab,ce {pad}"], tokenisation=tokenisation)
    assert f"tok:{tokenisation}" in scores.bleu_signature
    (hits, tokens) = right[0]
    whole = tokens + 6
    # What is wrong is the last token before the pad, so an n-gram is wrong when it holds place tokens - 1.
    rates = []
    for n in range(1, 5):
        starts = range(whole - n + 1)
        rates.append(sum(not start <= tokens - 1 < start + n for start in starts) / len(starts))
    assert rates[0] == (hits + 6) / whole
    product = rates[0] * rates[1] * rates[2] * rates[3]
    assert scores.bleu == pytest.approx(100 * product**0.25)


def test_text_that_looks_cut_is_scored_without_a_word(capfd, caplog):
    gold = [f"sentence {k} ends here ." for k in range(120)]
    assert translation_scores(gold, gold).bleu == pytest.approx(100)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_empty_translations_are_worth_nothing():
    scores = translation_scores(GOLD, ["", ""])
    assert (scores.bleu, scores.chrf) == (0, 0)


def test_mistakes_are_named():
    with pytest.raises(UnknownName, match=r"^unknown BLEU tokenisation '13b'; did you mean '13a'\?$"):
        translation_scores(GOLD, PREDICTED, tokenisation="13b")
    with pytest.raises(UnknownName, match=r"^unknown case 'lc'; there are: keep, lower$"):
        translation_scores(GOLD, PREDICTED, case="lc")
    with pytest.raises(ValueError, match=r"^2 gold translations, 1 predicted: they must stand side by side$"):
        translation_scores(GOLD, PREDICTED[:1])
    with pytest.raises(ValueError, match=r"^translations 1: no reference to compare with$"):
        translation_scores([GOLD[0], ()], PREDICTED)
