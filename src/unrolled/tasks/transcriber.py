"""Speech to text: what is said in a recording, by connectionist temporal classification.

    sound ──► bands ──► k frames as one ──► recurrences ──► at each step: a symbol, or the blank

The network says a symbol or nothing at each step, and learns by itself when: the loss is that of all ways in which the
transcript can be spread over the steps (Graves et al. 2006; with deep recurrences Graves, Mohamed & Hinton 2013,
arXiv:1303.5778). A transcript is that of the best path, or found by a beam of prefixes, in which a language model may
have its word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss
from torch.nn.utils.rnn import PackedSequence, unpack_sequence

from unrolled.data.examples import Speech
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.tokens import tokenise
from unrolled.data.vocabulary import Vocabulary
from unrolled.decoding.ctc import Text, best_path, prefix_beam
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.layers.packed import at, lengths, to_padded
from unrolled.layers.stack import CellName
from unrolled.lookup import Trained
from unrolled.metrics.edits import sequence_error_rate, symbol_error_rate, word_error_rate
from unrolled.tasks._numbers import Batch, Encoded, as_signal, number_reader, numeric
from unrolled.tasks._spoken import SpokenLanguage
from unrolled.tasks.base import NEVER_SEEN, Loss, Task

BLANK = "(none)"
"""What it is called where no symbol is said."""


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """How to find a transcript.

    Attributes:
        beam: prefixes that are kept; 1: the text of the best path.
        best: how many transcripts are named, the best among them.
        language: a trained language model of the same symbols that has its word; on a command line, its folder.
        language_weight: of its word.
        bonus: for each symbol, since a language model finds long transcripts unlikely.
    """

    beam: int = 8
    best: int = 1
    language: Annotated[Any, Trained()] = None
    language_weight: float = 0.5
    bonus: float = 0.0

    def __post_init__(self) -> None:
        for name in ("beam", "best"):
            if getattr(self, name) < 1:
                raise BadOption(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.best > self.beam:
            raise BadOption(f"best={self.best} transcripts of a beam of {self.beam}")
        if self.language is not None and self.beam == 1:
            raise BadOption("a language model has its word in a search: beam must be 2 or more")


class Transcriber(Task):
    """What is said in a recording.

    Args:
        vocabularies: `symbols`.
        symbols: of what a transcript is made: `characters`, or `words`, what stands between blanks.
        stacked: so many steps are read as one: transcripts are shorter than recordings.
        sound, rate, bands, frame_shift, masked_features, masked_steps, scaling, missing, inputs, means, deviations: as
            in `Classifier`.
        cell, hidden_size, layers, directions, connections, embedding_dropout, dropout, weight_drop, zoneout,
            initialisation, forget_bias, chrono, cell_options: as in `Tagger`.
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
    ) -> None:
        super().__init__(vocabularies, tokenisers)
        self.symbols = vocabularies["symbols"]
        self.reader = number_reader(self.options)
        self.blank = len(self.symbols)
        self.output = nn.Linear(self.reader.output_size, self.blank + 1)

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
        said = (_cut(example.transcript or "", rule) for example in examples)
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
            # Between two of the same symbol a blank must stand.
            needed = len(target) + int((target[1:] == target[:-1]).sum())
            if needed > encoded.length:
                raise example.problem(f"a transcript that needs {needed} steps for a recording of {encoded.length}")
        return encoded

    def collate(self, encoded: Sequence[Encoded]) -> Batch:
        return self.reader.collate(encoded)

    def loss(self, batch: Batch) -> Loss:
        if any(target is None for target in batch.targets):
            raise BadData("an example without a transcript cannot be learnt from")
        log_p = self._log_p(batch)
        rows = (
            range(len(batch.targets)) if batch.values.sorted_indices is None else batch.values.sorted_indices.tolist()
        )
        targets = [torch.from_numpy(batch.targets[row]) for row in rows]
        total = ctc_loss(
            to_padded(log_p.data, log_p.batch_sizes).transpose(0, 1),
            torch.cat(targets),
            lengths(log_p.batch_sizes),
            torch.tensor([len(target) for target in targets]),
            blank=self.blank,
            reduction="sum",
        )
        return Loss(total, max(sum(map(len, targets)), 1))

    def decide(self, batch: Batch, **options: Any) -> list[dict[str, Any]]:
        how = Deciding(**options)
        language = None if how.language is None else SpokenLanguage(how.language, self.symbols)
        filled = []
        for log_p in unpack_sequence(self._log_p(batch)):
            found = self._texts(log_p.double().numpy(), how, language)
            others = tuple((self._joined(text), text.score) for text in found[1 : how.best])
            filled.append(
                {
                    "transcript": self._joined(found[0]),
                    "score": found[0].score,
                    "alternatives": others if how.best > 1 else None,
                }
            )
        return filled

    def _texts(self, log_p: np.ndarray, how: Deciding, language: SpokenLanguage | None) -> list[Text]:
        if how.beam == 1:
            return [best_path(log_p, self.blank)]
        said = {"language": language, "weight": how.language_weight, "bonus": how.bonus}
        return prefix_beam(log_p, self.blank, beam=how.beam, **said)  # type: ignore[arg-type]

    def _joined(self, text: Text) -> str:
        between = "" if self.options["symbols"] == "characters" else " "
        return between.join(self.symbols.decode(text.symbols))

    def _log_p(self, batch: Batch) -> PackedSequence:
        read = self.reader(batch)
        return read._replace(data=self.output(read.data).log_softmax(-1))

    def vectors(self) -> nn.Module:
        return self.reader.embedding_dropout

    def says(self, batch: Batch, place: int = -1) -> tuple[Tensor, Sequence[str]]:
        """Of each symbol, and of none, at that step."""
        return at(self._log_p(batch), place), (*self.symbols, BLANK)

    def check(self, examples: Sequence[Any]) -> dict[str, float]:
        """By best paths, which take no search."""
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


def _cut(transcript: str, rule: str) -> list[str]:
    return tokenise(transcript, "characters" if rule == "characters" else "blanks")


def _must_have_transcript(example: Speech) -> None:
    if example.transcript is None:
        raise example.problem("a recording without a transcript")
