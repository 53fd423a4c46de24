"""BLEU and chrF of whole corpora, by sacreBLEU (Post 2018, arXiv:1804.08771), with the signatures that say how.

Unlike all other figures here, both are from 0 to 100, as the field reports them and as people compare them. sacreBLEU
takes a quarter of a second to import, so a function imports it when it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

from unrolled.errors import UnknownName
from unrolled.metrics.references import References, require_references

Cutting = Literal["13a", "intl", "char", "zh", "none"]


class TranslationScores(NamedTuple):
    """bleu, chrf: from 0 to 100, higher is better. bleu_signature, chrf_signature: what they were computed with."""

    bleu: float
    chrf: float
    bleu_signature: str
    chrf_signature: str


def translation_scores(
    gold: Sequence[References],
    predicted: Sequence[str],
    *,
    case: Literal["keep", "lower"] = "keep",
    tokenisation: Cutting = "13a",
) -> TranslationScores:
    """BLEU (Papineni et al. 2002) and chrF (Popović 2015) of translations against one or several references each.

    Args:
        gold: of each translation its reference or references, as people write text: not cut into tokens.
        predicted: the translations, detokenised.
        case: whether upper and lower case are different things (`keep`), or everything is in lower case.
        tokenisation: how BLEU cuts into words: `13a` as the shared tasks do, `intl` by Unicode's properties, `char`
            and `zh` for languages without blanks, `none` at blanks only.

    Raises:
        UnknownName: there is no such case or tokenisation.
        ValueError: gold and predicted differ in number, there are none, or one has no reference.

    >>> scores = translation_scores(["The cat sat on the mat."], ["The cat sat on the hat."])
    >>> round(scores.bleu, 2), scores.bleu_signature[:39]
    (64.35, 'nrefs:1|case:mixed|eff:no|tok:13a|smoot')
    """
    for kind, name, known in (
        ("case", case, ("keep", "lower")),
        ("BLEU tokenisation", tokenisation, get_args(Cutting)),
    ):
        if name not in known:
            raise UnknownName(kind, name, known)
    references = require_references(gold, predicted, "translations")
    from sacrebleu.metrics import BLEU, CHRF

    # sacreBLEU wants the first references of all, the second of all, …; None where there is no further one.
    most = max(map(len, references))
    streams: Any = [[several[k] if k < len(several) else None for several in references] for k in range(most)]
    lower = case == "lower"
    # force: cut text as it is. Without it, sacreBLEU writes a warning about text that looks cut to standard error.
    bleu, chrf = BLEU(lowercase=lower, tokenize=tokenisation, force=True), CHRF(lowercase=lower)
    translations = list(predicted)
    return TranslationScores(
        bleu=float(bleu.corpus_score(translations, streams).score),
        chrf=float(chrf.corpus_score(translations, streams).score),
        bleu_signature=str(bleu.get_signature()),
        chrf_signature=str(chrf.get_signature()),
    )
