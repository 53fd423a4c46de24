r"""A network from sequences to sequences: encoder, bridge, decoder with or without attention, softmax.

    source ids ──► Encoder ──► annotations ─────────► Source (keys made once) ─┐
                      └──────► final states ─► Bridge ─► first state           │
    target ids ──► embedding ──► dropout ──► StackedDecoder ◄──────────────────┘ ──► readout ──► dropout ──► Softmax

It is used in two ways. In training the target is known: `encode`, then `loss` of whole packed targets, in which nothing
is looped over that need not be. In decoding `step` takes one token of each row: `logits, state = step(tokens, state,
memory)`. Nothing is kept on the module between calls. Every tensor outside is in the caller's order of rows; sources
and targets are each sorted by their own lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.errors import BadOption
from unrolled.layers.additive import Additive
from unrolled.layers.attend import Attention, Source, of_elements
from unrolled.layers.attention import ConcatScore, QueryScore
from unrolled.layers.bridge import Bridge
from unrolled.layers.coverage import coverage_loss
from unrolled.layers.dropout import LockedDropout
from unrolled.layers.embedding import Embedding
from unrolled.layers.encoder import Encoder, SourceEncoder, padded, vector
from unrolled.layers.encoder_decoder_options import EncoderDecoderOptions
from unrolled.layers.memory import Copies, DecoderState, Memory
from unrolled.layers.multihead import MultiHead
from unrolled.layers.multiplicative import Dot, General
from unrolled.layers.packed import caller_order, lengths, to_padded
from unrolled.layers.pointer import Pointer, copies
from unrolled.layers.prepared import prepare
from unrolled.layers.readout import Readout
from unrolled.layers.softmax import Softmax
from unrolled.layers.stack import make_cell, make_stack
from unrolled.layers.stacked_decoder import Shown, StackedDecoder, input_sizes

CHUNK = 512
"""Elements whose logits are there at the same time, where the likeliest word is looked for."""


class EncoderDecoder(nn.Module):
    """From packed source ids to the losses of packed target ids, and, step by step, to logits.

    >>> from torch.nn.utils.rnn import pack_sequence
    >>> options = EncoderDecoderOptions(source_words=20, target_words=30, hidden_size=8, encoder_hidden=8)
    >>> network = EncoderDecoder(options)
    >>> sources = pack_sequence([torch.tensor([4, 5, 6]), torch.tensor([7, 3])])
    >>> memory = network.encode(sources)
    >>> before, after = pack_sequence([torch.tensor([1, 9])] * 2), pack_sequence([torch.tensor([9, 2])] * 2)
    >>> network.loss(memory, before, after).shape
    torch.Size([])
    >>> logits, state = network.step(torch.tensor([1, 1]), memory.state, memory)
    >>> logits.shape
    torch.Size([2, 30])

    Args:
        options: of its parts.
        encoder: what reads sources that are no ids, in place of the recurrences; then a source is what that takes, and
            the options of the encoder and of the source's words do not count.

    Raises `BadOption` for options that need an encoder of ids, or its final states, where there are none.
    """

    def __init__(self, options: EncoderDecoderOptions, encoder: SourceEncoder | None = None) -> None:
        super().__init__()
        o = self.options = options
        if encoder is not None and (o.tied == "all" or (o.vector == "every" and not encoder.state_sizes())):
            raise BadOption(
                "annotations that are made elsewhere have neither an encoder vector nor a source's embedding"
            )
        self.target = Embedding(o.target_words, o.target_size)
        self.encoder = _encoder(o, self.target) if encoder is None else encoder
        self.decoder = _decoder(o, self.encoder)
        cells: Any = self.decoder.cells
        self.bridge = Bridge(o.bridge, self.encoder, list(cells))
        self.dropout = LockedDropout(o.embedding_dropout)
        self.readout_dropout = LockedDropout(o.readout_dropout)
        weight = self.target.weight if o.tied != "none" else None
        self.softmax = Softmax(self.decoder.readout.output_size, o.target_words, weight=weight)
        self.pointer = None
        if o.copying == "pointer":
            assert self.decoder.attention is not None
            self.pointer = Pointer(cells[-1].output_size, self.decoder.attention.context_size, o.target_size)

    def encode(self, sources: Any, copied: Tensor | None = None) -> Memory:
        """Read sources.

        Args:
            sources: packed, data (elements,), long; or what the encoder that was given takes.
            copied: (elements,), long, packed as the sources are: the target word that is said where this element is
                copied. From `target_words` on it is one that the vocabulary has not, numbered within the batch. Needed
                where copying is on, and only there.

        Returns:
            What the decoder reads of them, rows in the caller's order. While gradients are recorded, the keys are left
            to the compiled loop, where that makes them itself.

        Raises:
            BadOption: `copied` is missing, is not wanted, or does not fit.
        """
        self._check_copied(sources, copied)
        outputs, final = self.encoder(sources)
        layers, attention = self.bridge(outputs, final), self.decoder.attention
        read: Source | tuple[()] = ()
        if attention is None:
            places, long = 0, caller_order(lengths(outputs.batch_sizes).to(outputs.data.device), outputs)
        else:
            annotations, mask, long = padded(outputs)
            places = annotations.shape[1]
            lazy = torch.is_grad_enabled() and self.decoder.makes_keys
            read = Source(annotations, (), mask) if lazy else attention.source(annotations, mask)
        carried = vector(final) if self.options.vector == "every" else ()
        can = () if copied is None else copies(padded(sources._replace(data=copied), -1)[0], self.options.target_words)
        return Memory(read, long, carried, can, self.decoder.initial_state(layers, places))

    def loss(
        self, memory: Memory, targets_in: PackedSequence, targets_out: PackedSequence, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """The cross-entropy of whole targets, summed over all elements: a scalar.

        Args:
            memory: of `encode`, rows in the caller's order.
            targets_in: data (elements,), long: what each step reads.
            targets_out: data (elements,), long, packed as the former: what each step is to say. Where copying is on,
                both may hold words that the vocabulary has not; those that are to be said must stand in the source.
            label_smoothing: how much of each target's 1 is shared among all words, in [0, 1).

        Raises:
            BadOption: where these do not fit each other.
        """
        ran = self._run(memory, targets_in, targets_out)
        if self.pointer is None:
            total = self.softmax.loss(
                self._dropped(ran), targets_out.data, label_smoothing=label_smoothing, reduction="sum"
            )
        else:
            total = self._mixed(ran, targets_out.data, label_smoothing).sum()
        if self.decoder.covers and self.options.coverage_loss:
            assert ran.shown.weights is not None
            total = total + self.options.coverage_loss * coverage_loss(ran.shown.weights, targets_in.batch_sizes)
        return total

    def losses(self, memory: Memory, targets_in: PackedSequence, targets_out: PackedSequence) -> PackedSequence:
        """The cross-entropy of each element, data (elements,), without gradients. Arguments as `loss`."""
        with torch.no_grad():
            ran = self._run(memory, targets_in, targets_out)
            if self.pointer is None:
                found = self.softmax.losses(self._dropped(ran), targets_out.data)
            else:
                found = self._mixed(ran, targets_out.data, 0.0)
            return targets_out._replace(data=found)

    @torch.no_grad()
    def predictions(self, memory: Memory, targets_in: PackedSequence) -> Tensor:
        """The likeliest word after each element of whole targets, (elements,), long. Arguments as `loss`."""
        return torch.cat([logits.argmax(dim=1) for logits in self.logits(memory, targets_in)])

    def logits(self, memory: Memory, targets_in: PackedSequence) -> Iterator[Tensor]:
        """The logits of what comes after each element of whole targets, so many elements at a time: each (elements,
        vocabulary), where words are copied with those behind it. Arguments as `loss`.
        """
        ran = self._run(memory, targets_in)
        readouts, sizes = self._dropped(ran), targets_in.batch_sizes
        gate = None if self.pointer is None else self._gate(ran)
        for start in range(0, len(readouts), CHUNK):
            part = slice(start, start + CHUNK)
            logits = self.softmax(readouts[part])
            if self.pointer is not None and gate is not None:
                assert ran.shown.weights is not None
                each = states.tree_map(lambda t, part=part: of_elements(t, sizes)[part], self._copies(ran.memory))
                logits = self.pointer.logits(gate[part], ran.shown.weights[part], each, logits)
            yield logits

    def stepper(self) -> Callable[[Tensor, Any, Memory], tuple[Tensor, Any]]:
        """`step`, made ready for a search: for as long as neither the weights nor the precision change, by one thread.

        It takes the memory's state first, then what it gave itself, which `unrolled.state` and `attention_of` can read.
        """
        return prepare(self) or self.step

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> tuple[Tensor, DecoderState]:
        """One step of decoding, without dropout.

        Args:
            tokens: (rows,), long: what was said last.
            state: at first `memory.state`.
            memory: of `encode`; rows of all three are the same.

        Returns:
            Logits (rows, target words), and the next state. Where copying is on, they are the logarithms of
            probabilities, (rows, target words + words of the batch's sources that the vocabulary has not), and such
            words may be among the tokens.
        """
        x = self._embedded(tokens)
        shown, state = self.decoder.step(x, state, memory)
        logits = self.softmax(shown.readouts)
        if self.pointer is None or not isinstance(memory.copies, Copies):
            return logits, state
        assert shown.contexts is not None
        assert shown.weights is not None
        gate = self.pointer(shown.outputs, shown.contexts, x)
        return self.pointer.logits(gate, shown.weights, memory.copies, logits), state

    def attend(self, memory: Memory, targets: PackedSequence) -> list[Tensor]:
        """What each element of finished targets attends to.

        Args:
            memory: of `encode`, rows in the caller's order.
            targets: data (elements,), long: what each step reads.

        Returns:
            For each row, in the caller's order, the weights (target, source), without padding.

        Raises:
            BadOption: there is no attention.
        """
        if self.decoder.attention is None:
            raise BadOption("there is no attention to be shown: attention is 'none'")
        with torch.no_grad():
            weights = self._run(memory, targets).shown.weights
        assert weights is not None
        rows = caller_order(to_padded(weights, targets.batch_sizes), targets)
        ends = caller_order(lengths(targets.batch_sizes), targets).tolist()
        places = memory.lengths.tolist()
        return [row[:end, :width] for row, end, width in zip(rows, ends, places, strict=True)]

    def _run(self, memory: Memory, targets: PackedSequence, said: PackedSequence | None = None) -> _Ran:
        """The decoder over whole targets. said: what must be packed as they are."""
        if int(targets.batch_sizes[0]) != len(memory.lengths):
            wanted, found = len(memory.lengths), int(targets.batch_sizes[0])
            raise BadOption(f"there are {wanted} sources in the memory and {found} targets")
        if said is not None and not torch.equal(targets.batch_sizes, said.batch_sizes):
            raise BadOption("what each step reads and what it is to say must be packed alike")
        if targets.sorted_indices is not None:
            memory = states.select(memory, targets.sorted_indices)
        x = self.dropout(targets._replace(data=self._embedded(targets.data)))
        return _Ran(x, self.decoder(x, memory), memory)

    def _embedded(self, tokens: Tensor) -> Tensor:
        """Words that the vocabulary has not are read as the unknown one."""
        if self.pointer is not None:
            tokens = tokens.masked_fill(tokens >= self.options.target_words, self.options.unknown)
        return self.target(tokens)

    def _dropped(self, ran: _Ran) -> Tensor:
        """What the softmax reads, (elements, readout)."""
        return self.readout_dropout(ran.x._replace(data=ran.shown.readouts)).data

    def _mixed(self, ran: _Ran, targets: Tensor, label_smoothing: float) -> Tensor:
        """The losses with copying, (elements,)."""
        assert self.pointer is not None
        assert ran.shown.weights is not None
        ids = of_elements(self._copies(ran.memory).ids, ran.x.batch_sizes)
        gate, readouts = self._gate(ran), self._dropped(ran)
        return self.pointer.losses(gate, ran.shown.weights, ids, readouts, targets, self.softmax, label_smoothing)

    def _gate(self, ran: _Ran) -> Tensor:
        """What chooses between vocabulary and source, (elements,)."""
        assert self.pointer is not None
        assert ran.shown.contexts is not None
        return self.pointer(ran.shown.outputs, ran.shown.contexts, ran.x.data)

    def _copies(self, memory: Memory) -> Copies:
        if not isinstance(memory.copies, Copies):
            raise BadOption("copying is on, and the memory does not say what its places are: give `copied` to `encode`")
        return memory.copies

    def _check_copied(self, sources: Any, copied: Tensor | None) -> None:
        if copied is None and self.pointer is not None:
            raise BadOption("copying is on: encode needs `copied`, the target word of each source element")
        if copied is not None and self.pointer is None:
            raise BadOption("copying is off: encode takes no `copied`")
        if copied is not None and (copied.shape != sources.data.shape or copied.dtype is not torch.int64):
            wanted = f"{tuple(sources.data.shape)} long numbers, one for each source element"
            raise BadOption(f"`copied` must be {wanted}, not {tuple(copied.shape)} of {copied.dtype}")


class _Ran(NamedTuple):
    """x: what the decoder read; shown: what it gave; memory: its rows in packed order."""

    x: PackedSequence
    shown: Shown
    memory: Memory


def attention_of(state: DecoderState) -> Tensor:
    """What the last step attended to, (rows, source); zeros before the first. Raises `BadOption` without attention."""
    if isinstance(state.weights, tuple):
        raise BadOption("there is no attention to be shown: attention is 'none'")
    return state.weights


def _encoder(o: EncoderDecoderOptions, target: Embedding) -> Encoder:
    """Of ids."""
    source = target if o.tied == "all" else Embedding(o.source_words, o.source_size)
    stack = make_stack(
        o.source_size,
        _maker(o, o.encoder_hidden),
        layers=o.encoder_layers,
        directions=o.directions,
        connections=o.connections,
        dropout=o.dropout,
    )
    return Encoder(source, stack, o.embedding_dropout)


def _decoder(o: EncoderDecoderOptions, encoder: SourceEncoder) -> StackedDecoder:
    make, memory = _maker(o, o.hidden_size), encoder.output_size
    like = make(1)  # for the sizes of what such a cell gives and of its state
    hidden, query = like.output_size, states.leaves(like.initial_state(1))[0].shape[1]
    attention = _attention(o, memory, query if o.place == "before" else hidden)
    carried = sum(direction[0] for direction in encoder.state_sizes()[-1]) if o.vector == "every" else 0
    context = carried if attention is None else attention.context_size
    readout = Readout(o.readout, hidden=hidden, context=context, word=o.target_size, output=o.shown_size)
    fed = readout.output_size if o.feeding == "input" else 0
    place = None if attention is None else o.place
    sizes = input_sizes(o.target_size + carried + fed, context, [hidden] * o.layers, place)
    return StackedDecoder(
        [make(size) for size in sizes],
        attention,
        readout,
        word=o.target_size,
        place=o.place,
        vector=carried,
        feeding=o.feeding,
        connections=o.connections,
        dropout=o.dropout,
    )


def _attention(o: EncoderDecoderOptions, memory: int, query: int) -> Attention | None:
    if o.attention == "none":
        return None
    if o.attention == "dot":
        return Dot(memory, query)
    if o.attention == "general":
        return General(memory, query)
    if o.attention == "multihead":
        return MultiHead(memory, query, o.attention_size, o.heads)
    kind = QueryScore if o.attention == "additive" else ConcatScore
    return Additive(kind(memory, query, o.attention_size), coverage=o.coverage)


def _maker(o: EncoderDecoderOptions, hidden: int) -> Callable[[int], Cell]:
    """What makes a cell of a layer that reads so many features."""
    return partial(_cell, o, hidden)


def _cell(o: EncoderDecoderOptions, hidden: int, size: int) -> Cell:
    return make_cell(o.cell, size, hidden, o.cell_options, initialisation=o.initialisation, forget_bias=o.forget_bias)
