"""Small encoders and decoders, and batches for them, that several tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled.layers.encoder_decoder import EncoderDecoder, EncoderDecoderOptions
from unrolled.layers.memory import Memory

SOURCE_WORDS, TARGET_WORDS, BEGIN, END = 11, 13, 1, 2


class Pairs(NamedTuple):
    """Sources and targets of a batch, rows in one order; targets without their begin and end.

    copied: of each source element the target word that is said where it is copied; None where nothing can be.
    """

    sources: list[Tensor]
    targets: list[Tensor]
    copied: list[Tensor] | None = None

    @property
    def read(self) -> list[Tensor]:
        """What each step reads."""
        return [torch.cat([torch.tensor([BEGIN]), t]) for t in self.targets]

    @property
    def said(self) -> list[Tensor]:
        """What each step is to say."""
        return [torch.cat([t, torch.tensor([END])]) for t in self.targets]

    def packed(self) -> tuple[PackedSequence, PackedSequence, PackedSequence]:
        """Sources, what is read, what is to be said."""
        return _pack(self.sources), _pack(self.read), _pack(self.said)

    def only(self, *rows: int) -> Pairs:
        """These rows, in this order."""
        copied = None if self.copied is None else [self.copied[k] for k in rows]
        return Pairs([self.sources[k] for k in rows], [self.targets[k] for k in rows], copied)

    def memory(self, one: EncoderDecoder) -> Memory:
        """What the network reads of the sources."""
        return one.encode(_pack(self.sources), None if self.copied is None else _pack(self.copied).data)


def _pack(rows: list[Tensor]) -> PackedSequence:
    return pack_sequence(rows, enforce_sorted=False)


@pytest.fixture
def pack() -> Callable[[list[Tensor]], PackedSequence]:
    """Rows of any order, packed."""
    return _pack


@pytest.fixture
def pairs() -> Callable[..., Pairs]:
    """A batch of these lengths; a source of one element and an empty target are among the usual ones.

    With `copies` the words of the sources are target words, too, of which the last three are beyond the vocabulary; and
    each target holds one such word, if the source has one.
    """

    def make(
        sources: tuple[int, ...] = (5, 1, 3, 4), targets: tuple[int, ...] = (2, 6, 4, 0), copies: bool = False
    ) -> Pairs:
        read = [torch.randint(3, SOURCE_WORDS, (n,)) for n in sources]
        said = [torch.randint(3, TARGET_WORDS, (n,)) for n in targets]
        if not copies:
            return Pairs(read, said)
        copied = [torch.randint(TARGET_WORDS - 3, TARGET_WORDS + 3, (n,)) for n in sources]
        for target, words in zip(said, copied, strict=True):
            if len(target):
                target[-1] = words.max()
        return Pairs(read, said, copied)

    return make


@pytest.fixture
def network() -> Callable[..., EncoderDecoder]:
    """A tiny one in float64, in which dot attention fits, too: twice 4 units of the encoder are 8 of the decoder."""

    def make(**options: Any) -> EncoderDecoder:
        sizes = {"source_size": 4, "target_size": 5, "hidden_size": 8, "encoder_hidden": 4}
        given = {"source_words": SOURCE_WORDS, "target_words": TARGET_WORDS, "attention_size": 6, "heads": 2, **sizes}
        return EncoderDecoder(EncoderDecoderOptions(**{**given, **options})).double().eval()

    return make


@pytest.fixture
def step_by_step() -> Callable[[EncoderDecoder, Pairs], list[Tensor]]:
    """The cross-entropy of each target's elements, of steps that read the true words."""

    def run(one: EncoderDecoder, batch: Pairs) -> list[Tensor]:
        memory = batch.memory(one)
        state, found = memory.state, [[] for _ in batch.targets]
        for t in range(max(len(row) for row in batch.read)):
            # What has ended goes on with anything.
            tokens = torch.stack([row[min(t, len(row) - 1)] for row in batch.read])
            logits, state = one.step(tokens, state, memory)
            for row, said, logs in zip(found, batch.said, logits.log_softmax(dim=1), strict=True):
                if t < len(said):
                    row.append(-logs[said[t]])
        return [torch.stack(row) for row in found]

    return run
