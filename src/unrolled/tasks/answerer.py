"""A question, with or without a text that it is about, and its answer: word by word, with attention to both.

The encoder reads the question and, behind a mark, the context, so that it knows what is asked while it reads on; behind
another mark it reads the question once more, where it reads backwards, too (`asked`). The decoder says the answer; with
`copying` it may take words from either that no vocabulary has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples import Question
from unrolled.data.tokenisers.base import Case, Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData
from unrolled.layers.stack import CellName
from unrolled.metrics.answers import answer_scores
from unrolled.tasks._sequence_to_sequence import SequenceToSequence
from unrolled.tasks._sides import CONTEXT, Cut, Joining, learn_sides


class Answerer(SequenceToSequence):
    """An answer to each question. The options are those of `Translator`, but for a few defaults.

    The cell is a GRU: on bAbI's first task it learns in ten epochs what an LSTM has not begun to learn by then.

    Args:
        asked: the question stands `before` the context, or `around` it, which is what `prepare` takes where the encoder
            reads in both directions.
    """

    example = Question
    metric: ClassVar[str] = "exact_match"

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser],
        *,
        cell: CellName = "gru",
        hidden_size: int = 128,
        layers: int = 2,
        encoder_hidden: int = 128,
        encoder_layers: int = 1,
        directions: Literal["both", "forward"] = "both",
        connections: Literal["plain", "residual"] = "plain",
        word_size: int = 128,
        attention: Literal["none", "additive", "dot", "general", "concat", "multihead"] = "additive",
        place: Literal["before", "between", "after"] = "between",
        attention_size: int = 128,
        heads: int = 4,
        feeding: Literal["none", "input"] = "none",
        vector: Literal["first", "every"] = "first",
        bridge: Literal["last", "learnt", "mean", "zero"] = "learnt",
        readout: Literal["state", "context", "deep"] = "deep",
        tied: Literal["none", "target", "all"] = "none",
        coverage: Literal["none", "scores"] = "none",
        coverage_loss: float = 1.0,
        copying: Literal["none", "pointer"] = "none",
        embedding_dropout: float = 0.2,
        dropout: float = 0.2,
        readout_dropout: float = 0.2,
        initialisation: Literal["orthogonal", "uniform"] = "orthogonal",
        forget_bias: float = 1.0,
        cell_options: dict[str, Any] | None = None,
        label_smoothing: float = 0.05,
        scheduled_sampling: float = 0.0,
        longest: int = 2000,
        longest_said: int = 64,
        case: Case = "keep",
        joining: Joining = "apart",
        asked: Literal["before", "around"] = "before",
    ) -> None:
        super().__init__(vocabularies, tokenisers)
        self.mark = vocabularies["source"].index(CONTEXT)

    @classmethod
    def prepare(
        cls,
        examples: Sequence[Question],
        *,
        source_tokens: Cut = "words",
        target_tokens: Cut = "words",
        pieces: int = 8000,
        minimum_count: int = 1,
        **options: Any,
    ) -> Answerer:
        """An answerer for these training examples, of whose right answers the first is learnt.

        Args:
            examples: with their answers.
            source_tokens, target_tokens, pieces, minimum_count: as `Translator.prepare`; the source is the question and
                its context.
            options: of the constructor.

        Raises:
            BadData: no examples, or one without an answer.
            BadOption: options that do not fit each other.
        """
        if not examples:
            raise BadData("there are no examples to learn from")
        for example in examples:
            _must_have_answer(example)
        sources = [text for e in examples for text in (e.question, e.context) if text]
        targets = [e.answers[0] for e in examples]
        vocabularies, tokenisers = learn_sides(
            sources,
            targets,
            options,
            source_tokens=source_tokens,
            target_tokens=target_tokens,
            pieces=pieces,
            minimum_count=minimum_count,
            marks=(CONTEXT,),
        )
        options.setdefault("asked", "around" if options.get("directions", "both") == "both" else "before")
        return cls(vocabularies, tokenisers, **options)

    def source_tokens(self, example: Question) -> list[str]:
        question = self.source.tokeniser.tokens(example.question)
        if not question or example.context is None:
            return question
        # Who reads from the last word to the first is to know the question, too, before the context.
        behind = [CONTEXT, *question] if self.options["asked"] == "around" else []
        return [*question, CONTEXT, *self.source.tokeniser.tokens(example.context), *behind]

    def source_numbers(self, example: Question, tokens: Sequence[str]) -> NDArray[np.int64]:
        numbers = self.source.encode(tokens)
        if example.context is not None and len(tokens):
            # By their places: the texts themselves may say something of that kind, which is another word.
            asked = len(self.source.tokeniser.tokens(example.question))
            numbers[asked] = self.mark
            if self.options["asked"] == "around":
                numbers[-1 - asked] = self.mark
        return numbers

    def target_text(self, example: Question) -> str | None:
        return example.answers[0] if example.answers else None

    def score(self, predicted: Sequence[Question], gold: Sequence[Question]) -> dict[str, float]:
        """`exact_match` and `f1` of tokens, the best over all right answers; `perplexity` of the first of them."""
        for example in gold:
            _must_have_answer(example)
        figures = answer_scores([e.answers for e in gold], [e.answers[0] for e in predicted])
        return {**figures, "perplexity": self.perplexity(gold)}

    def read(self, raw: Any) -> Question:
        """Of a question as text, or of a question and its context."""
        if isinstance(raw, Question):
            return raw
        if isinstance(raw, str):
            return Question(question=raw)
        question, context = raw
        return Question(question=question, context=context)


def _must_have_answer(example: Question) -> None:
    if not example.answers:
        raise example.problem("a question without an answer")
