"""The step of a search with an encoder and decoder, made ready once.

A step of decoding multiplies a few rows, which takes the kernels microseconds: finding out at every step which kernels
run, whether a weight has changed since it was laid out, and whether everything fits, takes longer than that, and so
does a call from Python for each of them. Within a search none of it changes. So all calls of a step are written down
beforehand (`kernels/chain.py`). The logits are those of `EncoderDecoder.step`, bit for bit: the same kernels give them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from unrolled import state as states
from unrolled.kernels import recurrence
from unrolled.kernels.chain import Call, Chain, Look
from unrolled.kernels.library import Product
from unrolled.kernels.recurrence import Packed
from unrolled.kernels.streaming import checked, describe, one_step
from unrolled.layers.attend import Attention, Source
from unrolled.layers.memory import Copies, DecoderState, Memory
from unrolled.unroll import fused, laid_out, looking
from unrolled.unroll.product import linear

if TYPE_CHECKING:
    from unrolled.layers.encoder_decoder import EncoderDecoder

FEW = 16
"""Rows up to which the steps are kept for the next search: those of more rows take much longer than making them."""


class Carried(NamedTuple):
    """The state of these steps: few tensors, since a search selects the rows of each of them.

    Attributes:
        values: (rows, features), the states of all layers and what is fed back, side by side.
        weights, covered: as `DecoderState` has them.
    """

    values: Tensor
    weights: Tensor | tuple[()]
    covered: Tensor | tuple[()]


def prepare(network: EncoderDecoder) -> Prepared | None:
    """For steps without gradients, in the precision that is asked for now; None where the kernels do not run them.

    It is to be used as long as neither the weights nor the precision change, by one thread.
    """
    decoder, half, softmax, readout = network.decoder, fused.is_half(), network.softmax, network.decoder.readout.map
    maps = [network.target.weight, softmax.weight, *([] if readout is None else [readout.weight])]
    plain = all(type(p) in fused.PLAIN and p.dtype is torch.float32 and p.is_cpu for p in maps)
    if not plain or torch.is_grad_enabled() or fused.is_mixed() or fused.is_transformed():
        return None
    cells: Any = decoder.cells
    packed = []
    for cell in cells:
        if type(cell) not in fused.KINDS:
            return None
        kind, own = fused.kind_of(cell), fused._weights(cell)
        if not fused.knows(kind, own.ih.shape[1], own):
            return None
        packed.append(laid_out.packed(kind, own, half))
    asked = _asked(decoder.attention)
    weights = Weights(
        torch.get_num_threads(),
        half,
        network.target.weight.detach(),
        tuple(packed),
        _Map.of(softmax.weight, softmax.bias, half),
        None if readout is None else _Map.of(readout.weight, readout.bias, half),
        # A part of a weight is not laid out for a single step.
        _Map.of(*asked[:2], half) if asked is not None and isinstance(asked[0], torch.nn.Parameter) else None,
    )
    return Prepared(network, weights)


class _Map(NamedTuple):
    """A linear map: its weight, laid out, and its bias."""

    panels: Tensor
    bias: Tensor | None

    @property
    def place(self) -> tuple[int, int | None]:
        """Where they stand: of weights that have changed, they are laid out elsewhere."""
        return self.panels.data_ptr(), None if self.bias is None else self.bias.data_ptr()

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None, half: bool) -> _Map:
        panels = laid_out.panels(weight, half, torch.get_num_threads())
        return cls(panels, None if bias is None else bias.detach().contiguous())


class Weights(NamedTuple):
    """Of a step: how many threads share it; half: whether products are of bfloat16; table: of words; and what they
    multiply by, laid out. None: there is none, or it is not laid out."""

    threads: int
    half: bool
    table: Tensor
    packed: tuple[Packed, ...]
    logits: _Map
    readout: _Map | None
    query: _Map | None

    def are(self, others: Weights) -> bool:
        """Whether these are the very same."""
        mine, theirs = (
            (*w[:2], w.table.data_ptr(), [id(packed) for packed in w.packed], [m and m.place for m in w[4:]])
            for w in (self, others)
        )
        return mine == theirs


def _asked(attention: Attention | None) -> tuple[Tensor, Tensor | None, Tensor] | None:
    """How a state asks, query, bias and value, where attention has additive scores and nothing else."""
    asked = None if attention is None else attention.asked()
    return (
        None if asked is None or asked.query is None or asked.value is None else (asked.query, asked.bias, asked.value)
    )


class Prepared:
    """Steps of a search: called as `EncoderDecoder.step` is, but for the state that comes after.

    Args:
        network: whose.
        weights: of its decoder.
    """

    def __init__(self, network: EncoderDecoder, weights: Weights) -> None:
        self._network, self._weights = network, weights
        self._kept = _kept_for(network, weights)
        self._steps: _Steps | None = None

    def __call__(self, tokens: Tensor, state: DecoderState | Carried, memory: Memory) -> tuple[Tensor, Carried]:
        steps = self._steps
        if steps is None or steps.rows != len(tokens):
            steps = self._steps = self._kept.get(len(tokens)) or _Steps(self._network, self._weights, len(tokens))
            if steps.rows <= FEW:
                self._kept[steps.rows] = steps
        if isinstance(state, DecoderState):
            values = torch.cat(states.leaves((state.layers, state.fed)), dim=1)
            state = Carried(values, state.weights, state.covered)
        return steps(tokens, state, memory)


class _Of(NamedTuple):
    weights: Weights
    steps: dict[int, _Steps]


_made = threading.local()


def _kept_for(network: EncoderDecoder, weights: Weights) -> dict[int, _Steps]:
    """The steps for so many rows that this thread has made before, with weights that have not changed since."""
    if not hasattr(_made, "of"):
        _made.of = WeakIdKeyDictionary()
    found: _Of | None = _made.of.get(network)
    if found is None or not weights.are(found.weights):
        found = _made.of[network] = _Of(weights, {})
    return found.steps


class _Layer(NamedTuple):
    """Of one layer (rows, features) each: the hidden state before and after, the cell state, which changes in place."""

    before: Tensor
    h: Tensor
    c: Tensor | None


class _Steps:
    """The same for so many rows.

    What a step reads and makes on the way stands in the same places at each step. The states are the caller's: they are
    copied there at first, and from there at last.
    """

    def __init__(self, network: EncoderDecoder, weights: Weights, rows: int) -> None:
        self.rows, self._weights, self._chain = rows, weights, Chain(rows)
        self._words, self._unknown = network.options.target_words, network.options.unknown
        self._decoder, self._pointer = network.decoder, network.pointer
        self._ins: list[tuple[Call, int]] = []  # what copies a part of the state, and where it begins, in bytes
        self._outs: list[tuple[Call, int]] = []
        self._memory: Memory | None = None
        self._vectors: list[Tensor] = []  # where the encoder vector is read
        self._contexts: Tensor | None = None
        self._kernel: Look | None = None  # attends; or:
        self._looked: Tensor | None = None  # the weights, where none does
        self._covered: Tensor | tuple[()] = ()
        self._features = 0
        self._compose(network)
        for call, _ in self._ins:
            call.source_stride = self._features
        for call, _ in self._outs:
            call.target_stride = self._features
        self._runs = self._chain.ready()

    def __call__(self, tokens: Tensor, state: Carried, memory: Memory) -> tuple[Tensor, Carried]:
        if memory is not self._memory:
            self._bind(memory)
        rows, pointer = self.rows, self._pointer
        if pointer is not None:
            tokens = tokens.masked_fill(tokens >= self._words, self._unknown)
        if tokens.shape != (rows,) or tokens.dtype is not torch.long or not tokens.is_cpu:
            raise ValueError(f"tokens must be {rows} long numbers on the CPU, not {describe(tokens)}")
        tokens, given = tokens.contiguous(), checked(state.values, rows, self._features)
        values, logits = self._room(self._features), self._room(self._words)
        self._taken.index, self._logits.c = tokens.data_ptr(), logits.data_ptr()
        before, after = given.data_ptr(), values.data_ptr()
        for call, start in self._ins:
            call.source = before + start
        for call, start in self._outs:
            call.target = after + start
        weights: Tensor | tuple[()] = ()
        if self._kernel is not None:
            weights = self._room(self._kernel.longest)
            self._kernel.leave_weights(weights)
        self._covered = state.covered
        for run in self._runs:
            run()
        if self._looked is not None:
            weights, self._looked = self._looked, None
        covered = () if isinstance(state.covered, tuple) or isinstance(weights, tuple) else state.covered + weights
        if pointer is not None and isinstance(memory.copies, Copies):
            assert self._contexts is not None
            assert isinstance(weights, Tensor)
            gate = pointer(self._h, self._contexts, self._x)
            logits = pointer.logits(gate, weights, memory.copies, logits)
        return logits, Carried(values, weights, covered)

    # ------------------------------------------------------------------ what a step is

    def _compose(self, network: EncoderDecoder) -> None:
        """As `EncoderDecoder.step` and `StackedDecoder.step` have it."""
        chain, decoder, readout = self._chain, self._decoder, self._decoder.readout
        layers = [self._layer(each) for each in self._weights.packed]
        reads = [self._room(each.input) for each in self._weights.packed]
        shown = self._room(0 if readout.map is None else readout.map.in_features)
        # What the lowest layer reads: a word, the encoder vector, what was shown before, a context.
        word, fed = network.target.output_size, readout.output_size if decoder.is_fed else 0
        context = 0 if decoder.attention is None else decoder.attention.context_size
        before = context if decoder.place == "before" else 0
        vector = reads[0].shape[1] - word - fed - before
        self._x, vectors, said, contexts = reads[0].split([word, vector, fed, before], dim=1)
        self._taken = chain.take(self._weights.table, self._x)
        self._vectors = [vectors] if vector else []
        if fed:
            self._in(said)
        wanted = [contexts] if before else []
        if decoder.place == "between":
            wanted += [read[:, -context:] for read in reads[1:]]
        if context and readout.map is not None:
            wanted.append(shown[:, -context:])
        if before:
            self._look(layers[0].before, wanted)
        below = layers[0].h
        for k, (packed, read, layer) in enumerate(zip(self._weights.packed, reads, layers, strict=True)):
            if k:
                chain.copy(below, read[:, : below.shape[1]])
            chain.tick(packed, read, *layer)
            below = self._sum(layer.h, below) if k and decoder.is_residual else layer.h
            if not k and decoder.place == "between":
                self._look(below, wanted)
        if decoder.place == "after":
            self._look(below, wanted)
        self._h = below
        for t in (t for layer in layers for t in (layer.h, layer.c) if t is not None):
            self._out(t)
        self._show(below, shown, vector)

    def _show(self, h: Tensor, read: Tensor, vector: int) -> None:
        """The readout and the logits. read: what the readout's map reads, the context in its place."""
        readout, shown = self._decoder.readout, h
        if self._weights.readout is not None:
            behind = readout.word + h.shape[1]
            if readout.word:
                self._chain.copy(self._x, read[:, : readout.word])
            self._chain.copy(h, read[:, readout.word : behind])
            if vector and self._decoder.attention is None:
                self._vectors.append(read[:, behind:])
            shown = self._room(readout.output_size)
            self._multiply(read, self._weights.readout, shown)
            self._chain.then(shown.tanh_)
        if self._decoder.is_fed:
            self._out(shown)
        self._logits = self._multiply(shown, self._weights.logits, self._room(self._words))

    def _look(self, queries: Tensor, wanted: Sequence[Tensor]) -> None:
        """Attention. wanted: where its contexts are read."""
        attention, one = self._decoder.attention, one_step(self.rows)
        assert attention is not None
        contexts = self._contexts = self._room(attention.context_size)
        asked = _asked(attention)
        if asked is not None:
            sought = self._room(len(asked[2]))
            if self._weights.query is not None:
                self._multiply(queries, self._weights.query, sought)
            else:

                def ask() -> None:
                    now = _asked(attention)
                    assert now is not None
                    sought.copy_(linear(queries, *now[:2]))

                self._chain.then(ask)
            self._kernel = self._chain.look(sought, contexts)
        else:

            def look() -> None:
                assert self._memory is not None
                assert isinstance(self._memory.source, Source)
                covered = self._covered if isinstance(self._covered, Tensor) else None
                looked = attention(self._memory.source, queries, one, covered)
                contexts.copy_(looked.contexts)
                self._looked = looked.weights

            self._chain.then(look)
        for part in wanted:
            self._chain.copy(contexts, part)

    def _bind(self, memory: Memory) -> None:
        """Read this memory from now on."""
        for part in self._vectors:
            part.copy_(memory.vector)  # type: ignore[arg-type]
        if self._kernel is not None and self._decoder.attention is not None:
            attention, source = self._decoder.attention, memory.source
            assert isinstance(source, Source)
            if not isinstance(source.keys, Tensor):
                source = attention.source(source.memory, source.mask)
            asked = _asked(attention)
            assert asked is not None
            assert isinstance(source.keys, Tensor)
            places = looking.as_it_stands(source.memory, source.mask)
            self._kernel.at(places, source.keys.flatten(0, 1), asked[2].detach())
        self._memory = memory

    # ------------------------------------------------------------------ parts of it

    def _layer(self, packed: Packed) -> _Layer:
        before, h = self._room(packed.output), self._room(packed.output)
        c = self._room(packed.hidden) if recurrence.KINDS[packed.kind].memory else None
        self._in(before)
        if c is not None:
            self._in(c)
        return _Layer(before, h, c)

    def _sum(self, a: Tensor, b: Tensor) -> Tensor:
        total = self._room(a.shape[1])
        self._chain.add(a, b, total)
        return total

    def _multiply(self, a: Tensor, by: _Map, c: Tensor) -> Product:
        return self._chain.multiply(a, *by, self._weights.half, c)

    def _in(self, place: Tensor) -> None:
        """Read the next of the state's values to there."""
        self._ins.append((self._chain.copy(None, place), 4 * self._features))
        self._features += place.shape[1]

    def _out(self, place: Tensor) -> None:
        """Leave this as the next of the state's values."""
        start = sum(call.columns for call, _ in self._outs)
        self._outs.append((self._chain.copy(place, None), 4 * start))

    def _room(self, features: int) -> Tensor:
        return torch.empty(self.rows, features, dtype=torch.float32)
