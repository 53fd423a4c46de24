"""A label per element: part of speech, chunks and names (BIO), slots, secondary structure; or per step of numbers.

Words and their spellings, read in both directions, then for each token a softmax over the tags, or for the sentence a
linear-chain CRF over their sequences (Huang, Xu & Yu 2015, arXiv:1508.01991; with spellings Lample et al. 2016,
arXiv:1603.01360). Where the tags are BIO, a CRF gives sequences that are valid BIO only.
Of numbers at each step (a sensor's, a gesture's) each step gets a tag in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, compress
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import PackedSequence

from unrolled.data.examples import TaggedTokens
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.tokens import tokenise
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.layers.crf import CRF, bio_constraints
from unrolled.layers.packed import at
from unrolled.layers.stack import CellName
from unrolled.metrics.classification import classification_scores
from unrolled.metrics.spans import is_bio, span_scores
from unrolled.metrics.tagging import token_scores
from unrolled.state import State
from unrolled.tasks._label_streams import ReaderStreamer
from unrolled.tasks._numbers import NumberReader, as_signal, must_be_texts, numeric, reader_of
from unrolled.tasks._pretrained import sequences_below
from unrolled.tasks._reader import Encoder, balanced, begun, layer_groups, lengths_of, text_vocabularies
from unrolled.tasks._step_streams import StepStreamer
from unrolled.tasks._strands import Strands, TwoBatches, TwoStrands, reverse_complement, turned
from unrolled.tasks.base import NEVER_SEEN, Loss, Streamer, Task

IGNORED = -100
"""In place of a tag's number: none is known. (torch's own number for it.)"""


class Tagger(Task):
    """A tag for each token, or for each step of numbers.

    Args:
        vocabularies: `tags`; and, of texts, `words`, `characters`, and `feature.NAME` for each further column.
        cell: the recurrence, a file's name in `cells/`.
        hidden_size: units of a cell.
        layers: recurrent layers on top of each other.
        directions: read in `both` directions, or `forward` only (then it can stream).
        connections: `plain`; `residual` around each layer that gives as many features as it reads; or `skip`: what the
            stack reads stands beside what it gives (Lai et al. 2015).
        word_size: features of a word's vector.
        characters: how a word's spelling is read: by an `lstm`, a `cnn`, or not (`none`).
        character_size, character_hidden: features of a character, and units (a direction) or filters of its reader.
        feature_size: features of a further column's value.
        embedding_dropout, dropout: rates of locked dropout on what the stack reads, and on what its layers give.
        word_dropout: a word seen n times in training is hidden with probability a / (n + a).
        weight_drop: rate of DropConnect on the recurrent weights.
        zoneout: probability that a unit keeps its previous value in training.
        initialisation: of the recurrent weights.
        forget_bias: the forget gate's bias at the start, where the cell has that gate.
        chrono: elements over which something is to be remembered; the gates' biases then begin as Tallec & Ollivier
            2018 have it, in place of `forget_bias`.
        decoder: `crf`, or `softmax` for each token by itself; for BIO tags `prepare` takes the CRF.
        label_smoothing: `softmax`: share of the target spread over all tags (Szegedy et al. 2016).
        class_weights: `softmax`: `balanced` weighs a tag's tokens by the inverse of its frequency; `none`.
        ignored_tag: `softmax`: a tag that says that none is known, such as `-`: it is neither learnt nor counted.
        strands: `both`: a sequence of DNA and its reverse complement are read, and tagged as one; `given`: it alone.
        cut: how raw text is cut: into `words` or `characters`; where nothing is said, as the training examples are.
        cell_options: further keywords of the cell, such as `nonlinearity:relu`.
        encoders: the options of the language models that it began with; `prepare` fills them in. With one, `layers`
            and `word_size` may be 0: then there are no further recurrences, no table of words.
        encoder_training: whether they learn on (`tuned`) or not (`frozen`).
        encoder_dropout: rate of dropout on their vectors.
        encoder_rates: what their own rates of dropout are multiplied by, where they learn on.
        inputs, scaling, means, deviations, missing, masked_features, masked_steps: of numbers, as in `Classifier`.
    """

    example = TaggedTokens
    reads = (TaggedTokens, TaggedSteps)
    settings: ClassVar[Mapping[str, Any]] = {
        "learning_rate": 5e-3,
        "batch_rows": 16,
        "epochs": 30.0,
        "averaging": "exponential",
    }

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser] | None = None,
        *,
        cell: CellName = "lstm",
        hidden_size: int = 128,
        layers: int = 2,
        directions: Literal["both", "forward"] = "both",
        connections: Literal["plain", "residual", "skip"] = "plain",
        word_size: int = 100,
        characters: Literal["lstm", "cnn", "none"] = "lstm",
        character_size: int = 64,
        character_hidden: int = 100,
        feature_size: int = 16,
        embedding_dropout: float = 0.4,
        dropout: float = 0.5,
        word_dropout: float = 1.0,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        initialisation: Literal["orthogonal", "uniform"] = "orthogonal",
        forget_bias: float = 1.0,
        chrono: int | None = None,
        decoder: Literal["crf", "softmax"] = "softmax",
        label_smoothing: float = 0.05,
        class_weights: Literal["none", "balanced"] = "none",
        ignored_tag: str | None = None,
        strands: Strands = "given",
        cut: Literal["words", "characters"] = "words",
        cell_options: dict[str, Any] | None = None,
        encoders: list[dict[str, Any]] | None = None,
        encoder_training: Literal["tuned", "frozen"] = "frozen",
        encoder_dropout: float = 0.0,
        encoder_rates: float = 0.5,
        inputs: int = 0,
        scaling: Literal["standard", "none"] = "standard",
        means: list[float] | None = None,
        deviations: list[float] | None = None,
        missing: Literal["refused", "told"] = "refused",
        masked_features: int = 0,
        masked_steps: int = 0,
    ) -> None:
        super().__init__(vocabularies, tokenisers)
        if inputs:
            self.example = TaggedSteps  # type: ignore[misc, assignment]
        if inputs and strands == "both":
            raise BadOption("strands is an option for DNA; numbers have none")
        self.tags = vocabularies["tags"]
        self.reader = reader_of(vocabularies, self.tokenisers, self.options)
        self.output = nn.Linear(self.reader.output_size, len(self.tags))
        self.crf: CRF | None = None
        if ignored_tag is not None and (decoder == "crf" or ignored_tag in self.tags):
            raise BadOption(f"ignored_tag={ignored_tag} is for decoder=softmax, and no tag that is learnt")
        if decoder == "crf":
            self.crf = CRF(len(self.tags), constraints=bio_constraints(self.tags.symbols))
        self.weights: Tensor | None
        self.register_buffer("weights", balanced(self.tags) if class_weights == "balanced" else None, persistent=False)

    @classmethod
    def prepare(
        cls,
        examples: Sequence[TaggedTokens] | Sequence[TaggedSteps],
        *,
        minimum_count: int = 1,
        vectors: str | None = None,
        encoder: Encoder = (),
        **options: Any,
    ) -> Tagger:
        """A tagger for these training examples.

        Args:
            examples: with their tags.
            minimum_count: a word seen less often is unknown.
            vectors: a GloVe or fastText `.vec` file whose vectors words begin with; sets `word_size`.
            encoder: folders of trained language models, whose vectors stand beside those of the words.
            options: of the constructor.

        Raises:
            BadData: no examples, one without tags or elements, numbers of different width.
            BadOption: options of texts for numbers.
        """
        if not examples:
            raise BadData("there are no examples to learn from")
        for example in examples:
            _must_have_tags(example)
        tags = Vocabulary.build(_known(examples, options.get("ignored_tag")), unknown=None, kind="tag")
        if not len(tags):
            raise BadData(f"there is no tag to learn from but {options['ignored_tag']!r}, which is ignored")
        # Between spans' tags there are rules, which a CRF keeps; for other tags a softmax is as good, and much quicker.
        spans = all(is_bio(tag) for tag in tags.symbols) and options.get("ignored_tag") is None
        options.setdefault("decoder", "crf" if spans else "softmax")
        if isinstance(examples[0], TaggedSteps):
            given = {"minimum_count": minimum_count > 1, "vectors": vectors, "encoder": encoder}
            return numeric(cls, {"tags": tags}, examples, options, **given)
        must_be_texts(examples, options)
        texts = cast("Sequence[TaggedTokens]", examples)
        vocabularies = text_vocabularies([e.tokens for e in texts], minimum_count) | {"tags": tags}
        for name in texts[0].features:
            vocabularies[f"feature.{name}"] = Vocabulary.build(e.features[name] for e in texts)
        single = all(len(token) == 1 for example in texts for token in example.tokens)
        options.setdefault("cut", "characters" if single else "words")
        return begun(cls, vocabularies, options, vectors=vectors, encoders=encoder)

    def encode(self, example: TaggedTokens | TaggedSteps) -> Any:
        if isinstance(self.reader, NumberReader):
            if not isinstance(example, TaggedSteps):
                raise example.problem("a text, where this model reads numbers")
            return self.reader.encode(as_signal(example.checked()), self._target(example))
        if isinstance(example, TaggedSteps):
            raise example.problem("numbers, where this model reads texts")
        if not example.tokens:
            raise example.problem("a sentence without tokens")
        missing = [name for name in self.reader.feature_vocabularies if name not in example.features]
        if missing:
            raise example.problem(f"the model also reads the column {missing[0]!r}, which is not there")
        target = self._target(example)
        given = self.reader.encode(example.tokens, example.features, target, " ".join(example.tokens))
        if self.options["strands"] == "given":
            return given
        try:
            other = tuple(reverse_complement("".join(example.tokens)))
        except BadData as error:
            raise example.problem(error.problem) from None
        if len(other) != len(example.tokens):
            raise example.problem("strands=both is for bases: each token must be one letter")
        back = {name: values[::-1] for name, values in example.features.items()}
        return TwoStrands(given, self.reader.encode(other, back, None, " ".join(other)))

    def _target(self, example: TaggedTokens | TaggedSteps) -> NDArray[np.int64] | None:
        """The numbers of the tags, (elements,), `IGNORED` where none is known; None where the example has none."""
        if example.tags is None:
            return None
        known = np.array([tag != self.options["ignored_tag"] for tag in example.tags], dtype=bool)
        target = np.full(len(example.tags), IGNORED)
        try:
            target[known] = self.tags.encode(compress(example.tags, known))
        except UnknownName as error:
            raise example.problem(f"{error} ({NEVER_SEEN})") from None
        return target

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return layer_groups(self, self.reader.encoders)

    def collate(self, encoded: Sequence[Any]) -> Any:
        if self.options["strands"] == "given":
            return self.reader.collate(encoded)
        return TwoBatches(*(self.reader.collate(side) for side in zip(*encoded, strict=True)))

    def loss(self, batch: Any) -> Loss:
        if any(target is None for target in batch.targets):
            raise BadData("an example without tags cannot be learnt from")
        emissions = self._emissions(batch)
        tags = torch.from_numpy(np.concatenate(batch.targets)[batch.place])
        if self.crf is not None:
            total = -self.crf.log_likelihood(emissions, tags).sum()
        else:
            smoothing = self.options["label_smoothing"]
            total = cross_entropy(
                emissions.data, tags, self.weights, reduction="sum", label_smoothing=smoothing, ignore_index=IGNORED
            )
        return Loss(total, max(int((tags != IGNORED).sum()), 1))

    def decide(self, batch: Any, **options: Any) -> list[dict[str, Any]]:
        emissions = self._emissions(batch)
        if self.crf is not None:
            best = self.crf.viterbi(emissions)[0]
            sure = self.crf.marginals(emissions).gather(1, best[:, None])[:, 0]
        else:
            sure, best = emissions.data.softmax(-1).max(-1)
        # Back to the rows laid end to end, in the caller's order.
        tags, confidence = np.empty(len(best), dtype=np.int64), np.empty(len(best))
        tags[batch.place], confidence[batch.place] = best.numpy(), sure.numpy()
        lengths = lengths_of(emissions)
        ends = np.cumsum(lengths)
        symbols = self.tags.symbols
        return [
            {
                "tags": tuple(symbols[tag] for tag in tags[end - length : end].tolist()),
                "confidence": tuple(confidence[end - length : end].tolist()),
            }
            for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
        ]

    def vectors(self) -> nn.Module:
        if self.options["strands"] == "both":
            raise BadOption("two strands are read: what one element of one of them weighs is not told")
        return self.reader.vectors()

    def sequences_below(self, encoded: Any) -> dict[str, tuple[str, ...]]:
        return sequences_below(self.reader.encoders, encoded)

    def says(self, batch: Any, place: int = -1) -> tuple[Tensor, Sequence[str]]:
        """Of each tag of that token; of a CRF by the token's own scores, its neighbours' tags left out."""
        return at(self._emissions(batch), place).log_softmax(-1), self.tags.symbols

    def chances(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Of each token's tag; of a CRF by the marginals, which the confidences are."""
        emissions = self._emissions(batch)
        found = (
            emissions.data.log_softmax(-1) if self.crf is None else self.crf.marginals(emissions).clamp_min(1e-30).log()
        )
        tags = torch.from_numpy(np.concatenate(batch.targets)[batch.place])
        return found[tags != IGNORED], tags[tags != IGNORED]

    def _emissions(self, batch: Any) -> PackedSequence:
        if not isinstance(batch, TwoBatches):
            read = self.reader(batch)
            return read._replace(data=self.output(read.data))
        # Rows of equal lengths in the same order: both batches are packed alike.
        read, other = self.reader(batch.given), self.reader(batch.other)
        back = turned(other.data, batch.given.place, lengths_of(read))
        return read._replace(data=self.output((read.data + back) / 2))

    def see(self, batch: Any) -> None:
        """Of two strands the given one."""
        self._emissions(batch.given if isinstance(batch, TwoBatches) else batch)

    @property
    def holds_spans(self) -> bool:
        """Whether the tags are BIO spans."""
        return all(is_bio(tag) for tag in self.tags.symbols)

    @property
    def metric(self) -> str:  # type: ignore[override]
        """What decides which weights are best: the `f1` of spans, or the `accuracy` of tags."""
        return "f1" if self.holds_spans else "accuracy"

    def score(self, predicted: Sequence[Any], gold: Sequence[Any]) -> dict[str, float]:
        """`accuracy` per element; of words `unseen_accuracy` on those not met in training; of numbers `macro_f1` and
        `matthews`; of BIO spans `f1` and its parts.
        """
        for example in gold:
            _must_have_tags(example)
        ignored = self.options["ignored_tag"]
        counted = [[tag != ignored for tag in example.tags or ()] for example in gold]
        right, guessed = (
            [list(compress(e.tags or (), c)) for e, c in zip(side, counted, strict=True)] for side in (gold, predicted)
        )
        if not any(right):
            raise BadData(f"there is no tag to score but {ignored!r}, which is ignored")
        if isinstance(self.reader, NumberReader):
            scores = classification_scores(list(chain(*right)), list(chain(*guessed)))
        else:
            words = self.vocabularies["words"]
            known = [[t.lower() in words for t in compress(e.tokens, c)] for e, c in zip(gold, counted, strict=True)]
            scores = token_scores(right, guessed, known)
        if self.holds_spans:
            scores.update(span_scores(right, guessed))
        return scores

    def stream(self, saved: State | None = None, **options: Any) -> Streamer:
        if self.crf is not None:
            raise BadOption("a CRF needs the whole sentence and cannot stream: train with decoder=softmax")
        self._must_stream()
        if isinstance(self.reader, NumberReader):
            return StepStreamer(self, self.reader, self._said, saved)
        rule = self.options["cut"]
        given = (self, self.reader, partial(tokenise, rule=rule), self._said)
        return ReaderStreamer(*given, everywhere=rule == "characters", saved=saved)

    def _said(self, vector: Tensor) -> dict[str, Any]:
        """Of an element in a stream. vector: what is known there, (1, features)."""
        sure, best = self.output(vector).softmax(-1).max(-1)
        return {"tag": self.tags.symbols[int(best)], "confidence": float(sure)}

    @torch.inference_mode()
    def stream_outputs(self, examples: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each example: what the network makes of its elements at once, and read one by one."""
        self._must_stream()
        encoded: list[Any] = [self.encode(example) for example in examples]
        yield from self.reader.stream_outputs(encoded)

    def _must_stream(self) -> None:
        if self.options["strands"] == "both":
            raise BadOption("the other strand begins where a sequence ends: strands=both cannot stream")

    def read(self, raw: Any) -> TaggedTokens | TaggedSteps:
        if isinstance(raw, (TaggedTokens, TaggedSteps)):
            return raw
        if isinstance(self.reader, NumberReader):
            return TaggedSteps(values=as_signal(raw).values)
        if isinstance(raw, str):
            return TaggedTokens(tokens=tuple(tokenise(raw, self.options["cut"])))
        return TaggedTokens(tokens=tuple(raw))


def _known(examples: Sequence[TaggedTokens | TaggedSteps], ignored: str | None) -> Iterator[list[str]]:
    """The tags of each example but the one that says that none is known."""
    return ([tag for tag in example.tags or () if tag != ignored] for example in examples)


def _must_have_tags(example: TaggedTokens | TaggedSteps) -> None:
    if isinstance(example, TaggedSteps):
        if example.checked().tags is None:
            raise example.problem("numbers without tags")
        return
    if not example.tokens:
        raise example.problem("a sentence without tokens")
    if example.tags is None:
        raise example.problem("a sentence without tags")
    if len(example.tags) != len(example.tokens):
        raise example.problem(f"{len(example.tokens)} tokens but {len(example.tags)} tags")
