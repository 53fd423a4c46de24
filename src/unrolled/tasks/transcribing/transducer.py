"""A transducer, Graves 2012, arXiv:1211.3711: at each step any number of symbols, each of which knows those before it.

A second stack of recurrences reads the symbols that have been said, and both together say what comes next, or that
nothing more is said at this step. So it is a language model, too, and hears no more than it needs: read forwards, it
transcribes while sound comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.cells.base import Cell
from unrolled.data.vocabulary import Vocabulary
from unrolled.decoding.prefixes import Text
from unrolled.decoding.transducer import Carried, Greedy, Speaker, beam
from unrolled.layers.packed import at
from unrolled.layers.stack import make_cell, make_stack
from unrolled.layers.transducer import TransducerNetwork, TransducerSizes
from unrolled.state import State
from unrolled.tasks.transcribing.base import Deciding, Listener, Transcribing
from unrolled.tasks.transcribing.ctc import BLANK

MOST = 5
"""Symbols at one step, where nothing is said of them: of 10 milliseconds, some times as many as are ever spoken."""


class Transducer(Transcribing):
    """See the top of the file. The blank's number is the one behind the symbols'."""

    def __init__(self, symbols: Vocabulary, heard: int, options: Mapping[str, Any]) -> None:
        super().__init__(symbols, heard, options)
        o = options
        stack = make_stack(
            o["symbol_size"],
            partial(_cell, o),
            layers=o["decoder_layers"],
            directions="forward",
            connections="plain",
            dropout=o["dropout"],
        )
        sizes = TransducerSizes(heard, len(symbols), o["symbol_size"], o["joint_size"])
        self.network = TransducerNetwork(sizes, stack, vector_dropout=o["dropout"], dropout=o["dropout"])

    def parts(self) -> dict[str, nn.Module]:
        return {"network": self.network}

    def loss(self, read: PackedSequence, targets: Sequence[Tensor]) -> Tensor:
        return self.network.losses(read, targets).sum()

    def texts(self, read: PackedSequence, how: Deciding) -> list[list[Text]]:
        how.must_be_without("transducer", length_penalty=None)
        most, found = how.symbols_a_step or MOST, []
        with torch.no_grad():
            speaker, rows = self._speaker(), self.network.hear(read)
        spoken = how.spoken(self.symbols)
        for heard in rows:
            if how.beam > 1:
                found.append(beam(speaker, heard, beam=how.beam, most=most, **spoken))
                continue
            greedy = Greedy(speaker, most)
            symbols = tuple(symbol for _, symbol in greedy.hear(heard))
            found.append([Text(symbols, greedy.log_probability, greedy.log_probability)])
        return found

    def says(self, read: PackedSequence, targets: Sequence[Tensor | None], place: int) -> Tensor:
        """At a step, behind the likeliest symbols of the steps before it."""
        now = self.network.heard(at(read, place))
        before = []
        for heard in self.network.hear(read):
            greedy = Greedy(self._speaker(), MOST)
            greedy.hear(heard[: place % len(heard)])
            before.append(greedy.carried.said)
        return self.network.join(now, torch.cat(before))

    @property
    def choices(self) -> tuple[str, ...]:
        return (*self.symbols, BLANK)

    def see(self, read: PackedSequence, targets: Sequence[Tensor | None]) -> None:
        self.network.hear(read)
        said = [target for target in targets if target is not None]
        if said:
            self.network.read(said)

    def listener(self, how: Deciding, saved: State | None) -> Listener:
        how.must_be_without("transducer", length_penalty=None)
        return _Heard(self.network, Greedy(self._speaker(), how.symbols_a_step or MOST, saved and Carried(*saved)))

    @property
    def reads(self) -> str | None:
        return BLANK

    def _speaker(self) -> Speaker:
        network = self.network
        return Speaker(network.say, network.join, network.initial_state(1), network.blank)


class _Heard(Listener):
    def __init__(self, network: TransducerNetwork, greedy: Greedy) -> None:
        self.network, self.greedy = network, greedy

    @torch.no_grad()
    def hear(self, vectors: Tensor) -> list[tuple[int, int]]:
        return self.greedy.hear(self.network.heard(vectors))

    @property
    def state(self) -> State:
        return self.greedy.carried


def _cell(o: Mapping[str, Any], size: int) -> Cell:
    """One that reads so many features."""
    return make_cell(
        o["cell"], size, o["decoder_hidden"], o["cell_options"],
        initialisation=o["initialisation"], forget_bias=o["forget_bias"],
    )  # fmt: skip
