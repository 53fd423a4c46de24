"""Many to one: a label for a text (sentiment, topic, question type) or for numbers at each step; or several labels.

Words and their spellings, or numbers, read in both directions; what was read is pooled into one vector, from which a
softmax over the labels is taken, or, where several labels may hold at once, a sigmoid for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid

from unrolled.data.examples import LabelledText, Signal
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.tokens import Rule, tokenise
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.layers.pooling import poolings_of
from unrolled.layers.stack import CellName
from unrolled.metrics.classification import classification_scores, multilabel_scores, ranking_scores
from unrolled.state import State
from unrolled.tasks._label_streams import PooledStreamer
from unrolled.tasks._numbers import NumberReader, as_signal, encoded, must_be_texts, numeric, reader_of
from unrolled.tasks._pretrained import sequences_below
from unrolled.tasks._reader import Encoder, balanced, begun, layer_groups, text_vocabularies
from unrolled.tasks._strands import Strands, TwoBatches, TwoStrands, reverse_complement
from unrolled.tasks.base import NEVER_SEEN, Loss, Streamer, Task


class Classifier(Task):
    """A label, or several, for a text or for numbers at each step.

    Args:
        vocabularies: `labels`; and, of texts, `words` and `characters`.
        decision: `one` label a text, or `many` (any number of them, none included).
        tokens: how a text is cut: `words`, `blanks` (at white space), `characters`, or, as DNA, overlapping
            `2-mers` to `6-mers`, or letters or pairs with their places, `placed` and `placed-2-mers`.
        strands: `both`: a sequence of DNA and its reverse complement are read, and answered as one; `given`: it alone.
        pooling: what is made of the vectors of all tokens: the `last` state of each direction, their `mean`, `max`,
            both (`mean_max`), or a sum weighted by additive `attention` (Bahdanau et al. 2015, Yang et al. 2016).
        label_smoothing: share of the target spread over all labels (Szegedy et al. 2016).
        class_weights: `balanced` weighs a label's texts by the inverse of its frequency; `none`.
        cell, hidden_size, layers, directions, connections, word_size, characters, character_size, character_hidden,
            feature_size, embedding_dropout, dropout, word_dropout, weight_drop, zoneout, initialisation, forget_bias,
            chrono, cell_options, encoders, encoder_training, encoder_dropout, encoder_rates: as in
            `Tagger`.
        scaling: whether each of the numbers is brought to mean 0 and deviation 1, as it is in training: `standard`, or
            `none`.
        missing: whether a number may be missing, and is then `told` so, or is `refused`; where it is not given, as the
            training examples have it.
        sound: what is read of recordings: logarithms of `mel` bands; their cosine transform, `mfcc`; or `none`, and a
            sample is a number as others are. Where nothing is said, `mel` of what tells its samples a second.
        rate, bands, frame_shift: samples a second, as most training recordings have; bands of a spectrum; milliseconds
            from one spectrum to the next.
        masked_features, masked_steps: SpecAugment: how many features, and steps, a mask hides in training, at most.
        inputs, means, deviations: numbers at each step, and of each its mean and deviation in training; the training
            examples say them. No inputs: it reads texts.
    """

    example = LabelledText
    reads = (LabelledText, Signal)
    settings: ClassVar[Mapping[str, Any]] = {
        "learning_rate": 5e-3,
        "batch_elements": 8192,
        "epochs": 6.0,
        "averaging": "exponential",
    }

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser] | None = None,
        *,
        decision: Literal["one", "many"] = "one",
        tokens: Rule = "words",
        strands: Strands = "given",
        cell: CellName = "lstm",
        hidden_size: int = 128,
        layers: int = 1,
        directions: Literal["both", "forward"] = "both",
        connections: Literal["plain", "residual", "skip"] = "plain",
        pooling: Literal["last", "mean", "max", "mean_max", "attention"] = "max",
        word_size: int = 100,
        characters: Literal["lstm", "cnn", "none"] = "none",
        character_size: int = 32,
        character_hidden: int = 50,
        feature_size: int = 16,
        embedding_dropout: float = 0.6,
        dropout: float = 0.6,
        word_dropout: float = 1.0,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        initialisation: Literal["orthogonal", "uniform"] = "orthogonal",
        forget_bias: float = 1.0,
        chrono: int | None = None,
        label_smoothing: float = 0.0,
        class_weights: Literal["none", "balanced"] = "none",
        cell_options: dict[str, Any] | None = None,
        encoders: list[dict[str, Any]] | None = None,
        encoder_training: Literal["tuned", "frozen"] = "tuned",
        encoder_dropout: float = 0.0,
        encoder_rates: float = 0.5,
        inputs: int = 0,
        scaling: Literal["standard", "none"] = "standard",
        means: list[float] | None = None,
        deviations: list[float] | None = None,
        missing: Literal["refused", "told"] = "refused",
        sound: Literal["none", "mel", "mfcc"] = "none",
        rate: float = 0.0,
        bands: int = 40,
        frame_shift: float = 10.0,
        masked_features: int = 0,
        masked_steps: int = 0,
    ) -> None:
        super().__init__(vocabularies, tokenisers)
        if inputs:
            self.example = Signal  # type: ignore[misc, assignment]
        if inputs and strands == "both":
            raise BadOption("strands is an option for DNA; numbers have none")
        self.labels = vocabularies["labels"]
        self.reader = reader_of(vocabularies, self.tokenisers, self.options)
        size = self.reader.output_size
        self.poolings = poolings_of(pooling, size, self.reader.ahead)
        self.output = nn.Linear(size * len(self.poolings), len(self.labels))
        self.weights: Tensor | None
        self.register_buffer(
            "weights", balanced(self.labels) if class_weights == "balanced" else None, persistent=False
        )

    @classmethod
    def prepare(
        cls,
        examples: Sequence[LabelledText] | Sequence[Signal],
        *,
        minimum_count: int = 1,
        vectors: str | None = None,
        encoder: Encoder = (),
        **options: Any,
    ) -> Classifier:
        """A classifier for these training examples; texts with tuples of labels make it decide for `many`.

        Args:
            examples: with their labels.
            minimum_count: a word seen less often is unknown.
            vectors: a GloVe or fastText `.vec` file whose vectors words begin with; sets `word_size`.
            encoder: folders of trained language models, whose layers are below its own. Where nothing else is said it
                then has no recurrence and no table of words beside them, pools their largest and mean values, and drops
                less.
            options: of the constructor.

        Raises:
            BadData: no examples, one without a label, one whose text is empty, numbers of different width.
            BadOption: options of texts for numbers.
        """
        if not examples:
            raise BadData("there are no examples to learn from")
        for example in examples:
            _must_have_label(example)
        options.setdefault("decision", "one" if isinstance(examples[0].label, str) else "many")
        labels = Vocabulary.build((_labels_of(e) for e in examples), unknown=None, kind="label")
        if isinstance(examples[0], Signal):
            given = {"minimum_count": minimum_count > 1, "vectors": vectors, "encoder": encoder}
            return numeric(cls, {"labels": labels}, examples, options, **given)
        must_be_texts(examples, options)
        if encoder:
            plain = {"layers": 0, "word_size": 0, "pooling": "mean_max", "embedding_dropout": 0.0, "dropout": 0.4}
            options = {**plain, **options}
        cut = [tokenise(example.text, options.get("tokens", "words")) for example in examples]  # type: ignore[union-attr]
        vocabularies = {**text_vocabularies(cut, minimum_count), "labels": labels}
        return begun(cls, vocabularies, options, vectors=vectors, encoders=encoder)

    def encode(self, example: LabelledText | Signal) -> Any:
        target = None
        if example.label is not None:
            try:
                places = torch.from_numpy(self.labels.encode(_labels_of(example)))
            except UnknownName as error:
                raise example.problem(f"{error} ({NEVER_SEEN})") from None
            target = torch.zeros(len(self.labels)).index_fill_(0, places, 1.0)
        rule = self.options["tokens"]
        given = encoded(self.reader, example, target, rule)
        if self.options["strands"] == "given" or not isinstance(example, LabelledText):
            return given
        try:
            other = reverse_complement(example.text)
        except BadData as error:
            raise example.problem(error.problem) from None
        return TwoStrands(given, encoded(self.reader, replace(example, text=other), target, rule))

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return layer_groups(self, self.reader.encoders)

    def collate(self, encoded: Sequence[Any]) -> Any:
        if self.options["strands"] == "given":
            return self.reader.collate(encoded)
        return TwoBatches(*(self.reader.collate(side) for side in zip(*encoded, strict=True)))

    def loss(self, batch: Any) -> Loss:
        if any(target is None for target in batch.targets):
            raise BadData("an example without a label cannot be learnt from")
        logits, wanted = self._logits(batch), torch.stack(batch.targets)
        smoothing = self.options["label_smoothing"]
        if self.options["decision"] == "many":
            smoothed = wanted * (1 - smoothing) + smoothing / 2
            each = binary_cross_entropy_with_logits(logits, smoothed, pos_weight=self.weights, reduction="none")
            return Loss(each.sum(), len(wanted))
        total = cross_entropy(logits, wanted.argmax(-1), self.weights, reduction="sum", label_smoothing=smoothing)
        return Loss(total, len(wanted))

    def decide(self, batch: Any, **options: Any) -> list[dict[str, Any]]:
        return self._filled(self._logits(batch))

    def _filled(self, logits: Tensor) -> list[dict[str, Any]]:
        """logits: (rows, labels)."""
        symbols = self.labels.symbols
        many = self.options["decision"] == "many"
        filled = []
        for row in (logits.sigmoid() if many else logits.softmax(-1)).tolist():
            label: Any
            if many:
                label = tuple(symbol for symbol, p in zip(symbols, row, strict=True) if p > 0.5)
            else:
                label = symbols[row.index(max(row))]
            filled.append({"label": label, "probabilities": dict(zip(symbols, row, strict=True))})
        return filled

    def _logits(self, batch: Any) -> Tensor:
        if isinstance(batch, TwoBatches):
            return self.output((self._pooled(batch.given) + self._pooled(batch.other)) / 2)
        return self.output(self._pooled(batch))

    def _pooled(self, batch: Any) -> Tensor:
        read = self.reader(batch)
        return torch.cat([pooling(read) for pooling in self.poolings], dim=-1)

    def see(self, batch: Any) -> None:
        """Of two strands the given one."""
        self.output(self._pooled(batch.given if isinstance(batch, TwoBatches) else batch))

    def vectors(self) -> nn.Module:
        if self.options["strands"] == "both":
            raise BadOption("two strands are read: what one element of one of them weighs is not told")
        return self.reader.vectors()

    def sequences_below(self, encoded: Any) -> dict[str, tuple[str, ...]]:
        return sequences_below(self.reader.encoders, encoded)

    def says(self, batch: Any, place: int = -1) -> tuple[Tensor, Sequence[str]]:
        """Of each label; where there may be several, of each by itself."""
        logits, many = self._logits(batch), self.options["decision"] == "many"
        return logsigmoid(logits) if many else logits.log_softmax(-1), self.labels.symbols

    def chances(self, batch: Any) -> tuple[Tensor, Tensor]:
        if self.options["decision"] == "many":
            return super().chances(batch)
        return self._logits(batch).log_softmax(-1), torch.stack(batch.targets).argmax(-1)

    @property
    def metric(self) -> str:  # type: ignore[override]
        """What decides which weights are best: the `accuracy`, or, of several labels, the `micro_f1`."""
        return "micro_f1" if self.options["decision"] == "many" else "accuracy"

    def score(self, predicted: Sequence[Any], gold: Sequence[Any]) -> dict[str, float]:
        """One label: `accuracy`, `macro_f1`, `matthews`; where the probabilities are known `auroc` and `auprc`.
        Many: `micro_f1`, `macro_f1`, `exact_match` (all of a text's).
        """
        for example in gold:
            _must_have_label(example)
        right, guessed = [_labels_of(e) for e in gold], [_labels_of(e) for e in predicted]
        if self.options["decision"] == "many":
            return multilabel_scores(right, guessed)
        singles = [label for (label,) in right]
        scores = classification_scores(singles, [label for (label,) in guessed])
        chances = [example.probabilities for example in predicted if example.probabilities is not None]
        return scores | ranking_scores(singles, chances) if len(chances) == len(predicted) else scores

    def stream(self, saved: State | None = None, **options: Any) -> Streamer:
        if isinstance(self.reader, NumberReader):
            raise BadOption("a stream is of texts; numbers are not streamed")
        if self.options["strands"] == "both":
            raise BadOption("the other strand begins where a sequence ends: strands=both cannot stream")
        rule = self.options["tokens"]
        given = (self, self.reader, partial(tokenise, rule=rule), self._said)
        return PooledStreamer(self.poolings, *given, everywhere=rule == "characters", saved=saved)

    def _said(self, pooled: Tensor) -> dict[str, Any]:
        """Of the line so far in a stream. pooled: (1, features of all poolings)."""
        (found,) = self._filled(self.output(pooled))
        return {"label": found["label"], "probabilities": tuple(found["probabilities"].items())}

    @torch.inference_mode()
    def stream_outputs(self, examples: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each example: what the network makes of its elements at once, and read one by one."""
        if self.options["strands"] == "both":
            raise BadOption("the other strand begins where a sequence ends: strands=both cannot stream")
        yield from self.reader.stream_outputs([self.encode(example) for example in examples])

    def read(self, raw: Any) -> LabelledText | Signal:
        if isinstance(self.reader, NumberReader):
            return as_signal(raw)
        if isinstance(raw, (LabelledText, Signal)):
            return raw
        return LabelledText(text=raw if isinstance(raw, str) else " ".join(raw))


def _labels_of(example: LabelledText | Signal) -> tuple[str, ...]:
    label = example.label
    return (label,) if isinstance(label, str) else tuple(label or ())


def _must_have_label(example: LabelledText | Signal) -> None:
    if example.label is None:
        raise example.problem(f"{'numbers' if isinstance(example, Signal) else 'a text'} without a label")
