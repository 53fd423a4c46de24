"""Any sequence to any other: translation, pronunciation, rewriting.

An encoder reads the source, a decoder says the target word by word (Sutskever, Vinyals & Le 2014, arXiv:1409.3215; Cho
et al. 2014, arXiv:1406.1078), and looks at the source's words while it does (Bahdanau, Cho & Bengio 2015,
arXiv:1409.0473; Luong, Pham & Manning 2015, arXiv:1508.04025). By default attention stands between the decoder's two
layers, and the upper one and the softmax read what it found, so that in training nothing loops in Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from unrolled.data.examples import Pair
from unrolled.data.tokenisers.base import Case, Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData
from unrolled.layers.stack import CellName
from unrolled.metrics.edits import sequence_error_rate, symbol_error_rate, word_error_rate
from unrolled.metrics.references import references_of
from unrolled.metrics.translation import translation_scores
from unrolled.tasks._sequence_to_sequence import SequenceToSequence
from unrolled.tasks._sides import LEARNT, Cut, Joining, learn_sides


class Translator(SequenceToSequence):
    """A target for each source.

    Args:
        vocabularies: `source` and `target`.
        tokenisers: `source` and `target`.
        cell: the recurrence, a file's name in `cells/`.
        hidden_size: units of a layer of the decoder.
        layers: of the decoder.
        encoder_hidden: units of a layer of the encoder, in each direction.
        encoder_layers: of the encoder.
        directions: the encoder reads in `both` directions, or `forward` only.
        connections: `residual`: layers add what they read to what they give, where sizes allow it.
        word_size: features of a token's vector, on either side.
        attention: how a place of the source is scored: `additive`, `dot`, `general`, `concat`, `multihead`; `none`: the
            decoder has only the vector in which the encoder ends.
        place: attention stands `before` the decoder's lowest layer (Bahdanau et al.), `between` that and those above,
            or `after` all (Luong et al.).
        attention_size, heads: units of additive and concat scores or of all heads together, and how many heads.
        feeding: `input`: the decoder also reads what it showed last (Luong et al. 2015, section 3.3); then it loops.
        vector: `every`: each step reads the encoder's vector; `first`: it is in the first state alone.
        bridge: from the encoder's last states to the decoder's first: `last`, `learnt`, `mean`, `zero`.
        readout: what the softmax reads: the `state`, state and `context`, or these and the last word (`deep`).
        tied: `target`: the softmax's weights are the target's embedding; `all`: and that is the source's, too.
        coverage, coverage_loss: `scores`: attention sees what it has looked at before (See et al. 2017).
        copying: `pointer`: words of the source may be copied (See et al. 2017, arXiv:1704.04368).
        embedding_dropout, dropout, readout_dropout: rates: of embedded tokens, between layers, of the softmax's input.
        initialisation, forget_bias, cell_options: of the cells; see `Tagger`.
        label_smoothing: share of each target that is spread over all tokens.
        scheduled_sampling: share of the target's tokens that, at the end of the training, the model's own stand for.
        longest: tokens of a source or target, at most.
        longest_said: tokens that a prediction may have; `prepare` takes three times the longest target, and 10.
        case: whether the text's case is kept; BLEU and chrF are then of that, or of lower case.
        joining: whether source and target have one vocabulary.
    """

    example = Pair

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser],
        *,
        cell: CellName = "lstm",
        hidden_size: int = 256,
        layers: int = 2,
        encoder_hidden: int = 256,
        encoder_layers: int = 1,
        directions: Literal["both", "forward"] = "both",
        connections: Literal["plain", "residual"] = "plain",
        word_size: int = 256,
        attention: Literal["none", "additive", "dot", "general", "concat", "multihead"] = "additive",
        place: Literal["before", "between", "after"] = "between",
        attention_size: int = 256,
        heads: int = 4,
        feeding: Literal["none", "input"] = "none",
        vector: Literal["first", "every"] = "first",
        bridge: Literal["last", "learnt", "mean", "zero"] = "learnt",
        readout: Literal["state", "context", "deep"] = "deep",
        tied: Literal["none", "target", "all"] = "target",
        coverage: Literal["none", "scores"] = "none",
        coverage_loss: float = 1.0,
        copying: Literal["none", "pointer"] = "none",
        embedding_dropout: float = 0.3,
        dropout: float = 0.3,
        readout_dropout: float = 0.3,
        initialisation: Literal["orthogonal", "uniform"] = "orthogonal",
        forget_bias: float = 1.0,
        cell_options: dict[str, Any] | None = None,
        label_smoothing: float = 0.1,
        scheduled_sampling: float = 0.0,
        longest: int = 1000,
        longest_said: int = 256,
        case: Case = "keep",
        joining: Joining = "apart",
    ) -> None:
        super().__init__(vocabularies, tokenisers)

    @classmethod
    def prepare(
        cls,
        examples: Sequence[Pair],
        *,
        source_tokens: Cut = "auto",
        target_tokens: Cut = "auto",
        pieces: int = 8000,
        minimum_count: int = 1,
        **options: Any,
    ) -> Translator:
        """A translator for these training examples.

        Args:
            examples: with their targets.
            source_tokens, target_tokens: how texts are cut: into `words`, `characters`, `bytes` (none of which is
                unknown), what stands between `blanks`, or pieces of words that are learnt (`bpe`, `unigram`); `auto`:
                by what they look like.
            pieces: how many are learnt.
            minimum_count: a token seen less often is unknown.
            options: of the constructor.

        Raises:
            BadData: no examples, or one without a target.
            BadOption: options that do not fit each other.
        """
        if not examples:
            raise BadData("there are no examples to learn from")
        for example in examples:
            _must_have_target(example)
        sources, targets = [e.source for e in examples], [e.target or "" for e in examples]
        vocabularies, tokenisers = learn_sides(
            sources,
            targets,
            options,
            source_tokens=source_tokens,
            target_tokens=target_tokens,
            pieces=pieces,
            minimum_count=minimum_count,
        )
        return cls(vocabularies, tokenisers, **options)

    def source_tokens(self, example: Pair) -> list[str]:
        return self.source.tokeniser.tokens(example.source)

    def target_text(self, example: Pair) -> str | None:
        return example.target

    @property
    def metric(self) -> str:  # type: ignore[override]
        """What decides which weights are best: `bleu` of running text, else `exact_match`."""
        return "bleu" if self.target.tokeniser.name in ("words", *LEARNT) else "exact_match"

    def score(self, predicted: Sequence[Pair], gold: Sequence[Pair]) -> dict[str, float]:
        """`bleu` and `chrf` (0 to 100) of running text; `exact_match`, of each source any of its targets counts, and
        the error rates of sequences, words and symbols; `perplexity` of the gold targets."""
        for example in gold:
            _must_have_target(example)
        said, right = [self._cased(e.target) for e in predicted], [self._cased(e.target) for e in gold]
        figures: dict[str, float] = {}
        if self.metric == "bleu":
            texts = translation_scores(right, said, case=self.options["case"])
            figures |= {"bleu": texts.bleu, "chrf": texts.chrf}
        # One source may have several targets, each on a line of its own.
        sources = [e.source for e in gold]
        references, guessed = references_of(sources, right), dict(zip(reversed(sources), reversed(said), strict=True))
        every = list(references.values()), [guessed[source] for source in references]
        wrong = sequence_error_rate(*every)
        figures |= {"exact_match": 1 - wrong, "sequence_error_rate": wrong}
        figures |= {"word_error_rate": word_error_rate(*every), "symbol_error_rate": symbol_error_rate(*every)}
        return {**figures, "perplexity": self.perplexity(gold)}

    def signatures(self) -> dict[str, str]:
        if self.metric != "bleu":
            return {}
        found = translation_scores([self._cased("a")], ["a"], case=self.options["case"])
        return {"bleu": found.bleu_signature, "chrf": found.chrf_signature}

    def _cased(self, text: str | None) -> str:
        return (text or "").lower() if self.options["case"] == "lower" else text or ""

    def read(self, raw: Any) -> Pair:
        if isinstance(raw, Pair):
            return raw
        return Pair(source=raw if isinstance(raw, str) else " ".join(raw))


def _must_have_target(example: Pair) -> None:
    if example.target is None:
        raise example.problem("a source without a target")
