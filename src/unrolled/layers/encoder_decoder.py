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

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.cells.initialise import initialise_
from unrolled.errors import BadOption, UnknownName
from unrolled.layers.additive import Additive
from unrolled.layers.attend import Attention, Source
from unrolled.layers.attention import ConcatScore, QueryScore
from unrolled.layers.bridge import Bridge
from unrolled.layers.dropout import LockedDropout
from unrolled.layers.embedding import Embedding
from unrolled.layers.encoder import Encoder, make_stack, padded, vector
from unrolled.layers.encoder_decoder_options import EncoderDecoderOptions
from unrolled.layers.memory import DecoderState, Memory
from unrolled.layers.multihead import MultiHead
from unrolled.layers.multiplicative import Dot, General
from unrolled.layers.packed import caller_order, lengths, to_padded
from unrolled.layers.readout import Readout
from unrolled.layers.softmax import Softmax
from unrolled.layers.stacked_decoder import Shown, StackedDecoder, input_sizes
from unrolled.lookup import find


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
    """

    def __init__(self, options: EncoderDecoderOptions) -> None:
        super().__init__()
        o = self.options = options
        self.target = Embedding(o.target_words, o.target_size)
        source = self.target if o.tied == "all" else Embedding(o.source_words, o.source_size)
        stack = make_stack(
            o.source_size,
            _maker(o, o.encoder_hidden),
            layers=o.encoder_layers,
            directions=o.directions,
            connections=o.connections,
            dropout=o.dropout,
        )
        self.encoder = Encoder(source, stack, o.embedding_dropout)
        self.decoder = _decoder(o, self.encoder)
        cells: Any = self.decoder.cells
        self.bridge = Bridge(o.bridge, self.encoder, list(cells))
        self.dropout = LockedDropout(o.embedding_dropout)
        self.readout_dropout = LockedDropout(o.readout_dropout)
        weight = self.target.weight if o.tied != "none" else None
        self.softmax = Softmax(self.decoder.readout.output_size, o.target_words, weight=weight)

    def encode(self, sources: PackedSequence) -> Memory:
        """Read sources.

        Args:
            sources: data (elements,), long.

        Returns:
            What the decoder reads of them, rows in the caller's order. While gradients are recorded, the keys are left
            to the compiled loop, where that makes them itself.
        """
        outputs, final = self.encoder(sources)
        layers, attention = self.bridge(outputs, final), self.decoder.attention
        read: Source | tuple[()] = ()
        if attention is None:
            places, long = 0, caller_order(lengths(sources.batch_sizes).to(outputs.data.device), sources)
        else:
            annotations, mask, long = padded(outputs)
            places = annotations.shape[1]
            lazy = torch.is_grad_enabled() and self.decoder.makes_keys
            read = Source(annotations, (), mask) if lazy else attention.source(annotations, mask)
        carried = vector(final) if self.options.vector == "every" else ()
        return Memory(read, long, carried, (), self.decoder.initial_state(layers, places))

    def loss(
        self, memory: Memory, targets_in: PackedSequence, targets_out: PackedSequence, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """The cross-entropy of whole targets, summed over all elements: a scalar.

        Args:
            memory: of `encode`, rows in the caller's order.
            targets_in: data (elements,), long: what each step reads.
            targets_out: data (elements,), long, packed as the former: what each step is to say.
            label_smoothing: how much of each target's 1 is shared among all words, in [0, 1).

        Raises:
            BadOption: where these do not fit each other.
        """
        shown = self._shown(memory, targets_in, targets_out)
        return self.softmax.loss(shown, targets_out.data, label_smoothing=label_smoothing, reduction="sum")

    def losses(self, memory: Memory, targets_in: PackedSequence, targets_out: PackedSequence) -> PackedSequence:
        """The cross-entropy of each element, data (elements,), without gradients. Arguments as `loss`."""
        with torch.no_grad():
            shown = self._shown(memory, targets_in, targets_out)
            return targets_out._replace(data=self.softmax.losses(shown, targets_out.data))

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> tuple[Tensor, DecoderState]:
        """One step of decoding, without dropout.

        Args:
            tokens: (rows,), long: what was said last.
            state: at first `memory.state`.
            memory: of `encode`; rows of all three are the same.

        Returns:
            Logits (rows, target words), and the next state.
        """
        shown, state = self.decoder.step(self.target(tokens), state, memory)
        return self.softmax(shown.readouts), state

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
            weights = self._run(memory, targets).weights
        assert weights is not None
        rows = caller_order(to_padded(weights, targets.batch_sizes), targets)
        ends = caller_order(lengths(targets.batch_sizes), targets).tolist()
        places = memory.lengths.tolist()
        return [row[:end, :width] for row, end, width in zip(rows, ends, places, strict=True)]

    def _shown(self, memory: Memory, targets_in: PackedSequence, targets_out: PackedSequence) -> Tensor:
        """What the softmax reads, (elements, readout)."""
        if not torch.equal(targets_in.batch_sizes, targets_out.batch_sizes):
            raise BadOption("what each step reads and what it is to say must be packed alike")
        return self.readout_dropout(targets_in._replace(data=self._run(memory, targets_in).readouts)).data

    def _run(self, memory: Memory, targets: PackedSequence) -> Shown:
        """The decoder over whole targets."""
        if int(targets.batch_sizes[0]) != len(memory.lengths):
            wanted, found = len(memory.lengths), int(targets.batch_sizes[0])
            raise BadOption(f"there are {wanted} sources in the memory and {found} targets")
        if targets.sorted_indices is not None:
            memory = states.select(memory, targets.sorted_indices)
        return self.decoder(self.dropout(targets._replace(data=self.target(targets.data))), memory)


def attention_of(state: DecoderState) -> Tensor:
    """What the last step attended to, (rows, source); zeros before the first. Raises `BadOption` without attention."""
    if isinstance(state.weights, tuple):
        raise BadOption("there is no attention to be shown: attention is 'none'")
    return state.weights


def _decoder(o: EncoderDecoderOptions, encoder: Encoder) -> StackedDecoder:
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
    return Additive(kind(memory, query, o.attention_size))


def _maker(o: EncoderDecoderOptions, hidden: int) -> Callable[[int], Cell]:
    """What makes a cell of a layer that reads so many features."""
    made: Any = find("unrolled.cells", o.cell, Cell, "cell")
    given = o.cell_options or {}
    known = [p.name for p in inspect.signature(made).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for name in given:
        if name not in known:
            raise UnknownName(f"option of the cell {o.cell}", name, known)

    def make(size: int) -> Cell:
        cell: Cell = made(size, hidden, **given)
        has_forget_bias = "f" in cell.keeps and getattr(cell, "bias_ih", None) is not None
        initialise_(cell, o.initialisation, forget_bias=o.forget_bias if has_forget_bias else None)
        return cell

    return make
