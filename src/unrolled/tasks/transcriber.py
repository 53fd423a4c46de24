"""Speech to text: what is said in a recording.

    sound ──► bands ──► k frames as one ──► recurrences ──► vectors ──► a kind of transcribing ──► symbols

What reads a recording is the same for all; how a transcript comes of it is the `kind`, a file each in `transcribing/`:

    ctc          at each step a symbol or none, whatever was said before (Graves et al. 2006)
    transducer   at each step any number of symbols, each of which knows those before it (Graves 2012)
    attention    the whole is heard, then said, with a look at the sound for each symbol (Chorowski et al. 2015)

A transcript is that of the likeliest path, or found by a beam, in which a language model may have its word. The first
two can transcribe while they hear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from unrolled.data.examples import Speech
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.tokens import tokenise
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.layers.stack import CellName
from unrolled.metrics.edits import sequence_error_rate, symbol_error_rate, word_error_rate
from unrolled.state import State
from unrolled.tasks._numbers import Batch, Encoded, as_signal, number_reader, numeric
from unrolled.tasks.base import NEVER_SEEN, Loss, Streamer, Task
from unrolled.tasks.transcribing.attention import Attention
from unrolled.tasks.transcribing.base import Deciding, Transcribing
from unrolled.tasks.transcribing.ctc import CTC
from unrolled.tasks.transcribing.stream import SoundStreamer
from unrolled.tasks.transcribing.transducer import Transducer

Kind = Literal["ctc", "transducer", "attention"]
KINDS: Mapping[str, type[Transcribing]] = {"ctc": CTC, "transducer": Transducer, "attention": Attention}


class Transcriber(Task):
    """What is said in a recording.

    Args:
        vocabularies: `symbols`.
        kind: how a transcript comes of what was heard: `ctc`, `transducer` or `attention`.
        symbols: of what a transcript is made: `characters`, or `words`, what stands between blanks.
        stacked: so many steps are read as one: transcripts are shorter than recordings.
        sound, rate, bands, frame_shift, masked_features, masked_steps, scaling, missing, inputs, means, deviations: as
            in `Classifier`.
        cell, hidden_size, layers, directions, connections, embedding_dropout, dropout, weight_drop, zoneout,
            initialisation, forget_bias, chrono, cell_options: as in `Tagger`.
        symbol_size, decoder_hidden, decoder_layers: features of a symbol's vector, units and layers of the recurrences,
            of the same cell, that read the symbols; not of `ctc`.
        joint_size: units in which a transducer brings both together.
        attention, attention_size, heads, place: as in `Translator`; of `attention`, as are the following.
        label_smoothing: share of each symbol that is spread over all.
        ctc_share: of the loss, by which the encoder also learns as that of `ctc` does; 0: it does not.
        longest_said: symbols that a prediction may have; `prepare` takes three times the longest transcript, and 10.
    """

    example = Speech
    metric = "symbols_right"
    deciding = Deciding
    settings: ClassVar[Mapping[str, Any]] = {
        "learning_rate": 3e-3,
        "batch_elements": 8192,
        "batch_rows": 16,
        "epochs": 60.0,
        "averaging": "exponential",
    }

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser] | None = None,
        *,
        kind: Kind = "ctc",
        symbols: Literal["characters", "words"] = "characters",
        stacked: int = 3,
        cell: CellName = "lstm",
        hidden_size: int = 128,
        layers: int = 2,
        directions: Literal["both", "forward"] = "both",
        connections: Literal["plain", "residual", "skip"] = "plain",
        embedding_dropout: float = 0.0,
        dropout: float = 0.2,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        initialisation: Literal["orthogonal", "uniform"] = "orthogonal",
        forget_bias: float = 1.0,
        chrono: int | None = None,
        cell_options: dict[str, Any] | None = None,
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
        symbol_size: int = 64,
        decoder_hidden: int = 128,
        decoder_layers: int = 1,
        joint_size: int = 128,
        attention: Literal["additive", "dot", "general", "concat", "multihead"] = "additive",
        attention_size: int = 128,
        heads: int = 4,
        place: Literal["before", "between", "after"] = "before",
        label_smoothing: float = 0.1,
        ctc_share: float = 0.3,
        longest_said: int = 256,
    ) -> None:
        super().__init__(vocabularies, tokenisers)
        if kind not in KINDS:
            raise UnknownName("kind of transcriber", kind, KINDS)
        self.symbols = vocabularies["symbols"]
        self.reader = number_reader(self.options)
        self.kind = KINDS[kind](self.symbols, self.reader.output_size, self.options)
        for name, part in self.kind.parts().items():
            self.add_module(name, part)

    @classmethod
    def prepare(cls, examples: Sequence[Speech], **options: Any) -> Transcriber:
        """A transcriber for these training examples.

        Args:
            examples: with their transcripts.
            options: of the constructor.

        Raises:
            BadData: no examples, one without a transcript, one that cannot be heard.
            BadOption: options that the examples say.
        """
        if not examples:
            raise BadData("there are no examples to learn from")
        for example in examples:
            _must_have_transcript(example)
        rule = options.get("symbols", "characters")
        said = [_cut(example.transcript or "", rule) for example in examples]
        options.setdefault("longest_said", 3 * max(map(len, said)) + 10)
        return numeric(cls, {"symbols": Vocabulary.build(said, unknown=None, kind="symbol")}, examples, options)

    def encode(self, example: Speech) -> Encoded:
        target = None
        if example.transcript is not None:
            try:
                target = self.symbols.encode(_cut(example.transcript, self.options["symbols"]))
            except UnknownName as error:
                raise example.problem(f"{error} ({NEVER_SEEN})") from None
        encoded = self.reader.encode(as_signal(example), target)
        if target is not None:
            needed = self.kind.steps_needed(target)
            if needed > encoded.length:
                raise example.problem(f"a transcript that needs {needed} steps for a recording of {encoded.length}")
        return encoded

    def collate(self, encoded: Sequence[Encoded]) -> Batch:
        return self.reader.collate(encoded)

    def loss(self, batch: Batch) -> Loss:
        if any(target is None for target in batch.targets):
            raise BadData("an example without a transcript cannot be learnt from")
        targets = [torch.from_numpy(target) for target in batch.targets]
        return Loss(self.kind.loss(self.reader(batch), targets), self.kind.decisions(targets))

    def decide(self, batch: Batch, **options: Any) -> list[dict[str, Any]]:
        how, filled = Deciding(**options), []
        for first, *others in self.kind.texts(self.reader(batch), how):
            alternatives = tuple((self._joined(text.symbols), text.score) for text in others[: how.best - 1])
            filled.append(
                {
                    "transcript": self._joined(first.symbols),
                    "score": first.score,
                    "alternatives": alternatives if how.best > 1 else None,
                }
            )
        return filled

    def _joined(self, symbols: Sequence[int]) -> str:
        between = "" if self.options["symbols"] == "characters" else " "
        return between.join(self.symbols.decode(symbols))

    def see(self, batch: Batch) -> None:
        """A transcript that is known is read as it is given, where the kind reads it."""
        self.kind.see(self.reader(batch), _targets(batch))

    def vectors(self) -> nn.Module:
        return self.reader.embedding_dropout

    def says(self, batch: Batch, place: int = -1) -> tuple[Tensor, Sequence[str]]:
        """What the kind says of one place: `ctc` and `transducer` of a step, `attention` of a symbol."""
        return self.kind.says(self.reader(batch), _targets(batch), place), self.kind.choices

    def sequences(self, encoded: Encoded) -> list[tuple[str, ...]]:
        if self.kind.reads is None or encoded.target is None:
            return [encoded.tokens]
        return [encoded.tokens, (self.kind.reads, *self.symbols.decode(encoded.target))]

    def align(self, examples: Sequence[Any]) -> list[tuple[tuple[str, ...], tuple[str, ...], Tensor]]:
        """What each symbol of a transcript looked at, where it is not known, of the likeliest one.

        Returns:
            For each example what its steps are called, the seconds in which they end, or else their numbers; its
            symbols, with the end; and the weights (symbols, steps).

        Raises `BadOption` for a kind without attention.
        """
        if not isinstance(self.kind, Attention):
            raise BadOption(f"kind={self.options['kind']} has no attention to draw; kind=attention has")
        batch = self.collate([self.encode(self.read(example)) for example in examples])
        with self.evaluating(), torch.no_grad():
            looks = self.kind.looks(self.reader(batch), _targets(batch))
        return [
            (self.reader.called(weights.shape[1]), (*self.symbols.decode(said), self.kind.choices[-1]), weights)
            for said, weights in looks
        ]

    def stream(self, saved: State | None = None, **options: Any) -> Streamer:
        """Answers are `element`, a symbol, and `seconds`, how much had been heard when it was certain.

        Args:
            saved: of `Streamer.state`.
            options: `symbols_a_step` of `Deciding`; a stream does not search.
        """
        return SoundStreamer(self, self.reader, self.kind, Deciding(**{"beam": 1, **options}), saved)

    def rehearse(self, examples: Sequence[Any]) -> None:
        """Before it has learnt, a transducer says as much as it may at every step."""
        most = {"symbols_a_step": 1} if self.options["kind"] == "transducer" else {}
        self.measure(examples, beam=1, **most)

    def check(self, examples: Sequence[Any]) -> dict[str, float]:
        """By the likeliest paths, which take no search."""
        return self.measure(examples, beam=1)

    def score(self, predicted: Sequence[Speech], gold: Sequence[Speech]) -> dict[str, float]:
        """`word_error_rate`, `symbol_error_rate` (of characters), `sequence_error_rate` (of whole transcripts); and
        `symbols_right`, which is 1 less the second, and decides which weights are best.
        """
        for example in gold:
            _must_have_transcript(example)
        every = [e.transcript or "" for e in gold], [e.transcript or "" for e in predicted]
        wrong = symbol_error_rate(*every)
        return {
            "word_error_rate": word_error_rate(*every),
            "symbol_error_rate": wrong,
            "sequence_error_rate": sequence_error_rate(*every),
            "symbols_right": 1 - wrong,
        }

    @torch.inference_mode()
    def stream_outputs(self, examples: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each example: what the network makes of its elements at once, and read one by one."""
        yield from self.reader.stream_outputs([self.encode(example) for example in examples])

    def read(self, raw: Any) -> Speech:
        if isinstance(raw, Speech):
            return raw
        signal = as_signal(raw)
        return Speech(values=signal.values, rate=signal.rate, origin=signal.origin)


def _targets(batch: Batch) -> list[Tensor | None]:
    return [None if target is None else torch.from_numpy(target) for target in batch.targets]


def _cut(transcript: str, rule: str) -> list[str]:
    return tokenise(transcript, "characters" if rule == "characters" else "blanks")


def _must_have_transcript(example: Speech) -> None:
    if example.transcript is None:
        raise example.problem("a recording without a transcript")
