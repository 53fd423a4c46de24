"""An encoder and a decoder with attention, Chorowski et al. 2015, arXiv:1506.07503; Chan et al. 2016, arXiv:1508.01211:
the whole recording is heard, then the transcript is said symbol by symbol, each with a look at the sound.

Nothing says that a transcript goes forward as the sound does, and of little data attention hardly learns it. So in
training the encoder also learns by connectionist temporal classification, which knows it (Kim, Hori & Watanabe 2017,
arXiv:1609.06773, eq. 8):

    loss = (1 - share) loss of the decoder + share loss of CTC
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled.data.vocabulary import Vocabulary
from unrolled.decoding.beam import beam
from unrolled.decoding.constraints import Constraints
from unrolled.decoding.greedy import greedy
from unrolled.decoding.hypothesis import Hypothesis
from unrolled.decoding.prefixes import Text
from unrolled.decoding.ranking import Ranking
from unrolled.errors import BadOption
from unrolled.layers.encoder import Heard
from unrolled.layers.encoder_decoder import EncoderDecoder
from unrolled.layers.encoder_decoder_options import EncoderDecoderOptions
from unrolled.layers.packed import at
from unrolled.state import State
from unrolled.tasks.transcribing.base import Deciding, Listener, Transcribing
from unrolled.tasks.transcribing.ctc import steps_needed, summed_loss

END = "(end)"
"""What the end of a transcript is called."""


class Attention(Transcribing):
    """See the top of the file. The mark that begins and ends a transcript has the number behind the symbols'."""

    def __init__(self, symbols: Vocabulary, heard: int, options: Mapping[str, Any]) -> None:
        super().__init__(symbols, heard, options)
        o, self.end = options, len(symbols)
        if not 0 <= o["ctc_share"] < 1:
            raise BadOption(f"ctc_share must be in [0, 1), not {o['ctc_share']}")
        if o["longest_said"] < 1:
            raise BadOption(f"longest_said must be 1 or more, not {o['longest_said']}")
        if o["attention"] == "none":
            raise BadOption("attention=none: a decoder that does not look at the sound knows nothing of it")
        same = (
            "cell",
            "cell_options",
            "attention",
            "attention_size",
            "heads",
            "place",
            "initialisation",
            "forget_bias",
        )
        self.network = EncoderDecoder(
            EncoderDecoderOptions(
                source_words=1,
                target_words=self.end + 1,
                target_size=o["symbol_size"],
                hidden_size=o["decoder_hidden"],
                layers=o["decoder_layers"],
                bridge="mean",
                embedding_dropout=o["dropout"],
                dropout=o["dropout"],
                readout_dropout=o["dropout"],
                **{name: o[name] for name in same},
            ),
            Heard(heard),
        )
        self.ctc = nn.Linear(heard, self.end + 1) if o["ctc_share"] else None

    def parts(self) -> dict[str, nn.Module]:
        return {"network": self.network, **({} if self.ctc is None else {"ctc": self.ctc})}

    def loss(self, read: PackedSequence, targets: Sequence[Tensor]) -> Tensor:
        before, after = (
            self._before(targets),
            pack_sequence([torch.cat([t, t.new_tensor([self.end])]) for t in targets], enforce_sorted=False),
        )
        smoothing, share = self.options["label_smoothing"], self.options["ctc_share"]
        total = self.network.loss(self.network.encode(read), before, after, label_smoothing=smoothing)
        if self.ctc is None:
            return total
        log_p = read._replace(data=self.ctc(read.data).log_softmax(-1))
        return (1 - share) * total + share * summed_loss(log_p, targets, self.end)

    def texts(self, read: PackedSequence, how: Deciding) -> list[list[Text]]:
        how.must_be_without("attention", symbols_a_step=None, language=None, bonus=0.0)
        penalty = 1.0 if how.length_penalty is None else how.length_penalty
        memory = self.network.encode(read)
        with torch.no_grad():
            step, state = self.network.stepper(), memory.state
        given: dict[str, Any] = {
            "batch": len(memory.lengths), "begin": self.end, "end": self.end,
            "constraints": Constraints(maximum_length=self.options["longest_said"]),
        }  # fmt: skip
        found: list[list[Hypothesis]]
        if how.beam == 1:
            said, ranking = greedy(step, state, memory, **given), Ranking("length", penalty)
            found = [[h._replace(score=ranking.score(h.log_probability, len(h.tokens) + h.finished))] for h in said]
        else:
            found = beam(step, state, memory, width=how.beam, best=how.best, length_penalty=penalty, **given)
        return [[Text(h.tokens, float(h.score), h.log_probability) for h in row] for row in found]

    def says(self, read: PackedSequence, targets: Sequence[Tensor | None], place: int) -> Tensor:
        """At a place of the transcript, its end at -1, behind what stands before it; where it is not known, of the
        likeliest one.
        """
        before = self._before(self._known(read, targets))
        logits = before._replace(data=torch.cat(list(self.network.logits(self.network.encode(read), before))))
        return at(logits, place).log_softmax(-1)

    @property
    def choices(self) -> tuple[str, ...]:
        return (*self.symbols, END)

    def see(self, read: PackedSequence, targets: Sequence[Tensor | None]) -> None:
        said = [target for target in targets if target is not None]
        memory = self.network.encode(read)
        if said and len(said) == len(targets):
            self.network.predictions(memory, self._before(said))

    def looks(self, read: PackedSequence, targets: Sequence[Tensor | None]) -> list[tuple[Tensor, Tensor]]:
        """Of each row, in the caller's order, the transcript, found where it is not known, and what each symbol of it
        and its end looked at, (symbols + 1, steps).
        """
        said = self._known(read, targets)
        weights = self.network.attend(self.network.encode(read), self._before(said))
        return list(zip(said, weights, strict=True))

    def listener(self, how: Deciding, saved: State | None) -> Listener:
        raise BadOption(
            "kind=attention hears the whole before it says anything: kind=ctc and kind=transducer can stream"
        )

    @property
    def reads(self) -> str | None:
        return END

    def steps_needed(self, target: NDArray[np.int64]) -> int:
        """As for CTC, where it learns by that, too."""
        return 1 if self.ctc is None else steps_needed(target)

    def decisions(self, targets: Sequence[Tensor]) -> int:
        """The end is one."""
        return sum(map(len, targets)) + len(targets)

    def _before(self, targets: Sequence[Tensor]) -> PackedSequence:
        """What the decoder reads."""
        return pack_sequence([torch.cat([t.new_tensor([self.end]), t]) for t in targets], enforce_sorted=False)

    def _known(self, read: PackedSequence, targets: Sequence[Tensor | None]) -> list[Tensor]:
        if all(target is not None for target in targets):
            return [target for target in targets if target is not None]
        found = self.texts(read, Deciding(beam=1))
        return [
            torch.tensor(text.symbols, dtype=torch.long) if target is None else target
            for target, (text, *_) in zip(targets, found, strict=True)
        ]
