"""What translating, answering and captioning share: from anything to a sequence, by an encoder and a decoder.

    source ──► tokens ──► numbers ──► network (layers/encoder_decoder.py) ──► tokens ──► target

A subclass says what of its examples is the source and what the target, and which figures count. A source that is no
text has an encoder of its own, and is encoded and collated by the subclass. In training the target
is known; it is read whole (teacher forcing) or, `scheduled_sampling`, with a rising share of what the model itself
would have said. Predictions come from `decoding`, against the network's step alone.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.data.examples import Example
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData, BadOption
from unrolled.layers.encoder import SourceEncoder
from unrolled.layers.encoder_decoder import EncoderDecoder
from unrolled.layers.encoder_decoder_options import EncoderDecoderOptions
from unrolled.layers.packed import at
from unrolled.layers.scheduled import sampled
from unrolled.tasks._packing import pack
from unrolled.tasks._searching import Searching, search
from unrolled.tasks._sides import BEGIN, END, Side
from unrolled.tasks.base import Loss, Task

LONGER = 1.25
"""What a batch's longest target has of the mean one's tokens, about: examples of like length stand together."""


class Encoded(NamedTuple):
    """One example in numbers.

    source: (length,), or what the encoder reads in place of ids; target: (length,), without marks, None where it is not
    known; tokens: of the source, what its places are called; said: of the target; copied: (length,), where words are
    copied, the target's number of each token of the source, -1 for none.
    """

    source: NDArray[Any]
    target: NDArray[np.int64] | None
    tokens: tuple[str, ...]
    said: tuple[str, ...]
    copied: NDArray[np.int64] | None

    @property
    def length(self) -> int:
        """Elements that the example costs."""
        return len(self.tokens) + (0 if self.target is None else len(self.target))


class Batch(NamedTuple):
    """A batch, packed; sources and targets each longest first, outside in the caller's order.

    sources: data (elements,), long, or what the encoder reads in place of ids. copied: (elements,), as
    `EncoderDecoder.encode` wants it, or None. before, after: what the decoder reads and is to say, data (elements,),
    None where a target is not known. rows: what was encoded. beyond: the tokens of sources that are copied and that the
    target's vocabulary has not, numbered from its end on.
    """

    sources: Any
    copied: Tensor | None
    before: PackedSequence | None
    after: PackedSequence | None
    rows: list[Encoded]
    beyond: tuple[str, ...]


class SequenceToSequence(Task):
    """See the top of the file. Vocabularies and tokenisers are `source`, where that is a text, and `target`."""

    source: Side
    """Where the source is a text."""

    deciding = Searching
    settings: ClassVar[Mapping[str, Any]] = {
        "learning_rate": 2e-3,
        "batch_rows": 64,
        "batch_elements": 8192,
        "epochs": 40.0,
        "averaging": "exponential",
        "clip_norm": 1.0,
    }

    def __init__(self, vocabularies: Mapping[str, Vocabulary], tokenisers: Mapping[str, Tokeniser]) -> None:
        super().__init__(vocabularies, tokenisers)
        o = self.options
        for name, fits in (
            ("label_smoothing", 0 <= o["label_smoothing"] < 1),
            ("scheduled_sampling", 0 <= o["scheduled_sampling"] <= 1),
        ):
            if not fits:
                raise BadOption(f"{name} must be a share from 0 up to 1, not {o[name]}")
        if o["longest"] < 1:
            raise BadOption(f"longest must be 1 or more, not {o['longest']}")
        sides = {name: Side.of(tokeniser, vocabularies[name]) for name, tokeniser in tokenisers.items()}
        self.target, self.reads_text = sides["target"], "source" in sides
        if self.reads_text:
            self.source = sides["source"]
        self.begin, self.end = (vocabularies["target"].index(mark) for mark in (BEGIN, END))
        self.network = EncoderDecoder(
            EncoderDecoderOptions(
                source_words=len(self.source.vocabulary) if self.reads_text else 0,
                target_words=len(vocabularies["target"]),
                source_size=o["word_size"],
                target_size=o["word_size"],
                **{f.name: o[f.name] for f in fields(EncoderDecoderOptions) if f.name in o},
            ),
            self.encoder(),
        )

    def encoder(self) -> SourceEncoder | None:
        """What reads a source that is no text; None: it is one."""
        return None

    @abstractmethod
    def source_tokens(self, example: Any) -> list[str]:
        """The tokens that the encoder reads; marks of the source's vocabulary may be among them."""

    @abstractmethod
    def target_text(self, example: Any) -> str | None:
        """What the decoder is to say; None where it is not known."""

    # ------------------------------------------------------------------ numbers

    def encode(self, example: Example) -> Encoded:
        tokens = self.source_tokens(example)
        if not tokens:
            raise example.problem("the source is empty: there is nothing to read")
        self._must_fit(example, "source", tokens)
        target, said = self.said(example)
        source, copied = self.source_numbers(example, tokens), None
        if self.network.pointer is not None:
            known, numbers = self.target.vocabulary, self.target.encode(tokens)
            copied = np.array([n if t in known else -1 for t, n in zip(tokens, numbers.tolist(), strict=True)])
        return Encoded(source, target, tuple(tokens), said, copied)

    def said(self, example: Any) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
        """The target's numbers, None where it is not known, and its tokens. Raises `BadData` where it is too long."""
        text = self.target_text(example)
        if text is None:
            return None, ()
        tokens = self.target.tokeniser.tokens(text)
        self._must_fit(example, "target", tokens)
        return self.target.encode(tokens), tuple(tokens)

    def _must_fit(self, example: Any, what: str, tokens: Sequence[str]) -> None:
        longest = self.options["longest"]
        if len(tokens) > longest:
            raise example.problem(
                f"the {what} has {len(tokens)} tokens, and longest={longest} is the limit; raise it or cut the text"
            )

    def source_numbers(self, example: Any, tokens: Sequence[str]) -> NDArray[np.int64]:
        """Of the source's tokens."""
        return self.source.encode(tokens)

    def collate(self, encoded: Sequence[Encoded]) -> Batch:
        rows, beyond = list(encoded), dict[str, int]()
        copied: Tensor | None = None
        sources = self.packed_sources(rows)
        if self.network.pointer is not None:
            copied = pack([self._copied(row, beyond) for row in rows]).data
        if any(row.target is None for row in rows):
            return Batch(sources, copied, None, None, rows, tuple(beyond))
        targets = [self._wanted(row, beyond) for row in rows]
        before = pack([np.concatenate([[self.begin], target]) for target in targets])
        after = pack([np.concatenate([target, [self.end]]) for target in targets])
        return Batch(sources, copied, before, after, rows, tuple(beyond))

    def packed_sources(self, rows: Sequence[Encoded]) -> Any:
        """What the network's encoder reads."""
        return pack([row.source for row in rows])

    def _copied(self, row: Encoded, beyond: dict[str, int]) -> NDArray[np.int64]:
        """What each place of the source is called as a target. beyond: grows by what the vocabulary has not."""
        assert row.copied is not None
        numbers, size = row.copied.copy(), len(self.target.vocabulary)
        for place in np.flatnonzero(numbers < 0).tolist():
            numbers[place] = size + beyond.setdefault(row.tokens[place], len(beyond))
        return numbers

    def _wanted(self, row: Encoded, beyond: Mapping[str, int]) -> NDArray[np.int64]:
        """The target's numbers; of a token that only the row's source has, that of copying it."""
        assert row.target is not None
        if not beyond or row.copied is None or row.target.all():
            return row.target
        numbers, own, size = row.target.copy(), set(row.tokens), len(self.target.vocabulary)
        for place in np.flatnonzero(numbers == 0).tolist():
            token = row.said[place]
            if token in beyond and token in own:
                numbers[place] = size + beyond[token]
        return numbers

    # ------------------------------------------------------------------ training

    def loss(self, batch: Batch) -> Loss:
        if batch.before is None or batch.after is None:
            raise BadData("an example without a target cannot be learnt from")
        memory, before = self.network.encode(batch.sources, batch.copied), batch.before
        share = self.options["scheduled_sampling"] * self.progress
        if self.training and share:
            before = sampled(self.network, memory, before, share)
        total = self.network.loss(memory, before, batch.after, label_smoothing=self.options["label_smoothing"])
        return Loss(total, len(batch.after.data))

    @torch.no_grad()
    def perplexity(self, examples: Sequence[Any], *, batch_rows: int = 64) -> float:
        """e to the mean cross-entropy of a target's tokens, its end among them, in nats; dropout is off."""
        total, count = 0.0, 0
        encoded = sorted((self.encode(example) for example in examples), key=lambda e: -e.length)
        with self.evaluating():
            for start in range(0, len(encoded), batch_rows):
                batch = self.collate(encoded[start : start + batch_rows])
                if batch.before is None or batch.after is None:
                    raise BadData("an example without a target cannot be measured on")
                memory = self.network.encode(batch.sources, batch.copied)
                total += float(self.network.losses(memory, batch.before, batch.after).data.double().sum())
                count += len(batch.after.data)
        return math.exp(min(total / count, 700.0))

    def check(self, examples: Sequence[Any]) -> dict[str, float]:
        """Greedy: many checks are made, and a beam takes several times as long."""
        return self.score(self.predict(examples, batch_rows=64, beam=1), examples)

    def rehearse(self, examples: Sequence[Any]) -> None:
        """Before it has learnt, a decoder ends too early or not at all: here it says as much as the targets have."""
        said = [len(self.encode(example).said) for example in examples]
        length = min(max(1, round(LONGER * sum(said) / len(said))), self.options["longest_said"])
        bounds = {"minimum_length": length, "maximum_length": length}
        self.score(self.predict(examples, batch_rows=64, beam=1, **bounds), examples)

    @torch.inference_mode()
    def stream_outputs(self, examples: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each example: the log-probabilities of its target, of the whole at once and step by step."""
        for example in examples:
            batch = self.collate([self.encode(example)])
            assert batch.before is not None
            assert batch.after is not None
            memory = self.network.encode(batch.sources, batch.copied)
            state, stepped = memory.state, []
            for token, wanted in zip(batch.before.data.split(1), batch.after.data.tolist(), strict=True):
                logits, state = self.network.step(token, state, memory)
                stepped.append(logits.log_softmax(1)[:, wanted])
            yield -self.network.losses(memory, batch.before, batch.after).data, torch.cat(stepped)

    # ------------------------------------------------------------------ predictions

    def decide(self, batch: Batch, **options: Any) -> list[dict[str, Any]]:
        """See `Searching` for the options."""
        filled = []
        for (text, score), *rest in search(self, batch, Searching(**options)):
            filled.append({self.example.blank: text, "score": score, "alternatives": tuple(rest) or None})
        return filled

    def see(self, batch: Batch) -> None:
        """The target is read as it is given; where none is, the source alone."""
        memory = self.network.encode(batch.sources, batch.copied)
        if batch.before is not None and batch.after is not None:
            self.network.loss(memory, batch.before, batch.after)

    def vectors(self) -> nn.Module:
        """Of the source's elements."""
        return self.network.encoder.dropout

    def says(self, batch: Batch, place: int = -1) -> tuple[Tensor, Sequence[str]]:
        """Of each token that the target may have at that place, its end at -1, after those before it."""
        if batch.before is None:
            raise BadData("an example without a target has nothing to say")
        memory = self.network.encode(batch.sources, batch.copied)
        logits = batch.before._replace(data=torch.cat(list(self.network.logits(memory, batch.before))))
        return at(logits, place).log_softmax(-1), (*self.target.vocabulary.symbols, *batch.beyond)

    def sequences(self, encoded: Encoded) -> list[tuple[str, ...]]:
        return [encoded.tokens, *([] if encoded.target is None else [(BEGIN, *encoded.said)])]

    def align(self, examples: Sequence[Any], **options: Any) -> list[tuple[tuple[str, ...], tuple[str, ...], Tensor]]:
        """What each token of a target looked at, for examples whose target is known, or else predicted.

        Returns:
            For each example the source's tokens, the target's (with the end mark) and the weights (target, source).

        Raises `BadOption` where the model has no attention.
        """
        read = [self.read(example) for example in examples]
        unknown = [place for place, example in enumerate(read) if self.target_text(example) is None]
        for place, example in zip(unknown, self.predict([read[place] for place in unknown], **options), strict=True):
            read[place] = example
        batch = self.collate([self.encode(example) for example in read])
        assert batch.before is not None
        with self.evaluating(), torch.no_grad():
            weights = self.network.attend(self.network.encode(batch.sources, batch.copied), batch.before)
        return [(row.tokens, (*row.said, END), w) for row, w in zip(batch.rows, weights, strict=True)]
